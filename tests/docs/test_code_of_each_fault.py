"""Faults of tables, folders and arguments carry the code that the list of codes explains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.core.validate import check_finite
from qsmcmb.dipole_inversion.tikhonov import invert_tikhonov
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.bids import list_sessions
from qsmcmb.io.bids_writer import write_raw_scan
from qsmcmb.io.nifti import read_volume
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults
from qsmcmb.io.tables import read_filter, read_tsv
from qsmcmb.model import GreScan, Grid


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def invert_with(weight: float) -> None:
    grid = Grid.isotropic((8, 8, 8), 1.0)
    zeros = np.zeros(grid.shape, np.float32)
    invert_tikhonov(zeros, zeros == 0, grid, regularisation=weight)


def load_without_units(folder: Path) -> None:
    grid = Grid.isotropic((8, 8, 8), 1.0)
    phase = np.random.default_rng(0).uniform(-np.pi, np.pi, (1, *grid.shape)).astype(np.float32)
    scan = GreScan(phase_rad=phase, magnitude=phase + 4, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    write_raw_scan(folder, scan, "01", "1")
    for sidecar in folder.rglob("*part-phase*.json"):
        sidecar.write_text(sidecar.read_text(encoding="utf-8").replace("Units", "Unit"), encoding="utf-8")
    qc.load_scan(folder)


@pytest.mark.parametrize(
    ("code", "provoke"),
    [
        ("ARGUMENT", lambda folder: invert_with(-1.0)),
        ("FILTER", lambda folder: read_filter(write(folder / "filter.json", '{"run": [1]}'))),
        ("HEADER", lambda folder: read_volume(write(folder / "a.nii", "no header"))),
        ("NO-MATCH", lambda folder: list_sessions(folder)),
        ("NOT-FINITE", lambda folder: check_finite("field_ppm", np.array([np.nan]))),
        ("OUT", lambda folder: make_folder(write(folder / "file", "") / "out")),
        ("RESULT", lambda folder: SessionResults(Place(folder), "", "").record("Chimap")),
        ("TSV", lambda folder: read_tsv(write(folder / "a.tsv", "x_mm\ty_mm\n1\n"))),
        ("UNITS-MISSING", load_without_units),
    ],
)
def test_the_error_has_its_code(code: str, provoke: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        provoke(tmp_path)
    assert caught.value.code == code
