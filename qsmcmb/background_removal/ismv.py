"""Iterative spherical mean values: the background is what taking the mean over a ball leaves as it is.

Wen et al. 2014, doi 10.1002/mrm.24998. The paper repeats the mean inside the eroded mask, the rim held, until nothing
changes. Its fixed point solves (I - M S M) b = M S R f (S the mean, M the eroded mask, R the rim), a symmetric positive
definite system: conjugate gradients reach it in a tenth of the repetitions. One transform pair an iteration; seven
volumes.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.background_removal import _spheres_loops as loops
from qsmcmb.background_removal.normal import NormalSystem
from qsmcmb.core.fft import engine, fast_shape
from qsmcmb.core.memory import empty, zeros
from qsmcmb.core.morphology import deeper_than
from qsmcmb.core.robust import mean_inside
from qsmcmb.core.smv import smv_kernel_k
from qsmcmb.core.validate import check_erosion, check_radius, check_range
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

DEFAULT_RADIUS_MM = 3.0


def remove_ismv(
    field_hz: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    radius_mm: float | None = None,
    tolerance: float = 0.002,
    max_iterations: int = 100,
) -> tuple[FloatArray, BoolArray]:
    """Remove the background field by iterative spherical mean values.

    Parameters
    ----------
    field_hz : ndarray of shape grid.shape, float32
        Total field, 0 outside the mask; any unit, kept.
    mask : ndarray of bool
        Brain mask.
    grid : Grid
        Geometry.
    radius_mm : float, optional
        Radius of the ball, mm, at least the largest voxel edge; the mask loses that much. None is 3 mm, or more for
        voxels that are larger.
    tolerance : float, optional
        Stop when the background differs from its spherical mean by this part of what the field does, 1e-6 to 1.
    max_iterations : int, optional
        1 to 10000.

    Returns
    -------
    tuple of ndarray
        Local field and the mask eroded by the ball.

    Raises
    ------
    InvalidInputError
        Option out of range, or no voxel of the mask holds the ball.
    """
    radius = max(DEFAULT_RADIUS_MM, 1.01 * max(grid.voxel_size_mm)) if radius_mm is None else radius_mm
    check_radius("radius_mm", radius, grid.voxel_size_mm)
    check_range("tolerance", tolerance, 1e-6, 1.0)
    check_range("max_iterations", max_iterations, 1, 10000)
    inner = deeper_than(mask, radius, grid.voxel_size_mm)
    check_erosion("radius_mm", radius, inner)
    eng = engine(fast_shape(grid.shape))
    kernel = smv_kernel_k(eng.shape, grid.voxel_size_mm, radius)
    np.subtract(np.float32(1), kernel, out=kernel)
    kernel *= eng.scale
    unknown = zeros(eng.shape)
    unknown[tuple(slice(0, n) for n in grid.shape)] = inner
    system = NormalSystem(eng, kernel, unknown.copy(), None, 0.0)
    # The local field is what the total field needs to become its own mean: it solves the system with the total
    # field's high-pass on the right, and is 0 on the rim.
    mean = np.float32(mean_inside(field_hz, mask))
    loops.place(field_hz, mask, mean, eng.real)
    residual = system.convolve() * system.prior
    unknown[...] = 0
    square = float(np.square(residual).sum(dtype=np.float64))
    system.solve(unknown, residual, square=square, goal=tolerance**2 * square, max_iterations=max_iterations)
    local = empty(grid.shape)
    loops.crop(unknown, inner, local)
    return local, inner
