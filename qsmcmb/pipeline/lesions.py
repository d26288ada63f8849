"""Lesion records completed with what only several stages together know."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from qsmcmb.microbleeds.quantify import Measured
from qsmcmb.microbleeds.shape import SUM_RADIUS_MM
from qsmcmb.model import GreScan, Microbleed
from qsmcmb.typing import BoolArray, FloatArray

WINDOW_MM = 40.0
MIN_RESPONSE = 0.3


def correct_sums(
    measured: Measured,
    scan: GreScan,
    inversion: Callable[[FloatArray], FloatArray],
    mask: BoolArray,
) -> Measured:
    """Divide each map sum by the inversion's own response: the fitted lesions alone, through the same inversion."""
    if not measured.lesions:
        return measured
    field_ppm = np.zeros(scan.grid.shape, np.float32)
    for lesion in measured.lesions:
        if lesion.total_chi_ppm_mm3:
            _add_dipole(field_ppm, scan, lesion)
    if not field_ppm.any():
        return measured
    chi_ppm = inversion(np.where(mask, field_ppm, 0).astype(np.float32))
    lesions = tuple(_corrected(m, scan, chi_ppm) for m in measured.lesions)
    return measured._replace(lesions=lesions)


def _corrected(lesion: Microbleed, scan: GreScan, chi_ppm: FloatArray) -> Microbleed:
    raw, fitted = lesion.total_chi_sum_raw_ppm_mm3, lesion.total_chi_ppm_mm3
    if raw is None or fitted is None or not np.isfinite(raw) or fitted.value == 0:
        return lesion
    box, distance = _around(scan, lesion, 12.0)
    shell = (distance > SUM_RADIUS_MM + 0.5) & (distance < SUM_RADIUS_MM + 3.5)
    ball = distance <= SUM_RADIUS_MM
    background = np.median(chi_ppm[box][shell])
    total = float((chi_ppm[box][ball] - background).sum(dtype=np.float64) * scan.grid.voxel_volume_mm3)
    response = total / fitted.value
    if response < MIN_RESPONSE:
        return dataclasses.replace(lesion, flags=(*lesion.flags, "map-sum-unreliable"))
    return dataclasses.replace(lesion, total_chi_sum_ppm_mm3=raw / response)


def _around(
    scan: GreScan, lesion: Microbleed, radius_mm: float
) -> tuple[tuple[slice, slice, slice], FloatArray]:
    """Return the box within `radius_mm` of a lesion and the distances in it, mm."""
    grid = scan.grid
    centre = grid.to_voxel(np.array(lesion.position_mm))
    slices, axes = [], []
    for c, v, n in zip(centre, grid.voxel_size_mm, grid.shape, strict=True):
        first, last = max(0, int(c - radius_mm / v)), min(n, int(c + radius_mm / v) + 2)
        slices.append(slice(first, last))
        axes.append((np.arange(first, last) - c) * v)
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return (slices[0], slices[1], slices[2]), np.sqrt(x**2 + y**2 + z**2)


def _add_dipole(field_ppm: FloatArray, scan: GreScan, lesion: Microbleed) -> None:
    """Add the lesion's field: a ball of at least a voxel's size, so that the grid can hold it."""
    grid, moment = scan.grid, lesion.total_chi_ppm_mm3
    assert moment is not None
    box, distance = _around(scan, lesion, WINDOW_MM)
    centre = grid.to_voxel(np.array(lesion.position_mm))
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
