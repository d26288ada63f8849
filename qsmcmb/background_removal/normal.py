"""Conjugate gradients on P (K W^2 K or K) P + damping, with a real convolution K: the system of the iterative
methods.

One or two transform pairs an iteration; three fused passes over the volume, sums in float64 by plane (with weights the
curvature falls out of weighing). The residual's norm is compared with that of the data alone, so the unit of the field
does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmcmb.background_removal import _normal_loops as loops
from qsmcmb.core.fft import FftEngine
from qsmcmb.core.memory import zeros
from qsmcmb.typing import FloatArray

__all__: tuple[str, ...] = ()


@dataclass
class NormalSystem:
    """Hold a damped symmetric system on the engine's grid.

    Parameters
    ----------
    engine : FftEngine
        Transforms of the working grid.
    kernel : ndarray
        Half spectrum of K, times the engine's scale.
    prior : ndarray of shape engine.shape
        Standard deviations P; 0 where nothing is unknown.
    weight2 : ndarray or None
        Squared weights W^2 on a corner of the grid, 0 beyond it; None for the system with one convolution.
    damping : float
        Addition to the diagonal, at least 0.
    """

    engine: FftEngine
    kernel: FloatArray
    prior: FloatArray
    weight2: FloatArray | None
    damping: float

    def convolve(self) -> FloatArray:
        """Convolve the engine's real buffer with the kernel, in place."""
        spectrum = self.engine.forward()
        # A real kernel is symmetric, so it is its own adjoint.
        loops.multiply(spectrum, self.kernel, spectrum)
        return self.engine.inverse(normalise=False)

    def start(self, field: FloatArray, unknown: FloatArray, residual: FloatArray) -> tuple[float, float]:
        """Fill `residual` for the data `field` (a corner); return its squared norm and that of the data alone."""
        back = self.engine.real
        back[...] = 0
        loops.weigh_misfit(self.weight2, field, back)
        self.convolve()
        # The goal is relative to the data, not to a start that may be near the solution.
        data = loops.gradient_of_misfit(self.prior, back, unknown, np.float32(0), residual).sum()
        if not unknown.any():
            return float(data), float(data)
        # A fit that goes on: its model must come off the data first.
        loops.multiply(self.prior, unknown, back)
        self.convolve()
        loops.weigh_misfit(self.weight2, field, back)
        self.convolve()
        square = loops.gradient_of_misfit(self.prior, back, unknown, np.float32(self.damping), residual).sum()
        return float(square), float(data)

    def solve(
        self, unknown: FloatArray, residual: FloatArray, *, square: float, goal: float, max_iterations: int
    ) -> int:
        """Iterate until the residual's squared norm `square` is at most `goal`; return the iterations."""
        back, damping = self.engine.real, np.float32(self.damping)
        # With beta = 0 the first direction is the residual.
        direction = zeros(self.engine.shape)
        beta = np.float32(0)
        for iteration in range(max_iterations):
            if square <= goal:
                return iteration
            # direction' A direction in two parts: the damping's, then the data's on the way of the convolution.
            curvature = self.damping * loops.turn(residual, beta, self.prior, direction, back).sum()
            self.convolve()
            if self.weight2 is None:
                curvature += loops.along(self.prior, back, direction).sum()
            else:
                curvature += loops.weigh(self.weight2, back).sum()
                self.convolve()
            length = np.float32(square / curvature)
            previous = square
            square = loops.step(self.prior, back, direction, damping, length, unknown, residual).sum()
            # Fletcher and Reeves' choice, exact for a linear system.
            beta = np.float32(square / previous)
        return max_iterations
