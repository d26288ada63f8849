"""Grids and masks, in mm from the middle of the volume."""

from __future__ import annotations

import numpy as np

from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

Triple = tuple[float, float, float]

CUBIC = Grid((22, 22, 22), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0))
"""Even sizes, cubic voxels, B0 along the last axis: nothing that could hide a swapped axis or a lost factor."""
ODD = Grid((23, 21, 19), (1.0, 1.1, 1.2), (0.0, 0.0, 1.0))
"""Odd sizes, all different, voxels all different."""
OBLIQUE = Grid((23, 20, 21), (1.0, 1.1, 1.2), (0.36, 0.48, 0.8))
"""B0 along no axis and in no plane of two axes."""
THICK = Grid((24, 22, 13), (0.9, 0.9, 1.8), (0.0, 0.6, 0.8))
"""Slices twice as thick as their voxels are wide."""
GRIDS = {"cubic": CUBIC, "odd": ODD, "oblique": OBLIQUE, "thick": THICK}


def coordinates_mm(grid: Grid, middle: Triple | None = None) -> FloatArray:
    """Return the coordinates (3, x, y, z) in mm along the voxel axes.

    They are counted from voxel `middle`, n // 2 along each axis unless given (a half lies between two voxels).
    """
    at = [n // 2 for n in grid.shape] if middle is None else middle
    axes = [(np.arange(n) - m) * v for n, m, v in zip(grid.shape, at, grid.voxel_size_mm, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def away_mm(grid: Grid, centre_mm: Triple = (0.0, 0.0, 0.0)) -> FloatArray:
    """Return the coordinates (3, x, y, z) from a point, mm."""
    return coordinates_mm(grid) - np.reshape(centre_mm, (3, 1, 1, 1))


def ball(grid: Grid, radius_mm: float, centre_mm: Triple = (0.0, 0.0, 0.0)) -> BoolArray:
    """Return the voxels whose centre lies within `radius_mm` of a point."""
    return np.asarray((away_mm(grid, centre_mm) ** 2).sum(axis=0) < radius_mm**2)


def ellipsoid(grid: Grid, radii_mm: Triple, centre_mm: Triple = (0.0, 0.0, 0.0)) -> BoolArray:
    """Return the voxels whose centre lies in an ellipsoid along the voxel axes."""
    scaled = away_mm(grid, centre_mm) / np.reshape(radii_mm, (3, 1, 1, 1))
    return np.asarray((scaled**2).sum(axis=0) < 1)
