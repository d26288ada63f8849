"""Detection limit map: the smallest total susceptibility that a scan could show at each voxel.

A dipole at a voxel is read from the local field f by a linear filter w over a shell around it: the dipole's field d,
made orthogonal to the even terms of a smooth background (a constant and the second order) and scaled to <w, d> = 1.
Over tissue without lesions the output w * f is the total susceptibility that veins, cortex and tissue heterogeneity
imitate: its mean square in a Gaussian window of SD 6 mm is the variance of the clutter. With the usable voxels u of the
field, the information I = (w d) * u, and the field's SD sigma, which holds magnitude and R2*,

    limit = n sqrt(max(clutter^2 / min(I, 1), (w^2 * sigma^2) / I^2)),

where * is a convolution. It takes about 10 volumes of the cropped grid and 13 transforms.

The column `fit_noise_limit_ppm_mm3` of the lesion table is another quantity: 5 SDs of noise and clutter of one lesion's
own fit to the complex signal (`fit.uncertainty`, `results.measurement`), at that lesion alone and not at every voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.dipole import frequencies
from qsmcmb.core.fft import Shape, engine, fast_shape, rfftn
from qsmcmb.core.length_scale import length_scale
from qsmcmb.core.validate import check_mask
from qsmcmb.lesion import LocatedSource
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["INNER_VOXELS", "LIMIT_SD", "OUTER_MM", "map_detection_limit"]

INNER_VOXELS = 1.5
"""Inner radius of the shell, in voxels (geometric mean): further in a voxel holds more than one field."""
OUTER_MM = 6.0
"""Outer radius of the shell, mm, times the length scale: beyond it the dipole's field is weak against the tissue's. Of
voxels of 3 mm a shell up to 6 mm would hold eight alone, all near the magic angle."""
CLUTTER_SD_MM = 6.0
"""SD of the Gaussian window over which clutter counts as local, mm."""
LIMIT_SD = 5.0
"""Number of SDs that make a lesion stand out: noise alone exceeds it in one voxel of two million."""
MIN_TISSUE_IN_WINDOW = 1e-3
"""Least fraction of a window that must be tissue for a local clutter; elsewhere it is the mean over all tissue."""
MIN_INFORMATION = 0.1
"""Information, as a fraction of a full shell's, below which no lesion would show: the limit is infinite."""
FULL_INFORMATION = 0.95
"""Information, as a fraction of a full shell's, above which a shell is blind to a smooth background: its output is
clutter, not the mask's edge."""
LESION_REACH_MM = 20.0
"""Distance from a lesion up to which its dipole is taken away, mm: that of 50 ppm mm3 is 1 ppb there."""
CORE_DIAMETERS = 0.75
"""Radius of a lesion's core, in visible diameters: half of it and a margin for the point spread."""
MAX_FIELD_SD_RATIO = 5.0
"""Ratio of a voxel's field SD to the median above which the voxel is not used."""


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
    box = bounding_box(mask)
    inside = mask[box]
    size = grid.voxel_size_mm
    start = (box[0].start, box[1].start, box[2].start)
    cropped = grid.cropped(start, _shape3(inside.shape))
    sd = field_sd_ppm[box]
    usable = inside & np.isfinite(sd)
    usable &= sd < MAX_FIELD_SD_RATIO * np.median(sd[usable])
    data, cores = _without_lesions(_FieldData(local_field_ppm[box], sd, usable), inside, cropped, lesions)
    # Convolutions are periodic: two SDs of zeros keep opposite edges apart.
    pad = _shape3([int(np.ceil(2 * CLUTTER_SD_MM / v)) for v in size])
    shape = fast_shape(_shape3(inside.shape), pad)
    dipole_filter = _make_filter(shape, grid)
    information = _filtered(data.usable.astype(np.float32), dipole_filter.response_k, shape)
    informed = inside & (information > MIN_INFORMATION)
    safe = np.where(informed, information, np.float32(np.inf))
    noise2 = _filtered(_usable_only(data.sd_ppm, data) ** 2, dipole_filter.squared_k, shape)
    total = _filtered(_usable_only(data.field_ppm, data), dipole_filter.filter_k, shape) / safe
    k2 = sum(k**2 for k in frequencies(shape, size))
    # Transform of a Gaussian of SD s: exp(-2 (pi s k)^2).
    window_k = np.exp(np.float32(-2 * (np.pi * CLUTTER_SD_MM) ** 2) * k2)
    tissue = data.usable & ~cores & (information > FULL_INFORMATION)
    clutter2 = _local_mean(total**2, tissue, window_k, shape)
    # The filter's output holds the noise of this very scan: the larger of both, not their sum.
    variance = np.maximum(clutter2 / np.minimum(safe, 1), np.maximum(noise2, 0) / safe**2)
    limit = np.float32(n_sd) * np.sqrt(variance)
    out = np.zeros(grid.shape, np.float32)
    out[box] = np.where(inside, np.where(informed, limit, np.float32(np.inf)), 0)
    return out


class _FieldData(NamedTuple):
    """Local field and the voxels where it says something."""

    field_ppm: FloatArray
    """Local field, ppm."""
    sd_ppm: FloatArray
    """SD of it, ppm."""
    usable: BoolArray
    """Voxels whose field is known well enough."""


class _DipoleFilter(NamedTuple):
    """Half spectra of the filter w, of w times the unit dipole's field d, and of w squared."""

    filter_k: FloatArray
    response_k: FloatArray
    squared_k: FloatArray


def _make_filter(shape: Shape, grid: Grid) -> _DipoleFilter:
    """Return the filter that reads 1 from 1 ppm mm3 and 0 from a constant, a slope or a smooth background."""
    offsets = [
        (np.fft.fftfreq(n, 1.0 / n) * v).astype(np.float32).reshape([-1 if a == i else 1 for a in range(3)])
        for i, (n, v) in enumerate(zip(shape, grid.voxel_size_mm, strict=True))
    ]
    r2 = offsets[0] ** 2 + offsets[1] ** 2 + offsets[2] ** 2
    inner = INNER_VOXELS * grid.voxel_volume_mm3 ** (1 / 3)
    shell = (r2 > inner**2) & (r2 < (OUTER_MM * length_scale(grid)) ** 2)
    x, y, z = (np.broadcast_to(o, shape)[shell].astype(np.float64) for o in offsets)
    radius2 = x**2 + y**2 + z**2
    along2 = (grid.b0_dir[0] * x + grid.b0_dir[1] * y + grid.b0_dir[2] * z) ** 2
    dipole = (3 * along2 / radius2 - 1) / (4 * np.pi * radius2**1.5)
    # Odd terms cannot look like a dipole on a full shell; even ones up to the second order can.
    basis = np.stack([np.ones_like(x), x**2, y**2, z**2, x * y, x * z, y * z], axis=1)
    weights = dipole - basis @ np.linalg.lstsq(basis, dipole, rcond=None)[0]
    weights /= weights @ dipole
    spectra = []
    for values in (weights, weights * dipole, weights**2):
        volume = np.zeros(shape, np.float32)
        volume[shell] = values
        # An even kernel: its spectrum is real up to rounding.
        spectra.append(np.ascontiguousarray(rfftn(volume).real))
    return _DipoleFilter(*spectra)


def _filtered(volume: FloatArray, kernel_k: FloatArray, shape: Shape) -> FloatArray:
    """Return the convolution with an even kernel given by its half spectrum, zeros around the volume."""
    eng = engine(shape)
    nx, ny, nz = volume.shape
    eng.real[...] = 0
    eng.real[:nx, :ny, :nz] = volume
    spectrum = eng.forward()
    spectrum *= kernel_k
    return np.array(eng.inverse()[:nx, :ny, :nz])


def _usable_only(values: FloatArray, data: _FieldData) -> FloatArray:
    """Return the values, 0 where the field says nothing."""
    return np.where(data.usable, values, 0).astype(np.float32)


def _local_mean(values: FloatArray, where: BoolArray, window_k: FloatArray, shape: Shape) -> FloatArray:
    """Return the Gaussian mean of the values `where` they count; their overall mean where too few lie within reach."""
    total = _filtered(np.where(where, values, 0), window_k, shape)
    weight = _filtered(where.astype(np.float32), window_k, shape)
    overall = float(values[where].mean(dtype=np.float64)) if where.any() else np.inf
    enough = weight > MIN_TISSUE_IN_WINDOW
    return np.where(enough, np.maximum(total, 0) / np.where(enough, weight, 1), np.float32(overall))


def _without_lesions(
    data: _FieldData, inside: BoolArray, grid: Grid, lesions: Sequence[LocatedSource]
) -> tuple[_FieldData, BoolArray]:
    """Return the field as if the lesions were not there, and the voxels of their cores.

    Their dipoles are taken away; their cores have field 0 and the median noise, and count for nothing in the clutter.
    """
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
    filled = _FieldData(
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


def _shape3(shape: Sequence[int]) -> Shape:
    """Return the three edge lengths of a volume, voxels, as a tuple of fixed length."""
    nx, ny, nz = shape
    return nx, ny, nz
