"""RESHARP: the local field with the high-pass of the total field that is least in norm.

Sun and Wilman 2014, doi 10.1002/mrm.24765: minimises |M (I - S)(x - f)|^2 + damping |x|^2 over x inside the mask, S the
mean over a ball and M the mask eroded by it. Conjugate gradients, two transform pairs an iteration; seven volumes.
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


def remove_resharp(
    field_hz: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    radius_mm: float = 10.0,
    damping: float = 1e-4,
    tolerance: float = 0.01,
    max_iterations: int = 60,
) -> tuple[FloatArray, BoolArray]:
    """Remove the background field by regularised SHARP.

    Parameters
    ----------
    field_hz : ndarray of shape grid.shape, float32
        Total field, 0 outside the mask; any unit, kept.
    mask : ndarray of bool
        Brain mask.
    grid : Grid
        Geometry.
    radius_mm : float, optional
        Radius of the ball, mm, at least the largest voxel edge; the mask loses that much.
    damping : float, optional
        Weight of the squared local field against the squared misfit of its high-pass, 1e-9 to 1.
    tolerance : float, optional
        Stop when the normal equations' residual has fallen to this part of its start, 1e-6 to 1.
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
    check_radius("radius_mm", radius_mm, grid.voxel_size_mm)
    check_range("damping", damping, 1e-9, 1.0)
    check_range("tolerance", tolerance, 1e-6, 1.0)
    check_range("max_iterations", max_iterations, 1, 10000)
    inner = deeper_than(mask, radius_mm, grid.voxel_size_mm)
    check_erosion("radius_mm", radius_mm, inner)
    # Without a frame balls around voxels near the box would see its other side; those of the eroded mask do not.
    eng = engine(fast_shape(grid.shape))
    box = tuple(slice(0, n) for n in grid.shape)
    kernel = smv_kernel_k(eng.shape, grid.voxel_size_mm, radius_mm)
    np.subtract(np.float32(1), kernel, out=kernel)
    kernel *= eng.scale
    prior = zeros(eng.shape)
    prior[box] = mask
    mean = np.float32(mean_inside(field_hz, mask))
    loops.place(field_hz, mask, mean, eng.real)
    system = NormalSystem(eng, kernel, prior, inner.astype(np.float32), damping)
    field = system.convolve()[box].copy()
    unknown, residual = zeros(eng.shape), empty(eng.shape)
    square, _ = system.start(field, unknown, residual)
    del field
    system.solve(unknown, residual, square=square, goal=tolerance**2 * square, max_iterations=max_iterations)
    local = empty(grid.shape)
    loops.crop(unknown, inner, local)
    return local, inner
