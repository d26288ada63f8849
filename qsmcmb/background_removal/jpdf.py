"""Joint projection onto dipole fields: PDF that knows of sources inside the brain, and so keeps those at its edge.

PDF (Liu et al. 2011, doi 10.1002/nbm.1670) explains what it can by sources outside; of a microbleed at the cortex
that is half its field. Here sources inside compete for it under a narrow Gaussian prior, as in total field inversion
(Liu et al. 2017, doi 10.1002/mrm.26331), and once more with a prior of their own where they turn out strong. The
local field is all that the sources outside do not explain: nothing is taken from the map of the sources inside.

Two transform pairs an iteration, about 100 iterations.
"""

from __future__ import annotations

from qsmcmb.background_removal.dipole_fit import DipoleFit, Fit
from qsmcmb.core.validate import check_range
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


def remove_jpdf(
    field_hz: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    field_sd_hz: FloatArray | None = None,
    inside: float = 0.05,
    damping: float = 1e-4,
    tolerance: float = 0.002,
    max_iterations: int = 100,
) -> tuple[FloatArray, BoolArray]:
    """Remove the background field by a joint fit of dipoles outside and inside the brain.

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
    inside : float, optional
        Standard deviation expected of a source inside over that of one outside, 1e-4 to 1.
    damping : float, optional
        Weight of the squared sources against the squared misfit, the field's standard deviation being 1; 1e-9 to 1.
    tolerance : float, optional
        Stop when the normal equations' residual has fallen to this part of its start.
    max_iterations : int, optional
        Of each of the two fits; 1 to 10000.

    Returns
    -------
    tuple of ndarray
        Local field and the mask.
    """
    check_range("inside", inside, 1e-4, 1.0)
    fit = DipoleFit(
        field_hz, mask, grid, field_sd=field_sd_hz, fit=Fit(inside, damping, tolerance, max_iterations)
    )
    if fit.scale > 0:
        fit.solve()
        fit.widen_strong()
        fit.solve()
    return fit.local_field(), mask
