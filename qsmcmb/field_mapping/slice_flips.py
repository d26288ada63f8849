"""Slices with alternating sign: phase that jumps by pi from slice to slice (GE, before its own correction)."""

from __future__ import annotations

import numpy as np

from qsmcmb.typing import FloatArray

__all__: tuple[str, ...] = ()

MAX_STEP_COSINE = -0.5
"""Cosine of the mean step between slices below which they alternate: within a third of a turn of pi."""
MIN_COHERENCE = 0.3
"""Coherence of the step from which on it is believed, 0 to 1: noise has less. Set by trial."""


def find_slice_flips(phase_rad: FloatArray, magnitude: FloatArray) -> tuple[int, ...]:
    """Return the axes along which every other slice has the opposite sign.

    Parameters
    ----------
    phase_rad, magnitude : ndarray of shape (x, y, z)
        Wrapped phase of one echo, rad, and its magnitude.

    Returns
    -------
    tuple of int
        Usually empty, or the slice axis; data that were corrected already alternate along none.

    Examples
    --------
    >>> phase = np.zeros((8, 8, 7), np.float32)
    >>> phase[:, :, 1::2] = -np.pi
    >>> find_slice_flips(phase, np.ones_like(phase))
    (2,)
    """
    signal = magnitude * np.exp(1j * phase_rad).astype(np.complex64)
    found = []
    for axis in range(3):
        lines = np.moveaxis(signal, axis, 0)
        # Two slices are one step, which says nothing of alternation.
        if len(lines) < 3:
            continue
        # The mean step along the axis, weighted by both magnitudes.
        step = np.vdot(lines[:-1], lines[1:])
        whole = float((np.abs(lines[:-1]) * np.abs(lines[1:])).sum(dtype=np.float64))
        # 1 where all steps agree, near 0 in noise.
        coherence = abs(step) / max(whole, 1e-30)
        if coherence > MIN_COHERENCE and step.real < MAX_STEP_COSINE * abs(step):
            found.append(axis)
    return tuple(found)


def turn_slices(phase_rad: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    """Return phase (echo, x, y, z) with every second slice along `axes` turned by pi, in [-pi, pi)."""
    out = phase_rad.copy()
    for axis in axes:
        lines = np.moveaxis(out, axis + 1, 0)
        # Towards 0, so that the result stays in one turn.
        lines[1::2] = np.where(
            lines[1::2] < 0, lines[1::2] + np.float32(np.pi), lines[1::2] - np.float32(np.pi)
        )
    return out
