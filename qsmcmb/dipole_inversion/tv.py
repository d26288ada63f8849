"""Total variation by the alternating direction method of multipliers.

About 17 iterations of two transform pairs; memory of 4 volumes of the frame and 6 of the mask's box.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from qsmcmb.core.robust import std_inside
from qsmcmb.dipole_inversion import _admm_loops as loops
from qsmcmb.dipole_inversion.admm import (
    LONG_SHRINK,
    LOW_MU_DATA,
    RELAXATION,
    Penalties,
    Region,
    Stopping,
    check_options,
    inside,
    minimise_tv,
)
from qsmcmb.dipole_inversion.noise import data_weights
from qsmcmb.dipole_inversion.regularisation import gradient_weight
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("invert_tv",)


def invert_tv(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    field_sd_ppm: FloatArray | None = None,
    regularisation: float | None = None,
    tolerance: float = 0.012,
    max_iterations: int = 60,
) -> FloatArray:
    """Invert with total variation, weighted by the field's SD.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where the field is defined.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    field_sd_ppm : ndarray of shape grid.shape, float32, optional
        SD of the field, ppm; data weigh by its inverse, without it all alike.
    regularisation : float, optional
        Weight lambda of the gradient, ppm mm; 1e-9 to 10. None: from the field's error level (`gradient_weight`).
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
        An option out of range.

    Notes
    -----
    Minimises, with the data weights W (inverse SD, median 1)::

        |W (D chi - f)|_2^2 / 2 + lambda |grad chi|_1

    References
    ----------
    Bilgic et al. 2014. Fast quantitative susceptibility mapping with L1-regularization and automatic parameter
    selection. doi:10.1002/mrm.25029

    The data weights by a second splitting: Milovic et al. 2018. Fast nonlinear susceptibility inversion with
    variational regularization. doi:10.1002/mrm.27073

    Examples
    --------
    >>> from qsmcmb.core.dipole import forward_field
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> body = np.zeros(grid.shape, np.float32)
    >>> body[6:10, 6:10, 6:10] = 1.0
    >>> field = forward_field(body, grid)
    >>> chi = invert_tv(field, np.ones(grid.shape, bool), grid)
    >>> round(float(chi[8, 8, 8]), 1)
    1.0
    """
    check_options(regularisation, tolerance, max_iterations)
    weights = data_weights(field_sd_ppm, mask)
    # Of voxels with data alone: noise elsewhere would set the thresholds.
    scale = std_inside(local_field_ppm, weights > 0)
    if scale == 0.0:
        return np.zeros(grid.shape, np.float32)
    if regularisation is None:
        regularisation = gradient_weight(local_field_ppm, mask, grid, field_sd_ppm=field_sd_ppm)
    region = Region(mask)
    weight2 = region.cut(weights) ** 2
    field = region.cut(local_field_ppm)
    # A squared term is smooth, so a long step is safe.
    penalties = Penalties(regularisation, LONG_SHRINK * scale, LOW_MU_DATA)
    data_step = partial(
        loops.update_data, field, weight2, region.volume(), region.start, penalties.mu_data, RELAXATION
    )
    chi = minimise_tv(data_step, region, grid, penalties, stopping=Stopping(tolerance, max_iterations))
    return inside(chi, mask)
