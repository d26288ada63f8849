"""`qsmcmb check` lists every problem at once, by the gates of a run, and its fixes work."""

from __future__ import annotations

import gzip
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.cli.main import run_command
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.bids_writer import write_raw_dataset, write_raw_scan
from qsmcmb.io.nifti import read_volume, read_volume_header, save_volume
from qsmcmb.model import GreScan, Grid

TE_S = (0.004, 0.008, 0.012)


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    """Return a data set of two sessions, tiny and right."""
    rng = np.random.default_rng(3)
    grid = Grid.isotropic((12, 13, 14), 2.0)
    phase = rng.uniform(-np.pi, np.pi, (3, *grid.shape)).astype(np.float32)
    magnitude = rng.uniform(1, 2, phase.shape).astype(np.float32)
    scan = GreScan(phase_rad=phase, magnitude=magnitude, te_s=TE_S, b0_tesla=3.0, grid=grid)
    write_raw_dataset(tmp_path, "tiny")
    for session in ("1", "2"):
        write_raw_scan(tmp_path, scan, "01", session)
    return tmp_path


def image(bids: Path, session: int, echo: int, part: str) -> Path:
    """Return the file of one image."""
    name = f"sub-01_ses-{session}_echo-{echo}_part-{part}_MEGRE.nii.gz"
    return bids / "sub-01" / f"ses-{session}" / "anat" / name


def sidecar(path: Path) -> Path:
    """Return the JSON file beside an image."""
    return path.with_name(path.name.replace(".nii.gz", ".json"))


def edit(path: Path, **changes: Any) -> None:
    """Change keys of the sidecar of an image; None removes one."""
    record = {**json.loads(sidecar(path).read_text()), **changes}
    sidecar(path).write_text(json.dumps({k: v for k, v in record.items() if v is not None}))


def check(bids: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[dict[str, str]]]:
    """Return the exit code of `check --json`, and its problems."""
    code = run_command(["check", str(bids), "--json", *options])
    report = json.loads(capsys.readouterr().out)
    errors = [p for p in report["problems"] if p["level"] == "error"]
    assert len(errors) == report["errors"]
    return code, errors


def test_a_data_set_that_is_right_has_no_errors(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(bids, capsys) == (0, [])
    assert check(bids, capsys, "--deep") == (0, [])


def test_a_missing_description_is_a_warning(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bids / "dataset_description.json").unlink()
    assert run_command(["check", str(bids)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"WARNING {bids}: dataset_description.json is missing", "2 scans: 0 errors, 1 warnings"]


def test_one_problem_hides_no_other(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(image(bids, 1, 1, "phase"), EchoTime="4 ms")
    edit(image(bids, 1, 2, "mag"), FlipAngle=10)
    edit(image(bids, 1, 2, "phase"), FlipAngle=20)
    image(bids, 1, 3, "mag").unlink()
    save_volume(image(bids, 1, 2, "mag"), np.ones((12, 13, 9)), np.diag([2.0, 2, 2, 1]))
    for echo in (1, 2, 3):
        edit(image(bids, 2, echo, "phase"), Units=None, MagneticFieldStrength=30000)
        edit(image(bids, 2, echo, "mag"), MagneticFieldStrength=30000)
    sidecar(image(bids, 2, 3, "mag")).write_text("{")
    code, errors = check(bids, capsys)
    assert code == 65
    found = {(p["scan"], p["code"]) for p in errors}
    assert found == {
        ("sub-01/ses-1", "TE-TYPE"),
        ("sub-01/ses-1", "SCAN-MISMATCH"),
        ("sub-01/ses-2", "B0"),
        ("sub-01/ses-1", "PART"),
        ("sub-01/ses-1", "SHAPE"),
        ("sub-01/ses-2", "UNITS-MISSING"),
        ("sub-01/ses-2", "JSON"),
    }
    assert all(p["file"] and p["field"] and p["found"] and p["expected"] and p["fix"] for p in errors)


def test_a_problem_of_many_files_is_one_line(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for session in (1, 2):
        for echo in (1, 2):
            edit(image(bids, session, echo, "phase"), EchoTime="4 ms")
    assert run_command(["check", str(bids)]) == 65
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "2 scans: 4 errors, 0 warnings"
    (line,) = lines
    assert line.startswith(f"ERROR TE-TYPE {image(bids, 1, 1, 'phase')}, {image(bids, 1, 2, 'phase')}, ")
    assert " and 1 more: EchoTime = '4 ms'; " in line


def unzip(path: Path) -> None:
    """Decompress a file under its old name."""
    path.write_bytes(gzip.decompress(path.read_bytes()))


FAULTS: dict[str, Callable[[Path], object]] = {
    "TE-EQUAL": lambda bids: [edit(image(bids, 1, 2, p), EchoTime=TE_S[0]) for p in ("mag", "phase")],
    "TE-MISMATCH": lambda bids: edit(image(bids, 1, 2, "mag"), EchoTime=0.009),
    "SIDECAR": lambda bids: edit(image(bids, 1, 2, "phase"), EchoTime=None),
    "PHASUNITS": lambda bids: [edit(image(bids, 1, e, "phase"), Units="degrees") for e in (1, 2, 3)],
    "EMPTY": lambda bids: image(bids, 1, 2, "phase").write_bytes(b""),
    "GZ-TRUNC": lambda bids: image(bids, 1, 2, "phase").write_bytes(image(bids, 1, 2, "phase").read_bytes()[:-40]),
    "NAME": lambda bids: unzip(image(bids, 1, 2, "phase")),
    "DIM": lambda bids: save_volume(image(bids, 1, 2, "mag"), np.ones((12, 13, 14, 2)), np.diag([2.0, 2, 2, 1])),
}  # fmt: skip


@pytest.mark.parametrize("code", FAULTS)
def test_check_and_load_speak_of_the_same_fault(
    code: str, bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    FAULTS[code](bids)
    with pytest.raises(InvalidInputError) as caught:
        qc.load_scan(bids, participant="01", session="1")
    status, errors = check(bids, capsys)
    assert status == 65
    assert caught.value.code == code
    assert code in {p["code"] for p in errors}


def test_damage_inside_a_file_needs_a_deep_check(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = image(bids, 2, 1, "mag")
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    assert check(bids, capsys) == (0, [])
    status, (error,) = check(bids, capsys, "--deep")
    assert (status, error["code"], error["file"]) == (65, "GZ-CRC", str(path))


@pytest.mark.parametrize("scale", [1.0, 1000.0, 4095 / (2 * np.pi)])
def test_the_option_that_a_fix_names_leads_to_a_run(
    scale: float, bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in bids.rglob("*part-phase*.nii.gz"):
        edit(path, Units=None)
        volume = read_volume(path)
        save_volume(path, volume.data * scale + (2047.5 if 500 < scale < 900 else 0), volume.affine)
    _, errors = check(bids, capsys)
    assert {p["code"] for p in errors} == {"UNITS-MISSING"}
    assert all("--deep" in p["fix"] for p in errors)
    _, errors = check(bids, capsys, "--deep")
    (option,) = {re.search(r"--phase-(?:units \w+|range -?[\d.]+ -?[\d.]+)", p["fix"])[0] for p in errors}  # type: ignore[index]
    assert check(bids, capsys, "--deep", *shlex.split(option)) == (0, [])


def test_a_fix_of_an_echo_time_leads_to_a_run(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(image(bids, 1, 1, "phase"), EchoTime="4 ms")
    _, (error,) = check(bids, capsys)
    key, value = re.search(r'write "(\w+)": ([\d.]+)', error["fix"]).groups()  # type: ignore[union-attr]
    edit(Path(error["file"]), **{key: float(value)})
    assert check(bids, capsys) == (0, [])


def test_a_header_alone_says_what_the_whole_file_says(bids: Path) -> None:
    path = image(bids, 1, 1, "phase")
    whole, header = read_volume(path), read_volume_header(path)
    assert header.data.shape == whole.data.shape
    assert header.data.dtype == whole.data.dtype
    assert header.data.base is not None
    assert header.data.base.nbytes == whole.data.itemsize
    np.testing.assert_array_equal(header.affine, whole.affine)
    assert (header.slope, header.inter, header.oriented) == (whole.slope, whole.inter, whole.oriented)
    assert header.sha256 == ""


def test_the_name_that_a_fix_gives_leads_to_a_run(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unzip(image(bids, 1, 2, "phase"))
    _, (error,) = check(bids, capsys)
    path, name = Path(error["file"]), error["fix"].removeprefix("rename it to ")
    path.rename(path.with_name(name))
    assert check(bids, capsys) == (0, [])


def test_the_names_that_a_fix_gives_to_echoes_lead_to_a_run(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in list(bids.rglob("*_MEGRE.*")):
        path.rename(path.with_name(path.name.replace("_echo-", "_run-")))
    _, errors = check(bids, capsys)
    assert {p["code"] for p in errors} == {"ECHO-RUNS"}
    pairs = re.findall(r"(run-\d+) to (echo-\d+)", errors[0]["fix"])
    assert len(pairs) == 3
    for path in list(bids.rglob("*_MEGRE.*")):
        run, echo = next(pair for pair in pairs if f"_{pair[0]}_" in path.name)
        path.rename(path.with_name(path.name.replace(run, echo)))
    assert check(bids, capsys) == (0, [])
    assert len(qc.load_scan(bids, participant="01", session="1").te_s) == 3


def test_the_echo_time_that_a_fix_gives_in_seconds_leads_to_a_run(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("mag", "phase"):
        edit(image(bids, 1, 1, part), EchoTime=4.0)
    _, errors = check(bids, capsys)
    assert {p["code"] for p in errors} == {"TUNITS"}
    seconds = float(re.search(r"did you mean ([\d.]+)", errors[0]["fix"])[1])  # type: ignore[index]
    for part in ("mag", "phase"):
        edit(image(bids, 1, 1, part), EchoTime=seconds)
    assert check(bids, capsys) == (0, [])


def test_a_time_that_is_no_date_is_listed(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = bids / "sub-01" / "sub-01_sessions.tsv"
    table.write_text("session_id\tacq_time\nses-1\t04/05/2020\nses-2\tn/a\n")
    assert run_command(["check", str(bids)]) == 0
    expected = "acq_time = '04/05/2020'; expected date and time as 2020-05-04T10:00:00. It counts as missing"
    assert f"WARNING sub-01/ses-1: sub-01_sessions.tsv: {expected}" in capsys.readouterr().out.splitlines()
    table.write_bytes(b"session_id\tacq_time\nses-1\t\xff\xfe\n")
    code, errors = check(bids, capsys)
    assert code != 0
    assert {e["code"] for e in errors} == {"TSV"}
