"""`qsmcmb explain-point`: the nearest points with their gates, of both kinds of folder, and bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.place import Place
from qsmcmb.io.tables import write_tsv
from qsmcmb.microbleeds.detection.examined import EXAMINED_COLUMNS, ExaminedPoint, Gate

POINTS = (
    ExaminedPoint((-3.0, 4.0, 5.0), gate=Gate.TOO_LARGE, found=14.0, needed=11.0, total_ppm_mm3=12.5),
    ExaminedPoint((4.0, 4.0, 5.0), test="map+dipole", label=1, score=0.9, significance=12.0),
)


def results(place: Place, *, table: bool = True) -> None:
    """Write what the command reads of a scan: 12 mm on each side, the limit known but in a corner."""
    place.folder.mkdir(parents=True)
    place.path("desc-cmb_burden.json").write_text("{}")
    limit = np.full((12, 12, 12), 1.5, np.float32)
    limit[0, 0, 0] = 0
    affine = np.eye(4)
    affine[0, 3] = -6.0
    save_volume(place.path("desc-detectionlimit_map.nii.gz"), limit, affine)
    if table:
        write_tsv(place.path("desc-cmb_candidates.tsv"), [p.row() for p in POINTS], list(EXAMINED_COLUMNS))


def test_recons_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results(Place(tmp_path / "out"))
    assert run_command(["explain-point", str(tmp_path / "out"), "-3", "4", "6"]) == 0
    head, near, far = capsys.readouterr().out.splitlines()
    assert head == "scan: point -3.0 4.0 6.0 mm, detection limit 1.5 ppm mm3"
    assert near == (
        "  1.0 mm away, -3.0 4.0 5.0: microbleed by map (12 ppm mm3): too-large: its region of the map is larger "
        "than a microbleed (14 mm; needed at most 11 mm)"
    )
    assert far.startswith(
        "  7.1 mm away, 4.0 4.0 5.0: row 1 of the lesion table (dipole of 12.0 SD, score 0.90)"
    )
    assert far.endswith("passed every gate")
    assert run_command(["explain-point", str(tmp_path / "out"), "-6", "0", "0"]) == 0
    assert "outside the mask of the map" in capsys.readouterr().out


def test_runs_folder_and_its_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for session in ("1", "2"):
        results(Place.of_session(tmp_path, "01", session))
    words = ["explain-point", str(tmp_path), "0", "4", "5"]
    assert run_command(words) == 0
    assert capsys.readouterr().out.count("0.0 4.0 5.0 mm, detection limit") == 2
    assert run_command([*words, "--session-label", "2"]) == 0
    assert capsys.readouterr().out.startswith("ses-2: ")
    assert run_command([*words, "--session-label", "9"]) == 66
    assert "finished sessions: 1, 2" in capsys.readouterr().err
    assert run_command([*words, "--participant-label", "07"]) == 66


def test_a_point_outside_the_image_and_a_folder_without_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results(Place(tmp_path / "out"))
    assert run_command(["explain-point", str(tmp_path / "out"), "-90", "4", "6"]) == 65
    said = capsys.readouterr().err
    assert "X Y Z = -90 4 6 mm, outside the image, which spans x -6 to 5, y 0 to 11, z 0 to 11 mm" in said
    results(Place(tmp_path / "old"), table=False)
    assert run_command(["explain-point", str(tmp_path / "old"), "0", "4", "6"]) == 65
    assert "run `qsmcmb recon` again; with --points or --labels give --detect, too" in capsys.readouterr().err
    results(Place.of_session(tmp_path / "study", "01", None), table=False)
    assert run_command(["explain-point", str(tmp_path / "study"), "0", "4", "6"]) == 65
    assert "run `qsmcmb run BIDS OUT participant --force detect` again" in capsys.readouterr().err
    (tmp_path / "out" / "desc-cmb_candidates.tsv").write_text("x_mm\ty_mm\nq\t1\n")
    assert run_command(["explain-point", str(tmp_path / "out"), "0", "4", "6"]) == 65
    assert "ERROR TSV" in capsys.readouterr().err
    assert run_command(["explain-point", str(tmp_path / "out"), "0", "4", "up"]) == 2
