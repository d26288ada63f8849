"""The splitting that the variational methods share: any data term, total variation as the prior.

Minimise E(D chi) + lambda |grad chi|_1 by the alternating direction method of multipliers with two splittings, the
field and the gradient (Milovic et al. 2018, doi 10.1002/mrm.27073), over-relaxed (Eckstein and Bertsekas 1992,
doi 10.1007/BF01581204)::

    minimise E(z1) + lambda |z2|_1    with z1 = D chi, z2 = grad chi

    chi  <-  (mu1 D^2 + mu2 grad' grad) chi = mu1 D (z1 - u1) + mu2 grad' (z2 - u2)    in k-space
    z1   <-  argmin E(z1) + mu1 |D chi - z1 + u1|^2 / 2                                 the data step
    z2   <-  shrink(grad chi + u2, lambda / mu2)
    u1, u2  <-  u1 + D chi - z1, u2 + grad chi - z2

An iteration is two transform pairs and one pass over each volume, all in the engine's buffers. The gradient is split
around the mask alone, in its box: away from it a quadratic penalty keeps the map smooth and needs neither memory nor a
pass. Of each splitting variable z and its dual u only the sum is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.core._box_loops import scale_inside
from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.dipole import spectral_tables
from qsmcmb.core.fft import engine
from qsmcmb.core.memory import empty, zeros
from qsmcmb.core.validate import check_range
from qsmcmb.dipole_inversion import _admm_loops as loops
from qsmcmb.dipole_inversion import _weighted_loops as weighted_loops
from qsmcmb.model import Grid
from qsmcmb.typing import AnyArray, BoolArray, ComplexArray, FloatArray, IntArray

__all__: tuple[str, ...] = ()

RELAXATION = np.float32(1.7)
"""Over-relaxation of both splittings, a factor from 1 to 2: saves a third of the iterations, does not move the
solution.
"""
SHRINK = 0.5
"""Soft threshold of the gradient over the field's scale, 1/mm: sets the speed, not the solution. On a small phantom
with lesions `nltv` is 1.6 % from its solution after 30 iterations, with half or twice of it 3.8 and 2.5 %.
"""
MU_DATA = np.float32(0.3)
"""Penalty of the field splitting, against data weights of median 1: sets the speed, not the solution. Set by trial."""
LONG_SHRINK = 1.5
"""Soft threshold where the data term is smooth and the threshold stays, 1/mm: strong sources come in at once. With
`LOW_MU_DATA` to a given error in about two thirds of the iterations (phantoms and simulated heads).
"""
LOW_MU_DATA = np.float32(0.1)
"""Penalty of the field splitting in the same methods: the frequencies near the cone come in sooner."""

DataStep = Callable[[FloatArray], None]
"""Callable that turns the map's field, in the engine's buffer, into z - u of the field splitting."""


class Penalties(NamedTuple):
    """Hold the weights of the prior and of the two splittings.

    Parameters
    ----------
    regularisation : float
        Weight lambda of the gradient, unit of the field times mm.
    shrink : float
        Soft threshold of the gradient, unit of the field per mm.
    mu_data : float32
        Penalty of the field splitting, without unit where data weights have median 1.
    """

    regularisation: float
    shrink: float
    mu_data: np.float32 = MU_DATA


class Stopping(NamedTuple):
    """Hold when to stop.

    Parameters
    ----------
    tolerance : float
        Change of the split gradient in one iteration over its norm, below which iterations end.
    max_iterations : int
        Iterations at most.
    """

    tolerance: float
    max_iterations: int


def check_options(regularisation: float | None, tolerance: float, max_iterations: int) -> None:
    """Raise unless the options that all these methods have are in range."""
    if regularisation is not None:
        check_range("regularisation", regularisation, 1e-9, 10.0)
    check_range("tolerance", tolerance, 1e-8, 1.0)
    check_range("max_iterations", max_iterations, 1, 1000)


class Region:
    """Hold the mask's box in the frame, one voxel larger where there is room: there the splittings live.

    Parameters
    ----------
    mask : ndarray of shape grid.shape, bool
        Voxels where the field is defined.
    """

    def __init__(self, mask: BoolArray) -> None:
        sides = [
            (max(s.start - 1, 0), min(s.stop + 1, n))
            for s, n in zip(bounding_box(mask), mask.shape, strict=True)
        ]
        self.start = tuple(low for low, _ in sides)
        self.shape = tuple(high - low for low, high in sides)
        self.box = tuple(slice(low, high) for low, high in sides)
        # Half of a head's box lies outside the mask: rows end where its differences do.
        self.rows = _row_ranges(mask[self.box])

    def cut(self, volume: AnyArray) -> FloatArray:
        """Return a volume of the frame in the box, as a contiguous float32 copy."""
        # A copy even where the box is the whole frame: callers scale it in place.
        return np.array(volume[self.box], np.float32, order="C")

    def volume(self) -> FloatArray:
        """Return a fresh volume of the box, 0."""
        return zeros(self.shape)

    def vectors(self) -> FloatArray:
        """Return fresh vectors of the box, 0, with a guard layer at the low side of each axis."""
        # A backward difference then reads a zero at the edge in place of a test for it.
        return zeros((3, *(n + 1 for n in self.shape)))


def _row_ranges(mask: BoolArray) -> IntArray:
    """Return first and last + 1 voxel of each row whose forward differences touch the mask or the voxels beside it."""
    occupied, nz = mask.any(axis=2), mask.shape[2]
    first = np.where(occupied, mask.argmax(axis=2), nz)
    last = np.where(occupied, nz - mask[:, :, ::-1].argmax(axis=2), 0)
    # A forward difference touches the mask one voxel before it, too.
    low, high = first - occupied, last + occupied
    for axis in (0, 1):
        # A row beside one that the mask crosses lies next to it along its whole length.
        for side, other in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
            to, of = (np.moveaxis(a, axis, 0) for a in (low, first))
            np.minimum(to[side], of[other], out=to[side])
            to, of = (np.moveaxis(a, axis, 0) for a in (high, last))
            np.maximum(to[side], of[other], out=to[side])
    # The last voxel of the box has no neighbour in it, and no difference that touches the mask.
    high = np.minimum(high, nz - 1)
    high[-1] = high[:, -1] = 0
    low = np.maximum(low, 0)
    empty = low >= high
    return np.stack([np.where(empty, 0, low), np.where(empty, 0, high)], axis=-1).astype(np.int32)


def inside(chi: FloatArray, mask: BoolArray, unit: float = 1.0) -> FloatArray:
    """Return a map times `unit` inside the mask and 0 outside, as a fresh volume."""
    out = empty(mask.shape)
    scale_inside(chi, mask, np.float32(unit), out)
    return out


class Dipole:
    """Hold the model of the data term in k-space: here the dipole, made where it is used."""

    def __init__(self, grid: Grid) -> None:
        self.grid_shape = grid.shape
        self.tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)

    def multiply(self, spectrum: ComplexArray, out: ComplexArray) -> None:
        """Write the field's spectrum from the map's, or the adjoint: the kernel is real."""
        # From tables of the three axes: a kernel read from memory would cost as much as the spectrum.
        loops.multiply_dipole(spectrum, self.tables, out)

    def solve(
        self,
        spectrum: ComplexArray,
        data_k: ComplexArray,
        mu_data: np.float32,
        mu_gradient: np.float32,
        scale: Any,
    ) -> None:
        """Solve the normal equations: the map's spectrum into `spectrum`, its field's into `data_k`."""
        loops.solve_normal(spectrum, data_k, self.tables, mu_data, mu_gradient, scale)


class GradientSplitting:
    """Hold the gradient's splitting variable plus dual, shrunk by one threshold everywhere.

    Parameters
    ----------
    region : Region
        The mask's box.
    grid : Grid
        Geometry of the frame.
    shrink : float
        Soft threshold, unit of the map per mm.
    """

    def __init__(self, region: Region, grid: Grid, shrink: float) -> None:
        self.region = region
        self.shrink = np.float32(shrink)
        self.inverse_mm = tuple(np.float32(1 / v) for v in grid.voxel_size_mm)
        self.vectors = region.vectors()

    def update(self, chi: FloatArray) -> FloatArray:
        """Take in a new map; return the sampled squared change and norm of the split gradient."""
        sums = loops.update_vectors(
            chi, self.vectors, self.region.rows, self.region.start, self.shrink, self.inverse_mm, RELAXATION
        )
        return np.asarray(sums.sum(axis=0))

    def reflect(self, out: FloatArray) -> None:
        """Write the adjoint of the gradient of what the next solve aims at, z - u."""
        loops.reflected_adjoint(self.vectors, self.region.start, self.shrink, self.inverse_mm, out)


class WeightedSplitting(GradientSplitting):
    """Hold the same with the threshold `shrink` times `weights`.

    Parameters
    ----------
    region, grid, shrink
        As for `GradientSplitting`.
    weights : ndarray of shape (1 or 3, x + 1, y + 1, z + 1)
        For all axes, or for each; the box with the guard layer of `Region.vectors`.
    """

    def __init__(self, region: Region, grid: Grid, shrink: float, weights: AnyArray) -> None:
        super().__init__(region, grid, shrink)
        self.weights = weights

    def update(self, chi: FloatArray) -> FloatArray:
        """Take in a new map; return the sampled squared change and norm of the split gradient."""
        region, scale = self.region, (self.shrink, self.inverse_mm, RELAXATION)
        sums = weighted_loops.update_vectors(
            chi, self.vectors, self.weights, region.rows, region.start, *scale
        )
        return np.asarray(sums.sum(axis=0))

    def reflect(self, out: FloatArray) -> None:
        """Write the adjoint of the gradient of what the next solve aims at, z - u."""
        weighted_loops.reflected_adjoint(
            self.vectors, self.weights, self.region.start, self.shrink, self.inverse_mm, out
        )


def minimise_tv(
    data_step: DataStep, region: Region, grid: Grid, penalties: Penalties, *, stopping: Stopping
) -> FloatArray:
    """Return the minimiser of a data term of the dipole field and total variation, in the engine's buffer.

    Parameters
    ----------
    data_step : callable
        Proximal step of the data term with `penalties.mu_data`, its dual update and reflection, in place.
    region : Region
        The mask's box, for the splittings.
    grid : Grid
        Geometry of the frame.
    penalties : Penalties
        Weights of the prior and of the splittings.
    stopping : Stopping
        Tolerance and limit of the iterations.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Map in the field's unit, not masked. Copy it before the next transform.

    Notes
    -----
    Three volumes of the frame (both buffers and one more spectrum) and three of the mask's box.
    """
    splitting = GradientSplitting(region, grid, penalties.shrink)
    return minimise(data_step, splitting, Dipole(grid), penalties, stopping=stopping)


def minimise(
    data_step: DataStep,
    splitting: GradientSplitting,
    model: Dipole,
    penalties: Penalties,
    *,
    stopping: Stopping,
) -> FloatArray:
    """Return the minimiser for any splitting of the gradient and any model, as `minimise_tv` does."""
    eng = engine(model.grid_shape)
    # A penalty mu shrinks by lambda / mu: the threshold sets the penalty.
    mu_gradient = np.float32(penalties.regularisation / penalties.shrink)
    data_k = empty(eng.spectrum.shape, np.complex64)
    eng.real[...] = 0
    # Against a map of 0: what the data alone ask for.
    data_step(eng.real)
    model.multiply(eng.forward(), data_k)
    eng.spectrum[...] = 0
    for iteration in range(1, stopping.max_iterations + 1):
        model.solve(eng.spectrum, data_k, penalties.mu_data, mu_gradient, eng.scale)
        # The solve has divided by the number of voxels already.
        change, norm = splitting.update(eng.inverse(normalise=False))
        if change <= stopping.tolerance**2 * norm or iteration == stopping.max_iterations:
            break
        # The map has been taken in, so the field may take its buffer.
        data_step(eng.inverse(normalise=False, source=data_k))
        model.multiply(eng.forward(), data_k)
        # The spectrum of the data's aim is in `data_k`, so the buffers are free for the gradient's.
        splitting.reflect(eng.real)
        eng.forward()
    return eng.real
