"""Map sum: total susceptibility as a sum over the susceptibility map, corrected by the pipeline's own response.

Raw sum at radius R: S(R) = sum over a soft ball of (chi - background) v, where the background is the median of a shell
around the ball and v the voxel's volume. What background removal and inversion leave of a lesion is known from the
response: the fitted lesions' field, without noise, through the same stages gives a map with the sums S_r(R). The ball
reaches to the smallest R at which S_r is within 5 % of its plateau: a larger one only takes in more tissue, which
limits the sum's precision. With the fit M_fit and the response r = S_r(R) / M_fit,

    M = M_fit + (S(R) - S_r(R)) / r,

which for a lone lesion is S(R) / r; what a neighbour adds is in both sums and cancels. The SD holds the same sum over
tissue around the lesion, and 10 % for the response.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.core.boxes import ball_box
from qsmcmb.model import Estimate, Grid
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.units import PPM_MM3

__all__ = ["ChiMaps", "MapSum", "sum_over_map", "sums_over_map"]

RADIUS_STEP_MM = 0.5
"""Step of the ball's radius, mm: half the usual voxel."""
MIN_RADIUS_MM = 2.0
"""Least radius of the ball, mm, where one and a half voxels are less: that of the smallest microbleeds and a voxel."""
MIN_RADIUS_VOXELS = 1.5
"""Least radius of the ball, in the voxel's longest edge."""
MAX_RADIUS_MM = 6.0
"""Largest radius of the ball, mm: that of the largest body that has a number."""
PLATEAU_FRACTION = 0.95
"""Fraction of the response's plateau at which the ball ends: it holds nearly all of the lesion and least tissue."""
GAP_VOXELS = 2.0
"""Gap between ball and background shell, in voxels: a nearer shell holds a part of the lesion."""
SHELL_MM = 2.5
"""Thickness of the background shell, mm: thick enough for a median of MIN_SHELL_VOXELS."""
MIN_SHELL_VOXELS = 30
"""Least number of the shell's voxels in the mask for a background."""
MIN_RESPONSE = 0.3
"""Least response for a corrected sum: below it the map holds too little of the lesion to divide by."""
RESPONSE_RELATIVE_SD = 0.1
"""Relative SD of the response: the fitted ball is not the lesion."""
ISOLATED_MM = 12.0
"""Least distance of a lesion's neighbours, mm, at which its own response is used: ball, gap and shell of the largest
ball together."""
REFERENCE_REACH_MM = 16.0
"""Largest distance from the lesion of the tissue that gives the clutter, mm: further out is other tissue."""
REFERENCE_STEP_MM = 4.0
"""Step of the grid of positions at which the clutter is read, mm: nearer ones share most of their ball."""
MIN_REFERENCE_IN_MASK = 0.95
"""Least fraction of a reference ball in the mask."""
MIN_REFERENCE_SUMS = 8
"""Least number of sums for a clutter SD; with fewer it is infinite."""


class MapSum(NamedTuple):
    """Sum over the map at one lesion."""

    raw_ppm_mm3: float
    """Sum over the ball above its background, ppm mm3; NaN where the background is unknown."""
    corrected: Estimate | None
    """Total susceptibility, ppm mm3; None where the map holds too little of the lesion."""
    response: float
    """Fraction of the fitted total susceptibility that the response map holds in the same ball."""
    radius_mm: float
    """Radius of the ball, mm."""
    radii_mm: FloatArray
    """Radii at which the sum was taken, mm."""
    growth_ppm_mm3: FloatArray
    """Sum S(R) over a ball of each radius above its background, ppm mm3; NaN where that is unknown."""
    response_growth_ppm_mm3: FloatArray
    """The same of the response map, ppm mm3."""


class ChiMaps(NamedTuple):
    """Susceptibility map, and the map that the same stages make of the fitted lesions alone."""

    chi_ppm: FloatArray
    """Susceptibility map, ppm."""
    response_ppm: FloatArray
    """Map of the fitted lesions' field without noise, ppm."""
    mask: BoolArray
    """Voxels where both are defined."""
    grid: Grid
    """Geometry of both."""


def sum_over_map(
    maps: ChiMaps, position_mm: FloatArray, fitted_ppm_mm3: float, *, usual_response: float | None = None
) -> MapSum:
    """Sum the susceptibility map at a lesion, raw and corrected.

    Parameters
    ----------
    maps : ChiMaps
        Map and response, ppm.
    position_mm : ndarray of shape (3,)
        Centre of the lesion, scanner RAS+ mm.
    fitted_ppm_mm3 : float
        Total susceptibility that went into the response, ppm mm3.
    usual_response : float, optional
        Response of isolated lesions, a fraction; stands in for this one's where a neighbour is in its sums.

    Returns
    -------
    MapSum
        Sums (ppm mm3), response and radius (mm).

    Notes
    -----
    M = M_fit + (S(R) - S_r(R)) / r, with R where S_r first reaches 95 % of its largest value.

    References
    ----------
    .. [1] Liu T et al. Cerebral microbleeds: burden assessment by using quantitative susceptibility mapping. Radiology
       2012. doi:10.1148/radiol.11110251

    Examples
    --------
    A map that holds 80 % of a lesion of 2 ppm mm3:

    >>> grid = Grid.isotropic((32, 32, 32), 1.0)
    >>> response = np.zeros(grid.shape)
    >>> response[16, 16, 16] = 0.8 * 2.0
    >>> maps = ChiMaps(1.5 * response, response, np.ones(grid.shape, bool), grid)
    >>> total = sum_over_map(maps, np.zeros(3), 2.0)
    >>> round(total.raw_ppm_mm3, 2), round(total.response, 2), round(total.corrected.value, 2)
    (2.4, 0.8, 3.0)
    """
    grid = maps.grid
    smallest = max(MIN_RADIUS_MM, MIN_RADIUS_VOXELS * max(grid.voxel_size_mm))
    # On slices of 5 mm the smallest ball is larger than the largest one elsewhere.
    radii = np.arange(smallest, max(smallest, MAX_RADIUS_MM) + RADIUS_STEP_MM / 2, RADIUS_STEP_MM)
    reach = radii[-1] + GAP_VOXELS * max(grid.voxel_size_mm) + SHELL_MM
    box, distance = ball_box(grid, grid.to_voxel(np.asarray(position_mm)), reach)
    weights = [_weights(distance, maps.mask[box], r, grid) for r in radii]
    growth = np.array([_sum(maps.chi_ppm[box], w) for w in weights])
    response_growth = np.array([_sum(maps.response_ppm[box], w) for w in weights])
    fraction = response_growth / fitted_ppm_mm3 if fitted_ppm_mm3 else np.full(len(radii), np.nan)
    if not np.isfinite(fraction).any():
        return MapSum(
            raw_ppm_mm3=float("nan"),
            corrected=None,
            response=float("nan"),
            radius_mm=float(radii[-1]),
            radii_mm=radii,
            growth_ppm_mm3=growth,
            response_growth_ppm_mm3=response_growth,
        )
    # argmax of a boolean is its first True: the smallest radius on the plateau.
    at = int(np.argmax(fraction >= PLATEAU_FRACTION * np.nanmax(fraction)))
    response = float(fraction[at]) if usual_response is None else usual_response
    result = MapSum(
        raw_ppm_mm3=float(growth[at]),
        corrected=None,
        response=response,
        radius_mm=float(radii[at]),
        radii_mm=radii,
        growth_ppm_mm3=growth,
        response_growth_ppm_mm3=response_growth,
    )
    # Negated, so that a NaN is refused, too.
    if not response >= MIN_RESPONSE or not np.isfinite(growth[at]):
        return result
    total = fitted_ppm_mm3 + float(growth[at] - response_growth[at]) / response
    clutter = _clutter_sd(maps, position_mm, result.radius_mm) / response
    sd = float(np.hypot(clutter, RESPONSE_RELATIVE_SD * total))
    return result._replace(corrected=Estimate(total, sd, PPM_MM3))


def sums_over_map(
    maps: ChiMaps, positions_mm: Sequence[FloatArray], fitted_ppm_mm3: Sequence[float]
) -> list[MapSum]:
    """Sum the susceptibility map at all lesions of a scan.

    Parameters
    ----------
    maps : ChiMaps
        Map and response, ppm.
    positions_mm : sequence of ndarray of shape (3,)
        Centres of the lesions, scanner RAS+ mm.
    fitted_ppm_mm3 : sequence of float
        Total susceptibilities that went into the response, ppm mm3.

    Returns
    -------
    list of MapSum
        In the order of the lesions; those with a neighbour within 12 mm are corrected with the median response of the
        isolated ones.
    """
    positions = np.array(positions_mm).reshape(-1, 3)
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    distances = distances + np.diag(np.full(len(positions), np.inf))
    is_isolated = distances.min(axis=1, initial=np.inf) > ISOLATED_MM
    isolated = [int(i) for i in np.flatnonzero(is_isolated)]
    isolated_sums = {i: sum_over_map(maps, positions[i], fitted_ppm_mm3[i]) for i in isolated}
    known = [s.response for s in isolated_sums.values() if np.isfinite(s.response)]
    usual = float(np.median(known)) if known else None
    return [
        isolated_sums[i]
        if i in isolated_sums
        else sum_over_map(maps, positions[i], fitted_ppm_mm3[i], usual_response=usual)
        for i in range(len(positions))
    ]


class _Weights(NamedTuple):
    """Weights of a sum in a box: the ball, the shell of its background, and the voxel's volume."""

    ball: FloatArray
    """Fraction of each voxel in the ball, 0 to 1."""
    shell: BoolArray
    """Voxels of the background shell."""
    voxel_mm3: float
    """Volume of a voxel, mm3."""


def _weights(distance: FloatArray, mask: BoolArray, radius_mm: float, grid: Grid) -> _Weights:
    """Return the weights of a ball of a radius around the point from which distances (mm) are taken."""
    voxel_mm = grid.voxel_volume_mm3 ** (1 / 3)
    # A soft edge, one voxel wide: the sum grows smoothly with the radius.
    ball = np.clip((radius_mm - distance) / voxel_mm + 0.5, 0, 1) * mask
    inner = radius_mm + GAP_VOXELS * voxel_mm
    return _Weights(ball, mask & (distance > inner) & (distance < inner + SHELL_MM), grid.voxel_volume_mm3)


def _sum(values_ppm: FloatArray, weights: _Weights) -> float:
    """Return the sum over the ball above the shell's median, ppm mm3; NaN where the shell is too small."""
    if weights.shell.sum() < MIN_SHELL_VOXELS or not weights.ball.any():
        return float("nan")
    background = float(np.median(values_ppm[weights.shell]))
    return float(((values_ppm - background) * weights.ball).sum(dtype=np.float64) * weights.voxel_mm3)


def _clutter_sd(maps: ChiMaps, position_mm: FloatArray, radius_mm: float) -> float:
    """Return the root mean square, ppm mm3, of the same sum over balls of tissue nearby, less the response map's."""
    grid = maps.grid
    size = np.array(grid.voxel_size_mm)
    reach = radius_mm + GAP_VOXELS * size.max() + SHELL_MM
    box, distance = ball_box(grid, grid.to_voxel(np.asarray(position_mm)), REFERENCE_REACH_MM + reach)
    tissue = maps.chi_ppm[box] - maps.response_ppm[box]
    mask = maps.mask[box]
    half = np.ceil(reach / size).astype(int)
    lines = [np.arange(-h, h + 1) * s for h, s in zip(half, size, strict=True)]
    x, y, z = np.meshgrid(*lines, indexing="ij", sparse=True)
    ball_distance = np.sqrt(x**2 + y**2 + z**2)
    sums = []
    steps = np.maximum(np.rint(REFERENCE_STEP_MM / size).astype(int), 1)
    for corner in np.ndindex(*((np.array(distance.shape) - 2 * half) // steps + 1)):
        first = np.array(corner) * steps
        middle = first + half
        if np.any(first + 2 * half + 1 > distance.shape):
            continue
        # Clear of the lesion itself, whose fit does not explain all of the map near it.
        if not radius_mm + reach / 2 < distance[tuple(middle)] < REFERENCE_REACH_MM:
            continue
        cut = tuple(slice(f, f + 2 * h + 1) for f, h in zip(first, half, strict=True))
        if mask[cut][ball_distance <= radius_mm].mean() < MIN_REFERENCE_IN_MASK:
            continue
        sums.append(_sum(tissue[cut], _weights(ball_distance, mask[cut], radius_mm, grid)))
    values = np.array([s for s in sums if np.isfinite(s)])
    return float(np.sqrt(np.mean(values**2))) if len(values) >= MIN_REFERENCE_SUMS else float("inf")
