"""How much of k-space a scan really holds, and the filter over it: zero-filled and filtered images have a wider point
spread and less noise than their voxels show.

The spectrum of the brain's tissue falls as a power of the spatial frequency towards white noise; what the
reconstruction did multiplies both. Along each axis the mean log power over lines away from the centre of k-space, where
tissue is weak, is described by tissue and noise alone, and times a window. A window is believed where it explains much
more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.fft
from scipy.optimize import least_squares

from qsmcmb.field_mapping.field_map import noise_from_magnitude
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, Acquisition, KSpaceWindow, KSpaceWindows
from qsmcmb.microbleeds.signal.source_shapes import LAYOUT
from qsmcmb.model import GreScan
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray

LINES = ((0.15, 0.35), (0.4, 0.7))
"""Distance of lines from the axis, over the edges of the two others."""
MIN_EDGE = 0.4
"""Smallest part of k-space along an axis that is looked for."""
FLOOR = 0.03
"""Power over that at a middle frequency below which nothing is told: other things are there, too."""
MIDDLE = 60
"""That frequency's power as a percentile."""
MODEL_SD = 0.1
"""Of the logarithm of the power: tissue is no power law."""
MIN_WINDOW_COST_DROP = 40.0
"""Least drop of the cost for a window, in units of what the window's own fit leaves a sample."""
MAX_GAP_OVER_DROP = 0.5
"""Part of that drop which the freest window must reach before others are tried: starts may end beside the optimum."""
MAX_SIMPLER_COST_RISE = 6.0
"""Largest rise of the cost for a filter with fewer free parameters."""
LEVELS = 12.0
"""Range of the logarithm of tissue's and noise's power around what is seen."""
FALL = (1.0, 8.0)
"""Exponents of tissue's power."""
STRETCH = (-2.0, 2.0)
"""Logarithm of the squared scale of the frequency at which the fall begins, over the lines' distance."""
POINTS_PER_SAMPLE = 5
"""Points per sample of k-space at which a window is averaged."""
SKIPPED = 3
"""Samples at both ends of the axis that are not described."""
STEPS = 40
MIN_SAMPLES = 24
"""Of k-space along an axis; with fewer nothing is looked for."""


class _Spectrum(NamedTuple):
    """Power along one axis: over (lines, frequency 0 to 1), what the image's taper leaks, the lines' distance."""

    power: FloatArray
    leak: FloatArray
    apart: FloatArray


class _Filter(NamedTuple):
    """A family of windows: edge, taper and height where fixed, and where to start those that are free."""

    edge: float | None
    taper: float | None
    height: float | None
    starts: tuple[tuple[float, ...], ...]

    def window(self, free: FloatArray) -> KSpaceWindow:
        """Return the window of the free parameters."""
        rest = iter(free)
        edge, taper, height = (
            float(next(rest)) if fixed is None else fixed for fixed in (self.edge, self.taper, self.height)
        )
        return KSpaceWindow(edge, taper, height)

    def bounds(self) -> list[tuple[float, float]]:
        """Return lower and upper bounds of the free parameters."""
        ranges = zip(
            (self.edge, self.taper, self.height), ((MIN_EDGE, 1.0), (0.0, 1.0), (0.0, 1.0)), strict=True
        )
        return [limits for fixed, limits in ranges if fixed is None]


EDGES = (0.5, 0.65, 0.8, 0.95)
ALONE = _Filter(1.0, 0.0, 1.0, ((),))
NONE = (_Filter(None, 0.0, 1.0, tuple((e,) for e in EDGES)),)
HAMMING = (_Filter(1.0, 1.0, 0.08, ((),)), _Filter(None, 1.0, 0.08, tuple((e,) for e in EDGES)))
COSINE = (_Filter(1.0, None, 0.0, ((0.4,),)), _Filter(None, None, 0.0, tuple((e, 0.4) for e in EDGES)))
"""Tukey's and Hann's."""
ANY = (_Filter(None, None, None, tuple((e, 0.7, 0.2) for e in EDGES)),)
KINDS = (NONE, HAMMING, COSINE, ANY)
"""Of filters, the simpler first; of each over the whole axis and zero-filled."""


def find_k_space_windows(scan: GreScan, mask: BoolArray) -> Acquisition:
    """Find the acquired part of k-space, and the filter over it, from the image.

    Parameters
    ----------
    scan : GreScan
        Magnitude and wrapped phase; the first echo is looked at.
    mask : ndarray of bool
        Brain mask.

    Returns
    -------
    Acquisition
        Echo times, field strength, windows and noise; the whole axis unfiltered where nothing else is believed.
    """
    signal = scan.magnitude[0] * np.exp(1j * scan.phase_rad[0]).astype(np.complex64)
    windows = _windows(signal, mask, np.array(scan.grid.voxel_size_mm))
    acquisition = Acquisition(te_s=scan.te_s, b0_tesla=scan.b0_tesla, noise_sd=0.0, windows=windows)
    if windows == FULL_K_SPACE:
        return replace(acquisition, noise_sd=float(noise_from_magnitude(scan.magnitude[0], mask)))
    small = _cropped(signal, windows)
    where = [
        np.minimum((np.arange(s) * n / s).astype(int), n - 1)
        for s, n in zip(small.shape, mask.shape, strict=True)
    ]
    seen = float(noise_from_magnitude(np.abs(small), mask[np.ix_(*where)]))
    return replace(acquisition, noise_sd=seen / float(np.prod([noise_retained(w) for w in windows])))


def _windows(signal: ComplexArray, mask: BoolArray, size_mm: FloatArray) -> KSpaceWindows:
    taper, box = _taper(mask)
    power = np.abs(scipy.fft.fftn(taper * signal[box])) ** 2
    found = FULL_K_SPACE
    # Lines are told apart by where they lie in the acquired part: the second pass knows it.
    for _ in range(2):
        one, two, three = _explained([_spectrum(power, taper, axis, size_mm, found) for axis in range(3)])
        found = (one, two, three)
        if found == FULL_K_SPACE:
            break
    return found


def _explained(spectra: list[_Spectrum | None]) -> list[KSpaceWindow]:
    """Return the windows that explain spectra, the simplest of those that do it about as well; one kind for all."""
    windows = [KSpaceWindow()] * len(spectra)
    seen = {axis: _fits(spectrum) for axis, spectrum in enumerate(spectra) if spectrum is not None}
    seen = {axis: fits for axis, fits in seen.items() if fits}
    if seen:
        costs = [sum(fits[kind][0] for fits in seen.values()) for kind in range(len(KINDS))]
        kind = next(
            k for k, cost in enumerate(costs) if cost < min(costs) + MAX_SIMPLER_COST_RISE * len(seen)
        )
        for axis, fits in seen.items():
            windows[axis] = fits[kind][1]
    return windows


def _fits(spectrum: _Spectrum) -> list[tuple[float, KSpaceWindow]]:
    """Return cost and window of each kind of filter; nothing where none is believed."""
    problem = _Problem(spectrum)

    def fitted(kind: tuple[_Filter, ...]) -> tuple[float, KSpaceWindow]:
        best = [min((problem.fit(f, start) for start in f.starts), key=lambda fit: fit[0]) for f in kind]
        return next(fit for fit in best if fit[0] < best[-1][0] + MAX_SIMPLER_COST_RISE)

    alone = problem.fit(ALONE, ())[0]
    anything = fitted(ANY)
    # The freest window explains a spectrum at least as well as the simpler kinds, which are some of it.
    if alone - anything[0] < MAX_GAP_OVER_DROP * MIN_WINDOW_COST_DROP:
        return []
    fits = [*(fitted(kind) for kind in KINDS[:-1]), anything]
    # Some window out of the free ones always explains a little more.
    least = min(cost for cost, _ in fits[:-1])
    # What is no tissue (balls in water) fits neither; there the one that fits less badly says nothing.
    return fits if alone - least >= MIN_WINDOW_COST_DROP * max(1.0, least / problem.samples) else []


def _taper(mask: BoolArray) -> tuple[FloatArray, tuple[slice, slice, slice]]:
    """Return an ellipsoid in the brain that falls to 0 at its edge, and its box."""
    index = np.argwhere(mask)
    centre, half = index.mean(axis=0), np.sqrt(5 * index.var(axis=0)) + 1e-6
    start = np.maximum(np.floor(centre - half).astype(int), 0)
    stop = np.minimum(np.ceil(centre + half).astype(int) + 1, mask.shape)
    axes = [((np.arange(a, b) - c) / h) ** 2 for a, b, c, h in zip(start, stop, centre, half, strict=True)]
    radius = np.sqrt(axes[0][:, None, None] + axes[1][:, None] + axes[2])
    taper = np.where(radius < 1, np.cos(0.5 * np.pi * radius) ** 2, 0).astype(np.float32)
    x, y, z = (slice(a, b) for a, b in zip(start, stop, strict=True))
    return taper, (x, y, z)


def _spectrum(
    power: FloatArray, taper: FloatArray, axis: int, size_mm: FloatArray, windows: KSpaceWindows
) -> _Spectrum | None:
    """Return the spectrum along an axis; None where it, or the others beside it, have too few samples."""
    n = power.shape[axis]
    if n < MIN_SAMPLES:
        return None
    one, two = (a for a in range(3) if a != axis)
    first, second = (2 * np.abs(scipy.fft.fftfreq(power.shape[a])) for a in (one, two))
    distance = np.hypot(first[:, None] / windows[one].edge, second / windows[two].edge)
    in_mm = np.hypot(first[:, None] / size_mm[one], second / size_mm[two]) * size_mm[axis]
    along = np.moveaxis(power, axis, -1)
    half = n // 2 + 1
    lines, apart = [], []
    for low, high in LINES:
        chosen = (distance > low) & (distance < high)
        if not chosen.any():
            return None
        mean = np.exp(np.log(along[chosen] + 1e-30).mean(axis=0, dtype=float))
        lines.append(0.5 * (mean + np.roll(mean[::-1], 1))[:half])
        apart.append(float(np.sqrt(np.mean(in_mm[chosen] ** 2))))
    leak = (np.abs(scipy.fft.fft(taper, axis=axis)) ** 2).sum(axis=(one, two), dtype=float)
    return _Spectrum(np.array(lines), leak / leak.sum(), np.array(apart))


class _Problem:
    """Least squares of the logarithm of the power along an axis."""

    def __init__(self, spectrum: _Spectrum) -> None:
        n, half = len(spectrum.leak), spectrum.power.shape[1]
        power, self._floor = spectrum.power, FLOOR * np.percentile(spectrum.power, MIDDLE, axis=1)[:, None]
        # The centre is no tissue's power law; at the end of an image without a filter edges outside the brain ring.
        self._used = slice(SKIPPED, half - SKIPPED)
        self._data = np.log(power + self._floor)[:, self._used]
        self.samples = self._data.size
        self._fine = ((np.arange(half * POINTS_PER_SAMPLE) + 0.5) / POINTS_PER_SAMPLE - 0.5) / (n / 2)
        self._place = (np.arange(half) / (n / 2) / spectrum.apart[:, None]) ** 2
        apart = np.arange(half)[self._used, None] - np.arange(n)
        leak = spectrum.leak[apart % n]
        self._leak = leak[:, :half]
        self._leak[:, 1 : n - half + 1] += leak[:, : half - 1 : -1]
        level = np.log(power[:, [half // 8, half // 2]])
        self._first = [*level[:, 0], *level[:, 1], 3.0, 0.0]

    def fit(self, family: _Filter, start: Sequence[float]) -> tuple[float, KSpaceWindow]:
        """Return cost and window of a fit that starts at the family's free parameters."""
        levels = [(level - LEVELS, level + LEVELS) for level in self._first[:4]]
        bounds = np.array([*levels, FALL, STRETCH, *family.bounds()])
        first = np.clip([*self._first, *start], bounds[:, 0] + 1e-3, bounds[:, 1] - 1e-3)

        def residual(p: FloatArray) -> FloatArray:
            window = family.window(p[6:])
            tissue = np.exp(p[:2, None]) * (1 + self._place * np.exp(-p[LAYOUT.psf_width2])) ** (
                -0.5 * p[LAYOUT.log_radius]
            ) + np.exp(p[2:4, None])
            kept = (window.weight(self._fine) ** 2).reshape(-1, POINTS_PER_SAMPLE).mean(axis=1)
            model = (tissue * kept) @ self._leak.T
            return np.asarray(((np.log(model + self._floor) - self._data) / MODEL_SD).ravel())

        found = least_squares(
            residual, first, bounds=bounds.T, diff_step=1e-3, loss="soft_l1", max_nfev=STEPS
        )
        return 2 * float(found.cost), family.window(found.x[6:])


def _cropped(signal: ComplexArray, windows: KSpaceWindows) -> ComplexArray:
    """Return the signal at the acquired matrix, same level."""
    for axis, window in enumerate(windows):
        n = signal.shape[axis]
        kept = 2 * round(window.edge * n / 2)
        spectrum = np.fft.fft(signal, axis=axis)
        index = np.r_[0 : kept // 2, n - kept // 2 : n]
        signal = np.fft.ifft(np.take(spectrum, index, axis=axis), axis=axis) * (kept / n)
    return np.asarray(signal, dtype=np.complex64)


def noise_retained(window: KSpaceWindow) -> float:
    """Return the SD of the differences along an axis of filtered noise, over that of unfiltered noise."""
    k = (np.arange(200) + 0.5) / 200
    differences = 1 - np.cos(np.pi * k)
    return float(np.sqrt((differences * window.weight(window.edge * k) ** 2).sum() / differences.sum()))
