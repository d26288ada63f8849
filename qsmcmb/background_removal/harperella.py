"""HARPERELLA: the Laplacian inside the brain belongs to the tissue, that outside is found so that the rest vanishes.

Li et al. 2014, doi 10.1002/nbm.3056. The background is the field whose Laplacian is 0 inside the mask and, outside, the
one that leaves least of the field inside; the tissue's own Laplacian is not touched. Posed for the unwrapped field,
whose Laplacian at the edge need not be known. Two transform pairs an iteration; volumes as for PDF.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.background_removal.dipole_fit import DipoleFit, Fit
from qsmcmb.core.dipole import frequencies
from qsmcmb.core.fft import Shape
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


def remove_harperella(
    field_hz: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    field_sd_hz: FloatArray | None = None,
    damping: float = 1e-4,
    tolerance: float = 0.002,
    max_iterations: int = 100,
) -> tuple[FloatArray, BoolArray]:
    """Remove the background field by fitting the Laplacian outside the brain.

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
    damping : float, optional
        Weight of the squared Laplacian (per mean voxel edge squared) against the squared misfit, the field's standard
        deviation being 1; 1e-9 to 1.
    tolerance : float, optional
        Stop when the normal equations' residual has fallen to this part of its start.
    max_iterations : int, optional
        1 to 10000.

    Returns
    -------
    tuple of ndarray
        Local field and the mask.
    """
    run = Fit(0.0, damping, tolerance, max_iterations)
    fit = DipoleFit(field_hz, mask, grid, field_sd=field_sd_hz, fit=run, kernel_k=inverse_laplacian_k)
    if fit.scale > 0:
        fit.solve()
    return fit.local_field(), mask


def inverse_laplacian_k(shape: Shape, grid: Grid) -> FloatArray:
    """Return 1 / (2 pi k)^2 on the half spectrum in units of the mean voxel edge squared, 0 at k = 0."""
    kx, ky, kz = frequencies(shape, grid.voxel_size_mm)
    norm2 = np.float32((2 * np.pi) ** 2 * grid.voxel_volume_mm3 ** (2 / 3)) * (kx**2 + ky**2 + kz**2)
    norm2[0, 0, 0] = np.inf
    return np.asarray(1 / norm2, dtype=np.float32)
