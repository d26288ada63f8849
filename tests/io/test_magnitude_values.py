"""Magnitudes that are none are named; voxels that are not finite are told by file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.magnitude_values import magnitude_notes
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.plain import load_files
from qsmcmb.pipeline.checks import check_finite
from qsmcmb.typing import AnyArray

SHAPE = (12, 12, 12)
RNG = np.random.default_rng(1)
PHASE = RNG.uniform(-np.pi, np.pi, (2, *SHAPE)).astype(np.float32)
MAGNITUDE = RNG.uniform(50, 100, (2, *SHAPE)).astype(np.float32)


def files(folder: Path, name: str, volumes: AnyArray) -> list[Path]:
    paths = [folder / f"{name}{i + 1}.nii" for i in range(len(volumes))]
    for path, volume in zip(paths, volumes, strict=True):
        save_volume(path, volume, np.eye(4))
    return paths


@pytest.mark.parametrize(
    ("values", "code"),
    [(0 * MAGNITUDE[0], "MAG-EMPTY"), (MAGNITUDE[0] - 75, "MAG-NEGATIVE"), (PHASE[0], "MAG-NEGATIVE")],
)
def test_what_is_no_magnitude_is_refused(values: AnyArray, code: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{code} m.nii"):
        magnitude_notes(values, Path("m.nii"))


def test_what_is_odd_is_said() -> None:
    ripple = MAGNITUDE[0].copy()
    ripple[0, 0, :5] = -1
    assert "5 voxels of the magnitude are negative" in magnitude_notes(ripple, Path("m.nii"))[0]
    assert "the same everywhere" in magnitude_notes(np.ones(SHAPE), Path("m.nii"))[0]
    assert magnitude_notes(MAGNITUDE[0], Path("m.nii")) == []


def test_phase_given_as_magnitude_is_named(tmp_path: Path) -> None:
    phase = files(tmp_path, "p", PHASE)
    with pytest.raises(InvalidInputError, match=r"DUP .*p1\.nii"):
        load_files(phase, phase, [0.01, 0.02], 3.0)


def test_one_magnitude_serves_all_echoes_and_that_is_said(tmp_path: Path) -> None:
    scan = load_files(files(tmp_path, "p", PHASE), files(tmp_path, "m", MAGNITUDE[:1]), [0.01, 0.02], 3.0)
    np.testing.assert_array_equal(scan.magnitude[0], scan.magnitude[1])
    assert scan.magnitude_is_shared
    assert not scan.decay_known
    assert any("one magnitude serves all 2 echoes" in w for w in scan.warnings)
    copies = files(tmp_path, "c", MAGNITUDE[[0, 0]])
    assert load_files(files(tmp_path, "p", PHASE), copies, [0.01, 0.02], 3.0).magnitude_is_shared
    with pytest.raises(InvalidInputError, match="TE-MISMATCH"):
        load_files(files(tmp_path, "p", PHASE), files(tmp_path, "m", MAGNITUDE), [0.01, 0.02, 0.03], 3.0)


@pytest.mark.parametrize("part", ["p2.nii", "m2.nii"])
def test_a_hole_in_one_echo_is_named_with_its_file(tmp_path: Path, part: str) -> None:
    stored = {"p": PHASE.copy(), "m": MAGNITUDE.copy()}
    stored[part[0]][1][4:7, 4:7, 4:7] = np.nan
    scan = load_files(files(tmp_path, "p", stored["p"]), files(tmp_path, "m", stored["m"]), [0.01, 0.02], 3.0)
    assert any(w.startswith(f"{part}: 27 voxels are not finite") for w in scan.warnings)
    everything = np.ones(SHAPE, bool)
    with pytest.raises(InvalidInputError, match=f"NOT-FINITE {part}"):
        check_finite(everything, scan)
    beside = everything.copy()
    beside[4:7] = False
    check_finite(beside, scan)
