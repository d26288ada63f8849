"""Truncated singular value decomposition: the dipole kernel is diagonal in k-space, its singular values are |D|.

One transform pair; memory of the map and the transform's two buffers.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.validate import check_range
from qsmcmb.dipole_inversion import _closed_form_loops as loops
from qsmcmb.dipole_inversion.closed_form import divide_spectrum, transform_field
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("invert_tsvd",)


def invert_tsvd(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    threshold: float = 0.1,
    correct: bool = True,
) -> FloatArray:
    """Invert by division by the dipole kernel where it is large, with zeros in the rest of k-space.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where the field is defined.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    threshold : float, optional
        Smallest absolute value of the kernel that is divided by, 1e-4 to 1/3.
    correct : bool, optional
        Divide the map by its mean response to a point source, so that sums over a body are not too low.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Susceptibility relative to the mean over the volume, ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        Threshold out of range.

    Notes
    -----
    In k-space, with the dipole kernel D(k) and the threshold t::

        chi(k) = f(k) / D(k)    where |D(k)| >= t
        chi(k) = 0              elsewhere

    The correction divides by the mean of D times this inverse over k-space, the response at the centre of a point
    source.

    References
    ----------
    Wharton, Schäfer and Bowtell 2010. Susceptibility mapping in the human brain using threshold-based k-space division.
    doi:10.1002/mrm.22334

    The correction: Schweser et al. 2013. Toward online reconstruction of quantitative susceptibility maps: superfast
    dipole inversion. doi:10.1002/mrm.24405

    Examples
    --------
    >>> from qsmcmb.core.dipole import forward_field
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> body = np.zeros(grid.shape, np.float32)
    >>> body[6:10, 6:10, 6:10] = 1.0
    >>> field = forward_field(body, grid)
    >>> chi = invert_tsvd(field, np.ones(grid.shape, bool), grid)
    >>> round(float(chi[8, 8, 8]), 1)
    1.0
    """
    check_range("threshold", threshold, 1e-4, 1 / 3)
    # What the loop divides by from, and multiplies by below.
    limits = np.float32(threshold), np.float32(0.0)
    transform_field(local_field_ppm, grid)
    return divide_spectrum(mask, grid, loops.divide_above, *limits, correct=correct)
