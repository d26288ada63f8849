"""Bipolar readout: echoes of opposite polarity differ by a phase that is linear along the readout.

Lu et al. 2008, doi 10.1002/mrm.21583. From the first three echoes, evenly spaced: in 2 phi_2 - phi_1 - phi_3 field
and offset cancel and twice the phase between polarities is left.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.typing import FloatArray

__all__: tuple[str, ...] = ()

MAX_UNEVENNESS = 0.02
"""Relative difference of echo spacings up to which they count as even: beyond it the field does not cancel."""
MIN_COHERENCE = 0.3
"""Coherence of the step along an axis from which on a slope is believed, 0 to 1: noise has less. Set by trial."""
MIN_REPORTED_RAD = 0.5
"""Phase between the ends of the volume, or everywhere, from which on it is reported, rad. Set by trial."""


class ReadoutPhase(NamedTuple):
    """Hold the phase of even against odd echoes.

    Parameters
    ----------
    axis : int
        Axis of the readout, 0 to 2.
    slope_rad : float
        Slope along it, rad per voxel.
    offset_rad : float
        Phase at the first voxel, rad.
    """

    axis: int
    slope_rad: float
    offset_rad: float


def find_readout_phase(
    phase_rad: FloatArray, magnitude: FloatArray, *, te_s: tuple[float, ...]
) -> ReadoutPhase | None:
    """Return the phase between the polarities, or None where there is none, or no way to see it.

    Parameters
    ----------
    phase_rad, magnitude : ndarray of shape (echo, x, y, z)
        Wrapped phase, rad, and magnitude.
    te_s : tuple of float
        Echo times, s; three or more, the first three evenly spaced.

    Returns
    -------
    ReadoutPhase or None
        Axis, slope and offset; the offset is known up to pi.
    """
    if len(te_s) < 3 or abs(te_s[2] - 2 * te_s[1] + te_s[0]) > MAX_UNEVENNESS * (te_s[1] - te_s[0]):
        return None
    # Where one echo is dark the combination is noise.
    weight = magnitude[0] * magnitude[1] * magnitude[2]
    turn = 2 * phase_rad[1] - phase_rad[0] - phase_rad[2]
    twice = (weight / max(float(weight.max()), 1e-30) * np.exp(1j * turn)).astype(np.complex64)
    best, strongest = None, 0.0
    for axis, n in enumerate(twice.shape):
        lines = np.moveaxis(twice, axis, 0)
        # The mean step along the axis, weighted; its length over that of all steps is their coherence.
        step = np.vdot(lines[:-1], lines[1:])
        whole = float((np.abs(lines[:-1]) * np.abs(lines[1:])).sum(dtype=np.float64))
        # The combination holds twice the phase between polarities.
        slope = float(np.angle(step)) / 2
        if abs(step) > MIN_COHERENCE * max(whole, 1e-30) and abs(slope) * n > strongest:
            best, strongest = (axis, slope), abs(slope) * n
    if best is None:
        return None
    axis, slope = best
    # Without the slope what is left is twice the offset.
    ramp = np.exp(-2j * slope * np.arange(twice.shape[axis]))
    mean = (np.moveaxis(twice, axis, -1) * ramp).sum(dtype=np.complex128)
    offset = float(np.angle(mean)) / 2
    return ReadoutPhase(axis, slope, offset) if max(strongest, abs(offset)) > MIN_REPORTED_RAD else None


def level_polarities(phase_rad: FloatArray, found: ReadoutPhase) -> FloatArray:
    """Return phase (echo, x, y, z) in [-pi, pi) with half of the difference subtracted from each polarity."""
    n = phase_rad.shape[1 + found.axis]
    # Half to each polarity: which of them is right is not known, and the mean stays.
    line = (found.offset_rad + found.slope_rad * np.arange(n)) / 2
    shaped = line.reshape([-1 if a == found.axis else 1 for a in range(3)])
    sign = np.where(np.arange(len(phase_rad)) % 2, -1.0, 1.0)[:, None, None, None]
    level = phase_rad + sign * shaped
    return (level - 2 * np.pi * np.floor(level / (2 * np.pi) + 0.5)).astype(np.float32)
