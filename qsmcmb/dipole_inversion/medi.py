"""MEDI: minimise |W (exp(i D chi) - exp(i f))|^2 / 2 + lambda |M grad chi|_1, M = 0 at the magnitude's edges.

Morphology-enabled dipole inversion: Liu et al. 2012, doi 10.1016/j.neuroimage.2011.08.082; with the nonlinear data
term and MERIT: Liu et al. 2013, doi 10.1002/mrm.24272; with spherical mean values on both sides of the data term:
Liu et al. 2011, doi 10.1002/mrm.22816. The minimiser is found by splitting (`qsmcmb.dipole_inversion.admm`) in
place of the papers' Gauss-Newton: about 25 iterations of two transform pairs, where each Gauss-Newton step takes as
many conjugate gradients. Memory: 3 volumes of the frame and 6.8 of the mask's box, with `smv_radius_mm` half a
volume of the frame more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qsmcmb.core.dipole import dipole_kernel_k
from qsmcmb.core.fft import convolve
from qsmcmb.core.memory import empty
from qsmcmb.core.morphology import erode
from qsmcmb.core.robust import std_inside
from qsmcmb.core.smv import smv_kernel_k
from qsmcmb.core.validate import check_radius, check_range
from qsmcmb.dipole_inversion import _admm_loops as admm_loops
from qsmcmb.dipole_inversion import _medi_loops as loops
from qsmcmb.dipole_inversion import _signal_loops as signal_loops
from qsmcmb.dipole_inversion.admm import (
    MU_DATA,
    RELAXATION,
    SHRINK,
    Dipole,
    Penalties,
    Region,
    Stopping,
    WeightedSplitting,
    inside,
    minimise,
)
from qsmcmb.dipole_inversion.noise import data_weights
from qsmcmb.dipole_inversion.regularisation import gradient_weight
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray, IntArray

LINEAR_ITERATIONS = 8
"""Iterations before the sine comes in: from an empty map a strong lesion's phase is turns away from the data."""
LARGEST_SMV_MM = 50.0
"""No brain holds a larger ball."""
MERIT_EVERY = 4
MERIT_LIMIT = 6.0
"""Misfits above this many standard deviations lose weight, as in the paper's code."""


def invert_medi(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    radians_per_ppm: float,
    field_sd_ppm: FloatArray | None = None,
    magnitude: FloatArray | None = None,
    regularisation: float | None = None,
    edge_fraction: float = 0.3,
    smv_radius_mm: float = 0.0,
    merit: bool = False,
    tolerance: float = 0.004,
    max_iterations: int = 60,
) -> FloatArray:
    """Invert with total variation outside the magnitude's edges and the nonlinear data term.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm, 0 outside the mask.
    mask : ndarray of bool
        Where the field is defined.
    grid : Grid
        Geometry with the direction of B0.
    radians_per_ppm : float
        Phase of 1 ppm, rad: makes the data term the misfit of the complex signal; positive.
    field_sd_ppm : ndarray of shape grid.shape, optional
        SD of the field, ppm. Without it the magnitude is the weight, without both all voxels weigh the same.
    magnitude : ndarray of shape grid.shape, optional
        Its edges are free of regularisation; without it nothing is.
    regularisation : float, optional
        Weight of the gradient (mm), in units of the field's standard deviation over the mask; 1e-6 to 10. From
        the noise by default.
    edge_fraction : float, optional
        Part of the voxel-to-voxel differences in the mask that is taken for edges, those with the steepest
        magnitude; 0 to 0.9.
    smv_radius_mm : float, optional
        Radius of the spherical mean that is taken off the data and the model, mm, so that what background field
        is left does not matter; 0 is off, else at least the largest voxel edge. The data of an outer layer of
        this thickness are not used.
    merit : bool, optional
        Lower the weight of voxels that no map explains (model error reduction through iterative tuning).
    tolerance : float, optional
        Stop when an iteration changes the map's gradient by less than this part of its norm; 1e-8 to 1.
    max_iterations : int, optional
        1 to 1000.

    Returns
    -------
    ndarray of shape grid.shape, float32
        ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        An option out of range; a spherical mean as large as the mask.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> field = np.zeros(grid.shape, np.float32)
    >>> invert_medi(field, np.ones(grid.shape, bool), grid, radians_per_ppm=12.0).shape
    (16, 16, 16)
    """
    if regularisation is not None:
        check_range("regularisation", regularisation, 1e-6, 10.0)
    check_range("radians_per_ppm", radians_per_ppm, 1e-6, 1e6)
    check_range("edge_fraction", edge_fraction, 0.0, 0.9)
    check_range("tolerance", tolerance, 1e-8, 1.0)
    check_range("max_iterations", max_iterations, 1, 1000)
    if smv_radius_mm:
        check_radius("smv_radius_mm", smv_radius_mm, grid.voxel_size_mm)
        check_range("smv_radius_mm", smv_radius_mm, 0.0, LARGEST_SMV_MM)
    scale = std_inside(local_field_ppm, mask)
    if scale == 0.0:
        return np.zeros(grid.shape, np.float32)
    region, used = Region(mask), mask
    model, field = Dipole(grid), local_field_ppm
    if smv_radius_mm:
        model, used = _WithoutMean(grid, smv_radius_mm), _inner(mask, smv_radius_mm, grid)
        field = convolve(local_field_ppm, model.filter_k)
        field *= used
    weight = regularisation and regularisation * scale
    if weight is None:
        weight = gradient_weight(field, used, grid, field_sd_ppm=field_sd_ppm)
    # Only what is in the box is kept while it iterates.
    weight2 = region.cut(_weights(field_sd_ppm, magnitude, mask))
    weight2 *= weight2
    weight2 *= used[region.box]
    data_step = _SignalStep(region, region.cut(field), weight2, radians=radians_per_ppm, merit=merit)
    del field, used
    penalties = Penalties(weight, SHRINK * scale)
    splitting = WeightedSplitting(
        region, grid, penalties.shrink, _flat(magnitude, mask, region, grid, edge_fraction)
    )
    chi = minimise(data_step, splitting, model, penalties, stopping=Stopping(tolerance, max_iterations))
    return inside(chi, mask)


def _weights(sd: FloatArray | None, magnitude: FloatArray | None, mask: BoolArray) -> FloatArray:
    if sd is None and magnitude is not None:
        sd = np.divide(
            1.0, magnitude, out=np.full(mask.shape, np.inf, np.float32), where=mask & (magnitude > 0)
        )
    return data_weights(sd, mask)


def _inner(mask: BoolArray, radius_mm: float, grid: Grid) -> BoolArray:
    inner = erode(mask, radius_mm, grid.voxel_size_mm)
    if not inner.any():
        raise InvalidInputError(
            "ARGUMENT", "argument", field="smv_radius_mm", found=radius_mm,
            expected="a ball that fits into the mask", fix="lower smv_radius_mm",
        )  # fmt: skip
    return inner


def _flat(
    magnitude: FloatArray | None, mask: BoolArray, region: Region, grid: Grid, fraction: float
) -> IntArray:
    """Return for each axis, in the box with its guard layer, 0 where the magnitude's difference is an edge, else 1."""
    flat: IntArray = np.ones((3, *(n + 1 for n in region.shape)), np.uint8)
    if magnitude is None or fraction == 0.0:
        return flat
    # In memory that the splittings take after it: what NumPy's own temporaries leave, the system does not get back.
    sizes, pairs = empty((3, *region.shape)), 0
    spacing = [np.float32(v) for v in grid.voxel_size_mm]
    for axis in range(3):
        where = magnitude, mask, region.start, axis, spacing[axis]
        pairs += int(loops.difference_sizes(*where, sizes[axis]).sum())
    limit = np.float32(_quantile(sizes.reshape(-1), pairs, 1.0 - fraction))
    for axis in range(3):
        loops.clear_edges(magnitude, mask, region.start, axis, spacing[axis], limit, flat[axis])
    return flat


def _quantile(values: FloatArray, count: int, part: float) -> float:
    """Return the quantile of the `count` lowest values, which lose their order; 0 of none."""
    if not count:
        return 0.0
    low, rest = divmod(part * (count - 1), 1.0)
    at = [int(low), min(int(low) + 1, count - 1)]
    values.partition(at)
    return float(values[at[0]] + rest * (values[at[1]] - values[at[0]]))


class _WithoutMean(Dipole):
    """The dipole after its spherical mean is taken off."""

    def __init__(self, grid: Grid, radius_mm: float) -> None:
        super().__init__(grid)
        self.filter_k = 1 - smv_kernel_k(grid.shape, grid.voxel_size_mm, radius_mm)
        self.kernel = dipole_kernel_k(grid.shape, grid.voxel_size_mm, grid.b0_dir)
        self.kernel *= self.filter_k

    def multiply(self, spectrum: ComplexArray, out: ComplexArray) -> None:
        loops.multiply(spectrum, self.kernel, out)

    def solve(
        self, spectrum: ComplexArray, data_k: ComplexArray, mu_data: Any, mu_gradient: Any, scale: Any
    ) -> None:
        loops.solve(spectrum, data_k, self.kernel, self.tables, mu_data, mu_gradient, scale)


class _SignalStep:
    """Data step that begins linear, goes on with the complex signal and may lower weights on its way."""

    def __init__(
        self, region: Region, field: FloatArray, weight2: FloatArray, *, radians: float, merit: bool
    ) -> None:
        self.start, self.radians, self.merit = region.start, np.float32(radians), merit
        self.field, self.weight2, self.v = field, weight2, region.volume()
        self.calls = 0

    def __call__(self, real: FloatArray) -> None:
        self.calls += 1
        # The first call sees no map yet.
        beyond = self.calls - 1 - LINEAR_ITERATIONS
        if beyond < 0:
            admm_loops.update_data(self.field, self.weight2, self.v, self.start, MU_DATA, RELAXATION, real)
            return
        if self.merit and beyond % MERIT_EVERY == 0:
            squares, count = signal_loops.sum_misfit(
                real, self.field, self.weight2, self.start, self.radians
            ).sum(axis=0)
            limit2 = np.float32(MERIT_LIMIT**2 * squares / count)
            if limit2 > 0:
                signal_loops.lower_weights(real, self.field, self.weight2, self.start, self.radians, limit2)
        signal_loops.update_signal(
            self.field, self.weight2, self.v, self.start, MU_DATA, RELAXATION, self.radians, real
        )
