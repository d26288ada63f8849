"""Detection limit map: the smallest total susceptibility that a scan could show at each voxel.

Over tissue without lesions the output of the matched dipole filter (`dipole_filter`) is the total susceptibility that
veins, cortex and tissue heterogeneity imitate: its SD, of clutter or of noise, times n is the limit. It takes about 10
volumes of the cropped grid and 13 transforms.

The column `fit_noise_limit_ppm_mm3` of the lesion table is another quantity: 5 SDs of noise and clutter of one lesion's
own fit to the complex signal (`fit.uncertainty`, `results.measurement`), at that lesion alone and not at every voxel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.core.validate import check_mask
from qsmcmb.lesion import LocatedSource
from qsmcmb.microbleeds.detection.dipole_filter import INNER_VOXELS, FieldData, field_data, filter_field
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["LIMIT_SD", "map_detection_limit"]

LIMIT_SD = 5.0
"""Number of SDs that make a lesion stand out: noise alone exceeds it in one voxel of two million."""
LESION_REACH_MM = 20.0
"""Distance from a lesion up to which its dipole is taken away, mm: that of 50 ppm mm3 is 1 ppb there."""
CORE_DIAMETERS = 0.75
"""Radius of a lesion's core, in visible diameters: half of it and a margin for the point spread."""


def map_detection_limit(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    field_sd_ppm: FloatArray,
    lesions: Sequence[LocatedSource] = (),
    n_sd: float = LIMIT_SD,
) -> FloatArray:
    """Map the total susceptibility that stands out of noise and clutter by `n_sd` SDs at each voxel.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape
        Local field, ppm.
    mask : ndarray of shape grid.shape, bool
        Voxels where it is defined.
    grid : Grid
        Geometry.
    field_sd_ppm : ndarray of shape grid.shape
        SD of the field, ppm, > 0.
    lesions : sequence of LocatedSource, optional
        Lesions already measured: their own field is no clutter.
    n_sd : float, optional
        Number of SDs that make a lesion stand out, > 0.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Detection limit, ppm mm3; 0 outside the mask, infinite where too little of the shell is usable.

    Raises
    ------
    InvalidInputError
        SHAPE, MASK-EMPTY or ARGUMENT: a mask that is not boolean, not on the grid or empty.

    Notes
    -----
    limit = n sqrt(max(clutter^2 / min(I, 1), noise^2 / I^2)). The filter's output holds the noise of this very scan, so
    that the larger of both counts and not their sum.

    Examples
    --------
    >>> grid = Grid.isotropic((24, 24, 24), 1.0)
    >>> noise = 0.001 * np.random.default_rng(1).standard_normal(grid.shape)
    >>> sd = np.full(grid.shape, 0.001)
    >>> limit = map_detection_limit(noise, np.ones(grid.shape, bool), grid, field_sd_ppm=sd)
    >>> bool(0.02 < limit[12, 12, 12] < 0.3)
    True
    """
    check_mask(mask, grid)
    data, cores = _without_lesions(field_data(local_field_ppm, mask, grid, field_sd_ppm), lesions)
    filtered = filter_field(data, cores=cores)
    limit = np.float32(n_sd) * np.sqrt(filtered.variance)
    out = np.zeros(grid.shape, np.float32)
    out[data.box] = np.where(data.inside, np.where(filtered.informed, limit, np.float32(np.inf)), 0)
    return out


def _without_lesions(data: FieldData, lesions: Sequence[LocatedSource]) -> tuple[FieldData, BoolArray]:
    """Return the field as if the lesions were not there, and the voxels of their cores.

    Their dipoles are taken away; their cores have field 0 and the median noise, and count for nothing in the clutter.
    """
    grid, inside = data.grid, data.inside
    cores = np.zeros_like(inside)
    if not lesions:
        return data, cores
    field = data.field_ppm.astype(np.float32)
    median_sd = float(np.median(data.sd_ppm[data.usable]))
    for lesion in lesions:
        if lesion.total_chi_ppm_mm3 is None:
            continue
        box, xyz = _box_around(lesion, grid)
        r2 = xyz[0] ** 2 + xyz[1] ** 2 + xyz[2] ** 2
        core_mm = max(CORE_DIAMETERS * (lesion.diameter_mm or 0.0), INNER_VOXELS * max(grid.voxel_size_mm))
        # Within the core the field is set to 0 below: its radius only bounds the division.
        safe_r2 = np.maximum(r2, core_mm**2)
        along = sum(b * x for b, x in zip(grid.b0_dir, xyz, strict=True))
        unit = (3 * along**2 / safe_r2 - 1) / (4 * np.pi * safe_r2**1.5)
        field[box] -= (lesion.total_chi_ppm_mm3.value * unit).astype(np.float32)
        cores[box] |= r2 <= core_mm**2
    cores &= inside
    filled = data._replace(
        field_ppm=np.where(cores, 0, field),
        sd_ppm=np.where(cores, np.float32(median_sd), data.sd_ppm),
        usable=data.usable | cores,
    )
    return filled, cores


def _box_around(lesion: LocatedSource, grid: Grid) -> tuple[tuple[slice, slice, slice], list[FloatArray]]:
    """Return the box within LESION_REACH_MM of a lesion and broadcastable distances (mm) from it along each axis."""
    centre = grid.to_voxel(np.array(lesion.position_mm))
    slices, axes = [], []
    for axis, (c, v, n) in enumerate(zip(centre, grid.voxel_size_mm, grid.shape, strict=True)):
        reach = LESION_REACH_MM / v
        first = min(max(0, int(np.floor(c - reach))), n)
        last = max(min(n, int(np.ceil(c + reach)) + 1), first)
        slices.append(slice(first, last))
        axes.append(((np.arange(first, last) - c) * v).reshape([-1 if a == axis else 1 for a in range(3)]))
    return (slices[0], slices[1], slices[2]), axes
