"""Conjugate gradients on the data term alone, preconditioned by a damped inverse of the kernel.

One transform pair an iteration: the residual goes to k-space once, where gradient, preconditioner and direction are
products, and the direction's field comes back; the map is needed in image space only at the end. Stopping early is the
regularisation: the preconditioner 1 / (D^2 + damping) sets at once what the field determines and leaves the cone for
later iterations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qsmcmb.core._robust_loops import row_spans
from qsmcmb.core.dipole import spectral_tables
from qsmcmb.core.fft import engine, half_shape
from qsmcmb.core.memory import empty, zeros
from qsmcmb.dipole_inversion import _descent_loops as loops
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__: tuple[str, ...] = ()


class Stop(NamedTuple):
    """Hold when to end: whichever comes first.

    Parameters
    ----------
    cost : float
        Sum of the squared residuals.
    fall : float
        Relative fall of it in one step.
    iterations : int
        Number of steps.
    """

    cost: float
    fall: float
    iterations: int


def descend(
    field: FloatArray,
    weight2: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    damping: float,
    stop: Stop,
    gain: float = 1.0,
    nonlinear: bool = False,
) -> tuple[FloatArray, int]:
    """Minimise the weighted misfit of a field, or of its phase factor, from a map of 0.

    Parameters
    ----------
    field : ndarray of shape grid.shape, float32
        Local field; its spectrum must lie in the engine's buffer.
    weight2 : ndarray of shape grid.shape, float32
        Squared data weights.
    mask : ndarray of shape grid.shape, bool
        Voxels where they are not 0.
    grid : Grid
        Geometry with the direction of B0.
    damping : float
        Damping of the preconditioner, above 0.
    stop : Stop
        When to end.
    gain : float, optional
        Factor of the field; rad per unit where `nonlinear`.
    nonlinear : bool, optional
        Take the misfit |exp(i D chi) - exp(i f)|^2 in place of (D chi - f)^2.

    Returns
    -------
    chi : ndarray of shape grid.shape, float32
        Map in the unit of `gain` times the field, in the transform's buffer.
    iterations : int
        Number of steps taken.
    """
    eng = engine(grid.shape)
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    # With an even axis the half spectrum's last plane is its own mirror image, and counts once.
    even, size = grid.shape[2] % 2 == 0, np.float32(1.0 / eng.size)
    direction: Any = empty(half_shape(grid.shape), np.complex64)
    # A map of one step is its direction.
    chi = direction
    rows = np.empty((*grid.shape[:2], 2), np.int64)
    # Misfits outside the mask are 0: rows are passed over from their first voxel to their last.
    row_spans(mask, rows)
    # The first step is the closed form: what the weights hide from it would leave streaks that never go.
    spectrum, length = eng.spectrum, np.float32(1.0)
    spectrum[0, 0, 0] = 0.0
    loops.start(tables, np.float32(damping), size, np.float32(gain), spectrum, direction)
    forward = eng.inverse(normalise=False)
    cost = float(loops.misfit(field, np.float32(-gain), forward, length, weight2, nonlinear, rows).sum())
    norm, done = 0.0, 1
    if done < stop.iterations and cost > stop.cost:
        difference = empty(grid.shape)
        misfit = weight2, nonlinear, difference, rows
        cost = float(loops.step(field, np.float32(-gain), forward, length, *misfit).sum())
    while done < stop.iterations and cost > stop.cost:
        if chi is direction:
            chi = zeros(direction.shape, np.complex64)
        spectrum = eng.forward()
        spectrum[0, 0, 0] = 0.0
        new_norm = float(loops.gradient_norm(*tables, np.float32(damping), even, spectrum).sum()) / eng.size
        # The first direction is the closed form, no gradient: nothing is conjugate to it.
        keep = np.float32(new_norm / norm if done > 1 else 0.0)
        norm = new_norm
        loops.turn(tables, np.float32(damping), size, length, keep, spectrum, chi, direction)
        forward = eng.inverse(normalise=False)
        # Exact along a line for the linear misfit; of the nonlinear one its Gauss-Newton value.
        bend = float(loops.curvature(forward, difference, weight2, nonlinear, rows).sum())
        length = np.float32(norm / bend if bend > 0 else 0.0)
        before = cost
        cost = float(loops.step(difference, np.float32(1.0), forward, length, *misfit).sum())
        done += 1
        # Also where a step of the nonlinear misfit has raised it.
        if before - cost <= stop.fall * before:
            break
    # The map lags one step behind, for the loop that turns the direction also advances it.
    if chi is not direction:
        loops.advance(length, direction, chi)
    return eng.inverse(normalise=False, source=chi), done
