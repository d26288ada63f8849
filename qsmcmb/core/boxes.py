"""TODO."""

from __future__ import annotations

import numpy as np

from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray


def ball_around(
    grid: Grid, voxel: FloatArray, radius_mm: float
) -> tuple[tuple[slice, slice, slice], FloatArray]:
    """Return the box that holds a ball around a point (fractional voxel indices), and the distances in it, mm."""
    slices, axes = [], []
    for c, v, n in zip(voxel, grid.voxel_size_mm, grid.shape, strict=True):
        first = min(max(0, int(c - radius_mm / v)), n)
        last = max(min(n, int(c + radius_mm / v) + 2), first)
        slices.append(slice(first, last))
        axes.append((np.arange(first, last) - c) * v)
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    return (slices[0], slices[1], slices[2]), np.sqrt(x**2 + y**2 + z**2)
