"""Fields of balls, whose field outside is a dipole's and inside is 0 (Lorentz sphere taken out)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.model import Grid
from qsmcmb.phantoms.lesions import Ball, ball_field
from qsmcmb.typing import BoolArray, FloatArray
from tests.scenes.geometry import OBLIQUE, Triple, away_mm, ball, coordinates_mm, ellipsoid

LARGE = Grid((40, 45, 36), (1.0, 1.1, 1.2), (0.0, 0.28, 0.96))
"""Room for a ball of 4 mm whose field is inverted with a few percent of error."""


AIR_BELOW = Ball((0.0, 4.0, -24.0), 6.0, 9.4)
"""Air under the mask of `sphere`: its field is 30 times the ball's."""


class Sphere(NamedTuple):
    """Local field (ppm) of one ball, float32 and 0 outside the mask; the ball and its neighbours; what it sums to."""

    field: FloatArray
    mask: BoolArray
    grid: Grid
    inside: BoolArray
    total_ppm_mm3: float


class Pair(NamedTuple):
    """Fields (any unit) of a ball outside the mask and of one inside it, float32 and 0 outside the mask."""

    grid: Grid
    mask: BoolArray
    outside: FloatArray
    inside: FloatArray
    inner: Ball

    @property
    def total(self) -> FloatArray:
        """What a scan would show."""
        return self.outside + self.inside


class Head(NamedTuple):
    """A head-like mask, a harmonic background field, the field of lesions, and their sum, Hz."""

    grid: Grid
    mask: BoolArray
    background: FloatArray
    local: FloatArray
    total: FloatArray


def field_of(body: Ball, grid: Grid, mask: BoolArray | None = None) -> FloatArray:
    """Return the field of a ball (its unit of susceptibility), 0 outside the mask where one is given."""
    field = ball_field(away_mm(grid, body.centre_mm), body, np.array(grid.b0_dir))
    return (field if mask is None else np.where(mask, field, 0)).astype(np.float32)


def sphere(
    grid: Grid = LARGE, *, mask_mm: float = 17.0, radius_mm: float = 4.0, chi_ppm: float = 0.5
) -> Sphere:
    """Return a ball off the centre of a spherical mask; `inside` reaches 1.5 mm beyond the ball.

    The truth is its total: 4 pi / 3 radius^3 chi.
    """
    body = Ball((2.0, -3.3, 1.2), radius_mm, chi_ppm)
    mask = ball(grid, mask_mm)
    inside = ball(grid, radius_mm + 1.5, body.centre_mm)
    return Sphere(field_of(body, grid, mask), mask, grid, inside, body.total_chi_ppm_mm3)


def dipole_pair(
    grid: Grid, *, mask_mm: float = 20.0, away: Triple = (4.0, -8.0, 31.0), middle: Triple = (1.0, 2.0, -1.0)
) -> Pair:
    """Return a brain-like ball, an air-like source outside it and a weak one near its middle.

    Coordinates are counted from the middle of the volume (n / 2), as the golden numbers of background removal were.
    """
    xyz = coordinates_mm(grid, tuple(n / 2 for n in grid.shape))  # type: ignore[arg-type]
    mask = np.asarray((xyz**2).sum(axis=0) < mask_mm**2)
    outer, inner = Ball(away, 4.0, 9.0), Ball(middle, 2.5, 0.6)
    outside, inside = (
        np.where(mask, ball_field(xyz - np.reshape(b.centre_mm, (3, 1, 1, 1)), b, np.array(grid.b0_dir)), 0)
        for b in (outer, inner)
    )
    return Pair(grid, mask, outside.astype(np.float32), inside.astype(np.float32), inner)


def head(grid: Grid = OBLIQUE, *, seed: int = 7, noise_hz: float = 0.0) -> Head:
    """Return an ellipsoid with two lesions under a background of linear and quadratic harmonics.

    All parts are 0 outside the mask. The background's difference Laplacian is 0 at every voxel with six neighbours in
    the mask, for any voxel size: quadratic harmonics are harmonic for the differences too.
    """
    mask = ellipsoid(grid, (9.0, 8.5, 8.0), (0.5, 0.0, -0.4))
    x, y, z = coordinates_mm(grid)
    background = 12.0 + 1.5 * x - 0.8 * y + 2.0 * z + 0.05 * (x**2 - z**2) + 0.04 * x * y - 0.03 * y * z
    lesions = (Ball((1.5, -2.0, 1.0), 2.0, 30.0), Ball((-3.0, 2.5, -1.5), 1.6, -25.0))
    local = sum(field_of(b, grid) for b in lesions)
    noise = noise_hz * np.random.default_rng(seed).standard_normal(grid.shape)
    parts = [np.where(mask, v, 0).astype(np.float32) for v in (background, local, background + local + noise)]
    return Head(grid, mask, *parts)
