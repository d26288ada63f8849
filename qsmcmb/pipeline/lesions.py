"""Rows of one scan's lesions from the results of several stages: the shared end of `run` and `quantify`.

For the map sums the fitted lesions' own field, that of point dipoles, goes without noise through the scan's background
removal and inversion; the map that comes out is the pipeline's response.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from qsmcmb.anatomy.head_regions import HeadRegions, LesionLocation
from qsmcmb.anatomy.side import side_by_mask
from qsmcmb.core.boxes import ball_box
from qsmcmb.lesion import LocatedSource, Microbleed
from qsmcmb.microbleeds.crosscheck.map_sum import ChiMaps, MapSum, sums_over_map
from qsmcmb.microbleeds.measure import MeasuredLesions
from qsmcmb.microbleeds.results.duplicates import duplicate_groups
from qsmcmb.microbleeds.results.measurement import LesionMeasurement, SceneContext, assemble_lesion
from qsmcmb.model import GreScan
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["describe_lesions", "measure_map_sums"]

FIELD_REACH_MM = 40.0
"""Distance up to which a lesion's field goes into the pipeline's response, mm: that of 40 ppm mm3 is 0.1 ppb there."""
UNIT_BALL_RADIUS = 0.62
"""Radius of a ball of unit volume, (3 / (4 pi))^(1/3)."""
MIN_BALL_MM = 1.0
"""Least radius of the ball that stands for a lesion in the response, mm."""


def describe_lesions(
    measured: MeasuredLesions,
    scan: GreScan,
    brain: BoolArray,
    *,
    regions: HeadRegions | None = None,
    map_sums: Sequence[MapSum | None] | None = None,
    limit_ppm_mm3: FloatArray | None = None,
) -> tuple[Microbleed, ...]:
    """Describe each measured point by its fit and by the whole scan.

    Parameters
    ----------
    measured : MeasuredLesions
        Measurements of the points.
    scan : GreScan
        The scan, for its geometry.
    brain : ndarray of shape scan.grid.shape, bool
        Brain mask, for the side where the structures are not known.
    regions : HeadRegions, optional
        Structures of the head; without them region and territory are None.
    map_sums : sequence of MapSum or None, optional
        Sum over the map at each point, ppm mm3, where there is a map.
    limit_ppm_mm3 : ndarray of shape grid.shape, optional
        Detection limit map, ppm mm3.

    Returns
    -------
    tuple of Microbleed
        Rows of the lesion table, in the order of the points.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> none = MeasuredLesions((), np.zeros(grid.shape, np.int32))
    >>> describe_lesions(none, scan, ones > 0)
    ()
    """
    lesions = measured.lesions
    duplicates = {i for group in duplicate_groups(lesions) for i in group}
    positions = np.array([lesion.position_mm for lesion in lesions]).reshape(-1, 3)
    if regions is not None:
        locations = regions.locate(positions)
    else:
        locations = [LesionLocation(side, None, False) for side in side_by_mask(positions, brain, scan.grid)]
    sums = map_sums or [None] * len(lesions)
    contexts = [
        SceneContext(
            map_sum=sums[i],
            detection_limit_ppm_mm3=None if limit_ppm_mm3 is None else _limit_at(lesion, limit_ppm_mm3, scan),
            side=locations[i].side,
            territory=locations[i].territory,
            mars_region=locations[i].mars_region,
            bombs_region=locations[i].bombs_region,
            territory_border=locations[i].at_border,
            is_duplicate=i in duplicates,
            phase_filtered=scan.phase_filtered,
            phase_difference=scan.phase_difference,
            magnitude_is_shared=scan.magnitude_is_shared,
        )
        for i, lesion in enumerate(lesions)
    ]
    return tuple(assemble_lesion(m, context) for m, context in zip(lesions, contexts, strict=True))


def measure_map_sums(
    lesions: Sequence[LesionMeasurement],
    scan: GreScan,
    chi_ppm: FloatArray,
    *,
    response: Callable[[FloatArray], FloatArray],
    mask: BoolArray,
) -> tuple[MapSum | None, ...]:
    """Sum the susceptibility map at each lesion, raw and corrected.

    Parameters
    ----------
    lesions : sequence of LesionMeasurement
        Measurements of the points.
    scan : GreScan
        The scan, for its geometry.
    chi_ppm : ndarray of shape grid.shape
        Susceptibility map, ppm.
    response : callable
        Function that takes a total field (ppm) through the scan's own stages to a susceptibility map (ppm).
    mask : ndarray of shape scan.grid.shape, bool
        Voxels where the map is defined.

    Returns
    -------
    tuple of MapSum or None
        Sums (ppm mm3) in the order of the points; None where there is no number.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> measure_map_sums([], scan, 0 * ones, response=lambda field_ppm: field_ppm, mask=ones > 0)
    ()
    """
    fitted = [lesion.total_chi_ppm_mm3 for lesion in lesions]
    known = [i for i, total in enumerate(fitted) if total is not None and total.value != 0]
    sums: list[MapSum | None] = [None] * len(lesions)
    if not known:
        return tuple(sums)
    field_ppm = np.zeros(scan.grid.shape, np.float32)
    for i in known:
        _add_dipole(field_ppm, scan, lesions[i])
    maps = ChiMaps(chi_ppm=chi_ppm, response_ppm=response(field_ppm), mask=mask, grid=scan.grid)
    positions = [np.array(lesions[i].position_mm) for i in known]
    totals = [total.value for total in (fitted[i] for i in known) if total is not None]
    for i, found in zip(known, sums_over_map(maps, positions, totals), strict=True):
        sums[i] = found
    return tuple(sums)


def _add_dipole(field_ppm: FloatArray, scan: GreScan, lesion: LocatedSource) -> None:
    """Add the field of a lesion, ppm: a ball of at least a voxel's volume, so that the grid can hold it."""
    grid, total = scan.grid, lesion.total_chi_ppm_mm3
    assert total is not None
    centre = grid.to_voxel(np.array(lesion.position_mm))
    box, distance = ball_box(grid, centre, FIELD_REACH_MM)
    along = np.zeros(distance.shape)
    for axis, (s, c) in enumerate(zip(box, centre, strict=True)):
        line = (np.arange(s.start, s.stop) - c) * grid.voxel_size_mm[axis] * grid.b0_dir[axis]
        along = along + line.reshape([-1 if a == axis else 1 for a in range(3)])
    # A ball's field is a point dipole's outside, and 0 inside (with the sphere of Lorentz).
    radius = max(UNIT_BALL_RADIUS * grid.voxel_volume_mm3 ** (1 / 3), MIN_BALL_MM)
    outside = distance > radius
    r = np.maximum(distance, radius)
    field = total.value * (3 * (along / r) ** 2 - 1) / (4 * np.pi * r**3)
    field_ppm[box] += np.where(outside, field, 0).astype(np.float32)


def _limit_at(lesion: LocatedSource, limit_ppm_mm3: FloatArray, scan: GreScan) -> float | None:
    """Return the detection limit map's value at a lesion; None outside the map."""
    voxel = np.rint(scan.grid.to_voxel(np.array(lesion.position_mm))).astype(int)
    inside = np.all(voxel >= 0) and np.all(voxel < scan.grid.shape)
    value = float(limit_ppm_mm3[tuple(voxel)]) if inside else 0.0
    return value if 0 < value < np.inf else None
