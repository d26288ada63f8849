"""Cerebrospinal fluid of the lateral ventricles, found in the scan: a reference for susceptibility maps.

The region is looked for where the template's lateral ventricles lie once the brain's box is laid over the template's.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmcmb.anatomy.side import to_template
from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.morphology import erode
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("find_ventricles",)

ZONE_CENTRE_MM = np.array([0.0, -10.0, 16.0])
"""Centre of the ellipsoid that is searched, MNI mm."""
ZONE_RADII_MM = np.array([34.0, 52.0, 22.0])
"""Radii of that ellipsoid, mm: it holds the lateral ventricles but for their temporal horns."""
ZONE_FLOOR_MM = 2.0
"""Height below which nothing is taken, MNI mm: the third ventricle is narrow, the basal cisterns hold vessels."""
CISTERN_MM = (10.0, -22.0)
"""Distance from the midline and position along y, MNI mm, of what lies behind the third ventricle: its cistern holds
the large veins.
"""
SMOOTHING_MM = 1.0
"""Width of the Gaussian over magnitude and R2*, mm: noise would break the region up."""
MAX_RATE_RATIO = 0.4
"""Largest ratio of R2* to that of the tissue around: fluid has a tenth, half a voxel of it more. Set by trial."""
MIN_BRIGHTNESS = 1.2
"""Least ratio of the fluid's magnitude to that of the tissue around where one echo shows no decay. Set by trial."""
BRIGHTEST_PERCENT = 99.0
"""Percentile of the zone's magnitude that stands for fluid: the ventricles are a tenth of the zone."""
FLUID_FRACTION = 0.75
"""Least fraction of fluid in a voxel, by its magnitude: grey matter lies half way. Set by trial."""
MIN_PART = 0.2
"""Least volume of a connected part, as a fraction of the largest: fluid of a sulcus is less. Set by trial."""
MIN_VOLUME_MM3 = 1000.0
"""Least volume of all parts, mm3: the ventricles of a healthy brain hold 7 mL and more."""
EDGE = 1.01
"""Layer that is taken off, voxels of the shortest edge: it is part tissue."""


def find_ventricles(
    magnitude: FloatArray, r2star_hz: FloatArray | None, mask: BoolArray, grid: Grid
) -> BoolArray:
    """Return fluid of the lateral ventricles: central, connected, of low R2*, bright at the last echo.

    Parameters
    ----------
    magnitude : ndarray of shape (echo, x, y, z)
        Magnitude, any unit.
    r2star_hz : ndarray of shape grid.shape or None
        R2*, 1/s; None for a single echo, where the fluid has to be the brightest of the region.
    mask : ndarray of shape grid.shape, bool
        Brain mask, not empty.
    grid : Grid
        Geometry.

    Returns
    -------
    ndarray of shape grid.shape, bool
        The fluid without its outer layer; empty where the scan shows less than 1 mL of it.

    Examples
    --------
    >>> grid = Grid.isotropic((36, 45, 36), 4.0)
    >>> magnitude = np.ones((1, *grid.shape), np.float32)
    >>> magnitude[0, 14:21, 25:33, 18:23] = 2.0
    >>> int(find_ventricles(magnitude, None, magnitude[0] > 0, grid).sum())
    90
    """
    found = np.zeros(grid.shape, bool)
    box = bounding_box(mask)
    inside = np.ascontiguousarray(mask[box])
    zone = inside & _zone(mask, grid, box)
    if not zone.any():
        return found
    last = _smooth(magnitude[-1][box], inside, grid)
    middle = float(np.median(last[zone]))
    if r2star_hz is None:
        bright = float(np.percentile(last[zone], BRIGHTEST_PERCENT))
        fluid = (
            zone & (last > middle + FLUID_FRACTION * (bright - middle)) & (bright > MIN_BRIGHTNESS * middle)
        )
    else:
        rate = _smooth(r2star_hz[box], inside, grid)
        fluid = zone & (last > middle) & (rate < MAX_RATE_RATIO * float(np.median(rate[zone])))
    found[box] = _large_parts(fluid, grid)
    return found


def _zone(mask: BoolArray, grid: Grid, box: tuple[slice, ...]) -> BoolArray:
    """Return the voxels of the mask's box where lateral ventricles may lie."""
    # The way from voxels to the template is affine, so that four points say it.
    origin, *steps = to_template(grid.to_world(np.concatenate([np.zeros((1, 3)), np.eye(3)])), mask, grid)
    voxels = np.ogrid[box]
    x, y, z = (
        origin[axis] + sum(n * (s[axis] - origin[axis]) for n, s in zip(voxels, steps, strict=True))
        for axis in range(3)
    )
    of_axes = zip((x, y, z), ZONE_CENTRE_MM, ZONE_RADII_MM, strict=True)
    distance2 = sum(((a - c) / r) ** 2 for a, c, r in of_axes)
    beside, behind = CISTERN_MM
    return np.asarray((distance2 <= 1) & (z > ZONE_FLOOR_MM) & ~((np.abs(x) < beside) & (y < behind)))


def _smooth(volume: FloatArray, inside: BoolArray, grid: Grid) -> FloatArray:
    """Return a volume smoothed over the mask alone; 0 outside."""
    sigma = [SMOOTHING_MM / v for v in grid.voxel_size_mm]
    weight = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    total = ndimage.gaussian_filter(np.where(inside, volume, 0).astype(np.float32), sigma)
    return np.divide(total, weight, out=np.zeros_like(total), where=inside)


def _large_parts(fluid: BoolArray, grid: Grid) -> BoolArray:
    """Return the large connected parts without their outer layer; nothing where they are too small."""
    labels, _ = ndimage.label(fluid)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    parts = (sizes >= max(MIN_PART * sizes.max(), 1))[labels]
    if parts.sum() * grid.voxel_volume_mm3 < MIN_VOLUME_MM3:
        return np.zeros_like(parts)
    core = erode(parts, EDGE * min(grid.voxel_size_mm), grid.voxel_size_mm)
    # Voxels as thick as the ventricles have no other layer.
    return core if core.any() else parts
