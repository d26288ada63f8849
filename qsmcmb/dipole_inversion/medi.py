"""MEDI: morphology-enabled dipole inversion, total variation away from the magnitude's edges.

The minimiser is found by splitting (`qsmcmb.dipole_inversion.admm`) in place of the papers' Gauss-Newton: about 25
iterations of two transform pairs, where each Gauss-Newton step takes as many conjugate gradients. Memory: 3 volumes of
the frame and 6.8 of the mask's box, with `smv_radius_mm` half a volume of the frame more.
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

__all__ = ("invert_medi",)

LINEAR_ITERATIONS = 8
"""Iterations before the sine comes in, a count: from an empty map a strong lesion's phase is turns away from the
data. Lesions of 1.5 ppm at 16 rad per ppm: none leaves the map 86 % off, four 6 %, eight 0.
"""
MAX_SMV_MM = 50.0
"""Largest radius of the spherical mean, mm: no brain holds a larger ball."""
MERIT_EVERY = 4
"""Iterations from one lowering of the weights to the next, a count: the splitting settles in between."""
MERIT_LIMIT = 6.0
"""Misfit above which a voxel loses weight, in standard deviations of the misfit: as in the paper's code."""


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
    """Invert with total variation away from the magnitude's edges and the nonlinear data term.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where the field is defined.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    radians_per_ppm : float
        Phase of a field of 1 ppm at the nominal echo time, rad; 1e-6 to 1e6.
    field_sd_ppm : ndarray of shape grid.shape, float32, optional
        SD of the field, ppm. Without it the magnitude is the weight, without both all voxels weigh the same.
    magnitude : ndarray of shape grid.shape, float32, optional
        Magnitude image, any unit; its edges are free of regularisation, without it nothing is.
    regularisation : float, optional
        Weight lambda of the gradient in units of the field's standard deviation over the mask, mm; 1e-6 to 10. None:
        from the field's error level (`gradient_weight`).
    edge_fraction : float, optional
        Fraction of the voxel-to-voxel differences in the mask that count as edges, those with the steepest magnitude; 0
        to 0.9.
    smv_radius_mm : float, optional
        Radius of the spherical mean that is subtracted from the data and the model, mm, so that a background field that
        is left does not matter; 0 is off, else from the largest voxel edge to 50. The data of an outer layer of this
        thickness are not used.
    merit : bool, optional
        Lower the weight of voxels that no map explains (model error reduction through iterative tuning).
    tolerance : float, optional
        Iterations end when one changes the split gradient by less than this fraction of its norm; 1e-8 to 1.
    max_iterations : int, optional
        Iterations at most, 1 to 1000.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Susceptibility relative to the mean over the volume, ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        An option out of range, or a spherical mean as large as the mask.

    Notes
    -----
    Minimises, with the data weights W, the phase phi = `radians_per_ppm` f, and M = 0 at the magnitude's edges, else
    1::

        |W (exp(i D chi) - exp(i phi))|^2 / 2 + lambda |M grad chi|_1

    With `smv_radius_mm`, D and f are both convolved with the unit impulse less the mean over a ball.

    References
    ----------
    Liu J et al. 2012. Morphology enabled dipole inversion for quantitative susceptibility mapping using structural
    consistency between the magnitude image and the susceptibility map. doi:10.1016/j.neuroimage.2011.08.082

    The nonlinear data term and MERIT: Liu T et al. 2013. Nonlinear formulation of the magnetic field to source
    relationship for robust quantitative susceptibility mapping. doi:10.1002/mrm.24272

    From one orientation: Liu T et al. 2011. Morphology enabled dipole inversion (MEDI) from a single-angle acquisition.
    doi:10.1002/mrm.22816

    Examples
    --------
    >>> from qsmcmb.core.dipole import forward_field
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> body = np.zeros(grid.shape, np.float32)
    >>> body[6:10, 6:10, 6:10] = 1.0
    >>> field = forward_field(body, grid)
    >>> chi = invert_medi(field, np.ones(grid.shape, bool), grid, radians_per_ppm=2.0)
    >>> round(float(chi[8, 8, 8]), 1)
    1.0
    """
    if regularisation is not None:
        check_range("regularisation", regularisation, 1e-6, 10.0)
    check_range("radians_per_ppm", radians_per_ppm, 1e-6, 1e6)
    check_range("edge_fraction", edge_fraction, 0.0, 0.9)
    check_range("tolerance", tolerance, 1e-8, 1.0)
    check_range("max_iterations", max_iterations, 1, 1000)
    if smv_radius_mm:
        check_radius("smv_radius_mm", smv_radius_mm, grid.voxel_size_mm)
        check_range("smv_radius_mm", smv_radius_mm, 0.0, MAX_SMV_MM)
    scale = std_inside(local_field_ppm, mask)
    if scale == 0.0:
        return np.zeros(grid.shape, np.float32)
    region, used = Region(mask), mask
    model, field = Dipole(grid), local_field_ppm
    if smv_radius_mm:
        # The mean of a harmonic background over a ball is itself, so the difference is free of it.
        model, used = _WithoutMean(grid, smv_radius_mm), _inner(mask, smv_radius_mm, grid)
        field = convolve(local_field_ppm, model.filter_k)
        field *= used
    # None stays None, and asks for the weight from the noise.
    weight = regularisation and regularisation * scale
    if weight is None:
        weight = gradient_weight(field, used, grid, field_sd_ppm=field_sd_ppm)
    # Only what is in the box is kept while it iterates.
    weight2 = region.cut(_weights(field_sd_ppm, magnitude, mask))
    weight2 *= weight2
    # Where the ball leaves the mask its mean is not that of the field.
    weight2 *= used[region.box]
    data_step = _SignalStep(region, region.cut(field), weight2, radians=radians_per_ppm, merit=merit)
    # Else both would lie beside the iteration's volumes.
    del field, used
    penalties = Penalties(weight, SHRINK * scale)
    splitting = WeightedSplitting(
        region, grid, penalties.shrink, _flat(magnitude, mask, region, grid, edge_fraction)
    )
    chi = minimise(data_step, splitting, model, penalties, stopping=Stopping(tolerance, max_iterations))
    return inside(chi, mask)


def _weights(sd: FloatArray | None, magnitude: FloatArray | None, mask: BoolArray) -> FloatArray:
    """Return the data weights from the SD, or from the magnitude where there is no SD."""
    if sd is None and magnitude is not None:
        # The SD of a phase goes with the inverse of the magnitude.
        sd = np.divide(
            1.0, magnitude, out=np.full(mask.shape, np.inf, np.float32), where=mask & (magnitude > 0)
        )
    return data_weights(sd, mask)


def _inner(mask: BoolArray, radius_mm: float, grid: Grid) -> BoolArray:
    """Return the mask eroded by the ball of the spherical mean; raise where nothing is left."""
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
    # Differences outside the mask are infinite, so that they sort behind all others.
    sizes, pairs = empty((3, *region.shape)), 0
    spacing = [np.float32(v) for v in grid.voxel_size_mm]
    for axis in range(3):
        where = magnitude, mask, region.start, axis, spacing[axis]
        pairs += int(loops.difference_sizes(*where, sizes[axis]).sum())
    # One limit for all axes: an edge is as steep in any direction.
    limit = np.float32(_quantile(sizes.reshape(-1), pairs, 1.0 - fraction))
    for axis in range(3):
        loops.clear_edges(magnitude, mask, region.start, axis, spacing[axis], limit, flat[axis])
    return flat


def _quantile(values: FloatArray, count: int, part: float) -> float:
    """Return the quantile of the `count` lowest values, which lose their order; 0 where there are none."""
    if not count:
        return 0.0
    low, rest = divmod(part * (count - 1), 1.0)
    at = [int(low), min(int(low) + 1, count - 1)]
    # Selects in linear time; a sort would take as long as a transform.
    values.partition(at)
    return float(values[at[0]] + rest * (values[at[1]] - values[at[0]]))


class _WithoutMean(Dipole):
    """Hold the model of the data term, the dipole kernel less its spherical mean."""

    def __init__(self, grid: Grid, radius_mm: float) -> None:
        super().__init__(grid)
        self.filter_k = 1 - smv_kernel_k(grid.shape, grid.voxel_size_mm, radius_mm)
        self.kernel = dipole_kernel_k(grid.shape, grid.voxel_size_mm, grid.b0_dir)
        # Stored as a volume, for the ball's spectrum is no sum of three axes' tables.
        self.kernel *= self.filter_k

    def multiply(self, spectrum: ComplexArray, out: ComplexArray) -> None:
        """Write the field's spectrum from the map's."""
        loops.multiply(spectrum, self.kernel, out)

    def solve(
        self, spectrum: ComplexArray, data_k: ComplexArray, mu_data: Any, mu_gradient: Any, scale: Any
    ) -> None:
        """Solve the normal equations with the filtered kernel."""
        loops.solve(spectrum, data_k, self.kernel, self.tables, mu_data, mu_gradient, scale)


class _SignalStep:
    """Hold the data step that begins linear, goes on with the complex signal and may lower weights on its way."""

    def __init__(
        self, region: Region, field: FloatArray, weight2: FloatArray, *, radians: float, merit: bool
    ) -> None:
        self.start, self.radians, self.merit = region.start, np.float32(radians), merit
        self.field, self.weight2, self.v = field, weight2, region.volume()
        self.calls = 0

    def __call__(self, real: FloatArray) -> None:
        self.calls += 1
        # The first call sees no map yet.
        # Counts from the first call after the linear ones.
        beyond = self.calls - 1 - LINEAR_ITERATIONS
        if beyond < 0:
            admm_loops.update_data(self.field, self.weight2, self.v, self.start, MU_DATA, RELAXATION, real)
            return
        if self.merit and beyond % MERIT_EVERY == 0:
            squares, count = signal_loops.sum_misfit(
                real, self.field, self.weight2, self.start, self.radians
            ).sum(axis=0)
            # Squared, as the misfits are that it is compared with.
            limit2 = np.float32(MERIT_LIMIT**2 * squares / count)
            if limit2 > 0:
                signal_loops.lower_weights(real, self.field, self.weight2, self.start, self.radians, limit2)
        signal_loops.update_signal(
            self.field, self.weight2, self.v, self.start, MU_DATA, RELAXATION, self.radians, real
        )
