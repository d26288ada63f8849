"""Thresholded k-space division.

Shmueli et al. 2009, doi 10.1002/mrm.22135; correction by the mean response: Schweser et al. 2013,
doi 10.1002/mrm.24405.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.dipole import dipole_kernel_k
from qsmcmb.core.fft import convolve
from qsmcmb.core.validate import check_range
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


def invert_tkd(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    threshold: float = 0.15,
    correct: bool = True,
) -> FloatArray:
    """Divide by the dipole kernel where it is large, by the threshold elsewhere.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm, 0 outside the mask.
    mask : ndarray of bool
        Where the field is defined.
    grid : Grid
        Geometry with the direction of B0.
    threshold : float, optional
        Least absolute value of the kernel to divide by, 0 to 1/3.
    correct : bool, optional
        Divide by the mean response of a point source, so that sums are not too low.

    Returns
    -------
    ndarray of shape grid.shape, float32
        ppm; 0 outside the mask.
    """
    check_range("threshold", threshold, 1e-4, 1 / 3)
    kernel = dipole_kernel_k(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    sign = np.where(kernel < 0, np.float32(-1), np.float32(1))
    divisor = sign * np.maximum(np.abs(kernel), np.float32(threshold))
    response = float((kernel / divisor).mean(dtype=np.float64)) if correct else 1.0
    chi = convolve(local_field_ppm, (1.0 / (divisor * np.float32(response))).astype(np.float32))
    return np.where(mask, chi, 0).astype(np.float32)
