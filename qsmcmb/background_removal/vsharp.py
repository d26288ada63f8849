"""V-SHARP: spherical means with the largest ball that fits, then deconvolution.

Wu et al. 2012, doi 10.1002/mrm.23000; Li et al. 2011, doi 10.1016/j.neuroimage.2010.11.088.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.fft import convolve, engine, fast_shape
from qsmcmb.core.morphology import distance_inside_mm
from qsmcmb.core.smv import smv_kernel_k
from qsmcmb.core.validate import check_radius, check_range
from qsmcmb.errors import ConfigError
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


def remove_vsharp(
    field_hz: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    max_radius_mm: float = 12.0,
    min_radius_mm: float | None = None,
    n_radii: int = 8,
    threshold: float = 0.05,
) -> tuple[FloatArray, BoolArray]:
    """Remove the background field by V-SHARP.

    Parameters
    ----------
    field_hz : ndarray of shape grid.shape, float32
        Total field, 0 outside the mask; any unit, kept.
    mask : ndarray of bool
        Brain mask.
    grid : Grid
        Geometry.
    max_radius_mm, min_radius_mm : float, optional
        Largest and smallest ball, mm; the smallest defaults to 1.01 of the largest voxel edge.
    n_radii : int, optional
        Number of radii, 1 to 30.
    threshold : float, optional
        Deconvolution is cut where the high-pass falls below this, 0 to 1.

    Returns
    -------
    tuple of ndarray
        Local field and the mask eroded by the smallest ball.
    """
    smallest = 1.01 * max(grid.voxel_size_mm) if min_radius_mm is None else min_radius_mm
    check_radius("min_radius_mm", smallest, grid.voxel_size_mm)
    check_range("n_radii", n_radii, 1, 30)
    check_range("threshold", threshold, 1e-6, 1.0)
    if max_radius_mm < smallest:
        raise ConfigError(
            f"max_radius_mm={max_radius_mm}, must be at least the smallest radius {smallest:g} mm"
        )
    radii = np.linspace(max_radius_mm, smallest, n_radii)
    margin = tuple(int(2 * max_radius_mm / v) + 2 for v in grid.voxel_size_mm)
    shape = fast_shape(grid.shape, margin)  # type: ignore[arg-type]
    inner = tuple(slice(0, n) for n in grid.shape)
    padded = np.zeros(shape, np.float32)
    padded[inner] = field_hz
    eng = engine(shape)
    eng.real[...] = padded
    spectrum = eng.forward().copy()
    distance = distance_inside_mm(mask, grid.voxel_size_mm)
    high_pass = np.zeros(grid.shape, np.float32)
    done = np.zeros(grid.shape, bool)
    largest_k = np.float32(1) - smv_kernel_k(shape, grid.voxel_size_mm, radii[0])
    for i, radius in enumerate(radii):
        kernel = largest_k if i == 0 else np.float32(1) - smv_kernel_k(shape, grid.voxel_size_mm, radius)
        # The ball's outermost voxels reach half a diagonal past its radius.
        now = (distance > radius + 0.5 * max(grid.voxel_size_mm)) & ~done
        if i == len(radii) - 1:
            now = (distance > radius) & ~done
        if now.any():
            np.multiply(spectrum, kernel, out=eng.spectrum)
            high_pass[now] = eng.inverse()[inner][now]
            done |= now
    inverse = np.where(np.abs(largest_k) > threshold, 1 / np.where(largest_k == 0, 1, largest_k), 0)
    padded[...] = 0
    padded[inner] = high_pass
    local = convolve(padded, inverse.astype(np.float32))[inner]
    return np.where(done, local, 0).astype(np.float32), done
