"""Source-aware LBV: the harmonic background from the mask's edge, once strong sources near it are taken out.

LBV (Zhou et al. 2014, doi 10.1002/nbm.3064) takes the field on the mask's outermost layer for background; a
microbleed at the cortex breaks that, and what explains the field by sources outside takes part of it away. Here

1. the harmonic field of the outermost layer is taken away, so that what background is left is as weak as the brain's
   own field, whatever air is near;
2. dipoles outside and inside the brain are fitted to the rest jointly, those inside under a narrow Gaussian prior (as
   in total field inversion, Liu et al. 2017, doi 10.1002/mrm.26331), then once more with a prior of their own where
   they turned out strong;
3. the field of the strong sources alone is subtracted from the total field, and the harmonic field of the outermost
   layer of that is the background. It is extrapolated to the layer itself, so that no voxel is lost.

The local field is the total field minus that background: nothing of the fitted sources is put into it. Two transform
pairs an iteration, about 35 iterations; eleven volumes with input and output.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qsmcmb.background_removal import _lbv_loops as loops
from qsmcmb.background_removal.dipole_fit import DipoleFit, Fit
from qsmcmb.background_removal.lbv import harmonic_part, interior
from qsmcmb.core.validate import check_inside, check_range
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

COARSE, FINE = 0.01, 0.003
"""Laplacian that may be left in the first step, which the fit mends, and in the last."""
LOOSE = 6.0
"""The first fit only has to tell strong sources from weak: it may stop at so many times the tolerance."""


def remove_slbv(
    field_hz: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    field_sd_hz: FloatArray | None = None,
    inside: float = 0.25,
    damping: float = 0.02,
    tolerance: float = 0.005,
    max_iterations: int = 30,
) -> tuple[FloatArray, BoolArray]:
    """Remove the background field by LBV that leaves strong sources near the edge alone.

    Parameters
    ----------
    field_hz : ndarray of shape grid.shape, float32
        Total field, 0 outside the mask; any unit, kept.
    mask : ndarray of bool
        Brain mask; not eroded.
    grid : Grid
        Geometry.
    field_sd_hz : ndarray of shape grid.shape, optional
        SD of the field, same unit; weights of the fit are its inverse.
    inside : float, optional
        Standard deviation expected of a source inside over that of one outside, 1e-4 to 10.
    damping : float, optional
        Weight of the squared sources against the squared misfit, the fitted field's standard deviation being 1;
        1e-9 to 1.
    tolerance : float, optional
        Stop when the normal equations' residual has fallen to this part of its start.
    max_iterations : int, optional
        Of each of the two fits; 1 to 10000.

    Returns
    -------
    tuple of ndarray
        Local field and the mask.

    Raises
    ------
    InvalidInputError
        Option out of range, or a mask with no voxel inside its outermost layer.
    """
    check_range("inside", inside, 1e-4, 10.0)
    run = Fit(inside, damping, tolerance, max_iterations)
    within = interior(mask)
    check_inside("mask", within)
    calm = _without_strong_sources(field_hz, mask, within, grid, field_sd_hz, run)
    background = harmonic_part(calm, mask, within, grid, tolerance=FINE)
    loops.extrapolate(background, within, mask)
    loops.difference(field_hz, background, mask, background)
    return background, mask


def _without_strong_sources(
    field_hz: FloatArray,
    mask: BoolArray,
    within: BoolArray,
    grid: Grid,
    field_sd_hz: FloatArray | None,
    run: Fit,
) -> FloatArray:
    """Return the total field without that of the strong sources inside; the fit's volumes are free again."""
    fit = DipoleFit(
        field_hz - harmonic_part(field_hz, mask, within, grid, tolerance=COARSE),
        mask,
        grid,
        field_sd=field_sd_hz,
        fit=replace(run, tolerance=min(LOOSE * run.tolerance, 1.0)),
    )
    if fit.scale == 0:
        return field_hz
    fit.solve()
    fit.widen_strong()
    fit.fit = run
    fit.solve()
    return np.where(mask, field_hz - fit.strong_field(), np.float32(0))
