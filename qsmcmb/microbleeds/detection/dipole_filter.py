"""Matched dipole filter: the total susceptibility that the local field shows at each voxel, with its SD.

A dipole at a voxel is read from the local field f by a linear filter w over a shell around it: the dipole's field d,
made orthogonal to the even terms of a smooth background (a constant and the second order) and scaled to <w, d> = 1.
With the usable voxels u of the field and the information I = (w d) * u,

    M = (w * f) / I,    SD^2 = max(clutter^2 / min(I, 1), (w^2 * sigma^2) / I^2),

where * is a convolution, sigma the field's SD, and clutter^2 the mean square of M over tissue in a Gaussian window of
SD 6 mm. The filter's output holds the noise of this very scan: the larger of both counts, not their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.core.boxes import Box, bounding_box
from qsmcmb.core.dipole import frequencies
from qsmcmb.core.fft import Shape, engine, fast_shape, rfftn
from qsmcmb.core.length_scale import length_scale
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__: tuple[str, ...] = ()

INNER_VOXELS = 1.5
"""Inner radius of the shell, in voxels (geometric mean): further in a voxel holds more than one field."""
OUTER_MM = 6.0
"""Outer radius of the shell, mm, times the length scale: beyond it the dipole's field is weak against the tissue's. Of
voxels of 3 mm a shell up to 6 mm would hold eight alone, all near the magic angle."""
CLUTTER_SD_MM = 6.0
"""SD of the Gaussian window over which clutter counts as local, mm."""
MIN_TISSUE_IN_WINDOW = 1e-3
"""Least fraction of a window that must be tissue for a local clutter; elsewhere it is the mean over all tissue."""
MIN_INFORMATION = 0.1
"""Information, as a fraction of a full shell's, below which no lesion would show: the limit is infinite."""
FULL_INFORMATION = 0.95
"""Information, as a fraction of a full shell's, above which a shell is blind to a smooth background: its output is
clutter, not the mask's edge."""
MAX_FIELD_SD_RATIO = 5.0
"""Ratio of a voxel's field SD to the median above which the voxel is not used."""
MEDIAN_OF_SQUARE = 0.4549
"""Median of the square of a normal variable of SD 1."""


class FieldData(NamedTuple):
    """Local field in the box of its mask, and the voxels where it says something."""

    field_ppm: FloatArray
    """Local field, ppm."""
    sd_ppm: FloatArray
    """SD of it, ppm."""
    usable: BoolArray
    """Voxels whose field is known well enough."""
    inside: BoolArray
    """The mask."""
    box: Box
    """The mask's box in the volume."""
    grid: Grid
    """Geometry of the box."""


class FilteredField(NamedTuple):
    """Output of the filter in the box of the mask."""

    total_ppm_mm3: FloatArray
    """Total susceptibility of a dipole at each voxel, ppm mm3; 0 where the field says too little."""
    variance: FloatArray
    """Variance of it by noise and clutter, (ppm mm3)^2."""
    informed: BoolArray
    """Voxels around which enough of the field is usable."""


def field_data(
    local_field_ppm: FloatArray, mask: BoolArray, grid: Grid, field_sd_ppm: FloatArray
) -> FieldData:
    """Return the field in the box of its mask."""
    box = bounding_box(mask)
    inside, sd = mask[box], field_sd_ppm[box]
    usable = inside & np.isfinite(sd)
    usable &= sd < MAX_FIELD_SD_RATIO * np.median(sd[usable])
    cropped = grid.cropped((box[0].start, box[1].start, box[2].start), shape3(inside.shape))
    return FieldData(local_field_ppm[box], sd, usable, inside, box, cropped)


def filter_field(
    data: FieldData, *, cores: BoolArray | None = None, max_clutter_sd: float = np.inf
) -> FilteredField:
    """Return the total susceptibility of a dipole at each voxel, with its variance.

    `cores` count for nothing in the clutter; no voxel counts more than `max_clutter_sd` SDs, so that lesions not known
    yet don't hide themselves and others.
    """
    grid, inside = data.grid, data.inside
    # Convolutions are periodic: two SDs of zeros keep opposite edges apart.
    pad = shape3([int(np.ceil(2 * CLUTTER_SD_MM / v)) for v in grid.voxel_size_mm])
    shape = fast_shape(shape3(inside.shape), pad)
    dipole_filter = make_filter(shape, grid)
    information = _filtered(data.usable.astype(np.float32), dipole_filter.response_k, shape)
    informed = inside & (information > MIN_INFORMATION)
    safe = np.where(informed, information, np.float32(np.inf))
    noise2 = _filtered(_usable_only(data.sd_ppm, data) ** 2, dipole_filter.squared_k, shape)
    total = _filtered(_usable_only(data.field_ppm, data), dipole_filter.filter_k, shape) / safe
    k2 = sum(k**2 for k in frequencies(shape, grid.voxel_size_mm))
    # Transform of a Gaussian of SD s: exp(-2 (pi s k)^2).
    window_k = np.exp(np.float32(-2 * (np.pi * CLUTTER_SD_MM) ** 2) * k2)
    tissue = data.usable & (information > FULL_INFORMATION)
    if cores is not None:
        tissue &= ~cores
    squared = total**2
    if np.isfinite(max_clutter_sd) and tissue.any():
        typical = float(np.median(squared[tissue])) / MEDIAN_OF_SQUARE
        squared = np.minimum(squared, np.float32(max_clutter_sd**2 * typical))
    clutter2 = _local_mean(squared, tissue, window_k, shape)
    variance = np.maximum(clutter2 / np.minimum(safe, 1), np.maximum(noise2, 0) / safe**2)
    return FilteredField(total, variance, informed)


class DipoleFilter(NamedTuple):
    """Half spectra of the filter w, of w times the unit dipole's field d, and of w squared."""

    filter_k: FloatArray
    response_k: FloatArray
    squared_k: FloatArray


def make_filter(shape: Shape, grid: Grid) -> DipoleFilter:
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
    return DipoleFilter(*spectra)


def _filtered(volume: FloatArray, kernel_k: FloatArray, shape: Shape) -> FloatArray:
    """Return the convolution with an even kernel given by its half spectrum, zeros around the volume."""
    eng = engine(shape)
    nx, ny, nz = volume.shape
    eng.real[...] = 0
    eng.real[:nx, :ny, :nz] = volume
    spectrum = eng.forward()
    spectrum *= kernel_k
    return np.array(eng.inverse()[:nx, :ny, :nz])


def _usable_only(values: FloatArray, data: FieldData) -> FloatArray:
    """Return the values, 0 where the field says nothing."""
    return np.where(data.usable, values, 0).astype(np.float32)


def _local_mean(values: FloatArray, where: BoolArray, window_k: FloatArray, shape: Shape) -> FloatArray:
    """Return the Gaussian mean of the values `where` they count; their overall mean where too few lie within reach."""
    total = _filtered(np.where(where, values, 0), window_k, shape)
    weight = _filtered(where.astype(np.float32), window_k, shape)
    overall = float(values[where].mean(dtype=np.float64)) if where.any() else np.inf
    enough = weight > MIN_TISSUE_IN_WINDOW
    return np.where(enough, np.maximum(total, 0) / np.where(enough, weight, 1), np.float32(overall))


def shape3(shape: Sequence[int]) -> Shape:
    """Return the three edge lengths of a volume, voxels, as a tuple of fixed length."""
    nx, ny, nz = shape
    return nx, ny, nz
