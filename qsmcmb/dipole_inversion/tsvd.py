"""Truncated singular value decomposition: the dipole kernel is diagonal in k-space, its singular values |D|.

Wharton et al. 2010, doi 10.1002/mrm.22334; correction by the mean response: Schweser et al. 2013,
doi 10.1002/mrm.24405. One transform pair; memory: the map and the transform's two buffers.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.validate import check_range
from qsmcmb.dipole_inversion import _closed_form_loops as loops
from qsmcmb.dipole_inversion.closed_form import divide_spectrum, transform_field
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


def invert_tsvd(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    threshold: float = 0.1,
    correct: bool = True,
) -> FloatArray:
    """Divide by the dipole kernel where it is large; take nothing from the rest of k-space.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm, 0 outside the mask.
    mask : ndarray of bool
        Where the field is defined.
    grid : Grid
        Geometry with the direction of B0.
    threshold : float, optional
        Least absolute value of the kernel to divide by, 1e-4 to 1/3.
    correct : bool, optional
        Divide by the mean response of a point source, so that sums are not too low.

    Returns
    -------
    ndarray of shape grid.shape, float32
        ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        Threshold out of range.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> invert_tsvd(np.zeros(grid.shape, np.float32), np.ones(grid.shape, bool), grid).shape
    (16, 16, 16)
    """
    check_range("threshold", threshold, 1e-4, 1 / 3)
    limits = np.float32(threshold), np.float32(0.0)
    transform_field(local_field_ppm, grid)
    return divide_spectrum(mask, grid, loops.divide_above, *limits, correct=correct)
