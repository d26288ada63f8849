"""FANSI with total generalised variation of second order: sloping tissue is not taken for steps.

Milovic et al. 2018, doi 10.1002/mrm.27073; Bredies, Kunisch and Pock 2010, doi 10.1137/090769521. Minimise the
sum of w^2 (1 - cos(phi - D chi)) + a1 |grad chi - v|_1 + a0 |E v|_1 over the map and a vector field v, E the
symmetrised gradient, in radians. The map is solved for in k-space as in `fansi_tv`; v, which lives in the mask's
box, takes one preconditioned step of descent an iteration in image space (linearised alternating directions):
two transform pairs an iteration instead of five. About 15 iterations, more on a head; memory: 4 volumes of the
frame, 21 of the mask's box.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.memory import zeros
from qsmcmb.core.robust import std_inside
from qsmcmb.core.validate import check_range
from qsmcmb.dipole_inversion import _fansi_tgv_loops as loops
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
from qsmcmb.dipole_inversion.fansi_tv import PhaseStep
from qsmcmb.dipole_inversion.noise import data_weights
from qsmcmb.dipole_inversion.regularisation import gradient_weight
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

SECOND_VOXELS = 2.0
"""Usual weight of the second order over the first, in voxel edges."""


def invert_fansi_tgv(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    radians_per_ppm: float,
    field_sd_ppm: FloatArray | None = None,
    regularisation: float | None = None,
    second_order_mm: float | None = None,
    tolerance: float = 0.001,
    max_iterations: int = 100,
) -> FloatArray:
    """Invert with a nonlinear data term and total generalised variation.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm, 0 outside the mask.
    mask : ndarray of bool
        Where the field is defined.
    grid : Grid
        Geometry with the direction of B0.
    radians_per_ppm : float
        Phase of 1 ppm at the nominal echo time; more than 0.
    field_sd_ppm : ndarray of shape grid.shape, optional
        SD of the field, ppm.
    regularisation : float, optional
        Weight of the gradient, ppm mm, as for `tv`, 1e-9 to 10. From the noise by default.
    second_order_mm : float, optional
        Weight of the second order over the first's, mm, 0.01 to 100. Two voxel edges by default.
    tolerance : float, optional
        Stop when an iteration changes the split gradient by less than this part of the map's; 1e-8 to 1.
    max_iterations : int, optional
        1 to 1000.

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
    >>> field, mask = np.zeros(grid.shape, np.float32), np.ones(grid.shape, bool)
    >>> invert_fansi_tgv(field, mask, grid, radians_per_ppm=16.0).shape
    (16, 16, 16)
    """
    check_options(regularisation, tolerance, max_iterations)
    check_range("radians_per_ppm", radians_per_ppm, 1e-6, 1e6)
    if second_order_mm is None:
        second_order_mm = SECOND_VOXELS * grid.voxel_volume_mm3 ** (1 / 3)
    check_range("second_order_mm", second_order_mm, 0.01, 100.0)
    weights = data_weights(field_sd_ppm, mask)
    scale = std_inside(local_field_ppm, weights > 0)
    if scale == 0.0:
        return np.zeros(grid.shape, np.float32)
    if regularisation is None:
        regularisation = gradient_weight(local_field_ppm, mask, grid, field_sd_ppm=field_sd_ppm)
    region = Region(mask)
    weight2 = region.cut(weights) ** 2
    phase = region.cut(local_field_ppm)
    phase *= np.float32(radians_per_ppm)
    penalties = Penalties(regularisation * radians_per_ppm, SHRINK * scale * radians_per_ppm)
    data_step = PhaseStep(phase, weight2, region, penalties.mu_data)
    splitting = _SecondOrder(region, grid, penalties.shrink, second_order_mm)
    chi_rad = minimise(
        data_step, splitting, Dipole(grid), penalties, stopping=Stopping(tolerance, max_iterations)
    )
    return inside(chi_rad, mask, 1 / radians_per_ppm)


class _SecondOrder(GradientSplitting):
    """Splittings of grad chi - v and of the symmetrised gradient of v."""

    def __init__(self, region: Region, grid: Grid, shrink: float, second_order_mm: float) -> None:
        super().__init__(region, grid, shrink)
        edge_mm = grid.voxel_volume_mm3 ** (1 / 3)
        self.second_shrink = np.float32(shrink / edge_mm)
        ratio = second_order_mm * edge_mm
        # The squared norm of the symmetrised gradient is at most that of the gradient.
        norm = 4.0 * sum(1.0 / v**2 for v in grid.voxel_size_mm)
        self.scale = (self.shrink, np.float32(1.0 / (1.0 + ratio * norm)), np.float32(ratio), RELAXATION)
        shape = region.shape
        self.v = zeros((3, *(n + 2 for n in shape)))
        self.second = zeros((6, *(n + 1 for n in shape)))
        self.rest = zeros(self.second.shape)

    def update(self, chi: FloatArray) -> FloatArray:
        rows, start = self.region.rows, self.region.start
        sums = loops.update_first(
            chi, self.vectors, self.v, self.rest, rows, start, self.scale, self.inverse_mm
        )
        loops.update_second(
            self.v, self.second, self.rest, rows, self.second_shrink, self.inverse_mm, RELAXATION
        )
        return np.asarray(sums.sum(axis=0))

    def reflect(self, out: FloatArray) -> None:
        loops.reflected_adjoint(self.vectors, self.v, self.region.start, self.shrink, self.inverse_mm, out)
