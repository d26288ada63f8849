"""Source-aware LBV: the harmonic background from the mask's edge, once strong sources near it are subtracted.

LBV (Zhou et al. 2014, doi 10.1002/nbm.3064) takes the field on the mask's outermost layer for background; a microbleed
at the cortex breaks that, and a method that explains the field by sources outside takes a fraction of it away. Here

1. the harmonic field of the outermost layer is subtracted, so that the background that is left is as weak as the
brain's
   own field, whatever air is near;
2. dipoles outside and inside the brain are fitted to the rest jointly, those inside under a narrow Gaussian prior (as
   in total field inversion, Liu et al. 2017, doi 10.1002/mrm.26331), then once more with a prior of their own where
   they turned out strong;
3. the field of the strong sources alone is subtracted from the total field, and the harmonic field of the outermost
   layer of that is the background. It is extrapolated to the layer itself, so that no voxel is lost.

A value on that layer counts for all voxels behind it. Where bone or air beside it leaves a field that its own SD does
not trust, the layer is taken up to three voxels further in, and the background continued from there.

The local field is the total field minus that background: nothing of the fitted sources is put into it. Two transform
pairs an iteration, about 35 iterations; eleven volumes with input and output.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qsmcmb.background_removal import _lbv_loops as loops
from qsmcmb.background_removal.dipole_fit import DipoleFit, Fit
from qsmcmb.background_removal.lbv import harmonic_part, interior
from qsmcmb.core.memory import release
from qsmcmb.core.robust import median_inside, positive_inside
from qsmcmb.core.validate import check_inside, check_range
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("remove_slbv",)

COARSE_TOLERANCE = 0.01
"""Laplacian over its start that the first harmonic field may leave, a ratio: the fit mends it."""
FINE_TOLERANCE = 0.003
"""The same of the last one, a ratio: the error does not fall below it (docs/explanation/background-removal.md)."""
MAX_LAYERS = 3
"""Voxels by which the layer may move in, a count. Set by trial."""
FIRST_FIT_TOLERANCE = 6.0
"""Tolerance of the first fit over that of the second, a ratio: it only has to find the strong sources."""


def remove_slbv(
    field_hz: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    field_sd_hz: FloatArray | None = None,
    inside: float = 0.25,
    doubtful: float = 20.0,
    damping: float = 0.02,
    tolerance: float = 0.005,
    max_iterations: int = 30,
) -> tuple[FloatArray, BoolArray]:
    """Remove the background field by LBV that leaves strong sources near the edge alone.

    Parameters
    ----------
    field_hz : ndarray of shape grid.shape, float32
        Total field, 0 outside the mask; Hz or any unit, which the result has.
    mask : ndarray of shape grid.shape, bool
        Brain mask; it is not eroded.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    field_sd_hz : ndarray of shape grid.shape, float32, optional
        SD of the field, its unit; weights of the fit are its inverse.
    inside : float, optional
        Standard deviation expected of a source inside over that of one outside, 1e-4 to 10.
    doubtful : float, optional
        SD over its median from which on a voxel at the mask's surface says nothing of the background, 1 to 1e9; without
        an SD all do.
    damping : float, optional
        Weight of the squared sources against the squared misfit, the fitted field's standard deviation being 1; 1e-9 to
        1.
    tolerance : float, optional
        Residual of the normal equations over that of the start at which iterations end, 1e-6 to 1.
    max_iterations : int, optional
        Iterations of each of the two fits at most, 1 to 10000.

    Returns
    -------
    local_field : ndarray of shape grid.shape, float32
        Local field, unit of `field_hz`; 0 outside the second mask.
    mask : ndarray of shape grid.shape, bool
        The mask that was given.

    Raises
    ------
    InvalidInputError
        Option out of range, or a mask with no voxel inside its outermost layer.

    Notes
    -----
    With H the harmonic continuation from the outermost layer, D the dipole kernel, W the data weights (inverse SD,
    median 1, at most 3) and f the total field::

        r = f - H f
        u = argmin |W (r - D P u)|^2 + damping |u|^2    P = 1 outside the mask, `inside` within it
        s = D (sources P u inside the mask above four robust SDs, fitted again with a P as large as they are)
        local field = f - H (f - s)

    References
    ----------
    LBV: Zhou et al. 2014. Background field removal by solving the Laplacian boundary value problem.
    doi:10.1002/nbm.3064

    The joint fit: Liu et al. 2017. Preconditioned total field inversion (TFI) method for quantitative susceptibility
    mapping. doi:10.1002/mrm.26331

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> mask = np.zeros(grid.shape, bool)
    >>> mask[2:-2, 2:-2, 2:-2] = True
    >>> background = np.float32(0.1) * np.arange(16, dtype=np.float32)[:, None, None]
    >>> local, _ = remove_slbv(np.where(mask, background, np.float32(0)), mask, grid)
    >>> float(np.abs(local).max()) < 1e-3
    True
    """
    check_range("inside", inside, 1e-4, 10.0)
    check_range("doubtful", doubtful, 1.0, 1e9)
    run = Fit(inside, damping, tolerance, max_iterations)
    # Else the harmonic field would have no inside to be continued to.
    check_inside("mask", interior(mask))
    edge = Edge(mask, trusted_mask(mask, field_sd_hz, doubtful), grid)
    calm = _without_strong_sources(field_hz, mask, edge, grid, field_sd_hz, run)
    # Else what the fit has left would lie beside the result: a hundredth of the time for a whole volume.
    release()
    background = edge.background(calm, tolerance=FINE_TOLERANCE)
    # In place of the background: one volume less.
    loops.difference(field_hz, background, mask, background)
    return background, mask


def trusted_mask(mask: BoolArray, field_sd: FloatArray | None, doubtful: float) -> BoolArray:
    """Return the mask without surface voxels whose SD is `doubtful` times the median and more, some layers deep."""
    usable = None if field_sd is None else positive_inside(field_sd, mask)
    if field_sd is None or usable is None:
        return mask
    sure = mask
    # Relative to the scan's own median: what is doubtful at 7 T is usual at 1.5 T.
    good = usable & (field_sd < np.float32(doubtful * median_inside(field_sd, usable)))
    for _ in range(MAX_LAYERS):
        # Only what lies at the surface: a dark lesion inside is no edge.
        loose = sure & ~interior(sure) & ~good
        if not loose.any():
            break
        sure = sure & ~loose
    # Nothing to trust is no reason to return nothing.
    return sure if interior(sure).any() else mask


class Edge:
    """Hold the outermost layer of what is trusted of a mask, from which the background comes."""

    def __init__(self, mask: BoolArray, sure: BoolArray, grid: Grid) -> None:
        self.mask, self.sure, self.within, self.grid = mask, sure, interior(sure), grid

    def harmonic(self, field: FloatArray, *, tolerance: float) -> FloatArray:
        """Return the harmonic field of the layer; on it and beyond it the field itself, 0 outside the mask."""
        if self.sure is self.mask:
            return harmonic_part(field, self.mask, self.within, self.grid, tolerance=tolerance)
        sure = np.where(self.sure, field, np.float32(0))
        found = harmonic_part(sure, self.sure, self.within, self.grid, tolerance=tolerance)
        # So that the difference from the field is 0 where nothing is trusted.
        np.copyto(found, field, where=self.mask & ~self.sure)
        return found

    def background(self, field: FloatArray, *, tolerance: float) -> FloatArray:
        """Return the harmonic field of the layer, continued to all of the mask; 0 outside."""
        found = self.harmonic(field, tolerance=tolerance)
        known = self.within
        # A layer at a time: each is continued from the two behind it.
        for _ in range(MAX_LAYERS + 1):
            reached = np.empty_like(known)
            loops.extrapolate(found, known, self.mask, reached)
            known = reached
            if self.sure is self.mask or np.array_equal(known, self.mask):
                break
        return found


def _without_strong_sources(
    field_hz: FloatArray, mask: BoolArray, edge: Edge, grid: Grid, field_sd_hz: FloatArray | None, run: Fit
) -> FloatArray:
    """Return the total field without that of the strong sources inside; the fit's volumes are free again."""
    # The field of air is far above the brain's own: fitted as it is, it would take all of the iterations.
    rest = edge.harmonic(field_hz, tolerance=COARSE_TOLERANCE)
    np.subtract(field_hz, rest, out=rest)
    loose = replace(run, tolerance=min(FIRST_FIT_TOLERANCE * run.tolerance, 1.0))
    fit = DipoleFit(rest, mask, grid, field_sd=field_sd_hz, fit=loose)
    del rest
    if fit.scale == 0:
        return field_hz
    fit.solve()
    # The narrow prior shrinks strong sources, so the second fit lets them be as large as they are.
    fit.widen_strong()
    fit.fit = run
    fit.solve()
    return fit.without_strong(field_hz)
