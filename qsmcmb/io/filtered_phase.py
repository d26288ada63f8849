"""Phase that the scanner has high-pass filtered: homodyne, SWI, or a local field written as phase.

A field falls off with distance, so that the phase of a head varies most over centimetres. A high-pass filter takes just
that away, and with it an unknown part of every lesion's field.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from qsmcmb.model import Grid
from qsmcmb.typing import ComplexArray, FloatArray

__all__: tuple[str, ...] = ()

BLOCK_MM = 3.0
"""Edge of the blocks over which the signal is averaged first, mm: noise falls, and the rest costs little."""
SMOOTH_MM = 8.0
"""SD of the Gaussian that parts low from high spatial frequencies, mm: above a homodyne filter's window, below a
head."""
USUAL_PERCENT = 68.0
"""Percentile of the absolute phase that stands for its size: lesions and edges are beyond."""
MAX_RATIO = 1.2
"""Largest ratio of low to high phase of filtered phase: 0.3 to 1.1 on filtered heads and phantoms, 2.3 and more on raw
ones with as little low phase."""
MAX_RATIO_STATED = 2.2
"""The same where ImageType says that the phase is filtered: a wide filter leaves some of the low frequencies."""
MAX_LOW_RAD = 0.5
"""Largest low phase of filtered phase, rad."""
MIN_HIGH_RAD = 0.01
"""Least high phase from which a ratio says anything, rad."""
WORDS = ("swi", "filter", "highpass", "high_pass", "hpf", "homodyne", "local", "unwrap_hp")
"""Parts of words of ImageType that stand for filtered phase."""


def stated_filter(image_types: Sequence[object]) -> str:
    """Return the word of ImageType that says that phase is filtered; empty without one."""
    for image_type in image_types:
        words = image_type if isinstance(image_type, list) else str(image_type or "").split("\\")
        for word in words:
            if any(part in str(word).lower() for part in WORDS):
                return str(word)
    return ""


def lacks_low_frequencies(phase_rad: FloatArray, magnitude: FloatArray, grid: Grid, *, stated: bool) -> bool:
    """Say whether most echoes' phase has no low spatial frequencies.

    Parameters
    ----------
    phase_rad, magnitude : ndarray of shape (echo, x, y, z)
        Wrapped phase, rad, and magnitude.
    grid : Grid
        Geometry.
    stated : bool
        Whether ImageType says so, too: less evidence is needed.

    Returns
    -------
    bool
        False where there is too little phase to say.
    """
    limit = MAX_RATIO_STATED if stated else MAX_RATIO
    found = [_parts(p, m, grid) for p, m in zip(phase_rad, magnitude, strict=True)]
    filtered = [low < MAX_LOW_RAD and high > MIN_HIGH_RAD and low < limit * high for low, high in found]
    return 2 * sum(filtered) > len(filtered)


def _parts(phase_rad: FloatArray, magnitude: FloatArray, grid: Grid) -> tuple[float, float]:
    """Return the usual size of the low and of the high phase in tissue, rad."""
    bright = magnitude > magnitude.mean()
    weight = np.where(bright, magnitude, 0)
    factors = [max(1, round(BLOCK_MM / v)) for v in grid.voxel_size_mm]
    signal = _blocks(weight * np.exp(1j * phase_rad), factors)
    share = _blocks(bright.astype(np.float32), factors).real
    sigma = [SMOOTH_MM / (v * f) for v, f in zip(grid.voxel_size_mm, factors, strict=True)]
    low = ndimage.gaussian_filter(signal.real, sigma) + 1j * ndimage.gaussian_filter(signal.imag, sigma)
    inside = share > 0.5
    if not inside.any():
        return 0.0, 0.0
    parts = np.angle(low[inside]), np.angle(signal[inside] * np.conj(low[inside]))
    size = [float(np.percentile(np.abs(p), USUAL_PERCENT)) for p in parts]
    return size[0], size[1]


def _blocks(values: ComplexArray | FloatArray, factors: Sequence[int]) -> ComplexArray:
    """Return the means over blocks of voxels."""
    nx, ny, nz = (n // f for n, f in zip(values.shape, factors, strict=True))
    fx, fy, fz = factors
    cut = values[: nx * fx, : ny * fy, : nz * fz]
    return np.asarray(cut.reshape(nx, fx, ny, fy, nz, fz).mean(axis=(1, 3, 5)), np.complex64)
