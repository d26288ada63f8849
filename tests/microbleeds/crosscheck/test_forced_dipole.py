"""The dipole that a local field allows at a given place."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.microbleeds.crosscheck.forced_dipole import RADIUS_MM, estimate_forced_dipole
from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray

AFFINE = np.diag([1.0, 1.1, 1.2, 1.0])
AFFINE[:3, 3] = (-20.0, -15.0, 4.0)
GRID = Grid((30, 28, 26), (1.0, 1.1, 1.2), (0.36, 0.48, 0.8), AFFINE)
VOXEL = np.array([15.3, 13.6, 12.8])
MASK = np.ones(GRID.shape, bool)


def from_lesion() -> FloatArray:
    """Return coordinates (3, x, y, z) from the lesion, mm."""
    return (np.indices(GRID.shape) - VOXEL.reshape(3, 1, 1, 1)) * np.reshape(GRID.voxel_size_mm, (3, 1, 1, 1))


def dipole(total: float) -> FloatArray:
    return total * point_dipole_field(from_lesion().reshape(3, -1), np.array(GRID.b0_dir)).reshape(GRID.shape)


def cubic() -> FloatArray:
    x, y, z = from_lesion()
    return 0.01 + 2e-3 * x - 1e-3 * y * z + 1e-5 * x**3 - 4e-5 * x * y * z


@pytest.mark.parametrize("total", [3.0, -3.0])
def test_a_dipole_under_a_cubic_background_is_read_exactly(total: float) -> None:
    found = estimate_forced_dipole(dipole(total) + cubic(), MASK, GRID, GRID.to_world(VOXEL))
    assert found is not None
    assert found.value == pytest.approx(total, rel=1e-9)
    assert found.sd < 1e-9
    assert found.unit == "ppm mm3"


def test_sd_is_that_of_white_noise_coherent_over_blocks(rng: np.random.Generator) -> None:
    grid = Grid.isotropic((13, 13, 13), 2.0, b0_dir=(0.36, 0.48, 0.8))
    errors, sds = [], []
    for _ in range(100):
        noise = 0.003 * rng.standard_normal(grid.shape)
        found = estimate_forced_dipole(noise, np.ones(grid.shape, bool), grid, np.array([0.4, -0.3, 0.2]))
        assert found is not None
        errors.append(found.value)
        sds.append(found.sd)
    # Blocks of 3.5 mm hold 5.4 voxels.
    assert np.mean(sds) / np.std(errors) == pytest.approx(np.sqrt(3.5**3 / 8), rel=0.15)


def test_less_than_sixty_percent_of_the_ball_says_nothing() -> None:
    field = dipole(3.0) + cubic()
    radius = np.sqrt((from_lesion() ** 2).sum(axis=0))
    ball = radius <= RADIUS_MM
    order = np.argsort(np.where(ball, radius, np.inf), axis=None)
    full = 4 / 3 * np.pi * RADIUS_MM**3 / GRID.voxel_volume_mm3
    for fraction, expected in ((0.62, True), (0.58, False)):
        mask = np.zeros(GRID.shape, bool)
        mask.ravel()[order[: int(fraction * full)]] = True
        found = estimate_forced_dipole(field, mask, GRID, GRID.to_world(VOXEL))
        assert (found is not None) == expected
    assert estimate_forced_dipole(field, MASK, GRID, np.array([500.0, 0.0, 0.0])) is None


def test_voxels_without_a_field_and_the_core_are_left_out() -> None:
    field = dipole(3.0) + cubic()
    distance = np.sqrt((from_lesion() ** 2).sum(axis=0))
    field[distance < 1.7] = 50.0
    field[(from_lesion()[0] > 5.0)] = 0.0
    found = estimate_forced_dipole(field, MASK, GRID, GRID.to_world(VOXEL))
    assert found is not None
    assert found.value == pytest.approx(3.0, rel=1e-9)
    thin = np.zeros_like(field)
    thin[15, 13, :] = 1.0
    assert estimate_forced_dipole(thin, MASK, GRID, GRID.to_world(VOXEL)) is None
