"""The fit of dipoles outside the brain, and with a narrow prior inside it, to the field inside.

Minimises |W (f - D P u)|^2 + damping |u|^2 over u, with sources P u: P is the standard deviation that is expected of a
source, 1 outside the mask and `inside` within, in units of the field's scale. The background is the field of the
sources outside alone.

The frame is a few voxels wide: the periodic copies of all sources lie outside the mask, where their fields are
harmonic inside it and so are background by themselves.

Volumes of the working grid: prior, unknown, residual, direction, half a kernel, and the engine's two; of the mask's
box: weight and field.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qsmcmb.background_removal import _lbv_loops as lbv_loops
from qsmcmb.background_removal import _normal_loops as loops
from qsmcmb.background_removal.normal import NormalSystem
from qsmcmb.core._box_loops import scale_inside
from qsmcmb.core.dipole import dipole_kernel_k
from qsmcmb.core.fft import Shape, engine, fast_shape
from qsmcmb.core.memory import empty, zeros
from qsmcmb.core.robust import inverse_sd_weights, mean_inside, median_inside, std_inside
from qsmcmb.core.validate import check_range
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__: tuple[str, ...] = ()

FRAME_VOXELS = 6
"""Width of the frame, voxels: with two the local field is 0.1 % worse for a sixth less work; with 16 sources far away
take 3 % of an inner dipole's field on a small mask (docs/explanation/background-removal.md).
"""
MAX_WEIGHT = 3.0
"""Largest data weight over their median, a ratio: a few voxels of tiny SD do not decide the fit. Set by trial."""
MIN_STRONG_SDS = 4.0
"""Strength from which on a source inside gets a prior of its own, robust standard deviations: tissue stays below it."""


@dataclass(frozen=True)
class Fit:
    """Hold how the fit is run.

    Parameters
    ----------
    inside : float
        Standard deviation expected of a source inside the mask over that of one outside; 0 for none inside.
    damping : float
        Weight of the squared sources, 1e-9 to 1.
    tolerance : float
        Residual over that of the data at which iterations end, 1e-6 to 1.
    max_iterations : int
        Iterations at most, 1 to 10000.
    """

    inside: float
    damping: float
    tolerance: float
    max_iterations: int

    def __post_init__(self) -> None:
        check_range("damping", self.damping, 1e-9, 1.0)
        check_range("tolerance", self.tolerance, 1e-6, 1.0)
        check_range("max_iterations", self.max_iterations, 1, 10000)


class DipoleFit:
    """Hold the state of one fit.

    Parameters
    ----------
    field, mask, grid
        As every method gets them.
    field_sd : ndarray, optional
        SD of the field.
    fit : Fit
        How to run.
    kernel_k : callable, optional
        Half spectrum of the field of a unit source, from shape and grid; the dipole by default.
    """

    def __init__(
        self,
        field: FloatArray,
        mask: BoolArray,
        grid: Grid,
        *,
        field_sd: FloatArray | None,
        fit: Fit,
        kernel_k: Callable[[Shape, Grid], FloatArray] | None = None,
    ) -> None:
        self.mask, self.fit = mask, fit
        self.box = tuple(slice(0, n) for n in grid.shape)
        # On one side is enough: a periodic volume has the same frame on both.
        shape = fast_shape(grid.shape, FRAME_VOXELS)
        self.engine = engine(shape)
        if kernel_k is None:
            kernel = dipole_kernel_k(shape, grid.voxel_size_mm, grid.b0_dir)
        else:
            kernel = kernel_k(shape, grid)
        kernel *= self.engine.scale
        weight2 = data_weights(field_sd, mask)
        # The misfit is squared after weighting.
        weight2 *= weight2
        self.prior, self.unknown = empty(shape), zeros(shape)
        self.prior.fill(1)
        # Sources outside need no prior, those inside a narrow one: else they would explain the background.
        self.prior[self.box][mask] = fit.inside
        self.system = NormalSystem(
            engine=self.engine, kernel=kernel, prior=self.prior, weight2=weight2, damping=fit.damping
        )
        # A constant is background, and next to it small fields lose digits in float32.
        self.mean = mean_inside(field, mask)
        self.field = empty(mask.shape)
        lbv_loops.shift(field, np.float32(-self.mean), mask, self.field)
        self.scale = std_inside(field, mask)
        # What is left of a constant field is rounding: there is nothing to fit.
        if self.scale <= 1e-6 * abs(self.mean):
            self.scale = 0.0
        self.field /= np.float32(self.scale or np.inf)
        self.iterations = 0

    def solve(self) -> None:
        """Run conjugate gradients from the present sources."""
        residual = empty(self.system.engine.shape)
        square, data = self.system.start(self.field, self.unknown, residual)
        self.iterations += self.system.solve(
            self.unknown, residual, square=square, goal=self.fit.tolerance**2 * data,
            max_iterations=self.fit.max_iterations,
        )  # fmt: skip

    def widen_strong(self) -> None:
        """Give strong sources inside, such as microbleeds, a prior as wide as they are."""
        prior, unknown = self.prior[self.box], self.unknown[self.box]
        # In units of the field, so that they can be compared and get another prior.
        unknown *= prior
        strength = np.abs(unknown, out=empty(unknown.shape))
        # 0.6745: the median of the absolute value of normal numbers in SDs.
        threshold = np.float32(MIN_STRONG_SDS / 0.6745 * median_inside(strength, self.mask))
        loops.widen_prior(strength, self.mask, threshold, np.float32(self.fit.inside), prior)
        # The same sources under the new prior: the fit goes on from them.
        np.divide(unknown, prior, out=unknown, where=prior > 0)

    def without_strong(self, field: FloatArray) -> FloatArray:
        """Return a field, in the input's unit, without that of the strong sources inside; 0 outside the mask."""
        prior, sources = self.prior[self.box], self.engine.real
        sources[...] = 0
        # Widened sources are those whose prior is no longer the narrow one.
        strong = self.mask & (prior > np.float32(self.fit.inside))
        np.multiply(prior, self.unknown[self.box], out=sources[self.box], where=strong)
        calm = np.multiply(self.system.convolve()[self.box], np.float32(self.scale), out=empty(field.shape))
        lbv_loops.difference(field, calm, self.mask, calm)
        return calm

    def local_field(self) -> FloatArray:
        """Turn the field, in place and for no fit after this, into that without the sources outside; return it, 0
        outside the mask.
        """
        loops.multiply(self.prior, self.unknown, self.engine.real)
        # The field of sources inside is what is to be left.
        self.engine.real[self.box][self.mask] = 0
        self.field -= self.system.convolve()[self.box]
        # The mean was subtracted for good: a constant is background.
        scale_inside(self.field, self.mask, np.float32(self.scale), self.field)
        return self.field


def data_weights(field_sd: FloatArray | None, mask: BoolArray) -> FloatArray:
    """Return the inverse SD, its median inside the mask 1, at most 3; 0 outside."""
    return inverse_sd_weights(field_sd, mask, MAX_WEIGHT)
