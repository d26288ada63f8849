"""RESHARP: the local field of least norm with the high-pass of the total field.

Conjugate gradients, two transform pairs an iteration; seven volumes.
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

__all__ = ("remove_resharp",)


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
        Total field, 0 outside the mask; Hz or any unit, which the result has.
    mask : ndarray of shape grid.shape, bool
        Brain mask.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    radius_mm : float, optional
        Radius of the ball, mm, at least the largest voxel edge; the mask loses that much.
    damping : float, optional
        Weight of the squared local field against the squared misfit of its high-pass, 1e-9 to 1.
    tolerance : float, optional
        Residual of the normal equations over that of the start at which iterations end, 1e-6 to 1.
    max_iterations : int, optional
        Iterations at most, 1 to 10000.

    Returns
    -------
    local_field : ndarray of shape grid.shape, float32
        Local field, unit of `field_hz`; 0 outside the second mask.
    mask : ndarray of shape grid.shape, bool
        Mask eroded by the ball.

    Raises
    ------
    InvalidInputError
        Option out of range, or no voxel of the mask holds the ball.

    Notes
    -----
    With S the mean over a ball and M the mask eroded by it, minimises over x inside the mask::

        |M (I - S) (x - f)|^2 + damping |x|^2

    References
    ----------
    Sun and Wilman 2014. Background field removal using spherical mean value filtering and Tikhonov regularization.
    doi:10.1002/mrm.24765

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> mask = np.zeros(grid.shape, bool)
    >>> mask[2:-2, 2:-2, 2:-2] = True
    >>> background = np.float32(0.1) * np.arange(16, dtype=np.float32)[:, None, None]
    >>> local, inner = remove_resharp(np.where(mask, background, np.float32(0)), mask, grid, radius_mm=3.0)
    >>> float(np.abs(local).max()) < 1e-3
    True
    """
    check_radius("radius_mm", radius_mm, grid.voxel_size_mm)
    check_range("damping", damping, 1e-9, 1.0)
    check_range("tolerance", tolerance, 1e-6, 1.0)
    check_range("max_iterations", max_iterations, 1, 10000)
    # Voxels whose ball lies in the mask: only they have a high-pass that is known.
    inner = deeper_than(mask, radius_mm, grid.voxel_size_mm)
    check_erosion("radius_mm", radius_mm, inner)
    # Without a frame balls around voxels near the box would see its other side; those of the eroded mask do not.
    eng = engine(fast_shape(grid.shape))
    box = tuple(slice(0, n) for n in grid.shape)
    kernel = smv_kernel_k(eng.shape, grid.voxel_size_mm, radius_mm)
    # I - S: what it leaves is free of background.
    np.subtract(np.float32(1), kernel, out=kernel)
    kernel *= eng.scale
    prior = zeros(eng.shape)
    # Unknown in the whole mask, though data are of the eroded one.
    prior[box] = mask
    mean = np.float32(mean_inside(field_hz, mask))
    loops.place(field_hz, mask, mean, eng.real)
    weight2 = inner.astype(np.float32)
    system = NormalSystem(engine=eng, kernel=kernel, prior=prior, weight2=weight2, damping=damping)
    # The engine's buffer is used for each product.
    field = system.convolve()[box].copy()
    unknown, residual = zeros(eng.shape), empty(eng.shape)
    square, _ = system.start(field, unknown, residual)
    del field
    system.solve(unknown, residual, square=square, goal=tolerance**2 * square, max_iterations=max_iterations)
    local = empty(grid.shape)
    loops.crop(unknown, inner, local)
    return local, inner
