"""Iterative spherical mean values: the background is the field that the mean over a ball leaves unchanged.

The paper repeats the mean inside the eroded mask, the rim held, until nothing changes. Conjugate gradients reach its
fixed point, which solves a symmetric positive definite system, in a tenth of the repetitions. One transform pair an
iteration; seven volumes.
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

__all__ = ("remove_ismv",)

DEFAULT_RADIUS_MM = 3.0
"""Radius of the ball where none is given, mm: small, since the mask loses that much; the repetitions do the rest."""


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
        Total field, 0 outside the mask; Hz or any unit, which the result has.
    mask : ndarray of shape grid.shape, bool
        Brain mask.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    radius_mm : float, optional
        Radius of the ball, mm, at least the largest voxel edge; the mask loses that much. None: 3 mm, or more for
        voxels that are larger.
    tolerance : float, optional
        Difference of the background from its spherical mean over that of the total field, at which iterations end; 1e-6
        to 1.
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
    With S the mean over a ball, M the mask eroded by it and R the rim, the rest of the mask, the background b is the
    total field f on the rim and the fixed point of the mean inside::

        (I - M S M) b = M S R f

    References
    ----------
    Wen et al. 2014. An iterative spherical mean value method for background field removal in MRI. doi:10.1002/mrm.24998

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> mask = np.zeros(grid.shape, bool)
    >>> mask[2:-2, 2:-2, 2:-2] = True
    >>> background = np.float32(0.1) * np.arange(16, dtype=np.float32)[:, None, None]
    >>> local, inner = remove_ismv(np.where(mask, background, np.float32(0)), mask, grid)
    >>> float(np.abs(local).max()) < 1e-3
    True
    """
    radius = max(DEFAULT_RADIUS_MM, 1.01 * max(grid.voxel_size_mm)) if radius_mm is None else radius_mm
    check_radius("radius_mm", radius, grid.voxel_size_mm)
    check_range("tolerance", tolerance, 1e-6, 1.0)
    check_range("max_iterations", max_iterations, 1, 10000)
    # Voxels whose ball lies in the mask.
    inner = deeper_than(mask, radius, grid.voxel_size_mm)
    check_erosion("radius_mm", radius, inner)
    eng = engine(fast_shape(grid.shape))
    kernel = smv_kernel_k(eng.shape, grid.voxel_size_mm, radius)
    # I - S, of which the background is the kernel of null.
    np.subtract(np.float32(1), kernel, out=kernel)
    kernel *= eng.scale
    unknown = zeros(eng.shape)
    # The rim's local field is 0 by definition: it is no unknown.
    unknown[tuple(slice(0, n) for n in grid.shape)] = inner
    system = NormalSystem(engine=eng, kernel=kernel, prior=unknown.copy(), weight2=None, damping=0.0)
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
