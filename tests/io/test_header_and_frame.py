"""Headers that contradict the file or themselves, and the frame that qform and sform give."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.assemble import common_grid
from qsmcmb.io.frame import compare_frames, corner_distance_mm
from qsmcmb.io.masks import load_on_grid
from qsmcmb.io.nifti import Volume, read_volume
from qsmcmb.model import Grid

SHAPE = (20, 24, 28)
VOXEL_MM = 1.5


def turn(degrees: float) -> np.ndarray:
    """Return a rotation about x."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def affine_of(degrees: float = 0.0, voxel_mm: float = VOXEL_MM, shift_mm: float = 0.0) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = turn(degrees) * voxel_mm
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2) + shift_mm
    return affine


def make_image(
    sform: np.ndarray | None, sform_code: int, qform: np.ndarray | None, qform_code: int
) -> nibabel.Nifti1Image:
    data = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    image = nibabel.Nifti1Image(data, affine_of())
    image.header.set_xyzt_units("mm")
    image.set_sform(sform, sform_code)
    image.set_qform(qform, qform_code)
    return image


def write(folder: Path, image: nibabel.Nifti1Image, change: Callable[[bytearray], object] = len) -> Path:
    content = bytearray(image.to_bytes())
    change(content)
    (folder / "a.nii").write_bytes(content)
    return folder / "a.nii"


def put(position: int, form: str, *values: object) -> Callable[[bytearray], None]:
    return lambda content: struct.pack_into(form, content, position, *values)


PLAIN = (affine_of(), 1, affine_of(), 1)
FAULTS = {
    "size of the header": (put(0, "<i", 349), "sizeof_hdr"),
    "no header": (lambda c: c.__delitem__(slice(100, None)), "sizeof_hdr"),
    "an Analyze header": (put(344, "<4s", b"\0\0\0\0"), "magic"),
    "a header of two files": (put(344, "<4s", b"ni1\0"), "two files"),
    "the other NIfTI's magic": (put(344, "<4s", b"n+2\0"), "magic"),
    "data inside the header": (put(108, "<f", 348.0), "vox_offset"),
    "data at half a byte": (put(108, "<f", 352.5), "vox_offset"),
    "data nowhere": (put(108, "<f", float("nan")), "vox_offset"),
    "data later than they are": (put(108, "<f", 368.0), "dim"),
    "bits of another type": (put(72, "<h", 32), "bitpix"),
    "type of other bits": (put(70, "<h", 16), "bitpix"),
    "type and bits of a smaller number": (put(70, "<2h", 2, 8), "datatype"),
    "type and bits of a larger number": (put(70, "<2h", 16, 32), "dim"),
    "fewer slices than the file holds": (put(46, "<h", SHAPE[2] - 1), "dim"),
    "bytes behind the data": (lambda c: c.extend(bytes(64)), "dim"),
    "an unknown sform code": (put(254, "<h", 7), "sform_code"),
    "a negative qform code": (put(252, "<h", -1), "qform_code"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_header_that_contradicts_the_file_is_refused(case: str, tmp_path: Path) -> None:
    change, field = FAULTS[case]
    with pytest.raises(InvalidInputError, match=field) as caught:
        read_volume(write(tmp_path, make_image(*PLAIN), change))
    assert caught.value.code == "HEADER"


def test_an_offset_of_0_is_the_least(tmp_path: Path) -> None:
    plain = read_volume(write(tmp_path, make_image(*PLAIN)))
    assert np.array_equal(
        read_volume(write(tmp_path, make_image(*PLAIN), put(108, "<f", 0.0))).data, plain.data
    )


def test_nifti_2_and_big_endian_are_read_as_well(tmp_path: Path) -> None:
    plain = read_volume(write(tmp_path, make_image(*PLAIN)))
    data = np.asarray(plain.data)
    second = nibabel.Nifti2Image(data, affine_of())
    second.set_sform(affine_of(), 1)
    big = nibabel.Nifti1Image(data.astype(">i2"), affine_of(), nibabel.Nifti1Header(endianness=">"))
    big.set_data_dtype(">i2")
    for image in (second, big):
        found = read_volume(write(tmp_path, image))
        np.testing.assert_array_equal(found.values(), plain.values())
        np.testing.assert_allclose(found.affine, plain.affine, atol=1e-5)


SHEARED = affine_of()
SHEARED[0, 1] = 0.1
FRAMES = {
    "one form": ((affine_of(5), 1, None, 0), 5, "sform (scanner)", False),
    "the other form": ((None, 0, affine_of(5), 1), 5, "qform (scanner)", False),
    "as nibabel writes it": ((affine_of(5), 2, None, 0), 5, "sform (aligned)", False),
    "both alike": ((affine_of(5), 1, affine_of(5), 1), 5, "sform (scanner)", False),
    "both alike, one a template's": ((affine_of(5), 4, affine_of(5), 1), 5, "qform (scanner)", False),
    "another angle, the qform is the scanner's": ((affine_of(12), 2, affine_of(5), 1), 5, "qform (scanner)", True),
    "another angle, the sform is the scanner's": ((affine_of(12), 1, affine_of(5), 2), 12, "sform (scanner)", True),
    "registered to a template": ((affine_of(0, 1.2), 4, affine_of(5), 1), 5, "qform (scanner)", True),
    "sheared onto a template": ((SHEARED, 3, affine_of(5), 1), 5, "qform (scanner)", True),
    "half a degree": ((affine_of(5.5), 1, affine_of(5), 1), 5.5, "sform (scanner)", True),
}  # fmt: skip


@pytest.mark.parametrize("case", FRAMES)
def test_the_scanners_form_is_used(case: str, tmp_path: Path) -> None:
    forms, degrees, name, is_said = FRAMES[case]
    volume = read_volume(write(tmp_path, make_image(*forms)))
    np.testing.assert_allclose(volume.affine, affine_of(degrees), atol=1e-4)
    assert volume.frame == name
    assert any("differ" in w for w in volume.warnings) == is_said
    # Positions, voxel size and B0 come from the one affine.
    grid, _ = common_grid([volume], None)
    assert grid.voxel_size_mm == pytest.approx((VOXEL_MM,) * 3, abs=1e-5)
    assert grid.b0_dir == pytest.approx(tuple(turn(degrees)[2]), abs=1e-5)


REFUSED = {
    "two scanners, another angle": ((affine_of(12), 1, affine_of(5), 1), "FRAME"),
    "two scanners, another scale": ((affine_of(5, 1.0), 1, affine_of(5), 1), "FRAME"),
    "two scanners, shear": ((SHEARED, 1, affine_of(), 1), "FRAME"),
    "two scanners, another place": ((affine_of(shift_mm=3), 1, affine_of(), 1), "FRAME"),
    "no scanner among two": ((affine_of(12), 4, affine_of(5), 2), "FRAME"),
    "shear alone": ((SHEARED, 1, None, 0), "FRAME"),
    "a quaternion that is none": ((affine_of(), 2, affine_of(), 1), "ORIENT"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_frame_that_is_not_known_is_refused(case: str, tmp_path: Path) -> None:
    forms, code = REFUSED[case]
    spoil = put(256, "<3f", 1.0, 1.0, 1.0) if code == "ORIENT" else len
    with pytest.raises(InvalidInputError) as caught:
        read_volume(write(tmp_path, make_image(*forms), spoil))
    assert caught.value.code == code
    if "two scanners" in case:
        assert "sform (scanner)" in caught.value.found
        assert "qform (scanner)" in caught.value.found


def test_the_cure_of_two_frames_leads_to_a_scan(tmp_path: Path) -> None:
    image = make_image(affine_of(12), 1, affine_of(5), 1)
    image.set_sform(None, 0)
    assert read_volume(write(tmp_path, image)).frame == "qform (scanner)"


def test_a_voxel_size_that_was_changed_alone_is_refused(tmp_path: Path) -> None:
    image = make_image(affine_of(), 1, None, 0)
    with pytest.raises(InvalidInputError, match=r"pixdim, sform \(scanner\)"):
        read_volume(write(tmp_path, image, put(80, "<f", 1.0)))


def test_a_handedness_of_0_is_1(tmp_path: Path) -> None:
    volume = read_volume(write(tmp_path, make_image(None, 0, affine_of(5), 1), put(76, "<f", 0.0)))
    np.testing.assert_allclose(volume.affine, affine_of(5), atol=1e-4)


def test_a_template_alone_needs_the_direction_of_b0(tmp_path: Path) -> None:
    volume = read_volume(write(tmp_path, make_image(affine_of(), 4, None, 0)))
    with pytest.raises(InvalidInputError, match=r"FRAME.*sform \(MNI\)"):
        common_grid([volume], None)
    _, notes = common_grid([volume], (0.0, 0.0, 1.0))
    assert "not the scanner's" in notes[0]


def volume_at(affine: np.ndarray, name: str = "a.nii") -> Volume:
    return Volume(
        path=Path(name), data=np.zeros(SHAPE), slope=1.0, inter=0.0, affine=affine, sha256="", warnings=(),
        oriented=True, frame="sform (scanner)",
    )  # fmt: skip


def test_corners_and_not_matrix_entries_decide() -> None:
    # Entries differ by 0.002, corners of a large volume by 0.7 mm.
    turned = np.diag([1.0, 1, 1, 1])
    turned[0, 1] = 0.002
    assert corner_distance_mm(np.eye(4), turned, (350, 350, 100)) == pytest.approx(0.698)
    for degrees, shift_mm, n_notes in ((0.0, 3e-4, 0), (0.3, 0.0, 1)):
        pair = [volume_at(affine_of()), volume_at(affine_of(degrees, shift_mm=shift_mm), "b.nii")]
        grid, notes = common_grid(pair, None)
        assert len(notes) == n_notes
        np.testing.assert_array_equal(grid.affine, affine_of())
    for degrees, shift_mm in ((5.0, 0.0), (0.0, 0.8)):
        pair = [volume_at(affine_of()), volume_at(affine_of(degrees, shift_mm=shift_mm), "b.nii")]
        with pytest.raises(InvalidInputError, match=r"AFFINE b\.nii.*corners"):
            common_grid(pair, None)


def test_a_mask_of_another_frame_is_refused(tmp_path: Path) -> None:
    grid = Grid.from_affine(SHAPE, affine_of())
    path = write(tmp_path, make_image(affine_of(0.1), 1, None, 0))
    assert load_on_grid(path, grid).shape == SHAPE
    path = write(tmp_path, make_image(affine_of(4), 1, None, 0))
    with pytest.raises(InvalidInputError, match="AFFINE"):
        load_on_grid(path, grid)
    assert compare_frames(path, affine_of(), affine_of(), shape=SHAPE, whose="", fix="") == 0
