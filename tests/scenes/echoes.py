"""Gradient echoes: phase that turns with a field and wraps, magnitude that decays, noise on both channels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray
from tests.scenes.geometry import OBLIQUE, coordinates_mm, ellipsoid

TE_S = (0.004, 0.009, 0.014)
EVEN_TE_S = (0.005, 0.010, 0.015, 0.020)


class Echoes(NamedTuple):
    """Echoes (echo, x, y, z), float32, and what made them.

    `truth_rad` is the phase before it was wrapped and before noise; `field_hz` and `r2star_hz` hold for every voxel,
    the mask only says where to look.
    """

    grid: Grid
    mask: BoolArray
    te_s: tuple[float, ...]
    phase_rad: FloatArray
    magnitude: FloatArray
    truth_rad: FloatArray
    field_hz: FloatArray
    r2star_hz: FloatArray


def times(te_s: tuple[float, ...]) -> FloatArray:
    """Return echo times (s) that multiply volumes."""
    return np.reshape(te_s, (-1, 1, 1, 1))


def wrap(phase_rad: FloatArray) -> FloatArray:
    """Return the phase within [-pi, pi)."""
    return phase_rad - 2 * np.pi * np.floor(phase_rad / (2 * np.pi) + 0.5)


def smooth_field_hz(grid: Grid) -> FloatArray:
    """Return a field that turns the phase by less than half a turn between neighbours at 14 ms, and often in all."""
    x, y, z = coordinates_mm(grid)
    return np.asarray(18.0 + 11.0 * x - 7.0 * y + 4.0 * z + 0.35 * y**2 - 0.2 * x * z)


def signal_of(
    field_hz: FloatArray,
    r2star_hz: FloatArray,
    te_s: tuple[float, ...],
    *,
    snr: float = np.inf,
    seed: int = 5,
) -> tuple[FloatArray, FloatArray]:
    """Return wrapped phase and magnitude (unit at TE 0) of echoes with noise of 1 / `snr` on each channel."""
    te = times(te_s)
    clean = np.exp((2j * np.pi * field_hz - r2star_hz) * te)
    if np.isfinite(snr):
        real, imaginary = np.random.default_rng(seed).standard_normal((2, *clean.shape))
        clean = clean + (real + 1j * imaginary) / snr
    return np.angle(clean).astype(np.float32), np.abs(clean).astype(np.float32)


def wrapping_echoes(
    grid: Grid = OBLIQUE, *, te_s: tuple[float, ...] = TE_S, snr: float = np.inf, seed: int = 5
) -> Echoes:
    """Return echoes of a smooth field with two turns and more across the mask, and a decay that rises along x.

    Between neighbours the phase of every echo differs by less than half a turn, so that without noise there is one
    right answer.
    """
    mask = ellipsoid(grid, (9.0, 8.5, 8.0), (0.5, 0.0, -0.4))
    field = smooth_field_hz(grid)
    decay = np.broadcast_to(np.linspace(10.0, 45.0, grid.shape[0])[:, None, None], grid.shape)
    phase, magnitude = signal_of(field, decay, te_s, snr=snr, seed=seed)
    truth = 2 * np.pi * times(te_s) * field
    return Echoes(grid, mask, te_s, phase, magnitude, truth, field, np.array(decay))
