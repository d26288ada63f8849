"""Areas of siderosis on maps made by hand: ribbons are found and measured, tubes and balls are not."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.siderosis._moment_loops import local_moments
from qsmcmb.microbleeds.siderosis.areas import SiderosisArea, find_areas
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

GRID = Grid.isotropic((56, 48, 40), 1.0)
X, Y, Z = np.indices(GRID.shape, dtype=np.float32)
RIBBON = (X >= 10) & (X < 40) & (Y >= 10) & (Y < 18) & (np.abs(Z - 20) < 1.5)
"""30 x 8 x 3 mm."""
TUBE = (X >= 6) & (X < 50) & (np.hypot(Y - 24, Z - 30) < 1.6)
BALL = np.sqrt((X - 28) ** 2 + (Y - 34) ** 2 + (Z - 14) ** 2) < 4


def areas_of(
    stained: BoolArray, *, b0_tesla: float = 3.0, excluded: BoolArray | None = None
) -> list[SiderosisArea]:
    rng = np.random.default_rng(86311)
    chi = 0.4 * stained + 0.02 * rng.standard_normal(GRID.shape)
    r2star = 20 + 90 * (b0_tesla / 3) * stained + 2 * rng.standard_normal(GRID.shape)
    inside = np.ones(GRID.shape, bool)
    return find_areas(chi, r2star, inside, GRID, b0_tesla=b0_tesla, excluded=excluded)


@pytest.mark.parametrize("b0_tesla", [1.5, 3.0, 7.0])
def test_a_ribbon_is_found_and_measured(b0_tesla: float) -> None:
    (area,) = areas_of(RIBBON, b0_tesla=b0_tesla)
    assert area.length_mm == pytest.approx(30, rel=0.2)
    assert area.volume_mm3 == pytest.approx(RIBBON.sum(), rel=0.2)
    assert area.chi_mean_ppm == pytest.approx(0.4, abs=0.03)
    assert area.r2star_mean_hz == pytest.approx(20 + 30 * b0_tesla, rel=0.1)
    assert np.abs(GRID.to_voxel(np.array([area.position_mm]))[0] - (24.5, 13.5, 20)).max() < 2
    assert RIBBON[tuple(area.voxels.T)].mean() > 0.95


def test_tubes_balls_and_clean_maps_have_no_area() -> None:
    assert areas_of(TUBE) == []
    assert areas_of(BALL) == []
    assert areas_of(TUBE | BALL) == []
    assert areas_of(np.zeros(GRID.shape, bool)) == []
    nothing = np.zeros(GRID.shape, np.float32)
    assert find_areas(nothing, nothing, nothing > 0, GRID, b0_tesla=3.0) == []


def test_the_ribbon_is_found_beside_a_tube_and_a_ball() -> None:
    (area,) = areas_of(RIBBON | TUBE | BALL)
    assert area.length_mm == pytest.approx(30, rel=0.2)


def test_both_walls_of_a_sulcus_are_one_area_and_two_sulci_are_two() -> None:
    other_wall, other_sulcus = np.roll(RIBBON, 5, axis=2), np.roll(RIBBON, 20, axis=1)
    assert len(areas_of(RIBBON | other_wall)) == 1
    assert len(areas_of(RIBBON | other_sulcus)) == 2


def test_what_is_excluded_or_at_the_edge_is_no_area() -> None:
    assert areas_of(RIBBON, excluded=RIBBON) == []
    assert areas_of(np.roll(RIBBON, -20, axis=2)) == []


def test_dark_without_iron_or_iron_without_decay_is_no_area() -> None:
    inside = np.ones(GRID.shape, bool)
    flat, stained = np.full(GRID.shape, 20.0), RIBBON.astype(float)
    assert find_areas(0.4 * stained, flat, inside, GRID, b0_tesla=3.0) == []
    assert find_areas(-0.4 * stained, flat + 90 * stained, inside, GRID, b0_tesla=3.0) == []


def test_moments_are_those_of_numpy(rng: np.random.Generator) -> None:
    weight = np.maximum(rng.standard_normal((7, 8, 9)), 0).astype(np.float32)
    voxels = np.array([[0, 0, 0], [3, 4, 5], [6, 7, 8]], np.int32)
    offsets = np.argwhere(np.ones((5, 5, 5))).astype(np.int32) - 2
    size = np.array([1.0, 0.8, 1.3])
    out = np.empty((3, 6))
    local_moments(weight, voxels, offsets, offsets * size, out)
    for voxel, found in zip(voxels, out, strict=True):
        np.testing.assert_allclose(found, _plain_moments(weight, voxel + offsets, size), rtol=1e-6, atol=1e-9)
    local_moments(0 * weight, voxels, offsets, offsets * size, out)
    assert (out == 0).all()


def _plain_moments(weight: FloatArray, voxels: FloatArray, size: FloatArray) -> FloatArray:
    valid = ((voxels >= 0) & (voxels < weight.shape)).all(axis=1)
    points = voxels[valid] * size
    covariance = np.cov(points.T, aweights=weight[tuple(voxels[valid].T)], ddof=0)
    return covariance[(0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2)]
