"""Nonlinear dipole inversion: descent on the misfit of the phase factor alone, stopped at the field's noise.

The paper's plain gradient descent takes 200 steps from a map of 0. Here the first step is the closed form and the
others are preconditioned conjugate gradients (`descent`): about 2 to 20, one transform pair each. Memory: 8 float32
volumes (field, weight, misfit, map and direction in k-space, the transform's two buffers, the result).
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

__all__ = ("invert_ndi",)

DAMPING = 0.3
"""Damping over the weight that cross-validation gives a single step, a ratio: less than 1, so that something is left
for the other steps to stop at. Set by trial.
"""


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
    """Invert without a regulariser, by few preconditioned steps on the phase factor.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where the field is defined.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    radians_per_ppm : float
        Phase of a field of 1 ppm at the nominal echo time, rad; 1e-6 to 1e6.
    field_sd_ppm : ndarray of shape grid.shape, float32, optional
        SD of the field, ppm; data weigh by its inverse, without it all alike.
    damping : float, optional
        Damping of the preconditioner 1 / (D^2 + damping), 1e-7 to 10; a larger one stays away from the cone for longer.
        None: from generalised cross-validation.
    tolerance : float, optional
        Iterations end when a step lowers the squared misfit by less than this fraction, 0 to 1; they always end where
        the misfit is the noise of the field.
    max_iterations : int, optional
        Iterations at most, 1 to 1000.

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
    Descends on, with the data weights W (inverse SD, median 1) and the phase phi = `radians_per_ppm` f::

        |W (exp(i D chi) - exp(i phi))|^2

    from a map of 0. Stopping at the noise is the regularisation: what the field determines is set first, the cone of
    k-space last.

    References
    ----------
    Polak et al. 2020. Nonlinear dipole inversion (NDI) enables robust quantitative susceptibility mapping (QSM).
    doi:10.1002/nbm.4271

    Examples
    --------
    >>> from qsmcmb.core.dipole import forward_field
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> body = np.zeros(grid.shape, np.float32)
    >>> body[6:10, 6:10, 6:10] = 1.0
    >>> field = forward_field(body, grid)
    >>> chi = invert_ndi(field, np.ones(grid.shape, bool), grid, radians_per_ppm=2.0)
    >>> round(float(chi[8, 8, 8]), 1)
    0.9
    """
    check_range("radians_per_ppm", radians_per_ppm, 1e-6, 1e6)
    check_range("tolerance", tolerance, 0.0, 1.0)
    check_range("max_iterations", max_iterations, 1, 1000)
    weight2, noise = squared_weights_and_noise(local_field_ppm, mask, field_sd_ppm)
    # The misfit is of a phase factor, which for small phases is the phase.
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
    # The descent has its map in the unit of the phase.
    scale_inside(found, mask, np.float32(1.0 / radians_per_ppm), chi)
    return chi
