"""The region of a lesion that a reader or a threshold sees on one image, with its volume and mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.boxes import ball_box
from qsmcmb.model import GreScan, Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("EQUAL_TE_S",)

REACH_MM = 9.0
"""Distance up to which the tissue around is looked at, mm, from SHELL_MM on; further out around larger lesions."""
SHELL_MM = 6.0
"""Distance from which the tissue around is looked at, mm: past the blooming of a microbleed."""
MAX_OFFSET_MM = 2.5
"""Largest distance of the region from the given point, mm: what lies further is another structure."""
DARK_FRACTION = 0.7
"""Fraction of the local tissue's signal below which a lesion is seen on a magnitude image."""
CHI_PPM = 0.1
"""Susceptibility above the local tissue's, ppm, from which a lesion is seen on a map: above all tissue but nuclei."""
R2STAR_HZ = 25.0
"""R2* above the local tissue's, 1/s, from which a lesion is seen on an R2* map: as much again as white matter has at 3
T.
"""
EQUAL_TE_S, TE_TOLERANCE_S = 0.019, 0.001
"""Echo time at which volumes are compared over field strengths, s, and how far off an echo may be, s: a region grows
with it as it does with the field.
"""
MIN_SEEN_DIAMETER_MM = 2.0
"""Least diameter, mm, of what a reader calls a microbleed (Greenberg 2009, doi:10.1016/S1474-4422(09)70013-4)."""

Rule = Callable[[FloatArray, float], BoolArray]
"""Rule that says which values, beside that of the local tissue, belong to a region."""


class Region(NamedTuple):
    """The visible region of a lesion: volume (mm3), diameter (mm) and mean above the local tissue; 0 and NaN where
    there is none.

    The diameter is that of the disc that is as large as the region in the slice that shows most of it.
    """

    volume_mm3: float
    diameter_mm: float
    mean: float

    @property
    def seen(self) -> bool:
        """Whether a reader would count it."""
        return self.diameter_mm >= MIN_SEEN_DIAMETER_MM


NOTHING = Region(0.0, 0.0, float("nan"))
"""The region where nothing is visible."""


def dark_region(image: FloatArray, grid: Grid, point_mm: FloatArray, *, further_mm: float = 0.0) -> Region:
    """Return what is darker than the tissue around it, on a magnitude or susceptibility-weighted image."""
    return _region(image, grid, point_mm, lambda values, tissue: values < DARK_FRACTION * tissue, further_mm)


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
    box, distance = ball_box(grid, grid.to_voxel(point_mm), REACH_MM)
    values, shell = image[box], (distance > SHELL_MM) & (distance < REACH_MM)
    if not shell.any():
        return float("nan")
    return float(np.mean(values[distance <= radius_mm], dtype=np.float64) - np.median(values[shell]))


def _region(image: FloatArray, grid: Grid, point_mm: FloatArray, rule: Rule, further_mm: float) -> Region:
    """Return the region by a rule that lies at the point."""
    reach_mm = REACH_MM + further_mm
    box, distance = ball_box(grid, grid.to_voxel(point_mm), reach_mm)
    values, shell = image[box], (distance > SHELL_MM + further_mm) & (distance < reach_mm)
    if not shell.any():
        return NOTHING
    tissue = float(np.median(values[shell]))
    labels, count = ndimage.label(rule(values, tissue) & (distance < reach_mm - 1))
    near = np.where(labels > 0, distance, np.inf)
    if not count or near.min() > MAX_OFFSET_MM:
        return NOTHING
    region = labels == labels[np.unravel_index(np.argmin(near), near.shape)]
    mean = float(np.mean(values[region], dtype=np.float64)) - tissue
    # Readers look at slices, which lie across the voxels' longest edge; axial ones of a volume.
    size = grid.voxel_size_mm
    across = max((2, 1, 0), key=lambda axis: size[axis])
    slices = region.sum(axis=tuple(axis for axis in range(3) if axis != across))
    area = float(slices.max()) * grid.voxel_volume_mm3 / size[across]
    return Region(float(region.sum() * grid.voxel_volume_mm3), 2 * float(np.sqrt(area / np.pi)), mean)
