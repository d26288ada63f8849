"""Echoes whose phase is off by a constant, as where a receiver or a program has turned one image by itself.

Field and receive phase make a line over echo time in every voxel. With echo times whose distances are whole multiples
of the first, the deviation from that line needs no unwrapping.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.typing import FloatArray

__all__: tuple[str, ...] = ()

MAX_UNEVENNESS = 0.02
"""Largest distance of a multiple of the echo spacing from a whole number: the field's phase must cancel."""
MIN_COHERENCE = 0.3
"""Least length of the mean phasor of the deviation for a constant: noise and flow have less."""
MIN_OFFSET_RAD = 0.3
"""Least deviation that is reported, rad: 0.02 on a real scan, less on simulated heads."""


class EchoOffset(NamedTuple):
    """Constant by which an echo's phase is off the line through the others."""

    echo: int
    """Index of the echo."""
    offset_rad: float
    """The constant, rad."""


def find_echo_offsets(
    phase_rad: FloatArray, magnitude: FloatArray, *, te_s: tuple[float, ...]
) -> tuple[EchoOffset, ...]:
    """Return the echoes that are off by a constant, where three or more echoes show it.

    Parameters
    ----------
    phase_rad, magnitude : ndarray of shape (echo, x, y, z)
        Wrapped phase, rad, and magnitude.
    te_s : tuple of float
        Echo times, s.

    Returns
    -------
    tuple of EchoOffset
        Echoes from the third on. Where all of them are off, one of the first two may be.
    """
    found = []
    for echo in range(2, len(te_s)):
        ratio = (te_s[echo] - te_s[0]) / (te_s[1] - te_s[0])
        steps = round(ratio)
        if abs(ratio - steps) > MAX_UNEVENNESS:
            continue
        weight = magnitude[0] * magnitude[1] * magnitude[echo]
        left = phase_rad[echo] - phase_rad[0] - steps * (phase_rad[1] - phase_rad[0])
        mean = (weight * np.exp(1j * left)).sum(dtype=np.complex128)
        offset = float(np.angle(mean))
        if abs(mean) > MIN_COHERENCE * weight.sum(dtype=np.float64) and abs(offset) > MIN_OFFSET_RAD:
            found.append(EchoOffset(echo, offset))
    return tuple(found)


def turn_echoes(phase_rad: FloatArray, found: tuple[EchoOffset, ...]) -> FloatArray:
    """Return phase (echo, x, y, z) in [-pi, pi) with the constants taken off."""
    out = phase_rad.astype(np.float32)
    for echo, offset in found:
        level = out[echo] - np.float32(offset)
        out[echo] = level - np.float32(2 * np.pi) * np.floor(level / np.float32(2 * np.pi) + np.float32(0.5))
    return out
