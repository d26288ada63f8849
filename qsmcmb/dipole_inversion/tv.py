"""Total variation by ADMM: minimise |W (D chi - f)|^2 / 2 + lambda |grad chi|_1.

Bilgic et al. 2014, doi 10.1002/mrm.25029; data weights by a second splitting as in Milovic et al. 2018,
doi 10.1002/mrm.27073. About 17 iterations of two transform pairs; memory of 4 volumes of the frame and 6 of
the mask's box.
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
        Local field, ppm, 0 outside the mask.
    mask : ndarray of bool
        Where the field is defined.
    grid : Grid
        Geometry with the direction of B0.
    field_sd_ppm : ndarray of shape grid.shape, optional
        SD of the field, ppm.
    regularisation : float, optional
        Weight of the gradient, ppm mm, 1e-9 to 10. From the noise by default.
    tolerance : float, optional
        Stop when an iteration changes the map's gradient by less than this part of its norm; 1e-8 to 1.
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
    >>> invert_tv(np.zeros(grid.shape, np.float32), np.ones(grid.shape, bool), grid).shape
    (16, 16, 16)
    """
    check_options(regularisation, tolerance, max_iterations)
    weights = data_weights(field_sd_ppm, mask)
    scale = std_inside(local_field_ppm, weights > 0)
    if scale == 0.0:
        return np.zeros(grid.shape, np.float32)
    if regularisation is None:
        regularisation = gradient_weight(local_field_ppm, mask, grid, field_sd_ppm=field_sd_ppm)
    region = Region(mask)
    weight2 = region.cut(weights) ** 2
    field = region.cut(local_field_ppm)
    penalties = Penalties(regularisation, LONG_SHRINK * scale, LOW_MU_DATA)
    data_step = partial(
        loops.update_data, field, weight2, region.volume(), region.start, penalties.mu_data, RELAXATION
    )
    chi = minimise_tv(data_step, region, grid, penalties, stopping=Stopping(tolerance, max_iterations))
    return inside(chi, mask)
