"""Combination of uncombined channels by MCPC-3D-S: each channel's phase at TE = 0 is subtracted before they are
summed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.receive_phase import Unwrapper, smooth_phase
from qsmcmb.core.validate import check_mask, check_range, check_volume
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = (
    "Combined",
    "combine_coils",
)


class Combined(NamedTuple):
    """Hold the combined image of all channels.

    Parameters
    ----------
    phase_rad : ndarray of shape (echo, x, y, z), float32
        Wrapped phase without receive offset, rad.
    magnitude : ndarray of shape (echo, x, y, z), float32
        Root of the sum of squares of the channels.

    Examples
    --------
    >>> Combined(np.zeros((1, 2, 2, 2), np.float32), np.ones((1, 2, 2, 2), np.float32)).magnitude.shape
    (1, 2, 2, 2)
    """

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
    mask : ndarray of shape grid.shape, bool
        Voxels whose phase is meaningful, at least one.
    grid : Grid
        Shape and voxel size (mm).
    te_s : tuple of float
        Echo times, s; at least two.
    unwrapper : callable
        ``(phase_rad, magnitude) -> unwrapped_rad`` for one volume, given by the caller.
    sigma_mm : float, optional
        Width of the Gaussian that smooths each channel's offset, mm; 0 to 100.

    Returns
    -------
    Combined
        Phase and magnitude of all echoes.

    Raises
    ------
    InvalidInputError
        Wrong shapes, empty mask, an option out of range, a single echo, which shows no offset.

    Notes
    -----
    With m_ce and phi_ce of channel c at echo e, in which the field's phase f(TE) is the same for all channels::

        f(TE_1) = TE_1 / (TE_2 - TE_1) unwrap(arg sum_c m_c1 m_c2 exp(i (phi_c2 - phi_c1)))
        offset_c = smooth(phi_c1 - f(TE_1))
        phase_e = arg sum_c m_ce^2 exp(i (phi_ce - offset_c))

    References
    ----------
    Eckstein et al. 2018. Computationally efficient combination of multi-channel phase data from multi-echo acquisitions
    (ASPIRE). doi:10.1002/mrm.26963

    Examples
    --------
    >>> grid, te = Grid.isotropic((8, 8, 8), 1.0), (0.005, 0.010)
    >>> field = np.stack([np.full(grid.shape, 2 * np.pi * 10 * t, np.float32) for t in te])
    >>> phase = np.stack([field + 0.5, field - 0.5])
    >>> both = combine_coils(
    ...     phase, np.ones_like(phase), np.ones(grid.shape, bool), grid, te_s=te, unwrapper=lambda p, w: p
    ... )
    >>> bool(np.allclose(both.phase_rad, field, atol=1e-3))
    True
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
        # The receive phase of a channel is the same in both echoes, and cancels.
        difference += mag[0] * mag[1] * np.exp(1j * (phase[1] - phase[0])).astype(np.complex64)
    # A product of two magnitudes has its root as magnitude.
    weight = np.sqrt(np.abs(difference))
    # The field's phase at the first echo, by proportion of times.
    field_phase = unwrapper(np.angle(difference), weight) * np.float32(te_s[0] / (te_s[1] - te_s[0]))
    total = np.zeros((len(te_s), *grid.shape), np.complex64)
    square = np.zeros(total.shape, np.float32)
    for phase, mag in zip(phase_rad, magnitude, strict=True):
        # Receive phases are smooth: smoothing leaves the noise out.
        offset = smooth_phase(phase[0] - field_phase, mag[0] * mag[1], mask, grid, sigma_mm)
        for e in range(len(te_s)):
            square[e] += mag[e] ** 2
            # Weights of squared magnitude: the inverse variance of the phase.
            total[e] += mag[e] ** 2 * np.exp(1j * (phase[e] - offset)).astype(np.complex64)
    return Combined(np.angle(total).astype(np.float32), np.sqrt(square))
