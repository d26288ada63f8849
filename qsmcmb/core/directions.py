"""Directions spread evenly over a half sphere: those of lines, which have no sign."""

from __future__ import annotations

import numpy as np

from qsmcmb.typing import FloatArray

__all__ = ("half_sphere",)


def half_sphere(count: int) -> FloatArray:
    """Return directions of a half sphere, evenly spread along a spiral.

    Parameters
    ----------
    count : int
        Number of directions, >= 1.

    Returns
    -------
    ndarray of shape (count, 3)
        Unit vectors with a positive third component.

    Examples
    --------
    >>> half_sphere(40).shape
    (40, 3)
    """
    n = np.arange(count) + 0.5
    z = 1 - n / count
    # Steps by the golden angle keep neighbours on the spiral apart.
    azimuth = np.pi * (1 + 5**0.5) * n
    return np.stack([np.sqrt(1 - z**2) * np.cos(azimuth), np.sqrt(1 - z**2) * np.sin(azimuth), z], axis=1)
