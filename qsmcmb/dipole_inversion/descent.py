"""Conjugate gradients on the data term alone, preconditioned by a damped inverse of the kernel.

One transform pair an iteration: the residual goes to k-space once, where gradient, preconditioner and direction are
products, and the direction's field comes back; the map is needed in image space only at the end. Stopping early is
the regularisation: the preconditioner 1 / (D^2 + damping) sets at once what the field determines and leaves the cone
for later iterations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qsmcmb.core.dipole import spectral_tables
from qsmcmb.core.fft import engine, half_shape
from qsmcmb.core.memory import zeros
from qsmcmb.dipole_inversion import _descent_loops as loops
from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray


class Stop(NamedTuple):
    """When to end: at a cost (squared residuals), at a small relative fall of it, or at a count."""

    cost: float
    fall: float
    iterations: int


def descend(
    field: FloatArray, weight2: FloatArray, grid: Grid, *, damping: float, stop: Stop, nonlinear: bool = False
) -> tuple[FloatArray, int]:
    """Minimise the weighted misfit of a field, or of its phase factor, from a map of 0.

    Parameters
    ----------
    field : ndarray of shape grid.shape, float32
        Local field; rad where `nonlinear`.
    weight2 : ndarray of shape grid.shape, float32
        Squared data weight, 0 outside the mask.
    grid : Grid
        Geometry with the direction of B0.
    damping : float
        Of the preconditioner; > 0.
    stop : Stop
        When to end.
    nonlinear : bool, optional
        Misfit |exp(i D chi) - exp(i f)|^2 in place of (D chi - f)^2.

    Returns
    -------
    chi : ndarray of shape grid.shape, float32
        The transform's buffer, times its size: in the unit of the field after division by `grid.size`.
    iterations : int
        Done.
    """
    eng = engine(grid.shape)
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    even, size = grid.shape[2] % 2 == 0, np.float32(1.0 / eng.size)
    chi: Any = zeros(half_shape(grid.shape), np.complex64)
    way: Any = zeros(chi.shape, np.complex64)
    difference = -field
    np.copyto(eng.real, difference)
    length, norm, done, cost = np.float32(0), 0.0, 0, np.inf
    while True:
        spectrum = eng.forward()
        spectrum[0, 0, 0] = 0.0
        new_norm = float(loops.gradient_norm(*tables, np.float32(damping), even, spectrum).sum()) / eng.size
        keep = np.float32(new_norm / norm if done > 1 else 0.0)
        norm = new_norm
        loops.turn(tables, np.float32(damping), size, length, keep, spectrum, chi, way)
        forward = eng.inverse(normalise=False)
        # The first step is the closed form: what the weights hide from it would leave streaks that never go.
        length = np.float32(1.0)
        if done > 0:
            bend = float(loops.curvature(forward, difference, weight2, nonlinear).sum())
            length = np.float32(norm / bend if bend > 0 else 0.0)
        before = cost
        cost = float(loops.step(forward, length, weight2, nonlinear, difference).sum())
        done += 1
        slow = done > 1 and before - cost <= stop.fall * before
        if done >= stop.iterations or cost <= stop.cost or slow:
            break
    loops.advance(length, way, chi, size, eng.spectrum)
    return eng.inverse(normalise=False), done
