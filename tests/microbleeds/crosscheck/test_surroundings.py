"""What surrounds a candidate: a ball, a tube, a void of constant size and an edge look as they are."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.microbleeds.crosscheck.surroundings import UNKNOWN, Surroundings, describe_surroundings
from qsmcmb.microbleeds.signal.acquisition import Acquisition
from qsmcmb.microbleeds.signal.patch import Patch, ScanFields, cut_patch
from qsmcmb.model import GreScan, Grid
from qsmcmb.typing import FloatArray

SHAPE = (28, 28, 28)
TE_S = (0.005, 0.02)
GRID = Grid.isotropic(SHAPE, 1.0)
OFFSET = np.indices(SHAPE) - 14.0
BALL = (OFFSET**2).sum(axis=0) <= 2.0**2
TUBE = ((OFFSET - np.einsum("i,j...,j->i...", (0.6, 0.0, 0.8), OFFSET, (0.6, 0.0, 0.8))) ** 2).sum(
    axis=0
) <= 1.5


def described(
    dark: FloatArray, *, first: float = 0.0, chi_ppm: FloatArray | None = None, field_hz: FloatArray | None = None,
    sign: float = 1.0,
) -> Surroundings:  # fmt: skip
    """Return what surrounds the middle of tissue that loses `dark` at the last echo, `first` of it at the first."""
    magnitude = np.stack([1 - first * dark, 1 - dark]).astype(np.float32)
    scan = GreScan(np.zeros_like(magnitude), magnitude, TE_S, 3.0, GRID)
    field_hz = np.zeros(SHAPE, np.float32) if field_hz is None else field_hz
    fields = ScanFields(field_hz, np.zeros(SHAPE, np.float32), np.ones(SHAPE, bool), None, chi_ppm)
    return describe_surroundings(patch_of(scan, fields), fields, sign=sign)


def patch_of(scan: GreScan, fields: ScanFields) -> Patch:
    acquisition = Acquisition(te_s=scan.te_s, b0_tesla=3.0, noise_sd=0.01)
    return cut_patch(scan, np.array([14.0, 14.0, 14.0]), fields, acquisition)


def test_a_ball_has_no_continuation_and_a_tube_has() -> None:
    ball = described(0.8 * BALL, chi_ppm=(0.4 * BALL).astype(np.float32))
    tube = described(0.8 * TUBE, chi_ppm=(0.4 * TUBE).astype(np.float32))
    assert ball.darkening == pytest.approx(0.8, abs=0.02)
    assert ball.vessel_in_magnitude == pytest.approx(0, abs=0.05)
    assert ball.vessel_in_map == pytest.approx(0, abs=0.05)
    for continuity in (tube.vessel_in_magnitude, tube.vessel_in_map):
        assert continuity is not None
        assert 0.4 < continuity < 1.2


def test_a_tube_that_ends_at_the_point_does_not_continue() -> None:
    half = TUBE & (OFFSET[2] >= 0)
    found = described(0.8 * half)
    assert found.vessel_in_magnitude is not None
    assert found.vessel_in_magnitude < 0.15


@pytest.mark.parametrize(("first", "growth"), [(0.0, 1.0), (0.25, 0.75), (1.0, 0.0)])
def test_growth_of_the_void(first: float, growth: float) -> None:
    assert described(0.8 * BALL, first=first).void_growth == pytest.approx(growth, abs=0.01)


def test_the_map_is_read_with_the_sign() -> None:
    calcium = (-0.5 * BALL).astype(np.float32)
    found = described(0.8 * BALL, chi_ppm=calcium, sign=-1.0)
    assert found.map_peak_ppm == pytest.approx(-0.5, abs=0.01)
    # Volume of the voxels of a ball of 2 mm.
    assert found.map_extent_mm == pytest.approx((6 * BALL.sum() / np.pi) ** (1 / 3))
    # With the other sign nothing near the point stands out.
    assert described(0.8 * BALL, chi_ppm=calcium).map_extent_mm == 0


def test_gradient_of_the_field() -> None:
    slope_hz = (3 * OFFSET[0] - 4 * OFFSET[2]).astype(np.float32)
    dipole = 300 * point_dipole_field(OFFSET.reshape(3, -1) + 1e-3, np.array([0.0, 0.0, 1.0])).reshape(SHAPE)
    steep = described(0.8 * BALL, field_hz=slope_hz)
    assert steep.field_gradient == pytest.approx(5 * TE_S[1])
    # The dipole's own field has no slope.
    assert described(0.8 * BALL, field_hz=dipole.astype(np.float32)).field_gradient == pytest.approx(
        0, abs=0.01
    )


def test_unknown_figures() -> None:
    found = described(0.0 * BALL)
    # Nothing is dark: nothing grows. No map was given.
    assert (found.void_growth, found.vessel_in_map, found.map_peak_ppm) == (None, None, None)
    ones = np.ones((1, *SHAPE), np.float32)
    scan = GreScan(0 * ones, ones, (0.02,), 3.0, GRID)
    nearly_nothing = np.zeros(SHAPE, bool)
    nearly_nothing[14, 14, 13:16] = True
    fields = ScanFields(0 * ones[0], 0 * ones[0], nearly_nothing)
    assert describe_surroundings(patch_of(scan, fields), fields, sign=1.0) == UNKNOWN
    whole = fields._replace(mask=np.ones(SHAPE, bool))
    assert describe_surroundings(patch_of(scan, whole), whole, sign=1.0).void_growth is None
