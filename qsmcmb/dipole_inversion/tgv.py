"""Susceptibility from wrapped phase in one step, with total generalised variation.

The data are the Laplacian of the wrapped phase, as in the paper: no unwrapping and no background removal comes before.
The paper's residual, whose Laplacian is what the data contradict, is the misfit of the field up to a function that is
harmonic inside the mask. The paper takes a thousand primal-dual iterations to invert the Laplacian and the dipole
together; here a multigrid solve inverts the Laplacian once, and the splitting of `qsmcmb.dipole_inversion.admm` the
dipole; the harmonic function is the field of the sources that its map has outside the mask. About 40 iterations of two
transform pairs. Memory: 3 volumes of the frame and 15 of the mask's box.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from qsmcmb.core.memory import zeros
from qsmcmb.core.morphology import without_surface
from qsmcmb.core.poisson import solve_poisson
from qsmcmb.core.robust import std_inside
from qsmcmb.dipole_inversion import _admm_loops
from qsmcmb.dipole_inversion import _tgv_loops as loops
from qsmcmb.dipole_inversion.admm import (
    RELAXATION,
    SHRINK,
    Dipole,
    GradientSplitting,
    Penalties,
    Region,
    Stopping,
    check_options,
    inside,
    minimise,
)
from qsmcmb.dipole_inversion.noise import squared_data_weights
from qsmcmb.dipole_inversion.regularisation import gradient_weight
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray, IntArray
from qsmcmb.units import GAMMA_MHZ_PER_T

__all__ = ("invert_tgv",)

SECOND_ORDER = 2.0
"""Weight of the vector field's derivative over that of the gradient, voxel edges: the ratio that implementations of the
regulariser take.
"""
BLOCKS = 16
"""Blocks of planes that a thread takes one after the other, a count: more than most machines have cores; the result
does not depend on it.
"""
ASCENT = 0.25
"""Step of the dual tensor, squared voxel edges: sets the speed, not the solution. Set by trial."""


def invert_tgv(
    phase_rad: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    te_s: tuple[float, ...] | None,
    b0_tesla: float | None,
    field_sd_ppm: FloatArray | None = None,
    echo_magnitude: FloatArray | None = None,
    regularisation: float | None = None,
    tolerance: float = 0.004,
    max_iterations: int = 80,
) -> FloatArray:
    """Invert wrapped phase in one step, without erosion of the mask.

    Parameters
    ----------
    phase_rad : ndarray of shape (echo, x, y, z) or (x, y, z), float32
        Wrapped phase, rad, 0 outside the mask, without the receive phase offset. The field's differences between
        neighbours come from all echoes: each is unwrapped by the earlier ones and weighs as its noise allows.
    mask : ndarray of shape grid.shape, bool
        Voxels where the phase is defined.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    te_s : tuple of float
        Echo times, s, positive and ascending.
    b0_tesla : float
        Field strength, T.
    field_sd_ppm : ndarray of shape grid.shape, float32, optional
        SD of the field, ppm; data weigh by its inverse, without it all alike.
    echo_magnitude : ndarray of the shape of `phase_rad`, float32, optional
        Magnitude, any unit, the weight of each echo's phase; without it all weigh the same.
    regularisation : float, optional
        Weight lambda of the gradient in units of the standard deviation of the field without its harmonic part, mm;
        1e-9 to 10. None: from the field's error level (`gradient_weight`).
    tolerance : float, optional
        Iterations end when one changes the split gradient by less than this fraction of its norm; 1e-8 to 1.
    max_iterations : int, optional
        Iterations at most, 1 to 1000.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Susceptibility relative to the mean over the volume, ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        An option out of range; no echo times or field strength; not one echo time per volume of phase.

    Notes
    -----
    The field f solves Poisson's equation inside the mask, 0 on its outer layer, with the Laplacian of the wrapped phase
    on the right. Then, with the data weights W and the symmetrised gradient E, minimises over the map and a vector
    field v::

        |W (D chi - f)|^2 / 2 + lambda |grad chi - v|_1 + 2 h lambda |E v|_1

    with h the voxel's edge.

    References
    ----------
    Langkammer et al. 2015. Fast quantitative susceptibility mapping using 3D EPI and total generalized variation.
    doi:10.1016/j.neuroimage.2015.02.041

    The regulariser: Bredies, Kunisch and Pock 2010. Total generalized variation. doi:10.1137/090769521

    The steps of v: Chambolle and Pock 2011. A first-order primal-dual algorithm for convex problems with applications
    to imaging. doi:10.1007/s10851-010-0251-1

    Examples
    --------
    >>> from qsmcmb.core.dipole import forward_field
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> body = np.zeros(grid.shape, np.float32)
    >>> body[6:10, 6:10, 6:10] = 1.0
    >>> field = forward_field(body, grid)
    >>> phase = np.float32(2 * np.pi * 0.002 * GAMMA_MHZ_PER_T * 3.0) * field
    >>> chi = invert_tgv(phase, np.ones(grid.shape, bool), grid, te_s=(0.002,), b0_tesla=3.0)
    >>> round(float(chi[8, 8, 8]), 1)
    0.9
    """
    check_options(regularisation, tolerance, max_iterations)
    # Phase of one echo may come without its axis.
    echoes = phase_rad if phase_rad.ndim == 4 else phase_rad[None]
    radians = _radians_per_ppm(te_s, b0_tesla, len(echoes))
    magnitude = echo_magnitude
    if magnitude is None:
        magnitude = np.broadcast_to(mask.astype(np.float32), echoes.shape)
    elif magnitude.ndim == 3:
        magnitude = np.broadcast_to(magnitude, echoes.shape)
    field = field_of_phase(echoes, magnitude, mask, grid, radians=radians)
    scale = std_inside(field, mask)
    if scale == 0.0:
        return np.zeros(grid.shape, np.float32)
    # None stays None, and asks for the weight from the noise.
    weight = regularisation and regularisation * scale
    if weight is None:
        weight = gradient_weight(field, mask, grid, field_sd_ppm=field_sd_ppm)
    penalties = Penalties(weight, SHRINK * scale)
    region = Region(mask)
    weight2 = region.cut(squared_data_weights(field_sd_ppm, mask))
    data_step = partial(
        _admm_loops.update_data,
        region.cut(field), weight2, region.volume(), region.start, penalties.mu_data, RELAXATION,
    )  # fmt: skip
    # Only what is in the box is kept while it iterates.
    del field
    splitting = TgvSplitting(region, grid, penalties.shrink)
    chi = minimise(
        data_step, splitting, Dipole(grid), penalties, stopping=Stopping(tolerance, max_iterations)
    )
    return inside(chi, mask)


def field_of_phase(
    phase_rad: FloatArray, magnitude: FloatArray, mask: BoolArray, grid: Grid, *, radians: FloatArray
) -> FloatArray:
    """Return the field (ppm) whose Laplacian the wrapped phase has, 0 on the mask's outer layer of voxels."""
    inner = without_surface(mask)
    laplacian = zeros(mask.shape)
    # Steps of wrapped phase, wrapped, are steps of the field but where it turns by pi a voxel.
    weights = tuple(np.float32(1 / v**2) for v in grid.voxel_size_mm)
    loops.phase_laplacian(phase_rad, magnitude, radians, inner, weights, laplacian)
    # 0 at the edge is no fact: what it is wrong by is harmonic inside, and sources outside take it up.
    return solve_poisson(laplacian, inner, grid.voxel_size_mm)


class TgvSplitting(GradientSplitting):
    """Hold the splitting of the gradient less a vector field whose symmetric derivative is penalised too.

    The vector field goes by primal-dual steps (Chambolle and Pock 2011, doi 10.1007/s10851-010-0251-1), one an
    iteration.

    Parameters
    ----------
    region : Region
        The mask's box.
    grid : Grid
        Geometry of the frame.
    shrink : float
        Soft threshold of the gradient, unit of the map per mm.
    """

    def __init__(self, region: Region, grid: Grid, shrink: float) -> None:
        super().__init__(region, grid, shrink)
        self.v = region.vectors()
        self.w = zeros((len(loops.AXES), *self.v.shape[1:]))
        edge_mm = grid.voxel_volume_mm3 ** (1 / 3)
        # The dual of a norm is a bound; in units of the penalty, as the threshold is.
        self.limit = np.float32(SECOND_ORDER * edge_mm * shrink)
        self.sigma = np.float32(ASCENT * edge_mm**2)
        # Product of both steps times the squared norm of the derivative: 1.
        self.rho = np.float32(self.sigma * 4 * sum(1 / v**2 for v in grid.voxel_size_mm))
        self.whole = _whole(region.rows)
        # A block of one plane would have no plane between its ends.
        blocks = max(1, min(BLOCKS, region.shape[0] // 2))
        self.ends = zeros((blocks, 2, 3, *self.v.shape[2:]))

    def update(self, chi: FloatArray) -> FloatArray:
        """Take in a new map; return the sampled squared change and norm of the split gradient."""
        state, region = (self.vectors, self.v, self.w), self.region
        weights = (self.shrink, RELAXATION, self.rho, self.limit, self.sigma, *self.inverse_mm)
        sums = loops.update(chi, state, self.whole, region.rows, region.start, weights, self.ends)
        return np.asarray(sums.sum(axis=0))

    def reflect(self, out: FloatArray) -> None:
        """Write the adjoint of the gradient of what the next solve aims at, z - u + v."""
        loops.reflected_adjoint(self.vectors, self.v, self.region.start, self.shrink, self.inverse_mm, out)


def _whole(rows: IntArray) -> IntArray:
    """Return first and last + 1 voxel of each row that have a vector, as their neighbours at the low sides have."""
    # Along z the neighbour is the voxel before, in the same row.
    low, high = rows[..., 0] + 1, rows[..., 1].copy()
    np.maximum(low[1:], rows[:-1, :, 0], out=low[1:])
    np.minimum(high[1:], rows[:-1, :, 1], out=high[1:])
    np.maximum(low[:, 1:], rows[:, :-1, 0], out=low[:, 1:])
    np.minimum(high[:, 1:], rows[:, :-1, 1], out=high[:, 1:])
    # What lies at the box's low side lacks a neighbour.
    high[0] = high[:, 0] = 0
    return np.stack([low, high], axis=-1)


def _radians_per_ppm(te_s: tuple[float, ...] | None, b0_tesla: float | None, echoes: int) -> FloatArray:
    """Return the phase of 1 ppm at each echo, rad; raise where echo times or field strength are not usable."""
    if te_s is None or b0_tesla is None:
        raise InvalidInputError(
            "ARGUMENT", "argument", field="te_s, b0_tesla", found=(te_s, b0_tesla),
            expected="echo times and field strength", fix="give both: wrapped phase has no unit without them",
        )  # fmt: skip
    if len(te_s) != echoes or any(b <= a for a, b in zip((0.0, *te_s), te_s, strict=False)):
        raise InvalidInputError(
            "ARGUMENT", "argument", field="te_s", found=te_s,
            expected=f"{echoes} positive, ascending echo times (s), one per volume of phase", fix="correct te_s",
        )  # fmt: skip
    return np.array([2 * np.pi * GAMMA_MHZ_PER_T * b0_tesla * te for te in te_s], np.float32)
