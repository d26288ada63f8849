"""Gaussian bumps on a lattice, whose random heights make a Gaussian process, and the field of such a susceptibility.

A process of few functions: least squares with a prior on the heights is its exact inference.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erf

from qsmcmb.typing import FloatArray

BASIS_SD_MM = 1.5
"""SD of a bump; the process's correlation length is 1.4 times this."""
BASIS_SPACING_MM = 1.3 * BASIS_SD_MM
BASIS_AMPLITUDE = (BASIS_SPACING_MM / (np.sqrt(np.pi) * BASIS_SD_MM)) ** 1.5
"""Of a bump, for a process of unit SD from heights of unit SD."""
FIELD_TABLE_STEP = 0.002
"""Of the table of a bump's field, in squared SDs of it."""


def basis_centres(reach_mm: float) -> FloatArray:
    """Return the bumps' middles (n, 3) in a ball, mm."""
    half = int(np.ceil(reach_mm / BASIS_SPACING_MM))
    steps = np.arange(-half, half + 1) * BASIS_SPACING_MM
    middles = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    return middles[(middles**2).sum(axis=1) < reach_mm**2]


def gaussian_basis(xyz: FloatArray, middles: FloatArray) -> FloatArray:
    """Return the bumps (voxel, n) at (3, voxel) places, mm."""
    x, y, z = (
        np.exp(-0.5 * ((x[:, None] - at) / BASIS_SD_MM) ** 2) for x, at in zip(xyz, middles.T, strict=True)
    )
    return np.asarray(BASIS_AMPLITUDE * x * y * z)


def gaussian_field_basis(
    xyz: FloatArray, middles: FloatArray, b0_dir: tuple[float, float, float]
) -> FloatArray:
    """Return the field (voxel, n) that bumps of susceptibility make, relative to it.

    A dipole's from afar and none in the middle: of a ball with a Gaussian profile, by what of it lies further in.
    """
    places, at, axis = xyz.T / BASIS_SD_MM, middles / BASIS_SD_MM, np.array(b0_dir)
    along = (places @ axis)[:, None] - at @ axis
    distance2 = (places**2).sum(axis=1)[:, None] + (at**2).sum(axis=1) - 2 * places @ at.T
    distance2 = np.maximum(distance2, 0)
    table = _strength(np.arange(0.5, distance2.max() / FIELD_TABLE_STEP + 1) * FIELD_TABLE_STEP)
    strength = table[(distance2 / FIELD_TABLE_STEP).astype(np.intp)]
    return np.asarray(strength * (3 * along**2 - distance2))


def _strength(distance2: FloatArray) -> FloatArray:
    """Return the field over 3 z^2 - r^2 at squared distances, both in SDs of a bump."""
    r = np.sqrt(distance2)
    further_in = erf(r / np.sqrt(2)) - np.sqrt(2 / np.pi) * (r + r**3 / 3) * np.exp(-0.5 * distance2)
    return np.asarray(BASIS_AMPLITUDE * np.sqrt(np.pi / 2) * further_in / r**5)
