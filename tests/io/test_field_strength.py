"""Field strength from the proton's frequency, the label or the user, and sidecars that agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.agreement import check_parts_scaling, check_phase_scaling, check_scan_agreement
from qsmcmb.io.field_strength import check_given, check_tesla, find_field_strength
from qsmcmb.io.nifti import Volume

SIEMENS_TESLA = 123.2 / 42.5775


def find(*metas: dict[str, Any]) -> Any:
    return find_field_strength(metas, [Path(f"echo-{i}.nii") for i in range(1, len(metas) + 1)])


@pytest.mark.parametrize(
    ("meta", "tesla", "source", "n_notes"),
    [
        ({"MagneticFieldStrength": 3}, 3.0, "MagneticFieldStrength", 0),
        ({"MagneticFieldStrength": 3, "ImagingFrequency": 123.2}, SIEMENS_TESLA, "ImagingFrequency", 1),
        ({"MagneticFieldStrength": 3, "ImagingFrequency": 127.76}, 127.76 / 42.5775, "ImagingFrequency", 0),
        ({"ImagingFrequency": 123.2}, SIEMENS_TESLA, "ImagingFrequency", 0),
        ({"MagneticFieldStrength": None, "ImagingFrequency": 63.6}, 63.6 / 42.5775, "ImagingFrequency", 0),
        ({"MagneticFieldStrength": 3, "ImagedNucleus": "1H"}, 3.0, "MagneticFieldStrength", 0),
        ({"MagneticFieldStrength": 3, "ResonantNucleus": ["1H"]}, 3.0, "MagneticFieldStrength", 0),
    ],
)
def test_the_frequency_decides_where_it_is_stated(
    meta: dict[str, Any], tesla: float, source: str, n_notes: int
) -> None:
    found = find(meta)
    assert found.tesla == pytest.approx(tesla, rel=1e-6)
    assert found.source == source
    assert len(found.notes) == n_notes


def test_one_image_may_state_what_the_other_lacks() -> None:
    assert find({"MagneticFieldStrength": 3}, {"ImagingFrequency": 123.2}).source == "ImagingFrequency"
    assert find({}, {"MagneticFieldStrength": 3}).tesla == 3


@pytest.mark.parametrize(
    ("meta", "code", "words"),
    [
        ({}, "B0", "MagneticFieldStrength = nothing"),
        ({"MagneticFieldStrength": 30000}, "B0", "3 if it is in gauss"),
        ({"MagneticFieldStrength": 3000}, "B0", "3 if it is in mT"),
        ({"MagneticFieldStrength": 123.2}, "B0", "2.894 if it is in MHz"),
        ({"MagneticFieldStrength": "3"}, "B0", "MagneticFieldStrength = '3'"),
        ({"MagneticFieldStrength": "3T", "ImagingFrequency": 123.2}, "B0", "'3T'"),
        ({"MagneticFieldStrength": True}, "B0", "True"),
        ({"MagneticFieldStrength": [3]}, "B0", r"\[3\]"),
        ({"MagneticFieldStrength": 3, "ImagingFrequency": "123.2"}, "B0", "ImagingFrequency = '123.2'"),
        ({"MagneticFieldStrength": 3, "ImagingFrequency": [123.2]}, "B0", "ImagingFrequency"),
        ({"MagneticFieldStrength": 3, "ImagingFrequency": True}, "B0", "ImagingFrequency"),
        ({"MagneticFieldStrength": 3, "ImagingFrequency": 0}, "B0", "positive"),
        ({"MagneticFieldStrength": 3, "ImagingFrequency": 123.2e6}, "B0", "123.2 if it is in Hz"),
        ({"MagneticFieldStrength": 3, "ImagingFrequency": 123200}, "B0", "123.2 if it is in kHz"),
        ({"MagneticFieldStrength": 3, "ImagingFrequency": 63.6}, "B0", "write MagneticFieldStrength 1.494"),
        ({"MagneticFieldStrength": 30000, "ImagingFrequency": 123.2}, "B0", "write MagneticFieldStrength 2.894"),
        ({"MagneticFieldStrength": 3, "ImagedNucleus": "23Na"}, "NUCLEUS", "23Na"),
        ({"MagneticFieldStrength": 3, "ResonantNucleus": ["1H", "31P"]}, "NUCLEUS", "31P"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(meta: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words) as caught:
        find(meta)
    assert caught.value.code == code


def test_the_cure_of_a_label_in_gauss_is_accepted() -> None:
    with pytest.raises(InvalidInputError) as caught:
        find({"MagneticFieldStrength": 30000, "ImagingFrequency": 123.2})
    value = float(caught.value.fix.split()[2].rstrip(";"))
    assert find({"MagneticFieldStrength": value, "ImagingFrequency": 123.2}).tesla == pytest.approx(
        SIEMENS_TESLA
    )


@pytest.mark.parametrize("ending", [".nii.gz", ".NII.GZ", ".nii", ".Nii"])
def test_the_users_number_is_held_against_the_sidecar_beside_the_image(tmp_path: Path, ending: str) -> None:
    image, sidecar = tmp_path / f"phase{ending}", tmp_path / "phase.json"
    assert check_given(3, [image]).notes == ()
    sidecar.write_text(json.dumps({"MagneticFieldStrength": 3, "ImagingFrequency": 123.2}))
    (note,) = check_given(3, [image]).notes
    assert "2.8935" in note
    assert check_given(2.8936, [image]).notes == ()
    with pytest.raises(InvalidInputError, match=r"pass --b0 2\.8935"):
        check_given(7, [image])
    sidecar.write_text("no JSON")
    assert check_given(7, [image]) == (7, "--b0", ())


@pytest.mark.parametrize("tesla", [0.0, -3.0, 123.2, float("nan"), float("inf")])
def test_a_number_that_is_no_tesla_is_refused(tesla: float) -> None:
    with pytest.raises(InvalidInputError, match="B0"):
        check_tesla(tesla, "--b0", field="b0")


def images(first: dict[str, Any], second: dict[str, Any], parts: str = "phase phase") -> list[Any]:
    one, two = parts.split()
    return [(one, Path("one.nii"), first), (two, Path("two.nii"), second)]


@pytest.mark.parametrize(
    ("key", "one", "two"),
    [
        ("MagneticFieldStrength", 3, 1.5),
        ("MagneticFieldStrength", 3, 2.894),
        ("ImagingFrequency", 123.2, 127.7),
        ("RepetitionTime", 0.045, 45),
        ("FlipAngle", 15, 20),
        ("SliceThickness", 1, 1.5),
        ("Manufacturer", "Siemens", "GE"),
        ("MRAcquisitionType", "2D", "3D"),
        ("Units", "rad", "arbitrary"),
    ],
)
def test_sidecars_that_disagree_are_named(key: str, one: object, two: object) -> None:
    with pytest.raises(InvalidInputError, match=r"one\.nii") as caught:
        check_scan_agreement(images({key: one}, {key: two}))
    assert caught.value.code == "SCAN-MISMATCH"
    assert caught.value.where == "two.nii"
    assert caught.value.field == key


def test_what_is_one_scan_passes() -> None:
    check_scan_agreement(images({"ImagingFrequency": 123.2}, {"ImagingFrequency": 123.2004}))
    check_scan_agreement(images({"Manufacturer": "GE"}, {"Manufacturer": "GE MEDICAL SYSTEMS"}))
    check_scan_agreement(images({"Manufacturer": "SIEMENS"}, {"Manufacturer": "Siemens"}))
    check_scan_agreement(images({"FlipAngle": 15}, {"FlipAngle": 15.0}))
    check_scan_agreement(images({"FlipAngle": 15}, {}))
    check_scan_agreement(images({"Units": "arbitrary"}, {"Units": "rad"}, parts="mag phase"))


def volume(data: Any, slope: float = 1.0, inter: float = 0.0, name: str = "a.nii") -> Volume:
    return Volume(
        path=Path(name), data=np.asarray(data), slope=slope, inter=inter, affine=np.eye(4), sha256="", warnings=(),
        oriented=True,
    )  # fmt: skip


def test_a_part_that_lost_its_scaling_is_named() -> None:
    stored = np.arange(-256, 256, dtype=np.int16).reshape(8, 8, 8)
    check_parts_scaling(volume(stored, 2.0), volume(stored, 3.0))
    check_parts_scaling(volume(stored), volume(stored))
    with pytest.raises(InvalidInputError, match=r"SCAN-MISMATCH b\.nii"):
        check_parts_scaling(volume(stored, 2.0), volume(stored, name="b.nii"))
    with pytest.raises(InvalidInputError, match=r"PHASE-VALUES b\.nii"):
        check_parts_scaling(volume(stored + 2048), volume(stored + 2048, name="b.nii"))
    check_parts_scaling(volume(stored + 2048, 1.0, -2048.0), volume(stored + 2048, 1.0, -2048.0))


def test_echoes_that_are_scaled_in_two_ways_are_named() -> None:
    stored = np.arange(4096, dtype=np.int16).reshape(16, 16, 16)
    siemens = volume(stored, 2, -4096)
    check_phase_scaling([siemens, volume(stored, 2, -4096)])
    for other in (volume(stored, name="b.nii"), volume(stored.astype(np.float32) / 1000, name="b.nii")):
        with pytest.raises(InvalidInputError, match=r"SCAN-MISMATCH b\.nii"):
            check_phase_scaling([siemens, other])
    # Programs that fit a slope to each file still write one range.
    check_phase_scaling([volume(stored, 0.001, -2.0), volume(stored - 2048, 0.001, 0.048)])
