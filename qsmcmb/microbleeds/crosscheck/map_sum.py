"""Total susceptibility as a sum over the map, corrected by what the pipeline itself makes of the fitted lesion.

The sum over a ball grows with its radius to a plateau; how far it must reach, and how much of the lesion the map then
holds, the pipeline's response tells: the fitted lesions' own field, without noise, through the same background removal
and inversion. A ball that reaches just so far takes in the least of the tissue around it, which is what limits the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.core.boxes import ball_box
from qsmcmb.model import Estimate, Grid
from qsmcmb.typing import BoolArray, FloatArray

STEP_MM = 0.5
MIN_RADIUS_MM = 2.0
MAX_RADIUS_MM = 6.0
PLATEAU = 0.95
"""The ball reaches where the response's growth curve first has this part of its highest value."""
GAP_VOXELS = 2.0
SHELL_MM = 2.5
MIN_SHELL_VOXELS = 30
MIN_RESPONSE = 0.3
"""Below this the map holds too little of the lesion to divide by."""
RESPONSE_ERROR = 0.1
"""Relative SD of the response: the fitted ball is not the lesion."""
ISOLATED_MM = 12.0
REFERENCE_REACH_MM = 16.0
REFERENCE_STEP_MM = 4.0
MIN_REFERENCE_PATCHES = 8


class MapSum(NamedTuple):
    """Sum over the map at one lesion."""

    raw_ppm_mm3: float
    corrected: Estimate | None
    """None where the map holds too little of the lesion."""
    response: float
    """Part of the fitted total susceptibility that the pipeline's response holds in the same ball."""
    radius_mm: float
    radii_mm: FloatArray
    growth_ppm_mm3: FloatArray
    """S(R): the sum over a ball of radius R above its local background; NaN where that is unknown."""
    response_growth_ppm_mm3: FloatArray


class ChiMaps(NamedTuple):
    """Susceptibility map and the response to the fitted lesions (ppm), where both are defined."""

    chi_ppm: FloatArray
    response_ppm: FloatArray
    mask: BoolArray
    grid: Grid


def sum_over_map(
    maps: ChiMaps, position_mm: FloatArray, fitted_ppm_mm3: float, *, usual: float | None = None
) -> MapSum:
    """Return the map's sum at a lesion, raw and corrected.

    Parameters
    ----------
    maps : ChiMaps
        Map and response.
    position_mm : ndarray of shape (3,)
        The lesion's centre, scanner RAS+ mm.
    fitted_ppm_mm3 : float
        Total susceptibility that went into the response.
    usual : float, optional
        Response of lesions in general; stands in where a neighbour is in this one's sums.

    Returns
    -------
    MapSum
    """
    grid = maps.grid
    smallest = max(MIN_RADIUS_MM, 1.5 * max(grid.voxel_size_mm))
    # Of slices of 5 mm the smallest ball is larger than the largest of others.
    radii = np.arange(smallest, max(smallest, MAX_RADIUS_MM) + STEP_MM / 2, STEP_MM)
    reach = radii[-1] + GAP_VOXELS * max(grid.voxel_size_mm) + SHELL_MM
    box, distance = ball_box(grid, grid.to_voxel(np.asarray(position_mm)), reach)
    parts = [_weights(distance, maps.mask[box], r, grid) for r in radii]
    growth = np.array([_sum(maps.chi_ppm[box], p) for p in parts])
    shown = np.array([_sum(maps.response_ppm[box], p) for p in parts])
    part = shown / fitted_ppm_mm3 if fitted_ppm_mm3 else np.full(len(radii), np.nan)
    if not np.isfinite(part).any():
        return MapSum(float("nan"), None, float("nan"), float(radii[-1]), radii, growth, shown)
    at = int(np.argmax(part >= PLATEAU * np.nanmax(part)))
    response = float(part[at]) if usual is None else usual
    result = MapSum(float(growth[at]), None, response, float(radii[at]), radii, growth, shown)
    if not response >= MIN_RESPONSE or not np.isfinite(growth[at]):
        return result
    # For a lone lesion this is the raw sum over its response; a neighbour's part is in both sums and cancels.
    total = fitted_ppm_mm3 + float(growth[at] - shown[at]) / response
    clutter = _clutter_sd(maps, position_mm, result.radius_mm) / response
    sd = float(np.hypot(clutter, RESPONSE_ERROR * total))
    return result._replace(corrected=Estimate(total, sd, "ppm mm3"))


def sums_over_map(
    maps: ChiMaps, positions_mm: Sequence[FloatArray], fitted_ppm_mm3: Sequence[float]
) -> list[MapSum]:
    """Return the sums of all lesions; those with a neighbour in reach are corrected with the others' response."""
    places = np.array(positions_mm).reshape(-1, 3)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + np.diag(np.full(len(places), np.inf))
    alone = apart.min(axis=1, initial=np.inf) > ISOLATED_MM
    lone = [int(i) for i in np.flatnonzero(alone)]
    alone_sums = {i: sum_over_map(maps, places[i], fitted_ppm_mm3[i]) for i in lone}
    known = [s.response for s in alone_sums.values() if np.isfinite(s.response)]
    usual = float(np.median(known)) if known else None
    return [
        alone_sums[i] if i in alone_sums else sum_over_map(maps, places[i], fitted_ppm_mm3[i], usual=usual)
        for i in range(len(places))
    ]


class _Parts(NamedTuple):
    """Soft ball and the shell of its local background, in a box."""

    ball: FloatArray
    shell: BoolArray
    volume_mm3: float


def _weights(distance: FloatArray, mask: BoolArray, radius_mm: float, grid: Grid) -> _Parts:
    voxel = grid.voxel_volume_mm3 ** (1 / 3)
    ball = np.clip((radius_mm - distance) / voxel + 0.5, 0, 1) * mask
    inner = radius_mm + GAP_VOXELS * voxel
    return _Parts(ball, mask & (distance > inner) & (distance < inner + SHELL_MM), grid.voxel_volume_mm3)


def _sum(values_ppm: FloatArray, parts: _Parts) -> float:
    if parts.shell.sum() < MIN_SHELL_VOXELS or not parts.ball.any():
        return float("nan")
    background = float(np.median(values_ppm[parts.shell]))
    return float(((values_ppm - background) * parts.ball).sum(dtype=np.float64) * parts.volume_mm3)


def _clutter_sd(maps: ChiMaps, position_mm: FloatArray, radius_mm: float) -> float:
    """Return the SD of the same sum at places around the lesion where none is: what tissue feigns."""
    grid = maps.grid
    size = np.array(grid.voxel_size_mm)
    reach = radius_mm + GAP_VOXELS * size.max() + SHELL_MM
    box, distance = ball_box(grid, grid.to_voxel(np.asarray(position_mm)), REFERENCE_REACH_MM + reach)
    tissue = maps.chi_ppm[box] - maps.response_ppm[box]
    mask = maps.mask[box]
    half = np.ceil(reach / size).astype(int)
    lines = [np.arange(-h, h + 1) * s for h, s in zip(half, size, strict=True)]
    x, y, z = np.meshgrid(*lines, indexing="ij", sparse=True)
    stamp = np.sqrt(x**2 + y**2 + z**2)
    found = []
    steps = np.maximum(np.rint(REFERENCE_STEP_MM / size).astype(int), 1)
    for corner in np.ndindex(*((np.array(distance.shape) - 2 * half) // steps + 1)):
        first = np.array(corner) * steps
        middle = first + half
        if np.any(first + 2 * half + 1 > distance.shape):
            continue
        if not radius_mm + reach / 2 < distance[tuple(middle)] < REFERENCE_REACH_MM:
            continue
        cut = tuple(slice(f, f + 2 * h + 1) for f, h in zip(first, half, strict=True))
        if mask[cut][stamp <= radius_mm].mean() < 0.95:
            continue
        found.append(_sum(tissue[cut], _weights(stamp, mask[cut], radius_mm, grid)))
    values = np.array([f for f in found if np.isfinite(f)])
    return float(np.sqrt(np.mean(values**2))) if len(values) >= MIN_REFERENCE_PATCHES else float("inf")
