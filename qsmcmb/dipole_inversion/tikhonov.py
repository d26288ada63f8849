"""Tikhonov regularisation in closed form.

One transform pair, and one transform to choose the weight; memory of the map and the transform's two buffers.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.validate import check_choice, check_range
from qsmcmb.dipole_inversion import _closed_form_loops as loops
from qsmcmb.dipole_inversion.closed_form import divide_spectrum, transform_field
from qsmcmb.dipole_inversion.regularisation import tikhonov_weight
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("invert_tikhonov",)

ORDER = {"identity": 0, "gradient": 1, "laplacian": 2}
"""Power of the squared difference symbol that each regulariser is in k-space, by its name."""


def invert_tikhonov(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    regulariser: str = "gradient",
    regularisation: float | None = None,
) -> FloatArray:
    """Invert by division by the dipole kernel, damped where it is small against the regulariser.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where the field is defined.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    regulariser : {"gradient", "identity", "laplacian"}, optional
        Quantity that is held small: the map, its gradient (per mm) or its Laplacian (per mm2).
    regularisation : float, optional
        Weight lambda, mm^(2 order) with order 0, 1, 2 for identity, gradient, Laplacian; 1e-9 to 1e3. None: by
        generalised cross-validation (`tikhonov_weight`).

    Returns
    -------
    ndarray of shape grid.shape, float32
        Susceptibility relative to the mean over the volume, ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        Unknown regulariser, or a weight out of range.

    Notes
    -----
    Minimises |D chi - f|^2 + lambda |R chi|^2 over the periodic volume, with R the regulariser and S(k) the squared
    symbol of the difference, of which |R|^2 is the power `order`::

        chi(k) = D(k) f(k) / (D(k)^2 + lambda S(k)^order)

    References
    ----------
    Gradient: Bilgic et al. 2014. Fast image reconstruction with L2-regularization. doi:10.1002/jmri.24365

    Identity: Kressler et al. 2010. Nonlinear regularization for per voxel estimation of magnetic susceptibility
    distributions from MRI field maps. doi:10.1109/TMI.2009.2023787

    Examples
    --------
    >>> from qsmcmb.core.dipole import forward_field
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> body = np.zeros(grid.shape, np.float32)
    >>> body[6:10, 6:10, 6:10] = 1.0
    >>> field = forward_field(body, grid)
    >>> chi = invert_tikhonov(field, np.ones(grid.shape, bool), grid)
    >>> round(float(chi[8, 8, 8]), 1)
    0.9
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
