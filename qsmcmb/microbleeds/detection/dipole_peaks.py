"""Peaks of the matched dipole filter on the local field, where the magnitude is dark and round.

The susceptibility map is not needed: where an inversion smooths a lesion away, as in thick slices, its dipole is in the
field all the same. With the filter's M and SD at the peak (`dipole_filter`), the darkness d against the local mean, and
the ratio r of the contrast 4 mm around the peak to that at it, the geometric mean of magnitude and map,

    score = (1 - exp(-M / 2)) min(d / 0.4, 1) (0.25 / max(r, 0.25)) g(z).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.length_scale import length_scale
from qsmcmb.microbleeds.detection.dipole_filter import field_data, filter_field
from qsmcmb.microbleeds.detection.examined import ExaminedPoint, Gate
from qsmcmb.microbleeds.detection.regions import Judged, Limits
from qsmcmb.microbleeds.detection.scene import (
    FULL_DARKENING,
    NEIGHBOURS,
    ROUND_SHELL_RATIO,
    Scene,
    brightest_neighbours,
    darkness,
    shell_around,
    size_term,
    surface_term,
)
from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray, IntArray

__all__: tuple[str, ...] = ()

MIN_PEAK_SD = 4.0
"""Least total susceptibility of a peak, in its SDs: below the detection limit's 5, since lesions not known yet are
clutter to each other."""
MIN_EXAMINED_SD = 2.5
"""Total susceptibility, in its SDs, from which a peak is recorded."""
OPPOSITE_MM = 4.0
"""Radius, mm, times the length scale, in which a stronger dipole of the other sign makes a peak its side lobe."""
MAX_OPPOSITE = 1.3
"""Largest ratio of that dipole to the peak: side lobes are less than half as strong."""
MAX_CLUTTER_SD = 3.0
"""Largest output of the filter, in SDs of all tissue, that enters its local variance: lesions are no clutter."""
PEAK_MM = 2.0
"""Radius, mm, times the length scale, in which a peak is the largest value."""
MAX_SHELL_RATIO = 0.3
"""Largest ratio r of a candidate: veins have 0.3 to 0.8."""
MAX_DARK_SHELL_RATIO, DARK_SHELL_SD = 0.45, 7.5
"""Largest ratio where the map shows nothing: that of the magnitude alone, the geometric mean of the largest and the
90th percentile; of dipoles of more SDs in proportion to these."""
MIN_MAP_CONTRAST_PPM = 0.06
"""Contrast of the map at the peak, ppm, from which the map tells how round it is: half of the lowest threshold."""
REACH_PPM_MM3 = 8.0
"""Total susceptibility above which the shell moves out with its cube root, as the void does, ppm mm3."""
MAX_RECORDED = 1000
"""Largest number of peaks that are judged, the most significant ones."""


class _Peaks(NamedTuple):
    """Peaks, each an array by peak."""

    voxel: FloatArray
    """Centres, fractional voxel indices, (n, 3)."""
    total_ppm_mm3: FloatArray
    significance: FloatArray
    opposite: FloatArray
    """Ratio of the strongest dipole of the other sign within OPPOSITE_MM to the peak."""
    darkening: FloatArray
    shell: FloatArray
    max_shell: FloatArray
    depth_mm: FloatArray
    """Depth, mm, in voxels where these are larger than 1 mm: the filter needs some tissue around."""


def find_dipole_peaks(
    scene: Scene, local_field_ppm: FloatArray, field_sd_ppm: FloatArray, grid: Grid, limits: Limits
) -> list[Judged]:
    """Return the peaks that are candidates or came close, each with the gate that it failed."""
    peaks = _find_peaks(scene, local_field_ppm, field_sd_ppm, grid)
    return [_judge(peaks, i, limits) for i in range(len(peaks.voxel))]


def _find_peaks(scene: Scene, local_field_ppm: FloatArray, field_sd_ppm: FloatArray, grid: Grid) -> _Peaks:
    """Return the most significant peaks with their features."""
    data = field_data(local_field_ppm, scene.mask, grid, field_sd_ppm)
    filtered = filter_field(data, max_clutter_sd=MAX_CLUTTER_SD)
    significance = np.where(
        filtered.informed, filtered.total_ppm_mm3 / np.sqrt(np.maximum(filtered.variance, 1e-30)), 0
    )
    window = _window(PEAK_MM, grid)
    is_peak = (significance > MIN_EXAMINED_SD) & (
        significance == ndimage.maximum_filter(significance, size=window)
    )
    lowest = ndimage.minimum_filter(significance, size=_window(OPPOSITE_MM, grid))
    inside = np.argwhere(is_peak)
    at = significance[is_peak]
    order = np.argsort(-at, kind="stable")[:MAX_RECORDED]
    voxel = inside[order] + [s.start for s in data.box]
    dark = darkness(scene)
    darkest = brightest_neighbours(dark, voxel) if len(voxel) else voxel
    total = filtered.total_ppm_mm3[is_peak][order]
    reach = np.cbrt(np.maximum(total / REACH_PPM_MM3, 1))
    on_magnitude = shell_around(dark, voxel, scene.size, reach=reach)
    on_map = shell_around(scene.contrast_ppm, voxel, scene.size, reach=reach)
    shown = on_map.at >= MIN_MAP_CONTRAST_PPM
    return _Peaks(
        voxel=_centres(significance, inside[order]) + [s.start for s in data.box],
        total_ppm_mm3=total,
        significance=at[order],
        opposite=-lowest[is_peak][order] / at[order],
        darkening=dark[tuple(darkest.T)],
        shell=np.sqrt(on_magnitude.largest * np.where(shown, on_map.largest, on_magnitude.upper)),
        max_shell=np.where(
            shown, MAX_SHELL_RATIO, MAX_DARK_SHELL_RATIO * np.maximum(at[order] / DARK_SHELL_SD, 1)
        ),
        depth_mm=scene.depth_mm[tuple(voxel.T)] / max(1.0, grid.voxel_volume_mm3 ** (1 / 3)),
    )


def _window(radius_mm: float, grid: Grid) -> list[int]:
    """Return the edges, voxels, of a box around a voxel, of a radius times the length scale."""
    return [2 * max(1, round(radius_mm * length_scale(grid) / v)) + 1 for v in grid.voxel_size_mm]


def _centres(significance: FloatArray, peaks: IntArray) -> FloatArray:
    """Return the centres of mass of what stands out beyond half of each peak, in it and its neighbours."""
    if not len(peaks):
        return np.zeros((0, 3))
    around = np.clip(peaks[:, None] + NEIGHBOURS, 0, np.array(significance.shape) - 1)
    values = significance[tuple(np.moveaxis(around, -1, 0))]
    weight = np.maximum(values - 0.5 * values.max(axis=1, keepdims=True), 0)
    return np.asarray((weight[..., None] * around).sum(axis=1) / weight.sum(axis=1)[:, None])


def _judge(peaks: _Peaks, i: int, limits: Limits) -> Judged:
    """Return a peak with the first gate that it fails."""
    total, significance, opposite, dark, shell, max_shell, depth_mm = (float(v[i]) for v in peaks[1:])
    x, y, z = (float(v) for v in peaks.voxel[i])
    score = float(size_term(total) * surface_term(depth_mm))
    score *= float(np.clip(dark / FULL_DARKENING, 0, 1)) * ROUND_SHELL_RATIO / max(shell, ROUND_SHELL_RATIO)
    gates = (
        (significance >= MIN_PEAK_SD, Gate.WEAK_DIPOLE, significance, MIN_PEAK_SD),
        (opposite <= MAX_OPPOSITE, Gate.OTHER_SIGN, opposite, MAX_OPPOSITE),
        (dark >= limits.min_darkening, Gate.NOT_DARK, dark, limits.min_darkening),
        (shell <= max_shell, Gate.NOT_ROUND, shell, max_shell),
        (score >= limits.min_score, Gate.SCORE, score, limits.min_score),
    )
    failed = next(((gate, found, needed) for passed, gate, found, needed in gates if not passed), None)
    gate, found, needed = failed or (None, None, None)
    point = ExaminedPoint(
        (0.0, 0.0, 0.0), test="dipole", gate=gate, found=found, needed=needed, score=score, total_ppm_mm3=total,
        significance=significance, darkening=dark, shell_ratio=shell, depth_mm=depth_mm,
    )  # fmt: skip
    return Judged((x, y, z), point)
