"""Tikhonov regularisation in closed form: minimise |D chi - f|^2 + lambda |R chi|^2 over the periodic frame.

Bilgic et al. 2014, doi 10.1002/mrm.25029 (gradient); Kressler et al. 2010, doi 10.1109/TMI.2009.2023787
(identity). One transform pair, and one transform to choose the weight; memory: the map and the transform's two buffers.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.validate import check_choice, check_range
from qsmcmb.dipole_inversion import _closed_form_loops as loops
from qsmcmb.dipole_inversion.closed_form import divide_spectrum, transform_field
from qsmcmb.dipole_inversion.regularisation import tikhonov_weight
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

ORDER = {"identity": 0, "gradient": 1, "laplacian": 2}
"""Power of the squared difference symbol that each regulariser is."""


def invert_tikhonov(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    regulariser: str = "gradient",
    regularisation: float | None = None,
) -> FloatArray:
    """Divide by the kernel, damped where it is small against the regulariser.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm, 0 outside the mask.
    mask : ndarray of bool
        Where the field is defined.
    grid : Grid
        Geometry with the direction of B0.
    regulariser : {"gradient", "identity", "laplacian"}, optional
        What is kept small: the map, its gradient (per mm) or its Laplacian (per mm2).
    regularisation : float, optional
        lambda, in mm^(2 order) with order 0, 1, 2 for identity, gradient, Laplacian; 1e-9 to 1e3. None: by
        generalised cross-validation, see `qsmcmb.dipole_inversion.regularisation`.

    Returns
    -------
    ndarray of shape grid.shape, float32
        ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        Unknown regulariser, weight out of range.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> invert_tikhonov(np.zeros(grid.shape, np.float32), np.ones(grid.shape, bool), grid).shape
    (16, 16, 16)
    """
    check_choice("regulariser", regulariser, ORDER)
    order = ORDER[regulariser]
    if regularisation is None:
        # Leaves the field's spectrum where it is divided.
        regularisation = tikhonov_weight(local_field_ppm, mask, grid, order=order)
    else:
        transform_field(local_field_ppm, grid)
    check_range("regularisation", regularisation, 1e-9, 1e3)
    damping = np.float32(regularisation), order
    return divide_spectrum(mask, grid, loops.divide_damped, *damping, correct=False)
