"""Rapid two-step inversion: least squares where the dipole kernel is large, total variation where it is not.

The first step is a few iterations of conjugate gradients on the weighted least squares, their vectors in k-space: one
transform pair each. The second, about 10 iterations of one pair, holds that map where |D| is above the threshold and
finds the rest by total variation. Memory: 5 volumes of the frame and 4 of the mask's box.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.dipole import spectral_tables
from qsmcmb.core.fft import engine
from qsmcmb.core.memory import zeros
from qsmcmb.core.robust import std_inside
from qsmcmb.core.validate import check_range
from qsmcmb.dipole_inversion import _admm_loops, _rts_loops
from qsmcmb.dipole_inversion.admm import RELAXATION, Penalties, Region, Stopping, check_options, inside
from qsmcmb.dipole_inversion.noise import signal_weights
from qsmcmb.dipole_inversion.regularisation import gradient_weight
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray

__all__ = ("invert_rts",)

SHRINK = 1.0
"""Soft threshold of the gradient over the field's scale, 1/mm: sets the speed, not the solution. On a small phantom
with lesions the error after ten iterations is 1.4 %, with half or twice of it 4.3 and 2.0 %.
"""
DAMPING = np.float32(0.001)
"""Number added to D^2 in the least squares: holds what the field does not determine from growing with the
iterations.
"""
NOISE_FACTOR = 1.5
"""Weight over that of TV divided by the threshold, a ratio: division by a kernel of that size amplifies noise by its
inverse; the factor is set by trial.
"""


def invert_rts(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    field_sd_ppm: FloatArray | None = None,
    threshold: float = 0.15,
    first_iterations: int = 3,
    regularisation: float | None = None,
    tolerance: float = 0.012,
    max_iterations: int = 40,
) -> FloatArray:
    """Invert in two rapid steps, least squares and then total variation in the cone of k-space.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where the field is defined.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    field_sd_ppm : ndarray of shape grid.shape, float32, optional
        SD of the field, ppm; data far below it lose their weight.
    threshold : float, optional
        Absolute value of the kernel above which the first step is held, 0.001 to 0.3.
    first_iterations : int, optional
        Iterations of the least squares, 1 to 100; few, because they fit best first what is determined best.
    regularisation : float, optional
        Weight lambda of the gradient in the second step, ppm mm; 1e-9 to 10. None: from the field's error level.
    tolerance : float, optional
        Iterations end when one changes the split gradient by less than this fraction of its norm; 1e-8 to 1.
    max_iterations : int, optional
        Iterations of the second step at most, 1 to 1000.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Susceptibility relative to the mean over the volume, ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        An option out of range.

    Notes
    -----
    First chi_0 minimises |W (D chi - f)|^2, damped and stopped early. Then, with t the threshold::

        min |P (chi - chi_0)|^2 / 2 + lambda |grad chi|_1    P: projection on |D(k)| > t

    References
    ----------
    Kames, Wiggermann and Rauscher 2018. Rapid two-step dipole inversion for susceptibility mapping with sparsity
    priors. doi:10.1016/j.neuroimage.2017.11.018

    Examples
    --------
    >>> from qsmcmb.core.dipole import forward_field
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> body = np.zeros(grid.shape, np.float32)
    >>> body[6:10, 6:10, 6:10] = 1.0
    >>> field = forward_field(body, grid)
    >>> chi = invert_rts(field, np.ones(grid.shape, bool), grid)
    >>> round(float(chi[8, 8, 8]), 1)
    0.9
    """
    check_range("threshold", threshold, 1e-3, 0.3)
    check_range("first_iterations", first_iterations, 1, 100)
    check_options(regularisation, tolerance, max_iterations)
    # Inverse variances would leave the cores of strong lesions for later iterations, which do not come.
    weights2 = signal_weights(local_field_ppm, mask, field_sd_ppm)
    scale = std_inside(local_field_ppm, weights2 > 0)
    if scale == 0.0:
        return np.zeros(grid.shape, np.float32)
    if regularisation is None:
        regularisation = (
            # The first step has amplified the noise near the threshold, which the second must level.
            NOISE_FACTOR / threshold * gradient_weight(local_field_ppm, mask, grid, field_sd_ppm=field_sd_ppm)
        )
    region = Region(mask)
    weight2 = region.cut(weights2)
    trusted = least_squares(local_field_ppm, weight2, region, grid, iterations=first_iterations)
    penalties = Penalties(regularisation, SHRINK * scale)
    stopping = Stopping(tolerance, max_iterations)
    chi = _fill_cone(trusted, np.float32(threshold), region, grid, penalties=penalties, stopping=stopping)
    return inside(chi, mask)


def least_squares(
    field: FloatArray, weight2: FloatArray, region: Region, grid: Grid, *, iterations: int
) -> ComplexArray:
    """Return the spectrum of the damped, weighted least-squares map after a few iterations.

    Parameters
    ----------
    field : ndarray of shape grid.shape
        Local field, ppm.
    weight2 : ndarray of shape region.shape
        Squared data weights of the mask's box.
    region : Region
        The mask's box.
    grid : Grid
        Geometry of the frame.
    iterations : int
        Iterations of preconditioned conjugate gradients.

    Returns
    -------
    ndarray, complex64
        Half spectrum of the map.
    """
    eng = engine(grid.shape)
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    chi, residual, direction = (zeros(eng.spectrum.shape, np.complex64) for _ in range(3))
    np.copyto(eng.real, field)
    # The right-hand side is D F W^2 f; D is applied in the first step below.
    _rts_loops.weigh(weight2, region.start, eng.real)
    eng.forward()
    even = grid.shape[2] % 2 == 0

    def step_by(length: float) -> float:
        loop = _rts_loops.residual_step
        return float(
            loop(eng.spectrum, tables, np.float32(length), DAMPING, direction, chi, residual, even).sum()
        )

    # Against no direction a step of -1 sets the residual to the right-hand side.
    size, turn = step_by(-1.0), 0.0
    for _ in range(iterations):
        # Leaves the direction's field in the buffer and returns its own squared norm, which damping weighs.
        own = _rts_loops.turn_direction(
            eng.spectrum, tables, np.float32(turn), eng.scale, direction, even
        ).sum()
        curvature = _rts_loops.weigh(weight2, region.start, eng.inverse(normalise=False)).sum()
        eng.forward()
        # Sums over the half spectrum are half the voxels times sums over the volume.
        before = size
        # The step of conjugate gradients: squared residual over curvature.
        size = step_by(before / (curvature * eng.size / 2 + float(DAMPING) * own))
        turn = size / before
    return chi


def _fill_cone(
    trusted: ComplexArray,
    threshold: np.float32,
    region: Region,
    grid: Grid,
    *,
    penalties: Penalties,
    stopping: Stopping,
) -> FloatArray:
    """Return the map that is `trusted` where the kernel is above the threshold and of least total variation
    elsewhere.
    """
    eng = engine(grid.shape)
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    inverse_mm = tuple(np.float32(1 / v) for v in grid.voxel_size_mm)
    shrink = np.float32(penalties.shrink)
    # As in `minimise`: the threshold sets the penalty.
    mu = np.float32(penalties.regularisation / penalties.shrink)
    vectors = region.vectors()
    eng.spectrum[...] = 0
    for iteration in range(1, stopping.max_iterations + 1):
        # No field splitting: the data term is diagonal in k-space, so one transform pair does.
        _rts_loops.solve_trusted(eng.spectrum, trusted, tables, threshold, mu, eng.scale)
        chi = eng.inverse(normalise=False)
        change, norm = _admm_loops.update_vectors(
            chi, vectors, region.rows, region.start, shrink, inverse_mm, RELAXATION
        ).sum(axis=0)
        if change <= stopping.tolerance**2 * norm or iteration == stopping.max_iterations:
            break
        _admm_loops.reflected_adjoint(vectors, region.start, shrink, inverse_mm, eng.real)
        eng.forward()
    return eng.real
