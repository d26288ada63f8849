"""How much of k-space a scan really holds: zero-filled images have larger voxels and less noise than they show."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.field_mapping.field_map import noise_from_magnitude
from qsmcmb.model import GreScan
from qsmcmb.typing import BoolArray, ComplexArray

LEAST = 0.3
"""Smallest part of k-space along an axis that is looked for."""
DROP = 0.1
"""Power just beyond the edge of the acquired part over that just inside."""
LINES = 4000


class Acquired(NamedTuple):
    """Part of k-space acquired along each axis (0 to 1), and the noise's SD per channel in an acquired voxel."""

    support: tuple[float, float, float]
    noise: float


def find_acquired(scan: GreScan, mask: BoolArray) -> Acquired:
    """Find the acquired part of k-space from the image.

    Parameters
    ----------
    scan : GreScan
        Magnitude and wrapped phase; the first echo is looked at.
    mask : ndarray of bool
        Brain mask, for the noise.

    Returns
    -------
    Acquired
        1 along an axis without an edge in the spectrum.
    """
    signal = scan.magnitude[0] * np.exp(1j * scan.phase_rad[0]).astype(np.complex64)
    parts = [_support(signal, axis) for axis in range(3)]
    support = (parts[0], parts[1], parts[2])
    if min(support) == 1.0:
        return Acquired(support, float(noise_from_magnitude(scan.magnitude[0], mask)))
    small = _cropped(signal, support)
    where = [
        np.minimum((np.arange(s) * n / s).astype(int), n - 1)
        for s, n in zip(small.shape, mask.shape, strict=True)
    ]
    return Acquired(support, float(noise_from_magnitude(np.abs(small), mask[np.ix_(*where)])))


def _support(signal: ComplexArray, axis: int) -> float:
    """Return where the power along one axis drops to nothing, over the Nyquist frequency; 1 if nowhere."""
    n = signal.shape[axis]
    lines = np.moveaxis(signal, axis, -1).reshape(-1, n)
    lines = lines[:: max(1, len(lines) // LINES)]
    power = (np.abs(np.fft.fft(lines, axis=1)) ** 2).mean(axis=0)
    half = n // 2
    folded = np.array([0.5 * (power[k] + power[-k]) for k in range(1, half)])
    window = max(2, n // 40)
    first, last = int(LEAST * half), len(folded) - 1
    if last - first < 2 * window:
        return 1.0
    edges = np.arange(first, last)
    inside = np.array([np.median(folded[max(0, k - window) : k]) for k in edges])
    # Just beyond the edge, not only far out: tissue's spectrum and filters fall off, but not at once.
    outside = np.array([max(np.median(folded[k : k + window]), np.median(folded[k:])) for k in edges])
    ratio = outside / np.maximum(inside, np.finfo(np.float32).tiny)
    best = int(np.argmin(ratio))
    return 1.0 if ratio[best] > DROP else float((edges[best] + 1) / half)


def _cropped(signal: ComplexArray, support: tuple[float, float, float]) -> ComplexArray:
    """Return the signal at the acquired matrix, same level."""
    for axis, part in enumerate(support):
        n = signal.shape[axis]
        kept = 2 * round(part * n / 2)
        spectrum = np.fft.fft(signal, axis=axis)
        index = np.r_[0 : kept // 2, n - kept // 2 : n]
        signal = np.fft.ifft(np.take(spectrum, index, axis=axis), axis=axis) * (kept / n)
    return np.asarray(signal, dtype=np.complex64)
