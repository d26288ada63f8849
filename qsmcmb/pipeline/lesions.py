"""Lesion records completed with what only several stages together know."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from qsmcmb.core.boxes import ball_around
from qsmcmb.microbleeds.crosscheck.map_sum import Maps, MapSum, sums_over_map
from qsmcmb.microbleeds.measure import MeasuredLesions
from qsmcmb.model import GreScan, Microbleed
from qsmcmb.typing import BoolArray, FloatArray

WINDOW_MM = 40.0


def add_map_sums(
    measured: MeasuredLesions,
    scan: GreScan,
    chi_ppm: FloatArray,
    *,
    response: Callable[[FloatArray], FloatArray],
    mask: BoolArray,
) -> tuple[MeasuredLesions, tuple[MapSum | None, ...]]:
    """Return the lesions with their sums over the map, raw and corrected, and the sums with all they rest on.

    `response` takes a total field (ppm) to a map: the fitted lesions alone go through the scan's own stages.
    """
    fitted = [m.total_chi_ppm_mm3 for m in measured.lesions]
    known = [i for i, f in enumerate(fitted) if f is not None and f.value != 0]
    sums: list[MapSum | None] = [None] * len(fitted)
    if not known:
        return measured, tuple(sums)
    field_ppm = np.zeros(scan.grid.shape, np.float32)
    for i in known:
        _add_dipole(field_ppm, scan, measured.lesions[i])
    maps = Maps(chi_ppm, response(field_ppm), mask, scan.grid)
    places = [np.array(measured.lesions[i].position_mm) for i in known]
    totals = [f.value for f in (fitted[i] for i in known) if f is not None]
    for i, total in zip(known, sums_over_map(maps, places, totals), strict=True):
        sums[i] = total
    lesions = tuple(_with_sum(m, s) for m, s in zip(measured.lesions, sums, strict=True))
    return measured._replace(lesions=lesions), tuple(sums)


def _with_sum(lesion: Microbleed, total: MapSum | None) -> Microbleed:
    if total is None:
        return lesion
    raw = total.raw_ppm_mm3 if np.isfinite(total.raw_ppm_mm3) else None
    corrected = total.corrected.value if total.corrected else None
    flags = lesion.flags if corrected is not None else (*lesion.flags, "map-sum-unreliable")
    return dataclasses.replace(
        lesion, total_chi_sum_raw_ppm_mm3=raw, total_chi_sum_ppm_mm3=corrected, flags=flags
    )


def _add_dipole(field_ppm: FloatArray, scan: GreScan, lesion: Microbleed) -> None:
    """Add the lesion's field: a ball of at least a voxel's size, so that the grid can hold it."""
    grid, moment = scan.grid, lesion.total_chi_ppm_mm3
    assert moment is not None
    centre = grid.to_voxel(np.array(lesion.position_mm))
    box, distance = ball_around(grid, centre, WINDOW_MM)
    along = np.zeros(distance.shape)
    for axis, (s, c) in enumerate(zip(box, centre, strict=True)):
        line = (np.arange(s.start, s.stop) - c) * grid.voxel_size_mm[axis] * grid.b0_dir[axis]
        along = along + line.reshape([-1 if a == axis else 1 for a in range(3)])
    radius = max(0.62 * grid.voxel_volume_mm3 ** (1 / 3), 1.0)
    outside = distance > radius
    r = np.maximum(distance, radius)
    field = moment.value * (3 * (along / r) ** 2 - 1) / (4 * np.pi * r**3)
    field_ppm[box] += np.where(outside, field, 0).astype(np.float32)


def with_detection_limits(
    lesions: Sequence[Microbleed], limit_ppm_mm3: FloatArray, scan: GreScan
) -> tuple[Microbleed, ...]:
    """Return the lesions with the detection limit map's value where they lie; unknown outside the map."""
    out = []
    for lesion in lesions:
        voxel = np.rint(scan.grid.to_voxel(np.array(lesion.position_mm))).astype(int)
        inside = np.all(voxel >= 0) and np.all(voxel < scan.grid.shape)
        value = float(limit_ppm_mm3[tuple(voxel)]) if inside else 0.0
        known = value if 0 < value < np.inf else None
        out.append(dataclasses.replace(lesion, detection_limit_ppm_mm3=known))
    return tuple(out)


def with_territories(
    lesions: Sequence[Microbleed], where: Sequence[tuple[str, str]]
) -> tuple[Microbleed, ...]:
    """Return the lesions with side and territory."""
    pairs = zip(lesions, where, strict=True)
    return tuple(dataclasses.replace(m, side=side, territory=territory) for m, (side, territory) in pairs)
