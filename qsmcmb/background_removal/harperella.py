"""HARPERELLA: the background field has no Laplacian inside the brain, and outside the one that leaves least of the
field.

Posed for the unwrapped field, whose Laplacian at the edge need not be known. Two transform pairs an iteration; volumes
as for PDF.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.background_removal.dipole_fit import DipoleFit, Fit
from qsmcmb.core.dipole import frequencies
from qsmcmb.core.fft import Shape
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("remove_harperella",)


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
    """Remove the background field by a fit of its Laplacian outside the brain.

    Parameters
    ----------
    field_hz : ndarray of shape grid.shape, float32
        Total field, 0 outside the mask; Hz or any unit, which the result has.
    mask : ndarray of shape grid.shape, bool
        Brain mask; it is not eroded.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    field_sd_hz : ndarray of shape grid.shape, float32, optional
        SD of the field, its unit; data weigh by its inverse, without it all alike.
    damping : float, optional
        Weight of the squared Laplacian (per mean voxel edge squared) against the squared misfit, the field's standard
        deviation being 1; 1e-9 to 1.
    tolerance : float, optional
        Residual of the normal equations over that of the start at which iterations end, 1e-6 to 1.
    max_iterations : int, optional
        Iterations at most, 1 to 10000.

    Returns
    -------
    local_field : ndarray of shape grid.shape, float32
        Local field, unit of `field_hz`; 0 outside the second mask.
    mask : ndarray of shape grid.shape, bool
        The mask that was given.

    Raises
    ------
    InvalidInputError
        An option out of range.

    Notes
    -----
    With L^-1 the inverse Laplacian and W the data weights (inverse SD, median 1, at most 3), minimises over Laplacians
    q that are 0 inside the mask::

        |W (f - L^-1 q)|^2 + damping |q|^2

    The local field is f - L^-1 q.

    References
    ----------
    Li et al. 2014. Integrated Laplacian-based phase unwrapping and background phase removal for quantitative
    susceptibility mapping. doi:10.1002/nbm.3056

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> mask = np.zeros(grid.shape, bool)
    >>> mask[2:-2, 2:-2, 2:-2] = True
    >>> background = np.float32(0.1) * np.arange(16, dtype=np.float32)[:, None, None]
    >>> local, _ = remove_harperella(np.where(mask, background, np.float32(0)), mask, grid)
    >>> bool(np.std(local[mask]) < 0.1 * np.std(background))
    True
    """
    # A prior of 0: the Laplacian inside is the tissue's and is not fitted.
    run = Fit(0.0, damping, tolerance, max_iterations)
    fit = DipoleFit(field_hz, mask, grid, field_sd=field_sd_hz, fit=run, kernel_k=inverse_laplacian_k)
    if fit.scale > 0:
        fit.solve()
    return fit.local_field(), mask


def inverse_laplacian_k(shape: Shape, grid: Grid) -> FloatArray:
    """Return 1 / (2 pi k)^2 on the half spectrum in units of the mean voxel edge squared, 0 at k = 0."""
    kx, ky, kz = frequencies(shape, grid.voxel_size_mm)
    norm2 = np.float32((2 * np.pi) ** 2 * grid.voxel_volume_mm3 ** (2 / 3)) * (kx**2 + ky**2 + kz**2)
    # A Laplacian has no mean: nothing is divided there.
    norm2[0, 0, 0] = np.inf
    return np.asarray(1 / norm2, dtype=np.float32)
