"""Side of a lesion by the brain's bounding box alone: what is known of a place where no structures are.

The box is laid over the template's, whose midline is that of MNI space.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("side_by_mask", "to_template")

TEMPLATE_LOW_MM = np.array([-71.0, -106.0, -62.0])
"""Lower corner of the brain's box in MNI space, mm."""
TEMPLATE_HIGH_MM = np.array([71.0, 73.0, 81.0])
"""Upper corner of the brain's box in MNI space, mm."""
MIDLINE_MM = 2.0
"""Distance from the midline, mm, up to which a lesion has no side."""


def side_by_mask(
    points_mm: FloatArray | Sequence[tuple[float, float, float]], mask: BoolArray, grid: Grid
) -> list[str]:
    """Return the side of points by the middle of the mask's bounding box.

    Parameters
    ----------
    points_mm : ndarray of shape (n, 3)
        Points, scanner RAS+, mm.
    mask : ndarray of shape grid.shape, bool
        Brain mask.
    grid : Grid
        Geometry.

    Returns
    -------
    list of str
        ``left``, ``right`` or ``midline``.

    Examples
    --------
    >>> grid = Grid.isotropic((36, 45, 36), 4.0)
    >>> side_by_mask([(40.0, 0.0, 40.0), (-10.0, 5.0, 0.0)], np.ones(grid.shape, bool), grid)
    ['right', 'left']
    """
    return [_side(p) for p in to_template(points_mm, mask, grid)]


def to_template(
    points_mm: FloatArray | Sequence[tuple[float, float, float]], mask: BoolArray, grid: Grid
) -> FloatArray:
    """Return points in the template's space, once the brain's box is laid over the template's.

    Parameters
    ----------
    points_mm : ndarray of shape (n, 3)
        Points, scanner RAS+, mm.
    mask : ndarray of shape grid.shape, bool
        Brain mask.
    grid : Grid
        Geometry.

    Returns
    -------
    ndarray of shape (n, 3)
        Points, MNI mm.

    Examples
    --------
    >>> grid = Grid.isotropic((36, 45, 36), 4.0)
    >>> to_template([(0.0, 0.0, 0.0)], np.ones(grid.shape, bool), grid).round().tolist()
    [[2.0, -16.0, 14.0]]
    """
    voxels = np.argwhere(mask).astype(np.float64)
    world = grid.to_world(voxels[:: max(1, len(voxels) // 20000)])
    low, high = np.percentile(world, 0.2, axis=0), np.percentile(world, 99.8, axis=0)
    scale = (TEMPLATE_HIGH_MM - TEMPLATE_LOW_MM) / (high - low)
    return (np.asarray(points_mm, dtype=float).reshape(-1, 3) - low) * scale + TEMPLATE_LOW_MM


def _side(point: FloatArray) -> str:
    """Return the side of a point of the template."""
    if abs(point[0]) < MIDLINE_MM:
        return "midline"
    return "right" if point[0] > 0 else "left"
