"""Results are BIDS derivatives: the validator finds no error, and every source that a record names is there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.io.dataset_description import write_dataset_description
from tests.scenes.bids_scans import write_scan

VALIDATOR = shutil.which("bids-validator-deno", path=str(Path(sys.executable).parent)) or shutil.which(
    "bids-validator-deno"
)
SHAPE = (22, 23, 24)
CONFIG = """
[mask]
method = "magnitude"
open_mm = 0.0
close_mm = 0.0
[background]
method = "pdf"
[invert]
method = "tkd"
"""


def errors_of(folder: Path) -> list[tuple[Any, ...]]:
    """Return the validator's errors for a data set."""
    if VALIDATOR is None:
        pytest.skip("bids-validator-deno is not installed: derivatives are not validated")
    done = subprocess.run(
        [VALIDATOR, "--format", "json", str(folder)], capture_output=True, text=True, check=False, cwd=folder
    )
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert issues, "the validator always recommends something"
    return [(i["code"], i.get("subCode"), i.get("location")) for i in issues if i.get("severity") == "error"]


def located(uri: str, out: Path) -> Path:
    """Return the file that a BIDS URI of a data set names."""
    scheme, name, path = uri.split(":", 2)
    assert scheme == "bids"
    if not name:
        return out / path
    link = json.loads((out / "dataset_description.json").read_text())["DatasetLinks"][name]
    root = Path(unquote(urlparse(link).path)) if link.startswith("file:") else out / link
    return root / path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a raw data set, whose name needs quoting, with its derivatives inside.

    A scan in two sessions, and a single echo in one of them.
    """
    bids = tmp_path_factory.mktemp("study") / "raw data"
    for session in ("1", "2"):
        write_scan(bids, "_acq-qsm_run-01", folder=f"ses-{session}/anat", shape=SHAPE)
    write_scan(bids, "_acq-swi", folder="ses-1/anat", suffix="T2starw", te_s=(0.02,), shape=SHAPE)
    (bids / "dataset_description.json").write_text('{"Name": "tiny", "BIDSVersion": "1.10.0"}')
    (bids.parent / "fast.toml").write_text(CONFIG)
    points = bids.parent / "points.tsv"
    points.write_text("x_mm\ty_mm\tz_mm\n10\t11\t12\n")
    options = ["--points", str(points), "--config-file", str(bids.parent / "fast.toml")]
    assert run_command(["run", str(bids), str(bids / "derivatives/qsmcmb"), "participant", *options]) == 0
    return bids


@pytest.fixture
def out(study: Path) -> Path:
    return study / "derivatives/qsmcmb"


def test_the_validator_finds_no_error(out: Path) -> None:
    assert errors_of(out) == []


def test_no_map_is_hidden_from_the_validator(out: Path) -> None:
    hidden = (out / ".bidsignore").read_text()
    assert "R2starmap" not in hidden
    assert "Chimap" not in hidden
    record = json.loads(next(out.rglob("*_acq-qsm_run-01_Chimap.json")).read_text())
    assert record["SkullStripped"] is True


def test_every_scan_has_results_of_its_own(out: Path) -> None:
    found = {p.name.removesuffix("_Chimap.nii.gz") for p in out.rglob("*_Chimap.nii.gz")}
    assert found == {"sub-01_ses-1_acq-qsm_run-01", "sub-01_ses-2_acq-qsm_run-01", "sub-01_ses-1_acq-swi"}
    tables = [p.name for p in (out / "sub-01").glob("*_longitudinal.tsv")]
    assert tables == ["sub-01_acq-qsm_run-01_desc-cmb_longitudinal.tsv"]
    page = (out / "sub-01.html").read_text()
    assert "<h2>ses-1, acq-swi</h2>" in page
    assert "no other session has a scan of the same acq, rec and run as ses-1, acq-swi" in page
    assert "<h2>Change over time: acq-qsm, run-01</h2>" in page


def test_every_source_resolves(out: Path) -> None:
    sources = {
        uri
        for path in (out / "sub-01").rglob("*.json")
        for uri in json.loads(path.read_text()).get("Sources", [])
    }
    assert any(uri.startswith("bids:raw:sub-01/") for uri in sources)
    assert any(uri.startswith("bids::sub-01/") for uri in sources)
    for uri in sources:
        assert located(uri, out).is_file(), uri


def test_derivatives_beside_the_raw_data_link_it(study: Path, tmp_path: Path) -> None:
    write_dataset_description(tmp_path, name="qsmcmb", version="0.2.0", raw=study)
    assert errors_of(tmp_path) == []
    assert located("bids:raw:dataset_description.json", tmp_path).samefile(study / "dataset_description.json")


def test_sessions_without_dates_are_said_to_be(out: Path) -> None:
    beside = out / "sub-01/sub-01_acq-qsm_run-01_desc-cmb_longitudinal.json"
    assert "no acq_time" in json.loads(beside.read_text())["Warnings"][0]
    header, *rows = (line.split("\t") for line in beside.with_suffix(".tsv").read_text().splitlines())
    assert rows
    for row in rows:
        assert "session-order-unknown" in row[header.index("flags")]
        assert row[header.index("status")] not in ("incident", "resolved")


def test_recon_makes_no_data_set(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stem = study / "sub-01/ses-1/anat/sub-01_ses-1_acq-swi_part"
    code = run_command(
        ["recon", "--phase", f"{stem}-phase_T2starw.nii.gz", "--mag", f"{stem}-mag_T2starw.nii.gz", "--te",
         "20ms", "--b0", "3", "-o", str(tmp_path / "o"), "--config-file", str(study.parent / "fast.toml"),
         "--points", str(study.parent / "points.tsv")]
    )  # fmt: skip
    assert code == 0
    assert (tmp_path / "o/Chimap.nii.gz").exists()
    assert not (tmp_path / "o/dataset_description.json").exists()
    assert not (tmp_path / "o/.bidsignore").exists()
    assert "WARNING " in capsys.readouterr().err
