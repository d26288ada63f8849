"""Rapid two-step inversion: least squares where the dipole is large, total variation where it is not.

Kames, Wiggermann and Rauscher 2018, doi 10.1016/j.neuroimage.2017.11.018. The first step is a few iterations of
conjugate gradients on the weighted least squares, their vectors in k-space: one transform pair each. The second,
about 10 iterations of one pair, keeps that map where |D| is above the threshold and finds the rest by total
variation. Memory: 5 volumes of the frame and 4 of the mask's box.
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

SHRINK = 1.0
"""Soft threshold of the gradient over the field's scale per mm: sets the speed, not the solution."""
DAMPING = np.float32(0.001)
"""Added to D^2 in the least squares: keeps what the field does not determine from growing with the iterations."""
NOISE_FACTOR = 1.5
"""Weight over that of TV divided by the threshold: division by a kernel of that size amplifies noise so far."""


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
    """Invert in two rapid steps.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm, 0 outside the mask.
    mask : ndarray of bool
        Where the field is defined.
    grid : Grid
        Geometry with the direction of B0.
    field_sd_ppm : ndarray of shape grid.shape, optional
        SD of the field, ppm: data far below it lose their weight.
    threshold : float, optional
        Absolute value of the kernel above which the first step is trusted, 0.001 to 0.3.
    first_iterations : int, optional
        Of the least squares, 1 to 100; few, because they fit what is determined best first.
    regularisation : float, optional
        Weight of the gradient in the second step, ppm mm, 1e-9 to 10. From the noise by default.
    tolerance : float, optional
        Stop when an iteration changes the map's gradient by less than this part of its norm; 1e-8 to 1.
    max_iterations : int, optional
        Of the second step, 1 to 1000.

    Returns
    -------
    ndarray of shape grid.shape, float32
        ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        An option out of range.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> invert_rts(np.zeros(grid.shape, np.float32), np.ones(grid.shape, bool), grid).shape
    (16, 16, 16)
    """
    check_range("threshold", threshold, 1e-3, 0.3)
    check_range("first_iterations", first_iterations, 1, 100)
    check_options(regularisation, tolerance, max_iterations)
    weights2 = signal_weights(local_field_ppm, mask, field_sd_ppm)
    scale = std_inside(local_field_ppm, weights2 > 0)
    if scale == 0.0:
        return np.zeros(grid.shape, np.float32)
    if regularisation is None:
        regularisation = (
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
        Local field.
    weight2 : ndarray of shape region.shape
        Squared data weights of the mask's box.
    region : Region
        The mask's box.
    grid : Grid
        Geometry of the frame.
    iterations : int
        Of preconditioned conjugate gradients.

    Returns
    -------
    ndarray, complex64
        Half spectrum.
    """
    eng = engine(grid.shape)
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    chi, rest, direction = (zeros(eng.spectrum.shape, np.complex64) for _ in range(3))
    np.copyto(eng.real, field)
    _rts_loops.weigh(weight2, region.start, eng.real)
    eng.forward()
    even = grid.shape[2] % 2 == 0

    def step_by(length: float) -> float:
        loop = _rts_loops.residual_step
        return float(
            loop(eng.spectrum, tables, np.float32(length), DAMPING, direction, chi, rest, even).sum()
        )

    # Against no direction a step of -1 sets the rest to the right-hand side.
    size, turn = step_by(-1.0), 0.0
    for _ in range(iterations):
        own = _rts_loops.turn_direction(
            eng.spectrum, tables, np.float32(turn), eng.scale, direction, even
        ).sum()
        curvature = _rts_loops.weigh(weight2, region.start, eng.inverse(normalise=False)).sum()
        eng.forward()
        # Sums over the half spectrum are half the voxels times sums over the volume.
        before = size
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
    eng = engine(grid.shape)
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    inverse_mm = tuple(np.float32(1 / v) for v in grid.voxel_size_mm)
    shrink = np.float32(penalties.shrink)
    mu = np.float32(penalties.regularisation / penalties.shrink)
    vectors = region.vectors()
    eng.spectrum[...] = 0
    for iteration in range(1, stopping.max_iterations + 1):
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
