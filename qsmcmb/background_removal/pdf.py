"""PDF: the background is the field of dipoles outside the brain that explains the field inside best.

Liu et al. 2011, doi 10.1002/nbm.1670. Two transform pairs an iteration, about 30 iterations.
"""

from __future__ import annotations

from qsmcmb.background_removal.dipole_fit import DipoleFit, Fit
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


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
        Total field, 0 outside the mask; any unit, kept.
    mask : ndarray of bool
        Brain mask; not eroded.
    grid : Grid
        Geometry.
    field_sd_hz : ndarray of shape grid.shape, optional
        SD of the field, same unit; weights are its inverse.
    damping : float, optional
        Weight of the squared sources against the squared misfit, the field's standard deviation being 1; 1e-9 to 1.
    tolerance : float, optional
        Stop when the normal equations' residual has fallen to this part of its start.
    max_iterations : int, optional
        1 to 10000.

    Returns
    -------
    tuple of ndarray
        Local field and the mask.
    """
    fit = DipoleFit(
        field_hz, mask, grid, field_sd=field_sd_hz, fit=Fit(0.0, damping, tolerance, max_iterations)
    )
    if fit.scale > 0:
        fit.solve()
    return fit.local_field(), mask
