"""Receive phase at TE = 0, taken out before unwrapping (MCPC-3D-S for combined data).

Eckstein et al. 2018, doi 10.1002/mrm.26963.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.validate import check_range
from qsmcmb.field_mapping import _offset_loops as loops
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray

TRUNCATE = 3.0
"""Half-width of the smoothing window, sigma."""

Unwrapper = Callable[[FloatArray, FloatArray], FloatArray]


class OffsetRemoved(NamedTuple):
    """Phase without its offset (rad, wrapped), and the offset (rad; zeros for a single echo)."""

    phase_rad: FloatArray
    offset_rad: FloatArray


def remove_phase_offset(
    phase_rad: FloatArray,
    magnitude: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    te_s: tuple[float, ...],
    unwrapper: Unwrapper,
    sigma_mm: float = 6.0,
) -> OffsetRemoved:
    """Estimate the phase at TE = 0 from the first two echoes and take it off all.

    Parameters
    ----------
    phase_rad, magnitude : ndarray of shape (echo, x, y, z)
        Wrapped phase, rad, and magnitude.
    mask : ndarray of bool
        Where phase is meaningful.
    grid : Grid
        Geometry.
    te_s : tuple of float
        Echo times, s.
    unwrapper : callable
        ``(phase_rad, magnitude) -> unwrapped_rad`` for one volume, given by the pipeline.
    sigma_mm : float, optional
        Width of the Gaussian that smooths the offset, mm.

    Returns
    -------
    OffsetRemoved
        A single echo comes back unchanged.
    """
    check_range("sigma_mm", sigma_mm, 0.0, 100.0)
    if len(te_s) < 2:
        return OffsetRemoved(phase_rad, np.zeros(grid.shape, np.float32))
    difference = wrap(phase_rad[1] - phase_rad[0])
    weight = magnitude[0] * magnitude[1] * mask
    field_phase = unwrapper(difference, np.sqrt(weight))
    offset = phase_rad[0] - field_phase * np.float32(te_s[0] / (te_s[1] - te_s[0]))
    smooth = smooth_phase(offset, weight, mask, grid, sigma_mm)
    return OffsetRemoved(wrap(phase_rad - smooth), smooth)


def wrap(phase_rad: FloatArray) -> FloatArray:
    """Return phase in [-pi, pi), float32."""
    turns = np.floor(phase_rad * np.float32(0.5 / np.pi) + np.float32(0.5))
    return (phase_rad - np.float32(2 * np.pi) * turns).astype(np.float32)


def smooth_phase(
    phase_rad: FloatArray, weight: FloatArray, mask: BoolArray, grid: Grid, sigma_mm: float
) -> FloatArray:
    """Return a phase smoothed over the mask, rad, wrapped; 0 outside.

    A straight line is fitted in a Gaussian window around each voxel: a window that the mask cuts has its centre of mass
    inside, and the mean over it would be the phase there.
    """
    out = np.zeros(grid.shape, np.float32)
    if not mask.any():
        return out
    box = bounding_box(mask)
    inside = np.ascontiguousarray(mask[box])
    weights = np.pad(weight[box] * inside, 1).astype(np.float32)
    phasor: ComplexArray = weights * np.exp(1j * np.pad(phase_rad[box], 1)).astype(np.complex64)
    sigma = [sigma_mm / v for v in grid.voxel_size_mm]
    real, imag, found = (
        ndimage.gaussian_filter(np.ascontiguousarray(part), sigma, mode="constant", truncate=TRUNCATE)
        for part in (phasor.real, phasor.imag, weights)
    )
    tiny = np.finfo(np.float32).tiny
    level = np.zeros(inside.shape, np.float32)
    loops.level(
        real, imag, np.log(np.maximum(found, tiny)), tuple(np.float32(s) for s in sigma), inside, level
    )
    out[box] = wrap(level)
    return out
