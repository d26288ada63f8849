"""How one scan sees: echo times, noise, k-space window or slice profile along each axis, tissue heterogeneity.

The point spread along an axis is the Fourier transform of the k-space window W, at distances x in voxels of the image,

    P(x) = integral over 0 < k < 1 of W(k) cos(pi k x),

with k over the Nyquist frequency; along slices it is the slice profile.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qsmcmb.model import Estimate
from qsmcmb.typing import FloatArray
from qsmcmb.units import dipole_phase_constant

STEP = 0.005
"""Of the table of a spread, in voxels."""
MAX_DISTANCE_VOXELS = 80.0
"""Last distance in that table, in voxels."""
NODES = 600


class KSpaceWindow(NamedTuple):
    """Weight of k-space along one axis: 1, a raised cosine down to a pedestal, and nothing beyond an edge.

    Holds what is in use: no filter (taper 0), Tukey's and Hann's (height 0), Hamming's (taper 1, height 0.08).
    """

    edge: float = 1.0
    """End of the acquired part, over the Nyquist frequency of the image."""
    taper: float = 0.0
    """Part of the acquired half axis over which the weight falls."""
    height: float = 1.0
    """Weight at the edge."""

    def weight(self, k: FloatArray) -> FloatArray:
        """Return the weight at spatial frequencies over the Nyquist frequency."""
        place = np.abs(k) / self.edge
        fall = np.clip((place - 1 + self.taper) / self.taper, 0, 1) if self.taper > 0 else 0.0
        value = self.height + (1 - self.height) * (0.5 + 0.5 * np.cos(np.pi * fall))
        return np.asarray(np.where(place <= 1, value, 0.0))

    def flat_up_to(self, loss: float) -> float:
        """Return up to which frequency, over the Nyquist frequency, no more than `loss` of the weight is missing."""
        drop = (1 - self.height) * self.taper
        if drop <= 0 or loss >= 1 - self.height:
            return self.edge
        fall = float(np.arccos(1 - 2 * loss / (1 - self.height)) / np.pi)
        return self.edge * (1 - self.taper * (1 - fall))

    @property
    def power(self) -> float:
        """Return the mean squared weight: independent values per voxel along the axis."""
        k = (np.arange(NODES) + 0.5) / NODES
        return float(np.mean(self.weight(k) ** 2))

    def point_spread(self, voxels: FloatArray) -> FloatArray:
        """Return the point spread at distances in voxels of the image; 1 voxel times its sum is the weight at 0."""
        if self.taper == 0:
            return np.asarray(self.edge * np.sinc(self.edge * voxels))
        table = _spread_table(self)
        return np.asarray(np.interp(np.abs(voxels), STEP * np.arange(len(table)), table))


KSpaceWindows = tuple[KSpaceWindow, KSpaceWindow, KSpaceWindow]
"""Along each axis of the image."""
FULL_K_SPACE: KSpaceWindows = (KSpaceWindow(), KSpaceWindow(), KSpaceWindow())
"""All of k-space, unfiltered."""


@lru_cache(maxsize=16)
def _spread_table(window: KSpaceWindow) -> FloatArray:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    k = 0.5 * window.edge * (nodes + 1)
    at = np.arange(0, MAX_DISTANCE_VOXELS, STEP)
    filtered = 0.5 * window.edge * weights * window.weight(k)
    return np.concatenate([np.cos(np.pi * np.outer(part, k)) @ filtered for part in np.array_split(at, 32)])


SLICE_FLANK = 0.2
"""Width of a slice profile's flanks over its thickness."""


class SliceProfile(NamedTuple):
    """Slices along an axis, with soft flanks."""

    axis: int
    thickness: float
    """Width at half height over the slices' distance."""

    def point_spread(self, apart: FloatArray) -> FloatArray:
        """Return the profile at distances from the slice's middle, in distances of slices; its sum is 1."""
        inside = (self.thickness / 2 - np.abs(apart)) / (SLICE_FLANK * self.thickness)
        return np.asarray(np.clip(0.5 + inside, 0, 1) / self.thickness)

    def weight(self, k: FloatArray) -> FloatArray:
        """Return the weight at spatial frequencies over the Nyquist frequency of the slices."""
        return np.asarray(np.sinc(0.5 * self.thickness * k) * np.sinc(0.5 * SLICE_FLANK * self.thickness * k))


PSF_WIDTH2_PRIOR = Estimate(0.16, 0.16, "mm2")
"""Squared width (mm2) of the box that widens the point spread, before a scan is seen: filters, decay, motion."""


@dataclass(frozen=True)
class Acquisition:
    """A scan's own properties, shared by all of its lesions."""

    te_s: tuple[float, ...]
    """Echo times, s."""
    b0_tesla: float
    noise_sd: float
    """SD of the noise per channel in an acquired voxel, before a filter; unit of the signal."""
    windows: KSpaceWindows = FULL_K_SPACE
    """What the reconstruction left of k-space along each axis."""
    slice_profile: SliceProfile | None = None
    """None where k-space was sampled along all axes."""
    heterogeneity: float = 1.0
    """Variation of the tissue's log magnitude relative to a brain's, 0 (a liquid) to 1."""
    psf_width2: Estimate = PSF_WIDTH2_PRIOR
    """Squared width of the box that widens the point spread beyond window and slice profile, mm2."""

    @property
    def axis_profiles(self) -> list[KSpaceWindow | SliceProfile]:
        """Window or slice profile along each axis."""
        out: list[KSpaceWindow | SliceProfile] = list(self.windows)
        if self.slice_profile is not None:
            out[self.slice_profile.axis] = self.slice_profile
        return out

    @property
    def dipole_constants(self) -> FloatArray:
        """Phase (rad) per echo of 1 ppm mm3 at 1 mm, times 1 / (3 cos^2 - 1)."""
        return np.array([dipole_phase_constant(self.b0_tesla, t) for t in self.te_s])
