"""PDF: the background is the field of dipoles outside the brain that explains the field inside best.

Liu et al. 2011, doi 10.1002/nbm.1670.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.dipole import dipole_kernel_k
from qsmcmb.core.fft import convolve, fast_shape
from qsmcmb.core.validate import check_range
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


def remove_pdf(
    field_hz: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    field_sd_hz: FloatArray | None = None,
    tolerance: float = 0.002,
    max_iterations: int = 100,
    pad_mm: float = 30.0,
) -> tuple[FloatArray, BoolArray]:
    """Remove the background field by projection onto dipole fields.

    Parameters
    ----------
    field_hz : ndarray of shape grid.shape, float32
        Total field, 0 outside the mask; any unit, kept.
    mask : ndarray of bool
        Brain mask; not eroded.
    grid : Grid
        Geometry.
    field_sd_hz : ndarray of shape grid.shape, optional
        SD of the field, same unit; weights are its inverse.
    tolerance : float, optional
        Stop when the normal equations' residual has fallen to this part of its start.
    max_iterations : int, optional
        1 to 1000.
    pad_mm : float, optional
        Width of the frame around the brain where background sources may lie, mm.

    Returns
    -------
    tuple of ndarray
        Local field and the mask.
    """
    check_range("tolerance", tolerance, 1e-8, 1.0)
    check_range("max_iterations", max_iterations, 1, 1000)
    check_range("pad_mm", pad_mm, 0.0, 200.0)
    margin = tuple(2 * int(np.ceil(pad_mm / v)) for v in grid.voxel_size_mm)
    shape = fast_shape(grid.shape, margin)  # type: ignore[arg-type]
    inner = tuple(slice((n - g) // 2, (n - g) // 2 + g) for n, g in zip(shape, grid.shape, strict=True))
    kernel = dipole_kernel_k(shape, grid.voxel_size_mm, grid.b0_dir)
    outside = np.ones(shape, np.float32)
    outside[inner] = ~mask
    weight2 = np.zeros(shape, np.float32)
    weight2[inner] = mask if field_sd_hz is None else _weights(field_sd_hz, mask) ** 2
    field = np.zeros(shape, np.float32)
    field[inner] = field_hz

    def normal(sources: FloatArray) -> FloatArray:
        return outside * convolve(weight2 * convolve(sources, kernel), kernel)

    sources = np.zeros(shape, np.float32)
    residual = outside * convolve(weight2 * field, kernel)
    direction = residual.copy()
    start = square = float(np.vdot(residual, residual))
    for _ in range(max_iterations):
        if square <= tolerance**2 * start or square == 0.0:
            break
        product = normal(direction)
        step = np.float32(square / float(np.vdot(direction, product)))
        sources += step * direction
        residual -= step * product
        previous, square = square, float(np.vdot(residual, residual))
        direction = residual + np.float32(square / previous) * direction
    background = convolve(sources, kernel)[inner]
    return np.where(mask, field_hz - background, 0).astype(np.float32), mask


def _weights(field_sd: FloatArray, mask: BoolArray) -> FloatArray:
    """Inverse SD, its median inside the mask 1, at most 3."""
    usable = mask & np.isfinite(field_sd) & (field_sd > 0)
    if not usable.any():
        return mask.astype(np.float32)
    weight = np.where(usable, np.median(field_sd[usable]) / np.where(usable, field_sd, 1), 0)
    return np.minimum(weight, 3.0).astype(np.float32)
