"""Surroundings of a candidate: what voxels around it say of vessels, edges and iron, without a fit.

All figures are relative to the tissue's level, the median of the patch's voxels more than 4 mm from the point. With
the magnitude S_e of echo e and its level T_e, the darkening of a voxel is d_e = 1 - S_e / T_e.

- darkening: d of the longest echo, 90th percentile within 2 mm;
- growth of the void: 1 - sum(d_first) / sum(d_last) over the voxels within 4 mm that are dark at the longest echo. A
  source that dephases the signal around it gives nearly 1; a void that the first echo shows as dark gives 0;
- continuity of a vessel: over directions u, the largest of the smaller of the means of d along +u and along -u, 3 to
  6 mm from the point, over the darkening; the same with the susceptibility map's contrast. A straight tube through the
  point gives about 1, a ball about 0;
- extent in the map: diameter of the ball of the volume in which the map's contrast exceeds half its peak;
- gradient of the field: size of the slope of the plane that fits the field best, in turns per mm at the longest echo.

All lengths grow with the length scale of the grid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.directions import half_sphere
from qsmcmb.core.polynomials import polynomials
from qsmcmb.microbleeds.signal.patch import Patch, ScanFields
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["Surroundings", "describe_surroundings"]

TISSUE_RADIUS_MM = 4.0
"""Distance from the point beyond which voxels give the tissue's level, mm: beyond most voids."""
CENTRE_RADIUS_MM = 2.0
"""Distance from the point, mm, within which its darkening and its peak in the map are read: points lie within it."""
DARK_PERCENTILE = 90
"""Percentile of the darkening near the point, %, that stands for its darkest part."""
MIN_DARKENING = 0.15
"""Darkening from which a voxel belongs to the void whose growth with TE is measured: above noise and tissue."""
SIDE_DISTANCES_MM = np.array([3.0, 4.0, 5.0, 6.0])
"""Distances from the point, mm, at which a vessel is looked for on either side: beyond a microbleed's void."""
N_DIRECTIONS = 60
"""Number of directions in which a vessel is looked for: about 19 degrees from each to the next."""
SMOOTHING_MM = 0.7
"""SD of the Gaussian over the values that a vessel is looked for in, mm: a vessel may bend by a voxel."""
MIN_CENTRE_DARKENING = 0.1
"""Least darkening that a vessel's continuation is compared with: below it noise would be the measure."""
MIN_CENTRE_PPM = 0.03
"""Least contrast of the map that a vessel's continuation is compared with, ppm: above noise of the map."""
HALF = 0.5
"""Fraction of the peak above which a voxel belongs to the candidate in the map."""
MAX_CONTINUITY = 2.0
"""Largest continuity: beyond it what lies beside the point is another thing than a vessel through it."""
MIN_VOXELS = 30
"""Least number of the tissue's voxels that give a level."""


class Surroundings(NamedTuple):
    """Figures of the voxels around a candidate; None where unknown."""

    darkening: float | None
    """Relative loss of magnitude near the point at the longest echo, 0 to 1."""
    void_growth: float | None
    """Fraction of the lost signal of the longest echo that the first echo does not lose, up to 1."""
    vessel_in_magnitude: float | None
    """Darkening that continues on both sides, over that of the point: about 1 of a straight vessel."""
    vessel_in_map: float | None
    """Contrast of the susceptibility map that continues on both sides, over that of the point."""
    map_peak_ppm: float | None
    """Peak of the map near the point above the tissue around, with its sign, ppm."""
    map_extent_mm: float | None
    """Diameter of the ball of the volume in which the map exceeds half that peak, mm."""
    field_gradient: float | None
    """Slope of the total field, turns per mm at the longest echo."""


UNKNOWN = Surroundings(None, None, None, None, None, None, None)
"""Figures of a point with too little tissue around it."""


def describe_surroundings(patch: Patch, fields: ScanFields, *, sign: float) -> Surroundings:
    """Describe the voxels around a candidate.

    Parameters
    ----------
    patch : Patch
        The scan around the point.
    fields : ScanFields
        Mask and, where there is one, susceptibility map (ppm) of the scan.
    sign : float
        Sign of the candidate's total susceptibility: the map is read with it.

    Returns
    -------
    Surroundings
        None where too little tissue is there, where there is one echo, or no map.
    """
    scale = patch.length_scale
    radius = np.sqrt((patch.coordinates_mm**2).sum(axis=0)) / scale
    # All voxels of the mask, those too that zero filling interpolated.
    around = _Around(
        patch, fields.mask[patch.box] & (radius * scale <= patch.radius_mm) & (patch.signal[0] != 0), radius
    )
    if around.tissue.sum() < MIN_VOXELS or not around.centre.any():
        return UNKNOWN
    dark = around.darkening(-1)
    darkening = float(np.percentile(dark[around.centre], DARK_PERCENTILE))
    found = UNKNOWN._replace(
        darkening=darkening,
        void_growth=_void_growth(around, dark),
        vessel_in_magnitude=_continuity(patch, dark, max(darkening, MIN_CENTRE_DARKENING)),
        field_gradient=_field_gradient(patch),
    )
    if fields.chi_ppm is None:
        return found
    vessel, peak_ppm, extent_mm = _in_map(around, fields.chi_ppm[patch.box], sign)
    return found._replace(vessel_in_map=vessel, map_peak_ppm=peak_ppm, map_extent_mm=extent_mm)


class _Around(NamedTuple):
    """Voxels around a point."""

    patch: Patch
    """The scan around it."""
    usable: BoolArray
    """Voxels of ball and mask."""
    radius: FloatArray
    """Distance from the point over the length scale, mm."""

    @property
    def tissue(self) -> BoolArray:
        """Voxels that give the tissue's level."""
        return self.usable & (self.radius > TISSUE_RADIUS_MM)

    @property
    def centre(self) -> BoolArray:
        """Voxels near the point, one at least."""
        reach = max(CENTRE_RADIUS_MM, max(self.patch.grid.voxel_size_mm) / self.patch.length_scale)
        return self.usable & (self.radius <= reach)

    def darkening(self, echo: int) -> FloatArray:
        """Return the darkening of each voxel at an echo; 0 outside."""
        magnitude = np.abs(self.patch.signal[echo])
        level = max(float(np.median(magnitude[self.tissue])), 1e-12)
        return np.where(self.usable, 1 - magnitude / level, 0.0)


def _void_growth(around: _Around, dark: FloatArray) -> float | None:
    """Return which fraction of the longest echo's lost signal the first echo does not lose."""
    acquisition = around.patch.acquisition
    void = around.usable & (around.radius < TISSUE_RADIUS_MM) & (dark > MIN_DARKENING)
    if len(acquisition.te_s) < 2 or acquisition.phase_alone or not void.any():
        return None
    return float(np.clip(1 - around.darkening(0)[void].sum() / dark[void].sum(), -1, 1))


def _continuity(patch: Patch, values: FloatArray, centre: float) -> float:
    """Return how much of the centre's value continues along the best direction on both sides."""
    size = np.array(patch.grid.voxel_size_mm)
    smooth = ndimage.gaussian_filter(values, SMOOTHING_MM / size)
    origin = np.array([-axis[0] for axis in patch.axes_mm]) / size
    distances = np.concatenate([-SIDE_DISTANCES_MM, SIDE_DISTANCES_MM]) * patch.length_scale
    points = half_sphere(N_DIRECTIONS)[:, None] * distances[:, None] / size + origin
    found = ndimage.map_coordinates(smooth, points.reshape(-1, 3).T, order=1, mode="constant")
    sides = found.reshape(N_DIRECTIONS, 2, len(SIDE_DISTANCES_MM)).mean(axis=2)
    return float(np.clip(sides.min(axis=1).max() / centre, 0, MAX_CONTINUITY))


def _in_map(around: _Around, chi_ppm: FloatArray, sign: float) -> tuple[float, float, float]:
    """Return what the susceptibility map shows of a vessel, its peak (ppm), and its extent (mm)."""
    contrast = np.where(around.usable, sign * (chi_ppm - np.median(chi_ppm[around.tissue])), 0.0)
    peak = float(contrast[around.centre].max())
    above = contrast > HALF * max(peak, MIN_CENTRE_PPM)
    labels, _ = ndimage.label(above)
    nearest = int(np.argmin(np.where(above, around.radius, np.inf)))
    number = labels.ravel()[nearest]
    n_voxels = float((labels == number).sum()) if number else 0.0
    volume_mm3 = n_voxels * around.patch.grid.voxel_volume_mm3
    continuity = _continuity(around.patch, contrast, max(peak, MIN_CENTRE_PPM))
    return continuity, sign * peak, float((6 * volume_mm3 / np.pi) ** (1 / 3))


def _field_gradient(patch: Patch) -> float:
    """Return the slope of the plane that fits the field best, turns per mm at the longest echo."""
    plane = polynomials(patch.coordinates_mm[:, patch.inside], 1)
    slope_hz = np.linalg.lstsq(plane, patch.field_hz[patch.inside].astype(float), rcond=None)[0][1:]
    return float(np.linalg.norm(slope_hz) * max(patch.acquisition.te_s))
