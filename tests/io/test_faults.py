"""Bad input ends in an error that names file and field."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from qsmcmb.errors import InvalidInputError, NothingMatchedError
from qsmcmb.io.assemble import parse_te
from qsmcmb.io.bids import acquisition_times
from qsmcmb.io.bids_index import list_sessions
from qsmcmb.io.bids_writer import write_raw_dataset, write_raw_scan
from qsmcmb.io.masks import read_mask
from qsmcmb.io.points import read_points
from qsmcmb.io.result_records import provenance_record
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline.config import make_config
from qsmcmb.pipeline.load import load_scan
from qsmcmb.pipeline.provenance import provenance_of


def make_dataset(root: Path) -> Path:
    """Write two sessions of a tiny scan."""
    rng = np.random.default_rng(3)
    grid = Grid.isotropic((12, 13, 14), 2.0)
    phase = rng.uniform(-np.pi, np.pi, (3, *grid.shape)).astype(np.float32)
    scan = GreScan(
        phase_rad=phase,
        magnitude=rng.uniform(1, 2, phase.shape).astype(np.float32),
        te_s=(0.004, 0.008, 0.012),
        b0_tesla=3.0,
        grid=grid,
    )
    write_raw_dataset(root, "tiny")
    for session in ("1", "2"):
        write_raw_scan(root, scan, "01", session)
    return root


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("bids") / "data")


@pytest.fixture
def bids(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "bids")
    return tmp_path / "bids"


def stem(bids: Path, echo: int = 1, part: str = "phase") -> Path:
    return bids / "sub-01/ses-1/anat" / f"sub-01_ses-1_echo-{echo}_part-{part}_MEGRE"


def image(bids: Path, **which: object) -> Path:
    return stem(bids, **which).with_suffix(".nii.gz")  # type: ignore[arg-type]


def edit_json(bids: Path, echo: int = 1, part: str = "phase", **fields: object) -> None:
    path = stem(bids, echo, part).with_suffix(".json")
    record = json.loads(path.read_text())
    record.update(fields)
    path.write_text(json.dumps({k: v for k, v in record.items() if v is not None}))


def both(bids: Path, echo: int = 1, **fields: object) -> None:
    for part in ("phase", "mag"):
        edit_json(bids, echo, part, **fields)


def edit_header(bids: Path, change: Callable[[bytearray], None], **which: object) -> None:
    path = image(bids, **which)
    content = bytearray(gzip.decompress(path.read_bytes()))
    change(content)
    path.write_bytes(gzip.compress(bytes(content)))


def put(position: int, kind: str, value: object) -> Callable[[bytearray], None]:
    data = np.array(value, dtype=kind).tobytes()

    def change(content: bytearray) -> None:
        content[position : position + len(data)] = data

    return change


def truncate(bids: Path) -> None:
    path = image(bids)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_crc(bids: Path) -> None:
    content = bytearray(image(bids).read_bytes())
    content[-6] ^= 0xFF
    image(bids).write_bytes(content)


def rename_plain(bids: Path) -> None:
    image(bids).write_bytes(gzip.decompress(image(bids).read_bytes()))


def shorten(bids: Path) -> None:
    loaded = nibabel.load(image(bids, part="mag"))
    nibabel.save(
        nibabel.Nifti1Image(np.asarray(loaded.dataobj)[:, :, :-1], loaded.affine), image(bids, part="mag")
    )


def integers(bids: Path) -> None:
    loaded = nibabel.load(image(bids))
    data = np.linspace(0, 4095, np.prod(loaded.shape)).reshape(loaded.shape)
    nibabel.save(nibabel.Nifti1Image(data.astype(np.int16), loaded.affine), image(bids))


def shift_affine(bids: Path) -> None:
    loaded = nibabel.load(image(bids, echo=2))
    affine = loaded.affine.copy()
    affine[0, 3] += 1.0
    nibabel.save(nibabel.Nifti1Image(np.asarray(loaded.dataobj), affine), image(bids, echo=2))


def constant(bids: Path) -> None:
    loaded = nibabel.load(image(bids))
    nibabel.save(nibabel.Nifti1Image(np.zeros(loaded.shape, np.float32), loaded.affine), image(bids))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut at half": (truncate, "GZ-TRUNC"),
    "crc byte changed": (flip_crc, "GZ-CRC"),
    "garbage behind": (lambda b: image(b).open("ab").write(b"garbage"), "GZ-TRAIL"),
    "empty": (lambda b: image(b).write_bytes(b""), "EMPTY"),
    "git-LFS pointer": (lambda b: image(b).write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "EMPTY"),
    "git-annex pointer": (lambda b: image(b).write_bytes(b"/annex/objects/MD5E-s12--ab.nii.gz\n"), "EMPTY"),
    "git-annex link": (lambda b: (image(b).unlink(), image(b).symlink_to("../.git/annex/objects/ab")), "FILE"),
    "compressed twice": (lambda b: image(b).write_bytes(gzip.compress(image(b).read_bytes())), "NAME"),
    "plain named gz": (rename_plain, "NAME"),
    "huge dims": (lambda b: edit_header(b, put(42, "<i2", [32767] * 3)), "DIM"),
    "negative dim": (lambda b: edit_header(b, put(42, "<i2", -3)), "DIM"),
    "dim[0] of 9": (lambda b: edit_header(b, put(40, "<i2", 9)), "DIM"),
    "few slices": (lambda b: edit_header(b, put(46, "<i2", 1)), "DIM-MIN"),
    "negative voxel": (lambda b: edit_header(b, put(80, "<f4", -2)), "VOX"),
    "voxel NaN": (lambda b: edit_header(b, put(80, "<f4", np.nan)), "VOX"),
    "slope NaN": (lambda b: edit_header(b, put(112, "<f4", np.nan)), "SCL"),
    "no orientation": (lambda b: edit_header(b, put(252, "<i2", [0, 0])), "ORIENT"),
    "singular sform": (lambda b: edit_header(b, put(280, "<f4", [0.0] * 12)), "ORIENT"),
    "complex data": (lambda b: edit_header(b, put(70, "<i2", [32, 64])), "DTYPE"),
    "units rad, values 4095": (integers, "PHASUNITS"),
    "units Hz": (lambda b: [edit_json(b, e, Units="Hz") for e in (1, 2, 3)], "PHASUNITS"),
    "field strengths differ": (lambda b: both(b, 3, MagneticFieldStrength=1.5), "SCAN-MISMATCH"),
    "all phase 0": (constant, "PHASE-FLAT"),
    "echo time in ms": (lambda b: both(b, EchoTime=4.0), "TUNITS"),
    "echo time 0.9": (lambda b: both(b, EchoTime=0.9), "TE-ORDER"),
    "echo time text": (lambda b: both(b, EchoTime="0.004"), "TE-TYPE"),
    "echo time true": (lambda b: both(b, EchoTime=True), "TE-TYPE"),
    "echo time 0": (lambda b: both(b, EchoTime=0), "TE-TYPE"),
    "echo time list": (lambda b: both(b, EchoTime=[0.004]), "TE-TYPE"),
    "equal echo times": (lambda b: both(b, EchoTime=0.008), "TE-EQUAL"),
    "echo time above TR": (lambda b: both(b, RepetitionTime=0.003), "TE-TR"),
    "mag and phase differ": (lambda b: edit_json(b, EchoTime=0.005), "TE-MISMATCH"),
    "no echo time": (lambda b: both(b, EchoTime=None), "SIDECAR"),
    "broken JSON": (lambda b: stem(b).with_suffix(".json").write_text("{"), "JSON"),
    "deep JSON": (lambda b: stem(b).with_suffix(".json").write_text('{"a":' * 100_000), "JSON"),
    "no field strength": (lambda b: [both(b, e, MagneticFieldStrength=None) for e in (1, 2, 3)], "B0"),
    "gauss": (lambda b: [both(b, e, MagneticFieldStrength=30000) for e in (1, 2, 3)], "B0"),
    "frequency disagrees": (lambda b: [both(b, MagneticFieldStrength=0.3, ImagingFrequency=123)], "B0"),
    "one slice short": (shorten, "SHAPE"),
    "affine shifted": (shift_affine, "AFFINE"),
    "phase without magnitude": (lambda b: image(b, part="mag").unlink(), "PART"),
    "two files for one": (lambda b: shutil.copy(image(b), stem(b).with_suffix(".nii")), "DUP"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_fault_names_file_and_field(bids: Path, case: str) -> None:
    spoil, code = FAULTS[case]
    spoil(bids)
    with pytest.raises(InvalidInputError) as caught:
        load_scan(bids, participant="01", session="1")
    text = str(caught.value)
    assert caught.value.code == code, text
    assert text.startswith(f"ERROR {code} ")
    assert "; expected " in text
    assert ". Fix: " in text
    assert "sub-01" in caught.value.where
    # The other session is not touched by it.
    assert load_scan(bids, participant="01", session="2").n_echoes == 3


def test_sound_data_loads_and_sources_are_relative(bids: Path) -> None:
    scan = load_scan(bids, participant="01", session="1")
    assert scan.te_s == (0.004, 0.008, 0.012)
    assert all(name.startswith("bids::sub-01/ses-1/anat/") for name, _ in scan.sources)
    assert len(scan.sources) == 6


def test_metadata_is_inherited(bids: Path) -> None:
    for path in (bids / "sub-01").rglob("*_MEGRE.json"):
        record = json.loads(path.read_text())
        del record["MagneticFieldStrength"]
        path.write_text(json.dumps(record))
    (bids / "MEGRE.json").write_text(json.dumps({"MagneticFieldStrength": 7}))
    assert load_scan(bids, participant="01", session="1").b0_tesla == 7.0


def test_the_frequency_is_used_and_written(bids: Path) -> None:
    for path in (bids / "sub-01").rglob("*_MEGRE.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "ImagingFrequency": 123.2}))
    scan = load_scan(bids, participant="01", session="1")
    record = provenance_record(provenance_of(scan, make_config()))
    assert record["MagneticFieldStrength"] == pytest.approx(2.8936, abs=1e-4)
    assert record["MagneticFieldStrengthSource"] == "ImagingFrequency"
    assert any("ImagingFrequency" in w for w in scan.warnings)
    assert scan.b0_dir_source == "sform (scanner)"


def test_missing_middle_echo_is_left_out_with_a_warning(bids: Path) -> None:
    for part in ("phase", "mag"):
        image(bids, echo=2, part=part).unlink()
    scan = load_scan(bids, participant="01", session="1")
    assert scan.te_s == (0.004, 0.012)
    assert any("missing" in w for w in scan.warnings)


def test_siemens_integers_are_the_same_phase(bids: Path) -> None:
    before = load_scan(bids, participant="01", session="1").phase_rad
    for echo in (1, 2, 3):
        loaded = nibabel.load(image(bids, echo=echo))
        stored = np.rint(np.asarray(loaded.dataobj) / np.pi * 2048) + 2048
        out = nibabel.Nifti1Image(np.clip(stored, 0, 4095).astype(np.int16), loaded.affine)
        out.header.set_slope_inter(2, -4096)
        nibabel.save(out, image(bids, echo=echo))
        edit_json(bids, echo, Units="arbitrary")
    after = load_scan(bids, participant="01", session="1").phase_rad
    difference = np.angle(np.exp(1j * (after - before)))
    assert np.abs(difference).max() < 2.1 * np.pi / 4096 * 1.5


def test_nothing_matched_lists_the_labels(bids: Path) -> None:
    with pytest.raises(NothingMatchedError, match="sub-01/ses-1, sub-01/ses-2"):
        list_sessions(bids, participants=["02"])


def test_derivatives_are_never_entered(bids: Path) -> None:
    shutil.copytree(bids / "sub-01", bids / "derivatives/x/sub-99")
    assert {s.participant for s in list_sessions(bids)} == {"01"}


def test_acquisition_times_come_from_the_sessions_table(bids: Path) -> None:
    (bids / "sub-01/sub-01_sessions.tsv").write_text(
        "session_id\tacq_time\nses-1\t2021-01-01T10:00:00\nses-2\t2020-01-01T10:00:00\n"
    )
    times = acquisition_times(bids, "01")
    assert times["2"] < times["1"]


@pytest.mark.parametrize(
    ("text", "code"), [("4,8", "TUNITS"), ("4,xms", "TE-TYPE"), ("8,4ms", "TE-ORDER"), ("400ms", "TE-ORDER")]
)
def test_echo_times_on_the_command_line(text: str, code: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_te(text)
    assert caught.value.code == code


def test_masks_are_never_resampled(bids: Path, tmp_path: Path) -> None:
    scan = load_scan(bids, participant="01", session="1")
    nibabel.save(nibabel.Nifti1Image(np.ones((12, 13, 15), np.uint8), scan.grid.affine), tmp_path / "m.nii")
    with pytest.raises(InvalidInputError, match="SHAPE"):
        read_mask(tmp_path / "m.nii", scan.grid)
    nibabel.save(nibabel.Nifti1Image(np.zeros((12, 13, 14), np.uint8), scan.grid.affine), tmp_path / "m.nii")
    with pytest.raises(InvalidInputError, match="MASK-EMPTY"):
        read_mask(tmp_path / "m.nii", scan.grid)


def test_points_need_their_columns_and_numbers(tmp_path: Path) -> None:
    table = tmp_path / "p.tsv"
    table.write_text("x_mm\ty_mm\n1\t2\n")
    with pytest.raises(InvalidInputError, match="z_mm"):
        read_points(table)
    table.write_text("x_mm\ty_mm\tz_mm\n1\t2\tnan\n")
    with pytest.raises(InvalidInputError, match="POINTS"):
        read_points(table)
    table.write_text("participant_id\tx_mm\ty_mm\tz_mm\nsub-01\t1\t2\t3\nsub-02\t4\t5\t6\n")
    assert read_points(table, participant="02", session="1").points_mm.tolist() == [[4, 5, 6]]


def test_real_and_imaginary_parts_are_the_same_scan(bids: Path) -> None:
    before = load_scan(bids, participant="01", session="1")
    for echo in (1, 2, 3):
        loaded = [nibabel.load(image(bids, echo=echo, part=part)) for part in ("mag", "phase")]
        mag, phase = (np.asarray(item.dataobj) for item in loaded)
        for part, data, old in (("real", mag * np.cos(phase), "mag"), ("imag", mag * np.sin(phase), "phase")):
            nibabel.save(
                nibabel.Nifti1Image(data.astype(np.float32), loaded[0].affine),
                image(bids, echo=echo, part=part),
            )
            stem(bids, echo, old).with_suffix(".json").rename(stem(bids, echo, part).with_suffix(".json"))
            image(bids, echo=echo, part=old).unlink()
    after = load_scan(bids, participant="01", session="1")
    np.testing.assert_allclose(after.magnitude, before.magnitude, rtol=1e-5)
    assert np.abs(np.angle(np.exp(1j * (after.phase_rad - before.phase_rad)))).max() < 1e-5


def test_all_echoes_without_magnitude_are_named(bids: Path) -> None:
    for echo in (2, 3):
        image(bids, echo=echo, part="mag").unlink()
    with pytest.raises(InvalidInputError, match="no mag for echo 2, 3") as caught:
        load_scan(bids, participant="01", session="1")
    assert "qsmcmb recon" in caught.value.fix


def test_a_phase_sign_of_zero_is_refused(bids: Path) -> None:
    with pytest.raises(InvalidInputError, match="PHASE-SIGN"):
        load_scan(bids, participant="01", session="1", phase_sign=0)
