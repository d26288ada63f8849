"""What is visible of a lesion on the magnitude of the longest echo, and whether that is too large to be fitted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.boxes import ball_box
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.model import GreScan
from qsmcmb.typing import BoolArray, FloatArray

VOID = 0.7
FILLED = 0.9
"""Part of the ball around a lesion that is dark where it lies within something larger."""
REFERENCE_REACH_MM = (2.0, 16.0)
"""Shell beyond the ball whose tissue it is compared with."""
MIN_FRACTION_IN_MASK = 0.5
MIN_VOXELS = 50


class VisibleVoid(NamedTuple):
    """Visible lesion on the magnitude of the longest echo."""

    volume_mm3: float
    diameter_mm: float
    mask: BoolArray


def measure_void(patch: Patch) -> VisibleVoid:
    """Return the dark region around the point: below VOID of the local tissue on the longest echo.

    The diameter is that of the ball of equal volume, mm.
    """
    magnitude = np.abs(patch.signal[-1])
    radius = np.sqrt((patch.coordinates_mm**2).sum(axis=0))
    shell = patch.inside & (radius > 4.0)
    level = float(np.median(magnitude[shell])) if shell.any() else 0.0
    dark = patch.inside & (magnitude < VOID * level) & (radius < patch.radius_mm - 1)
    labels, count = ndimage.label(dark)
    if not count:
        return VisibleVoid(0.0, 0.0, np.zeros_like(dark))
    distance = np.where(labels > 0, radius, np.inf)
    nearest = np.unravel_index(np.argmin(distance), distance.shape)
    if distance[nearest] > 3.0:
        return VisibleVoid(0.0, 0.0, np.zeros_like(dark))
    void = labels == labels[nearest]
    volume = float(void.sum() * patch.grid.voxel_volume_mm3)
    return VisibleVoid(volume, float((6 * volume / np.pi) ** (1 / 3)), void)


def dark_beyond_ball(scan: GreScan, voxel: FloatArray, mask: BoolArray, radius_mm: float) -> bool:
    """Whether all of a ball around a point is dark against the tissue beyond it: a haematoma, of which it sees no edge.

    Parameters
    ----------
    scan : GreScan
        The magnitude of its longest echo is looked at.
    voxel : ndarray of shape (3,)
        The point, fractional voxel indices.
    mask : ndarray of bool
        Brain mask.
    radius_mm : float
        Of the ball.
    """
    grid, reach_mm = scan.grid, radius_mm + REFERENCE_REACH_MM[1]
    box, distance = ball_box(grid, voxel, reach_mm)
    magnitude = scan.magnitude[-1][box]
    usable = mask[box] & (magnitude > 0)
    ball = usable & (distance < radius_mm)
    around = usable & (distance > radius_mm + REFERENCE_REACH_MM[0]) & (distance < reach_mm)
    fraction_in_mask = ball.sum() * grid.voxel_volume_mm3 / (4 / 3 * np.pi * radius_mm**3)
    if around.sum() < MIN_VOXELS or fraction_in_mask < MIN_FRACTION_IN_MASK:
        return False
    return bool(np.mean(magnitude[ball] < VOID * np.median(magnitude[around])) > FILLED)
