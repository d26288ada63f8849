"""Nonlinear dipole inversion: descent on |W (exp(i D chi) - exp(i f))|^2 alone, stopped at the field's noise.

Polak et al. 2020, doi 10.1002/nbm.4271, whose plain gradient descent takes 200 steps from a map of 0. Here the first
step is the closed form and the others are preconditioned conjugate gradients (`descent`): about 2 to 20, one
transform pair each. Memory: 8 float32 volumes (field, weight, misfit, map and direction in k-space, the transform's
two buffers, the result).
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core._box_loops import scale_inside
from qsmcmb.core.memory import empty
from qsmcmb.core.validate import check_range
from qsmcmb.dipole_inversion.closed_form import transform_field
from qsmcmb.dipole_inversion.descent import Stop, descend
from qsmcmb.dipole_inversion.noise import squared_weights_and_noise
from qsmcmb.dipole_inversion.regularisation import tikhonov_weight
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

DAMPING = 0.3
"""Damping over the weight that cross-validation gives a single step: what is left for the other steps to stop at."""


def invert_ndi(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    radians_per_ppm: float,
    field_sd_ppm: FloatArray | None = None,
    damping: float | None = None,
    tolerance: float = 0.01,
    max_iterations: int = 20,
) -> FloatArray:
    """Invert without a regulariser: few preconditioned steps on the phase factor, stopped early.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm, 0 outside the mask.
    mask : ndarray of bool
        Where the field is defined.
    grid : Grid
        Geometry with the direction of B0.
    radians_per_ppm : float
        Phase of 1 ppm, rad: where the sine bends.
    field_sd_ppm : ndarray of shape grid.shape, optional
        SD of the field, ppm.
    damping : float, optional
        Of the preconditioner 1 / (D^2 + damping), 1e-7 to 10: larger stays away from the cone for longer. None: from
        generalised cross-validation.
    tolerance : float, optional
        Stop when a step lowers the squared misfit by less than this part, 0 to 1. It always stops where the misfit is
        the noise of the field.
    max_iterations : int, optional
        1 to 1000.

    Returns
    -------
    ndarray of shape grid.shape, float32
        ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        Options out of range.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> field = np.zeros(grid.shape, np.float32)
    >>> invert_ndi(field, np.ones(grid.shape, bool), grid, radians_per_ppm=12.0).shape
    (16, 16, 16)
    """
    check_range("radians_per_ppm", radians_per_ppm, 1e-6, 1e6)
    check_range("tolerance", tolerance, 0.0, 1.0)
    check_range("max_iterations", max_iterations, 1, 1000)
    weight2, noise = squared_weights_and_noise(local_field_ppm, mask, field_sd_ppm)
    level = noise * radians_per_ppm
    stop = Stop(level**2 * int(np.count_nonzero(mask)), tolerance, max_iterations)
    # Either leaves the field's spectrum where the descent begins.
    if damping is None:
        damping = DAMPING * tikhonov_weight(local_field_ppm, mask, grid, order=0)
    else:
        check_range("damping", damping, 1e-7, 10.0)
        transform_field(local_field_ppm, grid)
    found, _ = descend(
        local_field_ppm, weight2, mask, grid, damping=damping, stop=stop, gain=radians_per_ppm, nonlinear=True
    )
    chi = empty(grid.shape)
    scale_inside(found, mask, np.float32(1.0 / radians_per_ppm), chi)
    return chi
