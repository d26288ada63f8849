"""A reader's label images and points in a run: each belongs to a scan, or is said to be of several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.errors import InvalidInputError, NothingMatchedError
from qsmcmb.io.nifti import save_volume
from qsmcmb.pipeline.config import make_config
from qsmcmb.study import scan as scan_of_study
from qsmcmb.study.options import StudyOptions
from qsmcmb.study.sessions import plan_study, run_study
from tests.scenes.bids_scans import write_scan

SHAPE = (24, 26, 28)
CENTRES = [[6.0, 6.0, 6.0], [4.0, 8.0, 7.0]]


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    """Return a data set of two sessions."""
    for session in ("1", "2"):
        write_scan(tmp_path / "bids", folder=f"ses-{session}/anat", shape=SHAPE)
    return tmp_path / "bids"


class Measured(dict[str, list[list[float]]]):
    """Points by the scan's name, and the warnings of each scan."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: dict[str, tuple[str, ...]] = {}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """Return what a run would measure; nothing is computed."""
    points = Measured()

    def stop(scan: Any, *_: Any, points_mm: Any, **__: Any) -> None:
        points[scan.name], points.warnings[scan.name] = points_mm.tolist(), scan.warnings
        raise NothingMatchedError("NO-MATCH", scan.name, field="f", found="a", expected="b", fix="c")

    monkeypatch.setattr(scan_of_study, "run_scan", stop)
    return points


def save_labels(path: Path) -> Path:
    """Save an image of two lesions; return its path."""
    image = np.zeros(SHAPE, np.int16)
    for number, (x, y, z) in enumerate(np.array(CENTRES, int), 1):
        image[x, y, z] = number
    path.parent.mkdir(parents=True, exist_ok=True)
    save_volume(path, image, np.eye(4))
    return path


def options(labels: Path, *chosen: str) -> StudyOptions:
    return StudyOptions(config=make_config(), labels=labels, sessions=chosen)


def test_the_lesions_of_an_image_take_the_place_of_points(
    bids: Path, tmp_path: Path, measured: Measured
) -> None:
    image = save_labels(tmp_path / "labels.nii.gz")
    run_study(bids, tmp_path / "out", options(image, "2"))
    assert measured == {"sub-01/ses-2": CENTRES}


def test_one_image_for_several_scans_is_refused_and_each_cure_works(
    bids: Path, tmp_path: Path, measured: Measured
) -> None:
    image = save_labels(tmp_path / "labels.nii.gz")
    both = r"LABELS.*sub-01/ses-1, sub-01/ses-2.*--session-label"
    with pytest.raises(InvalidInputError, match=both) as caught:
        plan_study(bids, tmp_path / "out", options(image))
    assert len(plan_study(bids, tmp_path / "out", options(image, "1"))) == 1
    # The other cure: a folder with the image under the name that the message gives.
    name = caught.value.fix.partition("such as ")[2]
    save_labels(tmp_path / "reader" / name)
    one, two = run_study(bids, tmp_path / "out", options(tmp_path / "reader"))
    assert list(measured) == ["sub-01/ses-1"]
    assert "NO-MATCH" in one.error
    assert "ERROR LABELS" in two.error
    # A scan without an image fails alone, and its message, too, says the name.
    name = two.error.partition("Fix: name the image ")[2]
    save_labels(tmp_path / "reader/sub-01/ses-2/anat" / name)
    run_study(bids, tmp_path / "out", options(tmp_path / "reader"))
    assert measured == {"sub-01/ses-1": CENTRES, "sub-01/ses-2": CENTRES}


def test_of_several_images_that_of_the_lesions_is_taken(
    bids: Path, tmp_path: Path, measured: Measured
) -> None:
    folder = tmp_path / "reader/sub-01/ses-1/anat"
    save_labels(folder / "sub-01_ses-1_desc-cmb_dseg.nii.gz")
    for description in ("tissue", "vessels"):
        save_volume(folder / f"sub-01_ses-1_desc-{description}_dseg.nii.gz", np.ones(SHAPE), np.eye(4))
    run_study(bids, tmp_path / "out", options(tmp_path / "reader", "1"))
    assert measured == {"sub-01/ses-1": CENTRES}
    (folder / "sub-01_ses-1_desc-cmb_dseg.nii.gz").unlink()
    (outcome,) = run_study(bids, tmp_path / "out", options(tmp_path / "reader", "1"))
    assert "ERROR LABELS" in outcome.error
    assert "desc-tissue_dseg.nii.gz, " in outcome.error


def table(folder: Path, header: str, *rows: str) -> Path:
    path = folder / "points.tsv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_points_without_a_session_are_measured_in_every_one_and_said(
    bids: Path, tmp_path: Path, measured: Measured
) -> None:
    points = table(tmp_path, "x_mm\ty_mm\tz_mm", "12\t13\t14")
    run_study(bids, tmp_path / "out", StudyOptions(config=make_config(), points=points))
    assert measured == {"sub-01/ses-1": [[12, 13, 14]], "sub-01/ses-2": [[12, 13, 14]]}
    assert all("points without session_id" in " ".join(said) for said in measured.warnings.values())
    # One session alone, or the column that the note asks for, needs no word.
    points = table(tmp_path, "session_id\tx_mm\ty_mm\tz_mm", "1\t12\t13\t14", "2\t11\t12\t13")
    run_study(bids, tmp_path / "out", StudyOptions(config=make_config(), points=points))
    assert measured == {"sub-01/ses-1": [[12, 13, 14]], "sub-01/ses-2": [[11, 12, 13]]}
    assert not any("points without session_id" in " ".join(said) for said in measured.warnings.values())


def test_points_without_a_session_outside_one_head_are_refused_there(bids: Path, tmp_path: Path) -> None:
    points = table(tmp_path, "x_mm\ty_mm\tz_mm", "90\t6\t6")
    outcomes = run_study(bids, tmp_path / "out", StudyOptions(config=make_config(), points=points))
    assert all("ERROR POINTS" in o.error and "add the column session_id" in o.error for o in outcomes)


def test_labels_and_points_together_are_refused(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--points", "p.tsv", "--labels", "l.nii"]
    assert run_command(["run", str(bids), "out", "participant", *both]) == 2
    files = ["--phase", "p.nii", "--mag", "m.nii", "--te", "4ms", "--b0", "3", "-o", "out"]
    assert run_command(["recon", *files, *both]) == 2
    assert capsys.readouterr().err.count("expected one of them") == 2
