"""The only conversions between units; everything inside works in s, T, mm, Hz, ppm and rad."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

GAMMA_MHZ_PER_T = 42.5775
"""Proton gyromagnetic ratio over 2 pi, MHz/T (so Hz per T and ppm)."""

PPM_MM3 = "ppm mm3"
"""Unit of total susceptibility."""

T = TypeVar("T", float, "np.ndarray")


def ppm_to_hz(field_ppm: T, b0_tesla: float) -> T:
    """Convert a field in ppm of B0 into a frequency offset in Hz.

    Examples
    --------
    >>> round(ppm_to_hz(1.0, 3.0), 4)
    127.7325
    """
    return field_ppm * type_preserving(field_ppm, GAMMA_MHZ_PER_T * b0_tesla)


def hz_to_ppm(field_hz: T, b0_tesla: float) -> T:
    """Convert a frequency offset in Hz into ppm of B0.

    Examples
    --------
    >>> hz_to_ppm(127.7325, 3.0)
    1.0
    """
    return field_hz * type_preserving(field_hz, 1.0 / (GAMMA_MHZ_PER_T * b0_tesla))


def dipole_phase_constant(b0_tesla: float, te_s: float) -> float:
    """Phase in rad at 1 mm on the equator of a 1 ppm mm3 dipole, sign left out.

    Examples
    --------
    >>> round(dipole_phase_constant(3.0, 0.020), 3)
    1.277
    """
    return 2.0 * np.pi * GAMMA_MHZ_PER_T * b0_tesla * te_s / (4.0 * np.pi)


def type_preserving(like: object, factor: float) -> float:
    """Return `factor` as a scalar that does not promote a float32 array."""
    return like.dtype.type(factor) if isinstance(like, np.ndarray) and like.dtype.kind == "f" else factor
