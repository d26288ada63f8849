"""Conversions between units: everything inside works in s, T, mm, Hz, ppm and rad."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

__all__ = (
    "GAMMA_MHZ_PER_T",
    "PPM_MM3",
    "dipole_phase_constant",
    "hz_to_ppm",
    "ppm_to_hz",
)

GAMMA_MHZ_PER_T = 42.5775
"""Gyromagnetic ratio of the free proton divided by 2 pi, MHz/T (so Hz per tesla and ppm): 42.577478 to six digits."""

PPM_MM3 = "ppm mm3"
"""Unit of total susceptibility."""

_T = TypeVar("_T", float, "np.ndarray")


def ppm_to_hz(field_ppm: _T, b0_tesla: float) -> _T:
    """Convert a field in ppm of B0 into a frequency offset in Hz.

        f = gamma / (2 pi) * B0 * (dB / B0)

    Parameters
    ----------
    field_ppm : float or ndarray of any shape
        Field, ppm of B0.
    b0_tesla : float
        Field strength, T, > 0.

    Returns
    -------
    float or ndarray of the same shape and type
        Frequency offset, Hz; positive where the field is stronger than B0.

    Examples
    --------
    >>> round(ppm_to_hz(1.0, 3.0), 4)
    127.7325
    """
    return field_ppm * _type_preserving(field_ppm, GAMMA_MHZ_PER_T * b0_tesla)


def hz_to_ppm(field_hz: _T, b0_tesla: float) -> _T:
    """Convert a frequency offset in Hz into a field in ppm of B0.

    Parameters
    ----------
    field_hz : float or ndarray of any shape
        Frequency offset, Hz.
    b0_tesla : float
        Field strength, T, > 0.

    Returns
    -------
    float or ndarray of the same shape and type
        Field, ppm of B0.

    Examples
    --------
    >>> hz_to_ppm(127.7325, 3.0)
    1.0
    """
    return field_hz * _type_preserving(field_hz, 1.0 / (GAMMA_MHZ_PER_T * b0_tesla))


def dipole_phase_constant(b0_tesla: float, te_s: float) -> float:
    """Return the size of the phase at 1 mm on the equator of a dipole of 1 ppm mm3.

    The phase of a point dipole of total susceptibility M is C M (3 cos^2 theta - 1) / r^3 with
    C = 2 pi gamma B0 TE / (4 pi), which this is.

    Parameters
    ----------
    b0_tesla : float
        Field strength, T, > 0.
    te_s : float
        Echo time, s, > 0.

    Returns
    -------
    float
        C, rad mm3 / (ppm mm3), > 0.

    Examples
    --------
    >>> round(dipole_phase_constant(3.0, 0.020), 3)
    1.277
    """
    return 2.0 * np.pi * GAMMA_MHZ_PER_T * b0_tesla * te_s / (4.0 * np.pi)


def _type_preserving(like: object, factor: float) -> float:
    """Return `factor` as a scalar that does not promote a float32 array."""
    return like.dtype.type(factor) if isinstance(like, np.ndarray) and like.dtype.kind == "f" else factor
