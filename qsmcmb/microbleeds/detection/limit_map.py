"""Smallest total susceptibility that a scan could show at each voxel: noise and the local field's own roughness.

A dipole at a voxel is read from the local field in a shell around it by a linear filter: the dipole's field, made
blind to what a smooth background has of the same symmetry. The filter's output over lesion-free tissue says how
large a moment veins, cortex and texture feign (clutter); the field's SD, which holds magnitude and R2*, says how
large a moment noise feigns. All of it is convolutions: about 10 volumes of the cropped grid, 13 transforms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.core.dipole import frequencies
from qsmcmb.core.fft import Shape, engine, fast_shape, rfftn
from qsmcmb.core.morphology import bounding_box
from qsmcmb.core.validate import check_mask
from qsmcmb.model import Grid, LocatedSource
from qsmcmb.typing import BoolArray, FloatArray

INNER_VOXELS = 1.5
"""The shell's inner radius in (geometric mean) voxels: further in a voxel holds more than one field."""
OUTER_MM = 6.0
LOCAL_MM = 6.0
"""SD of the window over which roughness counts as local."""
LIMIT_SD = 5.0
MIN_TISSUE_IN_WINDOW = 1e-3
MIN_INFORMATION = 0.1
"""Below this part of a full shell's information nothing would show."""
FULL_INFORMATION = 0.95
"""Above this part a shell is blind to a smooth background: its output is clutter, not the mask's edge."""
LESION_RADIUS_MM = 20.0
CORE_DIAMETERS = 0.75
"""A lesion's core, in visible diameters."""
NOISE_OUTLIER = 5.0
"""Voxels whose field SD exceeds this many medians say nothing about a dipole."""


def map_detection_limit(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    field_sd_ppm: FloatArray,
    lesions: Sequence[LocatedSource] = (),
    n_sd: float = LIMIT_SD,
) -> FloatArray:
    """Return the total susceptibility that stands out of noise and clutter by `n_sd` SDs at each voxel.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape
        Local field, ppm.
    mask : ndarray of bool
        Where it is defined.
    grid : Grid
        Geometry.
    field_sd_ppm : ndarray of shape grid.shape
        SD of the field, ppm.
    lesions : sequence of LocatedSource, optional
        Lesions already measured: their own field is no clutter.
    n_sd : float, optional
        SDs that make a lesion stand out.

    Returns
    -------
    ndarray of shape grid.shape, float32
        ppm mm3; 0 outside the mask, infinite where too little of the shell is usable.

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
    usable &= sd < NOISE_OUTLIER * np.median(sd[usable])
    seen, cores = _without_lesions(_Seen(local_field_ppm[box], sd, usable), inside, cropped, lesions)
    pad = _shape3([int(np.ceil(2 * LOCAL_MM / v)) for v in size])
    shape = fast_shape(_shape3(inside.shape), pad)
    probe = _make_probe(shape, grid)
    information = _filtered(seen.usable.astype(np.float32), probe.response_k, shape)
    trusted = inside & (information > MIN_INFORMATION)
    safe = np.where(trusted, information, np.float32(np.inf))
    noise2 = _filtered(np.where(seen.usable, seen.sd_ppm, 0).astype(np.float32) ** 2, probe.squared_k, shape)
    moment = (
        _filtered(np.where(seen.usable, seen.field_ppm, 0).astype(np.float32), probe.filter_k, shape) / safe
    )
    k2 = sum(k**2 for k in frequencies(shape, size))
    window_k = np.exp(np.float32(-2 * (np.pi * LOCAL_MM) ** 2) * k2)
    tissue = seen.usable & ~cores & (information > FULL_INFORMATION)
    clutter2 = _local_mean(moment**2, tissue, window_k, shape)
    # The filter's output holds the noise of this very scan: the larger of both, not their sum.
    variance = np.maximum(clutter2 / np.minimum(safe, 1), np.maximum(noise2, 0) / safe**2)
    limit = np.float32(n_sd) * np.sqrt(variance)
    out = np.zeros(grid.shape, np.float32)
    out[box] = np.where(inside, np.where(trusted, limit, np.float32(np.inf)), 0)
    return out


class _Seen(NamedTuple):
    """Local field (ppm), its SD (ppm), and the voxels where it says something."""

    field_ppm: FloatArray
    sd_ppm: FloatArray
    usable: BoolArray


class _Probe(NamedTuple):
    """Half spectra of the filter, of its response to a unit dipole, and of its squares."""

    filter_k: FloatArray
    response_k: FloatArray
    squared_k: FloatArray


def _make_probe(shape: Shape, grid: Grid) -> _Probe:
    """Return the filter that reads 1 from 1 ppm mm3 and 0 from a constant, a slope or a smooth background."""
    offsets = [
        (np.fft.fftfreq(n, 1.0 / n) * v).astype(np.float32).reshape([-1 if a == i else 1 for a in range(3)])
        for i, (n, v) in enumerate(zip(shape, grid.voxel_size_mm, strict=True))
    ]
    r2 = offsets[0] ** 2 + offsets[1] ** 2 + offsets[2] ** 2
    inner = INNER_VOXELS * grid.voxel_volume_mm3 ** (1 / 3)
    shell = (r2 > inner**2) & (r2 < OUTER_MM**2)
    x, y, z = (np.broadcast_to(o, shape)[shell].astype(np.float64) for o in offsets)
    radius2 = x**2 + y**2 + z**2
    along2 = (grid.b0_dir[0] * x + grid.b0_dir[1] * y + grid.b0_dir[2] * z) ** 2
    dipole = (3 * along2 / radius2 - 1) / (4 * np.pi * radius2**1.5)
    # Odd terms cannot look like a dipole on a full shell; even ones up to the second order can.
    basis = np.stack([np.ones_like(x), x**2, y**2, z**2, x * y, x * z, y * z], axis=1)
    weights = dipole - basis @ np.linalg.lstsq(basis, dipole, rcond=None)[0]
    weights /= weights @ dipole
    volumes = []
    for values in (weights, weights * dipole, weights**2):
        volume = np.zeros(shape, np.float32)
        volume[shell] = values
        # An even kernel: its spectrum is real up to rounding.
        volumes.append(np.ascontiguousarray(rfftn(volume).real))
    return _Probe(*volumes)


def _filtered(volume: FloatArray, kernel_k: FloatArray, shape: Shape) -> FloatArray:
    """Return the convolution with an even kernel, zeros around the volume."""
    eng = engine(shape)
    nx, ny, nz = volume.shape
    eng.real[...] = 0
    eng.real[:nx, :ny, :nz] = volume
    spectrum = eng.forward()
    spectrum *= kernel_k
    return np.array(eng.inverse()[:nx, :ny, :nz])


def _local_mean(values: FloatArray, where: BoolArray, window_k: FloatArray, shape: Shape) -> FloatArray:
    """Return the Gaussian mean of the values `where` they count; their overall mean where none is near."""
    total = _filtered(np.where(where, values, 0), window_k, shape)
    covered = _filtered(where.astype(np.float32), window_k, shape)
    overall = float(values[where].mean(dtype=np.float64)) if where.any() else np.inf
    near = covered > MIN_TISSUE_IN_WINDOW
    return np.where(near, np.maximum(total, 0) / np.where(near, covered, 1), np.float32(overall))


def _without_lesions(
    seen: _Seen, inside: BoolArray, grid: Grid, lesions: Sequence[LocatedSource]
) -> tuple[_Seen, BoolArray]:
    """Return the scan as if the lesions were not there, and the voxels of their cores.

    Their dipoles are taken away; their cores count as tissue of the usual noise that says nothing of clutter.
    """
    cores = np.zeros_like(inside)
    if not lesions:
        return seen, cores
    field, usual = seen.field_ppm.astype(np.float32), float(np.median(seen.sd_ppm[seen.usable]))
    for lesion in lesions:
        if lesion.total_chi_ppm_mm3 is None:
            continue
        near, xyz = _around(lesion, grid)
        r2 = xyz[0] ** 2 + xyz[1] ** 2 + xyz[2] ** 2
        core = max(CORE_DIAMETERS * (lesion.diameter_mm or 0.0), INNER_VOXELS * max(grid.voxel_size_mm))
        far2 = np.maximum(r2, core**2)
        along = sum(b * x for b, x in zip(grid.b0_dir, xyz, strict=True))
        unit = (3 * along**2 / far2 - 1) / (4 * np.pi * far2**1.5)
        field[near] -= (lesion.total_chi_ppm_mm3.value * unit).astype(np.float32)
        cores[near] |= r2 <= core**2
    cores &= inside
    filled = _Seen(
        np.where(cores, 0, field), np.where(cores, np.float32(usual), seen.sd_ppm), seen.usable | cores
    )
    return filled, cores


def _around(lesion: LocatedSource, grid: Grid) -> tuple[tuple[slice, slice, slice], list[FloatArray]]:
    """Return the box around a lesion and broadcastable distances (mm) from it along each axis."""
    centre = grid.to_voxel(np.array(lesion.position_mm))
    slices, axes = [], []
    for axis, (c, v, n) in enumerate(zip(centre, grid.voxel_size_mm, grid.shape, strict=True)):
        reach = LESION_RADIUS_MM / v
        first = min(max(0, int(np.floor(c - reach))), n)
        last = max(min(n, int(np.ceil(c + reach)) + 1), first)
        slices.append(slice(first, last))
        axes.append(((np.arange(first, last) - c) * v).reshape([-1 if a == axis else 1 for a in range(3)]))
    return (slices[0], slices[1], slices[2]), axes


def _shape3(shape: Sequence[int]) -> Shape:
    nx, ny, nz = shape
    return nx, ny, nz
