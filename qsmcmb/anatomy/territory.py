"""Territory by a first simple rule: the brain's bounding box is laid over the template's, then boxes decide.

The template's box and the structures' positions are those of MNI space. The rule errs near borders; an atlas
registration is what a study would use.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

TEMPLATE_LOW_MM = np.array([-71.0, -106.0, -62.0])
TEMPLATE_HIGH_MM = np.array([71.0, 73.0, 81.0])
DEEP_CENTRE_MM = np.array([0.0, -8.0, 8.0])
DEEP_RADII_MM = np.array([36.0, 34.0, 20.0])
TENTORIUM_MM = -20.0
TENTORIUM_BACK_MM = -8.0
MIDLINE_MM = 2.0


def assign_territory(
    points_mm: FloatArray | Sequence[tuple[float, float, float]], mask: BoolArray, grid: Grid
) -> list[tuple[str, str]]:
    """Return (side, territory) of each point.

    Parameters
    ----------
    points_mm : ndarray of shape (n, 3)
        Scanner RAS+ mm.
    mask : ndarray of bool
        Brain mask.
    grid : Grid
        Geometry.

    Returns
    -------
    list of tuple of str
        Side ``left``, ``right`` or ``midline``; territory ``lobar``, ``deep`` or ``infratentorial``.
    """
    voxels = np.argwhere(mask).astype(np.float64)
    world = grid.to_world(voxels[:: max(1, len(voxels) // 20000)])
    low, high = np.percentile(world, 0.2, axis=0), np.percentile(world, 99.8, axis=0)
    scale = (TEMPLATE_HIGH_MM - TEMPLATE_LOW_MM) / (high - low)
    template = (np.asarray(points_mm, dtype=float).reshape(-1, 3) - low) * scale + TEMPLATE_LOW_MM
    return [(_side(p), _territory(p)) for p in template]


def _side(point: FloatArray) -> str:
    if abs(point[0]) < MIDLINE_MM:
        return "midline"
    return "right" if point[0] > 0 else "left"


def _territory(point: FloatArray) -> str:
    # The tentorium rises towards the front; in front of the brainstem lie the temporal lobes.
    behind = point[1] < TENTORIUM_BACK_MM
    if behind and point[2] < TENTORIUM_MM + 0.25 * (point[1] + 60) and (abs(point[0]) < 50 or point[1] < -45):
        return "infratentorial"
    if (((point - DEEP_CENTRE_MM) / DEEP_RADII_MM) ** 2).sum() <= 1:
        return "deep"
    return "lobar"
