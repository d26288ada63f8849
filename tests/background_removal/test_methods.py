"""Every background method: outside dipoles leave, inside ones stay, whatever unit, shape and thread count."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.background_removal import METHODS
from qsmcmb.errors import ConfigError, InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray
from tests.scenes.sources import dipole_pair

GRIDS = [
    Grid((48, 48, 48), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0)),
    Grid((45, 41, 27), (1.0, 1.1, 1.7), (0.0, 0.28, 0.96)),
]


def scene(grid: Grid) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Return a brain of 20 mm radius, the field of a source 12 mm outside it and of one in its middle."""
    pair = dipole_pair(grid)
    return pair.mask, pair.outside, pair.inside


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("grid", GRIDS)
def test_outside_dipole_leaves(method: str, grid: Grid) -> None:
    mask, outside, _ = scene(grid)
    local, left = qc.remove_background(outside, mask, grid, method=method)
    assert left.sum() > 0.1 * mask.sum()
    assert np.std(local[left]) < 0.05 * np.std(outside[mask])
    assert not local[~left].any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("grid", GRIDS)
def test_inside_dipole_stays(method: str, grid: Grid) -> None:
    mask, outside, inside = scene(grid)
    local, left = qc.remove_background(outside + inside, mask, grid, method=method)
    slope = np.vdot(local[left], inside[left]) / np.vdot(inside[left], inside[left])
    assert slope == pytest.approx(1.0, abs=0.12)
    assert np.corrcoef(local[left], inside[left])[0, 1] > 0.95


@pytest.mark.parametrize("method", METHODS)
def test_input_is_kept_and_constant_field_is_background(method: str) -> None:
    mask, _, _ = scene(GRIDS[1])
    field = np.full(GRIDS[1].shape, 40.0, np.float32)
    local, _ = qc.remove_background(field, mask, GRIDS[1], method=method)
    assert (field == 40.0).all()
    assert np.abs(local).max() < 0.5


@pytest.mark.parametrize("method", METHODS)
def test_bad_input_is_refused(method: str) -> None:
    mask, outside, _ = scene(GRIDS[1])
    with pytest.raises(InvalidInputError, match="mask"):
        qc.remove_background(outside, np.zeros_like(mask), GRIDS[1], method=method)
    outside[mask.nonzero()[0][0], mask.nonzero()[1][0], mask.nonzero()[2][0]] = np.nan
    with pytest.raises(InvalidInputError, match="finite"):
        qc.remove_background(outside, mask, GRIDS[1], method=method)
    with pytest.raises(ConfigError, match="has no option 'radios_mm'"):
        qc.remove_background(np.zeros_like(outside), mask, GRIDS[1], method=method, options={"radios_mm": 3})


BAD_OPTIONS = [
    ("sharp", "radius_mm", 1.6),
    ("sharp", "radius_mm", 30.0),
    ("sharp", "threshold", 0.0),
    ("vsharp", "min_radius_mm", 0.5),
    ("vsharp", "max_radius_mm", 1.0),
    ("vsharp", "n_radii", 0),
    ("vsharp", "threshold", np.nan),
    ("pdf", "tolerance", 0.0),
    ("pdf", "max_iterations", 0),
    ("pdf", "damping", 0.0),
    ("resharp", "radius_mm", 1.6),
    ("resharp", "damping", 0.0),
    ("ismv", "radius_mm", 40.0),
    ("ismv", "tolerance", 0.0),
    ("harperella", "damping", 2.0),
    ("lbv", "tolerance", 0.0),
    ("lbv", "max_cycles", 0),
    ("slbv", "inside", 0.0),
    ("slbv", "doubtful", 0.5),
    ("slbv", "inside", 20.0),
    ("slbv", "max_iterations", 0),
]


@pytest.mark.parametrize(("method", "option", "value"), BAD_OPTIONS)
def test_options_out_of_range_are_refused(method: str, option: str, value: float) -> None:
    mask, outside, _ = scene(GRIDS[1])
    with pytest.raises((InvalidInputError, ConfigError), match=option):
        qc.remove_background(outside, mask, GRIDS[1], method=method, options={option: value})
