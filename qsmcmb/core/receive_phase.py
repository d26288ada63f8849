"""Receive phase at TE = 0, of combined data (MCPC-3D-S): found from two echoes, and taken off all."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core import _receive_phase_loops as loops
from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.validate import check_range
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray

__all__ = (
    "OffsetRemoved",
    "Unwrapper",
    "remove_phase_offset",
    "take_offset_off",
)

TRUNCATE = 3.0
"""Half-width of the smoothing window, sigma: a Gaussian's weight beyond three is 0.3 %."""

Unwrapper = Callable[[FloatArray, FloatArray], FloatArray]
"""Callable ``(phase_rad, magnitude) -> unwrapped_rad`` for one volume."""


class OffsetRemoved(NamedTuple):
    """Hold the phase without its offset, and the offset.

    Parameters
    ----------
    phase_rad : ndarray of shape (echo, x, y, z), float32
        Wrapped phase without its offset, rad.
    offset_rad : ndarray of shape (x, y, z), float32
        Phase at TE = 0, wrapped, rad; 0 outside the mask, and for a single echo.

    Examples
    --------
    >>> OffsetRemoved(np.zeros((1, 2, 2, 2), np.float32), np.zeros((2, 2, 2), np.float32)).offset_rad.max()
    np.float32(0.0)
    """

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
    """Estimate the phase at TE = 0 from the first two echoes and subtract it from all.

    Parameters
    ----------
    phase_rad, magnitude : ndarray of shape (echo, x, y, z)
        Wrapped phase, rad, and magnitude, any unit.
    mask : ndarray of shape grid.shape, bool
        Voxels whose phase is meaningful.
    grid : Grid
        Shape and voxel size (mm).
    te_s : tuple of float
        Echo times, s, positive and ascending.
    unwrapper : callable
        ``(phase_rad, magnitude) -> unwrapped_rad`` for one volume, given by the pipeline.
    sigma_mm : float, optional
        Width of the Gaussian that smooths the offset, mm; 0 to 100.

    Returns
    -------
    OffsetRemoved
        Phase and offset; a single echo comes back unchanged.

    Raises
    ------
    InvalidInputError
        Option `sigma_mm` out of range.

    Notes
    -----
    With the phases phi_1, phi_2 of the first two echoes::

        offset = smooth(phi_1 - TE_1 / (TE_2 - TE_1) unwrap(phi_2 - phi_1))

    The smoothing fits a straight line in a Gaussian window around each voxel, weighted by the magnitudes' product.

    References
    ----------
    Eckstein et al. 2018. Computationally efficient combination of multi-channel phase data from multi-echo acquisitions
    (ASPIRE). doi:10.1002/mrm.26963

    Examples
    --------
    >>> grid, te = Grid.isotropic((8, 8, 8), 1.0), (0.005, 0.010)
    >>> phase = np.stack([np.full(grid.shape, 2 * np.pi * 10 * t + 0.5, np.float32) for t in te])
    >>> mask = np.ones(grid.shape, bool)
    >>> found = remove_phase_offset(
    ...     phase, np.ones_like(phase), mask, grid, te_s=te, unwrapper=lambda p, w: p
    ... )
    >>> round(float(found.offset_rad[4, 4, 4]), 2)
    0.5
    """
    check_range("sigma_mm", sigma_mm, 0.0, 100.0)
    if len(te_s) < 2:
        return OffsetRemoved(phase_rad, np.zeros(grid.shape, np.float32))
    # The offset cancels in the difference of two echoes.
    difference = wrap(phase_rad[1] - phase_rad[0])
    weight = magnitude[0] * magnitude[1] * mask
    field_phase = unwrapper(difference, np.sqrt(weight))
    # Extrapolated back to TE = 0, by proportion of times.
    offset = phase_rad[0] - field_phase * np.float32(te_s[0] / (te_s[1] - te_s[0]))
    smooth = smooth_phase(offset, weight, mask, grid, sigma_mm)
    return OffsetRemoved(wrap(phase_rad - smooth), smooth)


def take_offset_off(
    unwrapped_rad: FloatArray,
    magnitude: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    te_s: tuple[float, ...],
    sigma_mm: float = 6.0,
) -> FloatArray:
    """Subtract the phase at TE = 0 from unwrapped phase, which stays unwrapped.

    Parameters
    ----------
    unwrapped_rad, magnitude : ndarray of shape (echo, x, y, z)
        Unwrapped phase, rad, and magnitude, any unit; what lies outside the mask does not matter.
    mask : ndarray of shape grid.shape, bool
        Voxels whose phase is meaningful.
    grid : Grid
        Shape and voxel size (mm).
    te_s : tuple of float
        Echo times, s, positive and ascending.
    sigma_mm : float, optional
        Width of the Gaussian that smooths the offset, mm; 0 to 100.

    Returns
    -------
    ndarray of shape (echo, x, y, z)
        Phase in proportion to the echo time, rad, 0 outside the mask; a single echo comes back unchanged.

    Raises
    ------
    InvalidInputError
        Option `sigma_mm` out of range.

    Notes
    -----
    The offset is that of `remove_phase_offset`. Its whole turns are those that leave the first echo nearest to what the
    difference of the first two says of it.

    Examples
    --------
    >>> grid, te = Grid.isotropic((8, 8, 8), 1.0), (0.005, 0.010)
    >>> phase = np.stack([np.full(grid.shape, 2 * np.pi * 10 * t + 4.0, np.float32) for t in te])
    >>> found = take_offset_off(phase, np.ones_like(phase), np.ones(grid.shape, bool), grid, te_s=te)
    >>> bool(np.allclose(found, phase - 4.0, atol=1e-4))
    True
    """
    check_range("sigma_mm", sigma_mm, 0.0, 100.0)
    if len(te_s) < 2:
        return unwrapped_rad
    # What is not finite outside the mask would be smoothed into it.
    phase_rad = np.where(mask, unwrapped_rad, 0).astype(np.float32)
    weight = np.prod(np.where(mask, magnitude[:2], 0).astype(np.float32), axis=0)
    ratio = np.float32(te_s[0] / (te_s[1] - te_s[0]))
    offset = phase_rad[0] - (phase_rad[1] - phase_rad[0]) * ratio
    smooth = smooth_phase(offset, weight, mask, grid, sigma_mm)
    turns = np.rint((offset - smooth) * np.float32(0.5 / np.pi))
    return np.asarray(phase_rad - np.where(mask, smooth + np.float32(2 * np.pi) * turns, 0))


def wrap(phase_rad: FloatArray) -> FloatArray:
    """Return phase in [-pi, pi), float32."""
    # Not np.angle of a phasor: one pass, and no sine.
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
    # As a phasor whole turns do not matter, and no unwrapping comes before.
    phasor: ComplexArray = weights * np.exp(1j * np.pad(phase_rad[box], 1)).astype(np.complex64)
    sigma = [sigma_mm / v for v in grid.voxel_size_mm]
    # The weights are smoothed alike: where they fall off says where the mask cuts the window.
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
