"""Acquired part of k-space and the filter over it, found from the spectrum of the brain in the image.

A zero-filled or filtered image has a wider point spread and less noise than its voxels say. Along one axis the mean
power P at the spatial frequency k, as a fraction of the image's Nyquist frequency, is modelled as

    P(k) = W(k)^2 [ A (1 + (k / (s d))^2)^(-q / 2) + N ]  convolved with the taper's own spectrum.

W is the k-space window. A power law of amplitude A, exponent q and scale s describes tissue, N is white noise, and d is
the distance of the averaged k-space lines from the axis. The lines lie away from the centre of k-space, where tissue is
weak and the noise shows; two groups of them share q and s. log P is fitted by robust least squares, once with W = 1
everywhere and once with each family of windows (no filter, Hamming, Tukey or Hann, any raised cosine on a pedestal:
Harris 1978, doi:10.1109/PROC.1978.10837). A window is accepted where it lowers the cost by much more than chance does;
the simplest family that explains all axes about as well is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.fft
from scipy.optimize import least_squares

from qsmcmb.core.noise import noise_from_magnitude
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, Acquisition, KSpaceWindow, KSpaceWindows
from qsmcmb.model import GreScan
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray

__all__ = ["find_k_space_windows", "noise_retained"]

LINE_DISTANCES = ((0.15, 0.35), (0.4, 0.7))
"""Bounds of the distance of each group's lines from the axis, as fractions of the acquired half width of the other two
axes: off the centre, where tissue hides the noise. Two groups, since tissue differs between them and noise does not."""
MIN_EDGE = 0.4
"""Least acquired fraction of k-space along an axis, of the Nyquist frequency: zero filling by two (0.5) lies within."""
POWER_FLOOR = 0.03
"""Power added to data and model before the logarithm, relative to that at FLOOR_PERCENTILE: below it the spectrum holds
more than tissue, noise and window; chosen on the development heads."""
FLOOR_PERCENTILE = 60
"""Percentile of the power along the axis, %, that stands for the power at a middle frequency."""
LOG_POWER_SD = 0.1
"""SD of the model's error in the logarithm of the power: real tissue is no exact power law."""
MIN_WINDOW_COST_DROP = 40.0
"""Least drop of the cost at which a window is accepted, in units of what the fit with a window still costs per sample
where that exceeds 1. Seen drops: up to 9 in tissue without a window, 100 and more with one, 20 in balls in water."""
MIN_FREE_DROP_FRACTION = 0.5
"""Least drop of the cost with the freest family, as a fraction of MIN_WINDOW_COST_DROP, at which the simpler families
are tried: below 1, because the freest fit may end in a local minimum."""
MAX_SIMPLER_COST_RISE = 6.0
"""Largest rise of the cost, per axis, at which a family with fewer free parameters is preferred; chosen on the
development heads."""
LOG_LEVEL_RANGE = 12.0
"""Half range of the logarithm of the tissue's and the noise's power around its start: 5 decades each way."""
EXPONENT_BOUNDS = (1.0, 8.0)
"""Bounds of the exponent q of tissue's power, wide: at 0 tissue would be noise."""
LOG_SCALE2_BOUNDS = (-2.0, 2.0)
"""Bounds of the logarithm of the squared scale s: the power law bends within a factor of e of the lines' distance."""
START_EXPONENT = 3.0
"""Exponent q at which each fit starts; it is free within its bounds."""
POINTS_PER_SAMPLE = 5
"""Number of points per sample of k-space over which a squared window is averaged: an edge may lie between samples."""
SKIPPED_SAMPLES = 3
"""Number of samples left out at both ends of the axis: the centre is no power law, and at the Nyquist frequency of an
unfiltered image edges outside the brain ring."""
MAX_EVALUATIONS = 40
"""Largest number of steps of one fit, which bounds its time; chosen on the development heads."""
MIN_SAMPLES = 24
"""Least number of samples along an axis: with fewer no window is looked for."""
HAMMING_PEDESTAL = 0.08
"""Weight of a Hamming window at its edge."""

N_LINE_GROUPS = len(LINE_DISTANCES)
"""Number of groups of lines, each with its own power of tissue and noise."""
TISSUE = slice(0, N_LINE_GROUPS)
"""Parameters of a fit: logarithm of the tissue's power A in each group of lines."""
NOISE = slice(N_LINE_GROUPS, 2 * N_LINE_GROUPS)
"""Parameters of a fit: logarithm of the noise's power N in each group of lines."""
EXPONENT = 2 * N_LINE_GROUPS
"""Index of the exponent q among the parameters of a fit."""
LOG_SCALE2 = EXPONENT + 1
"""Index of the logarithm of the squared scale s among the parameters of a fit."""
WINDOW = slice(LOG_SCALE2 + 1, None)
"""Parameters of a fit: the free parameters of the window."""


class _Spectrum(NamedTuple):
    """Mean power along one axis of k-space."""

    power: FloatArray
    """Power (line group, frequency from 0 to the Nyquist frequency), squared signal."""
    leakage: FloatArray
    """Power spectrum of the ellipsoidal taper along the axis, normalised to a sum of 1."""
    line_distance: FloatArray
    """Root mean square distance of each group's lines from the axis, fraction of this axis' Nyquist frequency."""


class _WindowFamily(NamedTuple):
    """A family of k-space windows: each parameter is fixed, or None where it is fitted."""

    edge: float | None
    """Acquired fraction of the axis."""
    taper: float | None
    """Fraction of the acquired half axis over which the weight falls."""
    height: float | None
    """Weight at the edge."""
    starts: tuple[tuple[float, ...], ...]
    """Values of the free parameters at which a fit starts."""

    def window(self, free: FloatArray) -> KSpaceWindow:
        """Return the window with these values of the free parameters."""
        values = iter(free)
        edge, taper, height = (
            float(next(values)) if fixed is None else fixed for fixed in (self.edge, self.taper, self.height)
        )
        return KSpaceWindow(edge, taper, height)

    def bounds(self) -> list[tuple[float, float]]:
        """Return lower and upper bound of each free parameter."""
        ranges = zip(
            (self.edge, self.taper, self.height), ((MIN_EDGE, 1.0), (0.0, 1.0), (0.0, 1.0)), strict=True
        )
        return [limits for fixed, limits in ranges if fixed is None]


START_EDGES = (0.5, 0.65, 0.8, 0.95)
"""Acquired fractions at which fits start, spread from MIN_EDGE to 1: one start may end in a local minimum."""
FULL_AXIS = _WindowFamily(1.0, 0.0, 1.0, ((),))
"""The whole axis without a filter, with which every window is compared."""
UNFILTERED = (_WindowFamily(None, 0.0, 1.0, tuple((e,) for e in START_EDGES)),)
"""Zero filling without a filter."""
HAMMING = (
    _WindowFamily(1.0, 1.0, HAMMING_PEDESTAL, ((),)),
    _WindowFamily(None, 1.0, HAMMING_PEDESTAL, tuple((e,) for e in START_EDGES)),
)
"""Hamming's filter, over the whole axis and zero-filled."""
COSINE = (
    _WindowFamily(1.0, None, 0.0, ((0.4,),)),
    _WindowFamily(None, None, 0.0, tuple((e, 0.4) for e in START_EDGES)),
)
"""Tukey's and Hann's filters, over the whole axis and zero-filled."""
ANY_FILTER = (_WindowFamily(None, None, None, tuple((e, 0.7, 0.2) for e in START_EDGES)),)
"""Any raised cosine on a pedestal; it holds all others."""
KINDS = (UNFILTERED, HAMMING, COSINE, ANY_FILTER)
"""Kinds of filters, from few to many free parameters."""


def find_k_space_windows(scan: GreScan, mask: BoolArray) -> Acquisition:
    """Find the acquired part of k-space, the filter over it and the noise from the image itself.

    Parameters
    ----------
    scan : GreScan
        Magnitude (arbitrary unit) and wrapped phase (rad); the first echo is used.
    mask : ndarray of shape scan.grid.shape, bool
        Brain mask.

    Returns
    -------
    Acquisition
        Echo times (s), field strength (T), one k-space window per axis, and the noise SD of an acquired voxel before
        the filter, unit of the magnitude. An axis without an accepted window has all of k-space, unfiltered.

    Notes
    -----
    The noise SD sigma is measured on the image at its acquired matrix and divided by `noise_retained` of each window.

    References
    ----------
    .. [1] Harris FJ. On the use of windows for harmonic analysis with the discrete Fourier transform. Proc IEEE 1978.
       doi:10.1109/PROC.1978.10837

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> rng = np.random.default_rng(1)
    >>> magnitude = rng.normal(1.0, 0.05, (1, 20, 20, 20)).astype(np.float32)
    >>> scan = GreScan(np.zeros_like(magnitude), magnitude, (0.02,), 3.0, Grid.isotropic((20, 20, 20), 1.0))
    >>> find_k_space_windows(scan, np.ones((20, 20, 20), bool)).windows == FULL_K_SPACE
    True
    """
    signal = scan.magnitude[0] * np.exp(1j * scan.phase_rad[0]).astype(np.complex64)
    windows = _find_windows(signal, mask, np.array(scan.grid.voxel_size_mm))
    acquisition = Acquisition(
        te_s=scan.te_s,
        b0_tesla=scan.b0_tesla,
        noise_sd=0.0,
        windows=windows,
        phase_alone=scan.magnitude_is_shared or scan.phase_difference,
        difference_te_s=scan.difference_te_s,
    )
    # A difference of two phases has the noise of both.
    n_phases = 2 if scan.phase_difference else 1
    if windows == FULL_K_SPACE:
        return replace(
            acquisition, noise_sd=float(np.sqrt(n_phases) * noise_from_magnitude(scan.magnitude[0], mask))
        )
    # Differences of neighbouring voxels show the noise only where neighbours are independent: at the acquired matrix.
    acquired = _crop_k_space(signal, windows)
    nearest = [
        np.minimum((np.arange(s) * n / s).astype(int), n - 1)
        for s, n in zip(acquired.shape, mask.shape, strict=True)
    ]
    filtered_sd = float(np.sqrt(n_phases) * noise_from_magnitude(np.abs(acquired), mask[np.ix_(*nearest)]))
    return replace(acquisition, noise_sd=filtered_sd / float(np.prod([noise_retained(w) for w in windows])))


def _find_windows(signal: ComplexArray, mask: BoolArray, voxel_size_mm: FloatArray) -> KSpaceWindows:
    """Return the k-space window along each axis of a complex image."""
    taper, box = _ellipsoid_taper(mask)
    power = np.abs(scipy.fft.fftn(taper * signal[box])) ** 2
    windows = FULL_K_SPACE
    # Lines are chosen by their distance from the axis in the acquired part: only the second pass has that.
    for _ in range(2):
        x, y, z = _choose_windows(
            [_spectrum_along(power, taper, axis, voxel_size_mm, windows) for axis in range(3)]
        )
        windows = (x, y, z)
        if windows == FULL_K_SPACE:
            break
    return windows


def _choose_windows(spectra: list[_Spectrum | None]) -> list[KSpaceWindow]:
    """Return one window per axis, all of the simplest kind that explains the spectra about as well as any."""
    windows = [KSpaceWindow()] * len(spectra)
    fits_of_axis = {
        axis: _fit_kinds(spectrum) for axis, spectrum in enumerate(spectra) if spectrum is not None
    }
    fits_of_axis = {axis: fits for axis, fits in fits_of_axis.items() if fits}
    if fits_of_axis:
        # One reconstruction filters all axes alike, so that costs are summed over the axes before a kind is chosen.
        costs = [sum(fits[kind][0] for fits in fits_of_axis.values()) for kind in range(len(KINDS))]
        kind = next(
            k for k, cost in enumerate(costs) if cost < min(costs) + MAX_SIMPLER_COST_RISE * len(fits_of_axis)
        )
        for axis, fits in fits_of_axis.items():
            windows[axis] = fits[kind][1]
    return windows


def _fit_kinds(spectrum: _Spectrum) -> list[tuple[float, KSpaceWindow]]:
    """Return cost and window of each kind of filter, or nothing where no window is accepted."""
    problem = _SpectrumFit(spectrum)

    def fit_kind(kind: tuple[_WindowFamily, ...]) -> tuple[float, KSpaceWindow]:
        best = [min((problem.fit(f, start) for start in f.starts), key=lambda fit: fit[0]) for f in kind]
        return next(fit for fit in best if fit[0] < best[-1][0] + MAX_SIMPLER_COST_RISE)

    unwindowed = problem.fit(FULL_AXIS, ())[0]
    freest = fit_kind(ANY_FILTER)
    # The freest kind holds the simpler ones: where it explains little, they explain no more, and their fits are saved.
    if unwindowed - freest[0] < MIN_FREE_DROP_FRACTION * MIN_WINDOW_COST_DROP:
        return []
    fits = [*(fit_kind(kind) for kind in KINDS[:-1]), freest]
    # Three free parameters always lower the cost a little: only windows in use count here.
    lowest = min(cost for cost, _ in fits[:-1])
    # Balls in water have no power law: where all models fit badly, the one that fits less badly proves no window.
    accepted = unwindowed - lowest >= MIN_WINDOW_COST_DROP * max(1.0, lowest / problem.n_samples)
    return fits if accepted else []


def _ellipsoid_taper(mask: BoolArray) -> tuple[FloatArray, tuple[slice, slice, slice]]:
    """Return a squared cosine that falls to 0 at the surface of an ellipsoid in the brain, and the ellipsoid's box."""
    index = np.argwhere(mask)
    # A filled ellipsoid of half axis h has the variance h^2 / 5 along it.
    centre, half_axis = index.mean(axis=0), np.sqrt(5 * index.var(axis=0)) + 1e-6
    start = np.maximum(np.floor(centre - half_axis).astype(int), 0)
    stop = np.minimum(np.ceil(centre + half_axis).astype(int) + 1, mask.shape)
    axes = [
        ((np.arange(a, b) - c) / h) ** 2 for a, b, c, h in zip(start, stop, centre, half_axis, strict=True)
    ]
    radius = np.sqrt(axes[0][:, None, None] + axes[1][:, None] + axes[2])
    taper = np.where(radius < 1, np.cos(0.5 * np.pi * radius) ** 2, 0).astype(np.float32)
    x, y, z = (slice(a, b) for a, b in zip(start, stop, strict=True))
    return taper, (x, y, z)


def _spectrum_along(
    power: FloatArray, taper: FloatArray, axis: int, voxel_size_mm: FloatArray, windows: KSpaceWindows
) -> _Spectrum | None:
    """Return the mean power along an axis; None where this axis, or a group of lines, has too few samples."""
    n = power.shape[axis]
    if n < MIN_SAMPLES:
        return None
    one, two = (a for a in range(3) if a != axis)
    first, second = (2 * np.abs(scipy.fft.fftfreq(power.shape[a])) for a in (one, two))
    acquired_distance = np.hypot(first[:, None] / windows[one].edge, second / windows[two].edge)
    # The same distance in 1/mm, as a fraction of this axis' Nyquist frequency: tissue is alike along all axes in mm.
    distance = (
        np.hypot(first[:, None] / voxel_size_mm[one], second / voxel_size_mm[two]) * voxel_size_mm[axis]
    )
    along = np.moveaxis(power, axis, -1)
    half = n // 2 + 1
    means, line_distance = [], []
    for low, high in LINE_DISTANCES:
        chosen = (acquired_distance > low) & (acquired_distance < high)
        if not chosen.any():
            return None
        # The mean of logarithms, so that a few strong lines do not decide.
        mean = np.exp(np.log(along[chosen] + 1e-30).mean(axis=0, dtype=float))
        # The window is taken as symmetric: positive and negative frequencies are averaged.
        means.append(0.5 * (mean + np.roll(mean[::-1], 1))[:half])
        line_distance.append(float(np.sqrt(np.mean(distance[chosen] ** 2))))
    leakage = (np.abs(scipy.fft.fft(taper, axis=axis)) ** 2).sum(axis=(one, two), dtype=float)
    return _Spectrum(np.array(means), leakage / leakage.sum(), np.array(line_distance))


class _SpectrumFit:
    """Least-squares problem of the log power along one axis; `n_samples` is the number of samples fitted."""

    def __init__(self, spectrum: _Spectrum) -> None:
        n, half = len(spectrum.leakage), spectrum.power.shape[1]
        power = spectrum.power
        self._floor = POWER_FLOOR * np.percentile(spectrum.power, FLOOR_PERCENTILE, axis=1)[:, None]
        fitted = slice(SKIPPED_SAMPLES, half - SKIPPED_SAMPLES)
        self._data = np.log(power + self._floor)[:, fitted]
        self.n_samples = self._data.size
        fine = (np.arange(half * POINTS_PER_SAMPLE) + 0.5) / POINTS_PER_SAMPLE - 0.5
        self._fine_frequency = fine / (n / 2)
        self._frequency2 = (np.arange(half) / (n / 2) / spectrum.line_distance[:, None]) ** 2
        # Row: a fitted frequency. Column: the frequency whose power leaks to it, negative ones folded onto positive.
        shift = np.arange(half)[fitted, None] - np.arange(n)
        leakage = spectrum.leakage[shift % n]
        self._leakage = leakage[:, :half]
        self._leakage[:, 1 : n - half + 1] += leakage[:, : half - 1 : -1]
        # Power at an eighth of the samples is taken for tissue's, at half of them for noise's.
        log_level = np.log(power[:, [half // 8, half // 2]])
        self._start = [*log_level[:, 0], *log_level[:, 1], START_EXPONENT, 0.0]

    def fit(self, family: _WindowFamily, start: Sequence[float]) -> tuple[float, KSpaceWindow]:
        """Return cost and window of a fit that starts at these values of the family's free parameters."""
        levels = [(level - LOG_LEVEL_RANGE, level + LOG_LEVEL_RANGE) for level in self._start[:EXPONENT]]
        bounds = np.array([*levels, EXPONENT_BOUNDS, LOG_SCALE2_BOUNDS, *family.bounds()])
        first = np.clip([*self._start, *start], bounds[:, 0] + 1e-3, bounds[:, 1] - 1e-3)

        def residual(p: FloatArray) -> FloatArray:
            window = family.window(p[WINDOW])
            unfiltered = np.exp(p[TISSUE, None]) * (1 + self._frequency2 * np.exp(-p[LOG_SCALE2])) ** (
                -0.5 * p[EXPONENT]
            ) + np.exp(p[NOISE, None])
            weight2 = (window.weight(self._fine_frequency) ** 2).reshape(-1, POINTS_PER_SAMPLE).mean(axis=1)
            model = (unfiltered * weight2) @ self._leakage.T
            return np.asarray(((np.log(model + self._floor) - self._data) / LOG_POWER_SD).ravel())

        # A loss that grows like the absolute value, so that single outlying frequencies count less.
        found = least_squares(
            residual, first, bounds=bounds.T, diff_step=1e-3, loss="soft_l1", max_nfev=MAX_EVALUATIONS
        )
        return 2 * float(found.cost), family.window(found.x[WINDOW])


def _crop_k_space(signal: ComplexArray, windows: KSpaceWindows) -> ComplexArray:
    """Return the image at its acquired matrix, at the same signal level."""
    for axis, window in enumerate(windows):
        n = signal.shape[axis]
        n_acquired = 2 * round(window.edge * n / 2)
        spectrum = np.fft.fft(signal, axis=axis)
        index = np.r_[0 : n_acquired // 2, n - n_acquired // 2 : n]
        # The inverse transform divides by its own length: the ratio of the lengths restores the level.
        signal = np.fft.ifft(np.take(spectrum, index, axis=axis), axis=axis) * (n_acquired / n)
    return np.asarray(signal, dtype=np.complex64)


def noise_retained(window: KSpaceWindow) -> float:
    """Return the fraction of the noise SD that a k-space filter leaves in differences of neighbouring voxels.

    Parameters
    ----------
    window : KSpaceWindow
        Window along one axis.

    Returns
    -------
    float
        SD of the differences along the axis with the filter, relative to that without; 0 to 1.

    Notes
    -----
    A difference of neighbours has the power spectrum 1 - cos(pi k), k as a fraction of the acquired half axis, so that

        r^2 = integral of (1 - cos(pi k)) W(k)^2 dk / integral of (1 - cos(pi k)) dk.

    Differences are what `noise_from_magnitude` measures the noise from.

    Examples
    --------
    >>> noise_retained(KSpaceWindow())
    1.0
    >>> round(noise_retained(KSpaceWindow(edge=0.8, taper=0.5, height=0.0)), 2)
    0.66
    """
    k = (np.arange(200) + 0.5) / 200
    differences = 1 - np.cos(np.pi * k)
    return float(np.sqrt((differences * window.weight(window.edge * k) ** 2).sum() / differences.sum()))
