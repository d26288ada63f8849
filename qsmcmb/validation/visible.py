"""What a reader or a threshold sees of a lesion on one image: a region, its volume, its mean."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.model import GreScan, Grid
from qsmcmb.typing import FloatArray

REACH_MM = 9.0
"""Up to which the tissue around is looked at, from SHELL_MM on; further out around what is larger."""
SHELL_MM = 6.0
SEED_MM = 2.5
DARK = 0.7
"""Part of the local tissue's signal below which a lesion is seen on a magnitude image."""
CHI_PPM = 0.1
R2STAR_HZ = 25.0
EQUAL_TE_S, TE_TOLERANCE_S = 0.019, 0.001
"""Echo time at which volumes are compared over field strengths: a region grows with it as it does with the field."""
SEEN_ACROSS_MM = 2.0
"""Least diameter of what a reader calls a microbleed (Greenberg 2009, doi:10.1016/S1474-4422(09)70013-4)."""


class Region(NamedTuple):
    """Volume (mm3) and diameter (mm) of the visible region, 0 where there is none, and its mean over local tissue."""

    volume_mm3: float
    across_mm: float
    """Of the disc that is as large as the region in the slice that shows most of it."""
    mean: float

    @property
    def seen(self) -> bool:
        """Whether a reader would count it."""
        return self.across_mm >= SEEN_ACROSS_MM


NOTHING = Region(0.0, 0.0, float("nan"))


def dark_region(image: FloatArray, grid: Grid, point_mm: FloatArray, *, further_mm: float = 0.0) -> Region:
    """Return what is darker than DARK of the tissue around it, on a magnitude or susceptibility-weighted image."""
    return _region(image, grid, point_mm, lambda values, tissue: values < DARK * tissue, further_mm)


def volume_at_equal_te(scan: GreScan, point_mm: FloatArray) -> float:
    """Return the volume (mm3) of the dark region at EQUAL_TE_S; NaN where no echo is near that."""
    off = np.abs(np.array(scan.te_s) - EQUAL_TE_S)
    echo = int(off.argmin())
    if off[echo] > TE_TOLERANCE_S + 1e-9:
        return float("nan")
    return dark_region(scan.magnitude[echo], scan.grid, point_mm).volume_mm3


def bright_region(
    image: FloatArray, grid: Grid, point_mm: FloatArray, *, above: float, further_mm: float = 0.0
) -> Region:
    """Return what exceeds the tissue around it by `above`, on a map."""
    return _region(image, grid, point_mm, lambda values, tissue: values > tissue + above, further_mm)


def mean_in_ball(image: FloatArray, grid: Grid, point_mm: FloatArray, *, radius_mm: float) -> float:
    """Return the mean over a ball above the median of the shell around it: a reader's region of interest."""
    box, distance = _box(image, grid, point_mm, REACH_MM)
    if not box.size:
        return float("nan")
    shell = (distance > SHELL_MM) & (distance < REACH_MM)
    return float(np.mean(box[distance <= radius_mm], dtype=np.float64) - np.median(box[shell]))


def _box(
    image: FloatArray, grid: Grid, point_mm: FloatArray, reach_mm: float
) -> tuple[FloatArray, FloatArray]:
    """Return the image within reach of a point and the distances in it, empty outside the image."""
    centre = grid.to_voxel(point_mm)
    size = np.array(grid.voxel_size_mm)
    low = np.maximum(np.floor(centre - reach_mm / size).astype(int), 0)
    high = np.minimum(np.ceil(centre + reach_mm / size).astype(int) + 1, grid.shape)
    if np.any(high <= low):
        return np.zeros(0), np.zeros(0)
    axes = [(np.arange(a, b) - c) * v for a, b, c, v in zip(low, high, centre, size, strict=True)]
    distance = np.sqrt(sum(d**2 for d in np.meshgrid(*axes, indexing="ij")))
    return image[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], distance


def _region(image: FloatArray, grid: Grid, point_mm: FloatArray, rule: object, further_mm: float) -> Region:
    reach_mm = REACH_MM + further_mm
    box, distance = _box(image, grid, point_mm, reach_mm)
    if not box.size:
        return NOTHING
    shell = (distance > SHELL_MM + further_mm) & (distance < reach_mm)
    tissue = float(np.median(box[shell]))
    assert callable(rule)
    labels, count = ndimage.label(rule(box, tissue) & (distance < reach_mm - 1))
    near = np.where(labels > 0, distance, np.inf)
    if not count or near.min() > SEED_MM:
        return NOTHING
    region = labels == labels[np.unravel_index(np.argmin(near), near.shape)]
    mean = float(np.mean(box[region], dtype=np.float64)) - tissue
    # Readers look at slices, which lie across the voxels' longest edge; axial ones of a volume.
    size = grid.voxel_size_mm
    across = max((2, 1, 0), key=lambda axis: size[axis])
    slices = region.sum(axis=tuple(axis for axis in range(3) if axis != across))
    area = float(slices.max()) * grid.voxel_volume_mm3 / size[across]
    return Region(float(region.sum() * grid.voxel_volume_mm3), 2 * float(np.sqrt(area / np.pi)), mean)
