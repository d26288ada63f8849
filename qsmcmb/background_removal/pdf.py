"""PDF: the background is the field of dipoles outside the brain that explains the field inside best.

Two transform pairs an iteration, about 30 iterations.
"""

from __future__ import annotations

from qsmcmb.background_removal.dipole_fit import DipoleFit, Fit
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("remove_pdf",)


def remove_pdf(
    field_hz: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    field_sd_hz: FloatArray | None = None,
    damping: float = 1e-5,
    tolerance: float = 0.0015,
    max_iterations: int = 100,
) -> tuple[FloatArray, BoolArray]:
    """Remove the background field by projection onto dipole fields.

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
        Weight of the squared sources against the squared misfit, the field's standard deviation being 1; 1e-9 to 1.
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
    With D the dipole kernel and W the data weights (inverse SD, median 1, at most 3), minimises over sources u outside
    the mask::

        |W (f - D u)|^2 + damping |u|^2

    The local field is f - D u.

    References
    ----------
    Liu et al. 2011. A novel background field removal method for MRI using projection onto dipole fields (PDF).
    doi:10.1002/nbm.1670

    Examples
    --------
    >>> import numpy as np
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> mask = np.zeros(grid.shape, bool)
    >>> mask[2:-2, 2:-2, 2:-2] = True
    >>> background = np.float32(0.1) * np.arange(16, dtype=np.float32)[:, None, None]
    >>> local, _ = remove_pdf(np.where(mask, background, np.float32(0)), mask, grid)
    >>> bool(np.std(local[mask]) < 0.1 * np.std(background))
    True
    """
    # A prior of 0 inside: there are no sources in the brain.
    fit = DipoleFit(
        field_hz, mask, grid, field_sd=field_sd_hz, fit=Fit(0.0, damping, tolerance, max_iterations)
    )
    if fit.scale > 0:
        fit.solve()
    return fit.local_field(), mask
