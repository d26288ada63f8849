"""Acquisition: echo times, noise, k-space window or slice profile along each axis, tissue heterogeneity.

The point spread function along an axis is the Fourier transform of the k-space window W. At a distance x from a point,
in voxels of the image, it is

    h(x) = integral over 0 < k < 1 of W(k) cos(pi k x) dk,

with k over the Nyquist frequency of the image. Without a filter W is 1 up to an edge e, and h is e sinc(e x). Filters
in use (Hann, Hamming, Tukey; Harris 1978, doi:10.1109/PROC.1978.10837) are a raised cosine on a pedestal; their
transform is tabulated once. Along the slices of a two-dimensional scan h is the slice profile, a trapezoid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qsmcmb.model import Estimate
from qsmcmb.typing import FloatArray
from qsmcmb.units import dipole_phase_constant

__all__ = (
    "FULL_K_SPACE",
    "PSF_WIDTH2_PRIOR",
    "Acquisition",
    "KSpaceWindow",
    "KSpaceWindows",
    "SliceProfile",
)

TABLE_STEP_VOXELS = 0.005
"""Step of the table of a filtered point spread, voxels: linear interpolation errs by at most (pi step)^2 / 24,
1e-5."""
MAX_DISTANCE_VOXELS = 80.0
"""Last distance in that table, voxels: patch and cells span less, for voxels of 0.25 mm and more."""
N_FREQUENCIES = 600
"""Number of spatial frequencies at which an integral over k-space is evaluated: 15 for each of the 40 periods that
cos(pi k x) has at MAX_DISTANCE_VOXELS."""
N_TABLE_PARTS = 32
"""Number of parts in which the table is made, so that the matrix of cosines takes 2 MB instead of 77."""
SLICE_FLANK_RATIO = 0.2
"""Ratio of the width of a slice profile's flanks to the slice's thickness, typical of selective pulses; it is not
fitted."""
PSF_WIDTH2_PRIOR = Estimate(0.16, 0.16, "mm2")
"""Squared extra width of the point spread before a scan is seen, mm2: a box of 0.4 mm stands for filters, decay during
the readout and motion; the SD allows from 0 to 0.7 mm (two SDs)."""


class KSpaceWindow(NamedTuple):
    """Weight of the spatial frequencies along one axis: 1, then a raised cosine down to a pedestal, 0 beyond the edge.

    Notes
    -----
    With f = |k| / edge,

        W(k) = 1                                                           f <= 1 - taper
        W(k) = height + (1 - height) (1 + cos(pi (f - 1 + taper) / taper)) / 2   up to f = 1
        W(k) = 0                                                           f > 1.

    No filter is taper 0; Tukey's and Hann's windows have height 0, Hamming's taper 1 and height 0.08.

    References
    ----------
    Harris FJ. On the use of windows for harmonic analysis with the discrete Fourier transform. Proc IEEE
    1978;66:51-83. doi:10.1109/PROC.1978.10837

    Examples
    --------
    >>> zero_filled = KSpaceWindow(edge=0.5)
    >>> zero_filled.weight(np.array([0.0, 0.4, 0.6])).tolist()
    [1.0, 1.0, 0.0]
    >>> zero_filled.point_spread(np.array([0.0, 2.0])).round(6).tolist()
    [0.5, 0.0]
    """

    edge: float = 1.0
    """Acquired fraction of the half axis: its end over the Nyquist frequency of the image, 0 to 1."""
    taper: float = 0.0
    """Fraction of the acquired half axis over which the weight falls, 0 to 1."""
    height: float = 1.0
    """Weight at the edge, 0 to 1."""

    def weight(self, k: FloatArray) -> FloatArray:
        """Return the weight at spatial frequencies.

        Parameters
        ----------
        k : ndarray
            Spatial frequencies over the Nyquist frequency of the image, of any shape and either sign.

        Returns
        -------
        ndarray of the shape of `k`
            Weight, 0 to 1.
        """
        fraction = np.abs(k) / self.edge
        fall = np.clip((fraction - 1 + self.taper) / self.taper, 0, 1) if self.taper > 0 else 0.0
        value = self.height + (1 - self.height) * (0.5 + 0.5 * np.cos(np.pi * fall))
        return np.asarray(np.where(fraction <= 1, value, 0.0))

    def flat_up_to(self, loss: float) -> float:
        """Return the frequency up to which the weight is at least 1 - `loss`.

        Parameters
        ----------
        loss : float
            Accepted loss of weight, 0 to 1.

        Returns
        -------
        float
            Spatial frequency over the Nyquist frequency of the image, at most `edge`.
        """
        drop = (1 - self.height) * self.taper
        if drop <= 0 or loss >= 1 - self.height:
            return self.edge
        # The raised cosine has fallen by `loss` after this fraction of the taper.
        fall = float(np.arccos(1 - 2 * loss / (1 - self.height)) / np.pi)
        return self.edge * (1 - self.taper * (1 - fall))

    @property
    def power(self) -> float:
        """Mean squared weight over the half axis: number of independent values per voxel along the axis, 0 to 1."""
        k = (np.arange(N_FREQUENCIES) + 0.5) / N_FREQUENCIES
        return float(np.mean(self.weight(k) ** 2))

    def point_spread(self, distance: FloatArray) -> FloatArray:
        """Return the point spread function along the axis.

        Parameters
        ----------
        distance : ndarray
            Distances from the point in voxels of the image, of any shape and either sign.

        Returns
        -------
        ndarray of the shape of `distance`
            Point spread, 1 per voxel. Its sum over the voxels is the weight at frequency 0, which is 1. Filtered ones
            are held at their last value beyond MAX_DISTANCE_VOXELS.
        """
        if self.taper == 0:
            return np.asarray(self.edge * np.sinc(self.edge * distance))
        table = _point_spread_table(self)
        return np.asarray(np.interp(np.abs(distance), TABLE_STEP_VOXELS * np.arange(len(table)), table))


KSpaceWindows = tuple[KSpaceWindow, KSpaceWindow, KSpaceWindow]
"""Window along each axis of the image."""
FULL_K_SPACE: KSpaceWindows = (KSpaceWindow(), KSpaceWindow(), KSpaceWindow())
"""Windows of a scan that acquired all of k-space and was not filtered."""


@lru_cache(maxsize=16)
def _point_spread_table(window: KSpaceWindow) -> FloatArray:
    """Return the point spread at distances from 0 to MAX_DISTANCE_VOXELS."""
    # Gauss-Legendre nodes on [-1, 1], moved to the acquired half axis [0, edge].
    nodes, node_weights = np.polynomial.legendre.leggauss(N_FREQUENCIES)
    k = 0.5 * window.edge * (nodes + 1)
    distances = np.arange(0, MAX_DISTANCE_VOXELS, TABLE_STEP_VOXELS)
    filtered = 0.5 * window.edge * node_weights * window.weight(k)
    parts = np.array_split(distances, N_TABLE_PARTS)
    return np.concatenate([np.cos(np.pi * np.outer(x, k)) @ filtered for x in parts])


class SliceProfile(NamedTuple):
    """Sensitivity of two-dimensional slices along their axis: a trapezoid, whose flanks are a fifth of its width.

    Examples
    --------
    >>> SliceProfile(axis=2, thickness=1.0).point_spread(np.array([0.0, 0.5, 1.0])).tolist()
    [1.0, 0.5, 0.0]
    """

    axis: int
    """Axis of the image along which the slices lie, 0 to 2."""
    thickness: float
    """Ratio of the width at half height to the distance of the slices, > 0."""

    def point_spread(self, distance: FloatArray) -> FloatArray:
        """Return the profile.

        Parameters
        ----------
        distance : ndarray
            Distances from the slice's middle in distances of slices, of any shape and either sign.

        Returns
        -------
        ndarray of the shape of `distance`
            Sensitivity, 1 per distance of slices; its integral is 1.
        """
        inside = (self.thickness / 2 - np.abs(distance)) / (SLICE_FLANK_RATIO * self.thickness)
        return np.asarray(np.clip(0.5 + inside, 0, 1) / self.thickness)

    def weight(self, k: FloatArray) -> FloatArray:
        """Return the profile's Fourier transform.

        Parameters
        ----------
        k : ndarray
            Spatial frequencies over the Nyquist frequency of the slices, of any shape and either sign.

        Returns
        -------
        ndarray of the shape of `k`
            Weight, 1 at frequency 0; negative beyond k = 2 / thickness.
        """
        # A trapezoid is the convolution of two boxes, of the thickness and of the flank: its transform is a product.
        box = np.sinc(0.5 * self.thickness * k)
        return np.asarray(box * np.sinc(0.5 * SLICE_FLANK_RATIO * self.thickness * k))


@dataclass(frozen=True)
class Acquisition:
    """Properties of a scan that all of its lesions share: noise, k-space windows, slices, heterogeneity, psf width.

    It is frozen. `calibration.k_space_spectrum` makes it, and only the steps of `calibration.calibrate` replace it,
    each by one with what the step has found; fits and forward model read it from their patch.

    Examples
    --------
    >>> acquisition = Acquisition(te_s=(0.01, 0.02), b0_tesla=3.0, noise_sd=0.01)
    >>> acquisition.dipole_constants.round(3).tolist()
    [0.639, 1.277]
    """

    te_s: tuple[float, ...]
    """Echo times, s, ascending."""
    b0_tesla: float
    """Field strength, T."""
    noise_sd: float
    """SD of the noise in the real and in the imaginary part of an acquired voxel before a filter, in the
    signal's unit."""
    windows: KSpaceWindows = FULL_K_SPACE
    """K-space window along each axis: what acquisition, filter and zero filling left."""
    slice_profile: SliceProfile | None = None
    """Profile of two-dimensional slices; None where k-space was sampled along all axes."""
    voxel_means: bool = False
    """Whether each voxel is the mean over its own volume, as of an image that was resampled, along all axes."""
    heterogeneity: float = 1.0
    """Tissue heterogeneity, relative to a brain's: 0 (a liquid) to 1."""
    psf_width2: Estimate = PSF_WIDTH2_PRIOR
    """Squared extra width of the point spread beyond window and slice profile, mm2, with its SD."""
    phase_alone: bool = False
    """Whether the phase alone is of these echo times: the magnitude then only says where there is signal."""
    difference_te_s: tuple[float, float] | None = None
    """Echo times, s, of the two echoes whose phases were subtracted, their difference being `te_s`; None without."""

    @property
    def formed_te_s(self) -> tuple[float, ...]:
        """Echo times, s, at which a lesion's signal is formed: those of both echoes of a phase difference."""
        return self.difference_te_s or self.te_s

    @property
    def axis_profiles(self) -> list[KSpaceWindow | SliceProfile]:
        """Slice profile along the slices' axis, k-space window along the others; boxes where voxels are means."""
        if self.voxel_means:
            return [SliceProfile(axis, 1.0) for axis in range(3)]
        out: list[KSpaceWindow | SliceProfile] = list(self.windows)
        if self.slice_profile is not None:
            out[self.slice_profile.axis] = self.slice_profile
        return out

    @property
    def dipole_constants(self) -> FloatArray:
        """Phase of a point dipole of 1 ppm mm3 at 1 mm and each echo formed, over 3 cos^2(theta) - 1, rad."""
        return np.array([dipole_phase_constant(self.b0_tesla, t) for t in self.formed_te_s])
