"""Combination of uncombined channels by MCPC-3D-S: each channel's phase at TE = 0 is taken off before they are summed.

Eckstein et al. 2018, doi 10.1002/mrm.26963.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.validate import check_mask, check_range, check_volume
from qsmcmb.errors import InvalidInputError
from qsmcmb.field_mapping.offset import Unwrapper, smooth_phase
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


class Combined(NamedTuple):
    """Phase (echo, x, y, z), rad, without receive offset; magnitude, the root of the sum of squares."""

    phase_rad: FloatArray
    magnitude: FloatArray


def combine_coils(
    phase_rad: FloatArray,
    magnitude: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    te_s: tuple[float, ...],
    unwrapper: Unwrapper,
    sigma_mm: float = 6.0,
) -> Combined:
    """Combine channels of a multi-echo scan.

    Parameters
    ----------
    phase_rad, magnitude : ndarray of shape (coil, echo, x, y, z)
        Wrapped phase, rad, and magnitude of every channel.
    mask : ndarray of bool
        Where phase is meaningful.
    grid : Grid
        Geometry.
    te_s : tuple of float
        Echo times, s; at least two.
    unwrapper : callable
        ``(phase_rad, magnitude) -> unwrapped_rad`` for one volume, given by the caller.
    sigma_mm : float, optional
        Width of the Gaussian that smooths each channel's offset, mm.

    Returns
    -------
    Combined

    Raises
    ------
    InvalidInputError
        Wrong shapes, empty mask, a single echo, which shows no offset.
    """
    check_range("sigma_mm", sigma_mm, 0.0, 100.0)
    check_mask(mask, grid)
    if len(te_s) < 2:
        raise InvalidInputError(
            "ECHOES", "phase_rad", field="echoes", found=len(te_s), expected="at least 2",
            fix="combine the channels of a single echo on the scanner",
        )  # fmt: skip
    for name, array in (("phase_rad", phase_rad), ("magnitude", magnitude)):
        for coil in array:
            check_volume(name, coil, grid, echoes=len(te_s))
    difference = np.zeros(grid.shape, np.complex64)
    for phase, mag in zip(phase_rad, magnitude, strict=True):
        difference += mag[0] * mag[1] * np.exp(1j * (phase[1] - phase[0])).astype(np.complex64)
    weight = np.sqrt(np.abs(difference))
    field_phase = unwrapper(np.angle(difference), weight) * np.float32(te_s[0] / (te_s[1] - te_s[0]))
    total = np.zeros((len(te_s), *grid.shape), np.complex64)
    square = np.zeros(total.shape, np.float32)
    for phase, mag in zip(phase_rad, magnitude, strict=True):
        offset = smooth_phase(phase[0] - field_phase, mag[0] * mag[1], mask, grid, sigma_mm)
        for e in range(len(te_s)):
            square[e] += mag[e] ** 2
            total[e] += mag[e] ** 2 * np.exp(1j * (phase[e] - offset)).astype(np.complex64)
    return Combined(np.angle(total).astype(np.float32), np.sqrt(square))
