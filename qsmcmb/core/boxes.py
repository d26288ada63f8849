"""Boxes of voxels: around a mask, and around a point with the distances from it."""

from __future__ import annotations

import numpy as np

from qsmcmb.core import _box_loops as loops
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("Box", "ball_box", "bounding_box", "box_axes_mm")

Box = tuple[slice, slice, slice]
"""Slices of the three axes, each with its start and stop: an index that cuts a box out of a volume."""


def bounding_box(mask: BoolArray, margin: int = 0) -> Box:
    """Return the smallest box that holds a mask.

    Parameters
    ----------
    mask : ndarray of shape (x, y, z), bool
        The mask, not empty.
    margin : int, optional
        Voxels to add on each side where the volume allows, >= 0.

    Returns
    -------
    tuple of slice
        Slices of the three axes.

    Examples
    --------
    >>> mask = np.zeros((8, 8, 8), bool)
    >>> mask[2:4, 5, 0] = True
    >>> bounding_box(mask, margin=1)
    (slice(1, 5, None), slice(4, 7, None), slice(0, 2, None))
    """
    planes = loops.occupied(mask.view(np.uint8))
    filled = np.flatnonzero(planes[:, 1] >= 0)
    first = (filled[0], planes[filled, 0].min(), planes[filled, 2].min())
    last = (filled[-1], planes[filled, 1].max(), planes[filled, 3].max())
    x, y, z = (
        slice(max(0, int(a) - margin), min(n, int(b) + 1 + margin))
        for a, b, n in zip(first, last, mask.shape, strict=True)
    )
    return x, y, z


def ball_box(grid: Grid, voxel: FloatArray, radius_mm: float) -> tuple[Box, FloatArray]:
    """Return the box that holds a ball around a point, and the distances of its voxels from the point.

    Parameters
    ----------
    grid : Grid
        Geometry of the volume.
    voxel : ndarray of shape (3,)
        The point, fractional voxel indices; it may lie outside the volume.
    radius_mm : float
        Radius of the ball, mm, >= 0.

    Returns
    -------
    box : tuple of slice
        Every voxel of the volume within `radius_mm` lies in it; empty where the ball does not meet the volume.
    distance_mm : ndarray of the box's shape, float64
        Distance of each voxel's centre from the point, mm. The box's corners lie beyond `radius_mm`.

    Examples
    --------
    >>> box, distance_mm = ball_box(Grid.isotropic((9, 9, 9), 2.0), np.array([4.0, 4.0, 1.0]), 3.0)
    >>> box[2], int((distance_mm <= 3.0).sum())
    (slice(0, 4, None), 19)
    """
    x, y, z = (
        _span(c, radius_mm / v, n) for c, v, n in zip(voxel, grid.voxel_size_mm, grid.shape, strict=True)
    )
    axes = np.meshgrid(*box_axes_mm(grid, voxel, (x, y, z)), indexing="ij", sparse=True)
    return (x, y, z), np.sqrt(axes[0] ** 2 + axes[1] ** 2 + axes[2] ** 2)


def _span(centre: float, reach: float, size: int) -> slice:
    """Return the indices of an axis of `size` voxels that lie within `reach` voxels of a centre."""
    first = min(max(0, int(centre - reach)), size)
    return slice(first, max(min(size, int(centre + reach) + 2), first))


def box_axes_mm(grid: Grid, voxel: FloatArray, box: Box) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the coordinates of a box's voxels along each axis, from a point.

    Parameters
    ----------
    grid : Grid
        Geometry of the volume.
    voxel : ndarray of shape (3,)
        The point, fractional voxel indices.
    box : tuple of slice
        Slices of the three axes, with start and stop.

    Returns
    -------
    tuple of ndarray
        For each voxel axis the coordinates of the box's planes, mm from the point.

    Examples
    --------
    >>> grid = Grid.isotropic((9, 9, 9), 2.0)
    >>> box_axes_mm(grid, np.array([4.0, 4.0, 1.5]), (slice(3, 6), slice(4, 5), slice(0, 2)))[2].tolist()
    [-3.0, -1.0]
    """
    x, y, z = (
        (np.arange(s.start, s.stop) - c) * v for s, c, v in zip(box, voxel, grid.voxel_size_mm, strict=True)
    )
    return x, y, z
