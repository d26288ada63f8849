"""Territory by a first simple rule: the brain's bounding box is laid over the template's, then boxes decide.

The template's box and the structures' positions are those of MNI space. The rule errs near borders; an atlas
registration is what a study would use.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("assign_territory", "to_template")

TEMPLATE_LOW_MM = np.array([-71.0, -106.0, -62.0])
"""Lower corner of the brain's box in MNI space, mm."""
TEMPLATE_HIGH_MM = np.array([71.0, 73.0, 81.0])
"""Upper corner of the brain's box in MNI space, mm."""
DEEP_CENTRE_MM = np.array([0.0, -8.0, 8.0])
"""Centre of the ellipsoid that is called deep, MNI mm: between the thalami."""
DEEP_RADII_MM = np.array([36.0, 34.0, 20.0])
"""Radii of that ellipsoid, mm: it holds basal ganglia, thalami and capsules."""
TENTORIUM_MM = -20.0
"""Height of the tentorium 60 mm behind the origin, MNI mm."""
TENTORIUM_BACK_MM = -8.0
"""Position along y, MNI mm, behind which the tentorium lies; in front lie the temporal lobes."""
MIDLINE_MM = 2.0
"""Distance from the midline, mm, up to which a lesion has no side."""


def assign_territory(
    points_mm: FloatArray | Sequence[tuple[float, float, float]], mask: BoolArray, grid: Grid
) -> list[tuple[str, str]]:
    """Return side and territory of points.

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
    list of tuple of str
        Side ``left``, ``right`` or ``midline``; territory ``lobar``, ``deep`` or ``infratentorial``.

    References
    ----------
    Gregoire SM, Chaudhary UJ, Brown MM, et al. The Microbleed Anatomical Rating Scale (MARS): reliability of a tool to
    map brain microbleeds. Neurology 2009;73:1759-1766. doi:10.1212/WNL.0b013e3181c34a7d

    Examples
    --------
    >>> grid = Grid.isotropic((36, 45, 36), 4.0)
    >>> assign_territory([(40.0, 0.0, 40.0), (-10.0, 5.0, 0.0)], np.ones(grid.shape, bool), grid)
    [('right', 'lobar'), ('left', 'deep')]
    """
    return [(_side(p), _territory(p)) for p in to_template(points_mm, mask, grid)]


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


def _territory(point: FloatArray) -> str:
    # The tentorium rises towards the front; in front of the brainstem lie the temporal lobes.
    """Return the territory of a point of the template."""
    behind = point[1] < TENTORIUM_BACK_MM
    if behind and point[2] < TENTORIUM_MM + 0.25 * (point[1] + 60) and (abs(point[0]) < 50 or point[1] < -45):
        return "infratentorial"
    if (((point - DEEP_CENTRE_MM) / DEEP_RADII_MM) ** 2).sum() <= 1:
        return "deep"
    return "lobar"
