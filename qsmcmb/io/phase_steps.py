"""Steps of stored phase from voxel to voxel in tissue: they tell wrapped phase from unwrapped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from qsmcmb.io.nifti import Volume
from qsmcmb.typing import BoolArray, FloatArray

__all__: tuple[str, ...] = ()

MAX_JUMPS = 0.02
"""Largest fraction of steps beyond half a turn in unwrapped phase: lines of open fringes and noise make some."""
MIN_WRAPS = 1e-3
"""Fraction of steps over nearly the whole range from which on the values wrap at their ends."""
NEARLY_WHOLE = 0.9
"""Fraction of the range that a wrap steps over."""


def changes_smoothly(phase: Sequence[Volume], magnitude: Sequence[Volume], turn: float) -> bool:
    """Say whether phase changes by less than half a turn from voxel to voxel in tissue, in all echoes."""
    for volume, mag in zip(phase, magnitude, strict=True):
        n_steps, n_jumps = 0, 0
        for steps in _steps_in_signal(volume, mag):
            n_steps += steps.size
            n_jumps += int((steps > turn / 2).sum())
        if n_steps == 0 or n_jumps > MAX_JUMPS * n_steps:
            return False
    return True


def wraps_at_its_ends(volume: Volume, magnitude: Volume | None = None) -> bool:
    """Say whether an echo steps from its least to its largest values, as phase does that wraps there.

    With a magnitude tissue is looked at alone; without one noise in air counts, too.
    """
    values = volume.values()
    whole = float(np.nanmax(values) - np.nanmin(values))
    steps = list(_steps_in_signal(volume, magnitude))
    n_steps = sum(s.size for s in steps)
    return n_steps > 0 and sum(int((s > NEARLY_WHOLE * whole).sum()) for s in steps) > MIN_WRAPS * n_steps


def spread_in_signal(volume: Volume, magnitude: Volume) -> float:
    """Return the distance between the first and the last hundredth of the values in tissue."""
    values = volume.values()[_signal(volume, magnitude)]
    low, high = np.percentile(values, [1, 99]) if values.size else (0.0, 0.0)
    return float(high - low)


def _signal(volume: Volume, magnitude: Volume | None) -> BoolArray:
    """Return the voxels with more than the mean magnitude; all that are finite without a magnitude."""
    if magnitude is None:
        return np.isfinite(volume.values())
    mag = magnitude.values()
    finite = np.isfinite(mag) & np.isfinite(volume.values())
    return np.asarray(finite & (mag > (mag[finite].mean() if finite.any() else 0.0)))


def _steps_in_signal(volume: Volume, magnitude: Volume | None) -> Iterator[FloatArray]:
    """Yield the absolute steps between neighbours with signal along each axis."""
    values, signal = volume.values(), _signal(volume, magnitude)
    for axis in range(3):
        here = [slice(None)] * 3
        there = [slice(None)] * 3
        here[axis], there[axis] = slice(None, -1), slice(1, None)
        both = signal[tuple(here)] & signal[tuple(there)]
        yield np.abs(values[tuple(there)][both] - values[tuple(here)][both])
