"""Place of a candidate in the head: its depth below the surface, and its mirror partner across the midline.

Iron of the deep nuclei has a partner on the other side. With the susceptibility map smoothed by a Gaussian, c, and the
sign s of the candidate, the mirror ratio is max(s c) near the mirrored point over max(s c) near the point.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.boxes import ball_box
from qsmcmb.core.midplane import Midplane, find_midplane
from qsmcmb.core.morphology import distance_inside_mm
from qsmcmb.microbleeds.signal.patch import ScanFields
from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray

__all__ = ["HeadFrame", "find_head_frame"]

SMOOTHING_MM = 1.5
"""SD of the Gaussian over the map, mm: a nucleus stays, a voxel's noise does not."""
SURROUNDINGS_MM = 8.0
"""SD of the Gaussian that gives the map's local mean, mm: wider than a nucleus's half width."""
NEAR_MM = 2.0
"""Distance from the point within which its own peak is read, mm."""
PARTNER_MM = 6.0
"""Largest distance from the mirrored point at which its partner is looked for, mm: halves of heads differ so much."""
MIDLINE_MM = 2.5
"""Distance from the midplane, mm, within which a candidate would be its own partner: the ratio is unknown there."""
OWN_MM = 3.0
"""Least distance of a partner from the candidate itself, mm: nearer is the candidate."""
MIN_PEAK_PPM = 0.02
"""Least peak that a partner's is compared with, ppm: about the noise of a map."""
MAX_RATIO = 2.0
"""Largest size of the ratio: beyond it the partner is another thing."""


class HeadFrame(NamedTuple):
    """Depths, midplane and map by which positions in the head are judged."""

    depth_mm: FloatArray
    """Depth below the mask's surface, mm, on the scan's grid."""
    midplane: Midplane
    """Plane between the halves."""
    contrast_ppm: FloatArray | None
    """Smoothed susceptibility map without its local mean, ppm; None without a map."""
    grid: Grid
    """Geometry of the scan."""

    def depth_at(self, point_mm: FloatArray) -> float | None:
        """Return the depth of a point below the mask's surface, mm; None outside the volume.

        Parameters
        ----------
        point_mm : ndarray of shape (3,)
            Point, scanner RAS+ mm.

        Returns
        -------
        float or None
            Depth, mm; 0 outside the mask.
        """
        voxel = np.rint(self.grid.to_voxel(point_mm)).astype(int)
        if (voxel < 0).any() or (voxel >= self.grid.shape).any():
            return None
        return float(self.depth_mm[tuple(voxel)])

    def mirror_ratio(self, point_mm: FloatArray, sign: float) -> float | None:
        """Return the strength of a candidate's mirror partner over its own.

        Parameters
        ----------
        point_mm : ndarray of shape (3,)
            Point, scanner RAS+ mm.
        sign : float
            Sign of the candidate's total susceptibility.

        Returns
        -------
        float or None
            About 1 of a nucleus, about 0 of a lesion; None without a map, or at the midline.
        """
        distance = abs(float(point_mm @ self.midplane.normal) - self.midplane.offset_mm)
        if self.contrast_ppm is None or distance < MIDLINE_MM:
            return None
        own = max(self._peak(point_mm, NEAR_MM, sign), MIN_PEAK_PPM)
        reach = min(PARTNER_MM, 2 * distance - OWN_MM)
        partner = self._peak(self.midplane.mirror(point_mm[None])[0], reach, sign)
        return float(np.clip(partner / own, 0.0, MAX_RATIO))

    def _peak(self, point_mm: FloatArray, radius_mm: float, sign: float) -> float:
        """Return the largest contrast of a sign within a radius of a point, ppm; 0 outside the volume."""
        assert self.contrast_ppm is not None
        reach = max(radius_mm, max(self.grid.voxel_size_mm))
        box, distance = ball_box(self.grid, self.grid.to_voxel(point_mm), reach)
        near = distance <= reach
        return float((sign * self.contrast_ppm[box])[near].max()) if near.any() else 0.0


def find_head_frame(fields: ScanFields, grid: Grid) -> HeadFrame:
    """Find the midplane and the depths of a scan.

    Parameters
    ----------
    fields : ScanFields
        Mask and, where there is one, susceptibility map.
    grid : Grid
        Geometry of the scan.

    Returns
    -------
    HeadFrame
        Depth (mm), midplane, smoothed map (ppm).
    """
    contrast = None if fields.chi_ppm is None else _contrast(fields.chi_ppm, fields.mask, grid)
    depth_mm = distance_inside_mm(fields.mask, grid.voxel_size_mm)
    return HeadFrame(depth_mm, find_midplane(fields.mask, grid), contrast, grid)


def _contrast(chi_ppm: FloatArray, mask: np.ndarray, grid: Grid) -> FloatArray:
    """Return the map smoothed within the mask, less its local mean, ppm."""
    size = np.array(grid.voxel_size_mm)
    inside = mask.astype(np.float32)
    values = np.where(mask, chi_ppm, 0).astype(np.float32)

    def mean(sd_mm: float) -> FloatArray:
        weight = np.maximum(ndimage.gaussian_filter(inside, sd_mm / size), 1e-3)
        return np.asarray(ndimage.gaussian_filter(values, sd_mm / size) / weight)

    return np.where(mask, mean(SMOOTHING_MM) - mean(SURROUNDINGS_MM), 0).astype(np.float32)
