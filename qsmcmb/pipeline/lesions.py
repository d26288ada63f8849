"""Lesions of one scan completed with what several stages together know: the shared tail of `run` and `quantify`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from qsmcmb.anatomy.territory import assign_territory
from qsmcmb.core.boxes import ball_box
from qsmcmb.microbleeds.crosscheck.map_sum import ChiMaps, MapSum, sums_over_map
from qsmcmb.microbleeds.measure import MeasuredLesions
from qsmcmb.microbleeds.results.duplicates import duplicate_groups
from qsmcmb.microbleeds.results.measurement import LesionMeasurement, SceneContext, assemble_lesion
from qsmcmb.model import GreScan, LocatedSource, Microbleed
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["describe_lesions", "measure_map_sums"]

WINDOW_MM = 40.0
"""Reach of a lesion's field in the pipeline's response, mm: the field of 50 ppm mm3 is below 0.1 ppb beyond it."""


def describe_lesions(
    measured: MeasuredLesions,
    scan: GreScan,
    brain: BoolArray,
    *,
    map_sums: Sequence[MapSum | None] | None = None,
    limit_ppm_mm3: FloatArray | None = None,
) -> tuple[Microbleed, ...]:
    """Describe each measured point by what its fit and the whole scan say of it.

    Parameters
    ----------
    measured : MeasuredLesions
        The points.
    scan : GreScan
        Gives the geometry.
    brain : ndarray of bool
        Brain mask, for the territories.
    map_sums : sequence of MapSum or None, optional
        Sum over the map at each point, where there is a map.
    limit_ppm_mm3 : ndarray of shape grid.shape, optional
        Detection limit map, ppm mm3.

    Returns
    -------
    tuple of Microbleed
        In the order of the points.
    """
    lesions = measured.lesions
    duplicates = {i for group in duplicate_groups(lesions) for i in group}
    where = assign_territory([lesion.position_mm for lesion in lesions], brain, scan.grid)
    sums = map_sums or [None] * len(lesions)
    contexts = [
        SceneContext(
            map_sum=sums[i],
            detection_limit_ppm_mm3=None if limit_ppm_mm3 is None else _limit_at(lesion, limit_ppm_mm3, scan),
            side=where[i][0],
            territory=where[i][1],
            is_duplicate=i in duplicates,
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
        The points.
    scan : GreScan
        Gives the geometry.
    chi_ppm : ndarray of shape grid.shape
        Susceptibility map, ppm.
    response : callable
        Takes a total field (ppm) to a map: the fitted lesions alone go through the scan's own stages.
    mask : ndarray of bool
        Where the map is defined.

    Returns
    -------
    tuple of MapSum or None
        In the order of the points; None where there is no number.
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
    """Add the lesion's field: a ball of at least a voxel's size, so that the grid can hold it."""
    grid, total = scan.grid, lesion.total_chi_ppm_mm3
    assert total is not None
    centre = grid.to_voxel(np.array(lesion.position_mm))
    box, distance = ball_box(grid, centre, WINDOW_MM)
    along = np.zeros(distance.shape)
    for axis, (s, c) in enumerate(zip(box, centre, strict=True)):
        line = (np.arange(s.start, s.stop) - c) * grid.voxel_size_mm[axis] * grid.b0_dir[axis]
        along = along + line.reshape([-1 if a == axis else 1 for a in range(3)])
    # 0.62 is the radius of a ball of unit volume.
    radius = max(0.62 * grid.voxel_volume_mm3 ** (1 / 3), 1.0)
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
