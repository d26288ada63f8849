"""Visible void: the dark region around a lesion on the magnitude of the longest echo.

A voxel is dark where the magnitude lies below 0.7 of the median of the tissue around. The void is the connected dark
region nearest to the point; its diameter is that of the ball of equal volume, (6 V / pi)^(1/3). It grows with field
strength and echo time, though the lesion does not. A ball that is dark throughout lies within something larger, such
as a haematoma, whose edge the fit does not see.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.boxes import ball_box
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.model import GreScan
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["VisibleVoid", "dark_beyond_ball", "measure_void"]

MAX_DARK_RATIO = 0.7
"""Ratio of a voxel's magnitude to the tissue's below which it is dark; also that of `validation.visible`."""
TISSUE_RADIUS_MM = 4.0
"""Distance from the point beyond which the patch's voxels give the tissue's level, mm: beyond most voids."""
MAX_START_DISTANCE_MM = 3.0
"""Largest distance of the void's nearest voxel from the point, mm: points are given within about 2 mm."""
EDGE_MARGIN_MM = 1.0
"""Distance from the patch's edge within which no voxel is dark, mm: a void that reaches it has no known size."""
MIN_DARK_FRACTION = 0.9
"""Least dark fraction of the ball around a point that lies within something larger."""
REFERENCE_REACH_MM = (2.0, 16.0)
"""Inner and outer distance beyond the ball of the tissue that it is compared with, mm: a haematoma of 13 mm radius
fills a nearer shell itself."""
MIN_FRACTION_IN_MASK = 0.5
"""Least fraction of the ball in the mask for the comparison."""
MIN_VOXELS = 50
"""Least number of voxels of the tissue that the ball is compared with."""


class VisibleVoid(NamedTuple):
    """Void of a lesion on the magnitude of the longest echo."""

    volume_mm3: float
    """Volume of the void, mm3; 0 where none is seen."""
    diameter_mm: float
    """Diameter of the ball of this volume, mm."""
    mask: BoolArray
    """Voxels of the void in the patch's box."""


def measure_void(patch: Patch) -> VisibleVoid:
    """Measure the dark region around the point of a patch.

    Parameters
    ----------
    patch : Patch
        The scan around the point; the magnitude of its longest echo is used.

    Returns
    -------
    VisibleVoid
        Volume (mm3), diameter (mm) and voxels; 0 and no voxel where none within 3 mm of the point is dark.
    """
    magnitude = np.abs(patch.signal[-1])
    radius = np.sqrt((patch.coordinates_mm**2).sum(axis=0))
    shell = patch.inside & (radius > TISSUE_RADIUS_MM)
    level = float(np.median(magnitude[shell])) if shell.any() else 0.0
    dark = patch.inside & (magnitude < MAX_DARK_RATIO * level) & (radius < patch.radius_mm - EDGE_MARGIN_MM)
    labels, count = ndimage.label(dark)
    if not count:
        return VisibleVoid(0.0, 0.0, np.zeros_like(dark))
    distance = np.where(labels > 0, radius, np.inf)
    nearest = np.unravel_index(np.argmin(distance), distance.shape)
    if distance[nearest] > MAX_START_DISTANCE_MM:
        return VisibleVoid(0.0, 0.0, np.zeros_like(dark))
    void = labels == labels[nearest]
    volume = float(void.sum() * patch.grid.voxel_volume_mm3)
    return VisibleVoid(volume, float((6 * volume / np.pi) ** (1 / 3)), void)


def dark_beyond_ball(scan: GreScan, voxel: FloatArray, mask: BoolArray, radius_mm: float) -> bool:
    """Return whether a whole ball is dark against the tissue beyond it, as inside a haematoma.

    Parameters
    ----------
    scan : GreScan
        The scan; the magnitude of its longest echo is used.
    voxel : ndarray of shape (3,)
        Centre of the ball, fractional voxel indices.
    mask : ndarray of shape scan.grid.shape, bool
        Brain mask.
    radius_mm : float
        Radius of the ball, mm, > 0.

    Returns
    -------
    bool
        True where more than 90 % of the ball's voxels in the mask are dark; False where too little of ball or tissue
        lies in the mask.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((60, 60, 60), 1.0)
    >>> x, y, z = np.indices(grid.shape) - 30.0
    >>> magnitude = np.where(x**2 + y**2 + z**2 < 12**2, 0.1, 1.0)[None].astype(np.float32)
    >>> scan = GreScan(np.zeros_like(magnitude), magnitude, (0.02,), 3.0, grid)
    >>> dark_beyond_ball(scan, np.full(3, 30.0), np.ones(grid.shape, bool), 8.0)
    True
    """
    grid, reach_mm = scan.grid, radius_mm + REFERENCE_REACH_MM[1]
    box, distance = ball_box(grid, voxel, reach_mm)
    magnitude = scan.magnitude[-1][box]
    usable = mask[box] & (magnitude > 0)
    ball = usable & (distance < radius_mm)
    reference = usable & (distance > radius_mm + REFERENCE_REACH_MM[0]) & (distance < reach_mm)
    fraction_in_mask = ball.sum() * grid.voxel_volume_mm3 / (4 / 3 * np.pi * radius_mm**3)
    if reference.sum() < MIN_VOXELS or fraction_in_mask < MIN_FRACTION_IN_MASK:
        return False
    return bool(
        np.mean(magnitude[ball] < MAX_DARK_RATIO * np.median(magnitude[reference])) > MIN_DARK_FRACTION
    )
