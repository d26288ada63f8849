"""A ball with its analytic field, and noise on the same odd, anisotropic, tilted grid."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from qsmcmb.model import Grid
from qsmcmb.phantoms.lesions import Ball, ball_field
from qsmcmb.typing import BoolArray, FloatArray


class BallCase(NamedTuple):
    """Analytic local field (ppm) of one ball in a spherical mask."""

    field: FloatArray
    mask: BoolArray
    grid: Grid
    inside: BoolArray
    total_ppm_mm3: float


@pytest.fixture(scope="session")
def ball_case() -> BallCase:
    """Return a ball of 0.5 ppm and 4 mm, off centre."""
    grid = Grid((40, 45, 36), (1.0, 1.1, 1.2), (0.0, 0.28, 0.96))
    axes = [(np.arange(n) - n // 2) * v for n, v in zip(grid.shape, grid.voxel_size_mm, strict=True)]
    xyz = np.stack(np.meshgrid(*axes, indexing="ij"))
    mask = (xyz**2).sum(axis=0) < 17**2
    ball = Ball((2.0, -3.3, 1.2), 4.0, 0.5)
    from_centre = xyz - np.array(ball.centre_mm).reshape(3, 1, 1, 1)
    field = np.where(mask, ball_field(from_centre, ball, np.array(grid.b0_dir)), 0).astype(np.float32)
    inside = (from_centre**2).sum(axis=0) < 5.5**2
    return BallCase(field, mask, grid, inside, ball.total_chi_ppm_mm3)


@pytest.fixture
def noise_pair(ball_case: BallCase, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return two volumes of white noise, 0 outside the mask of `ball_case`."""
    one, two = rng.standard_normal((2, *ball_case.grid.shape)).astype(np.float32) * ball_case.mask
    return one, two
