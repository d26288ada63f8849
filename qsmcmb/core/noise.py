"""Noise of an image, estimated from the image itself."""

from __future__ import annotations

import numpy as np

from qsmcmb.core.boxes import bounding_box
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("noise_from_magnitude",)

MAD_OF_NORMAL = 0.6745
"""Median absolute value of a normal variable over its SD: the 75 % quantile of the normal distribution."""
DIFFERENCE_GAIN = 8.0
"""Ratio of the variance of white noise's mixed third difference to that of the noise: the sum of eight squared ones."""
MIN_NOISE = 1e-10
"""Noise that is returned at least, arbitrary unit: whoever divides by it stays finite on synthetic images."""


def noise_from_magnitude(magnitude: FloatArray, mask: BoolArray) -> np.float32:
    """Return the SD of the noise of a magnitude image, from its differences.

    The mixed third difference, once along each axis, takes out every smooth image and leaves white noise times
    sqrt(8). Its median absolute value is not moved by the few voxels at edges.

    Parameters
    ----------
    magnitude : ndarray of shape (x, y, z)
        Magnitude, arbitrary unit; well above the noise inside the mask, where the noise of a magnitude is normal.
    mask : ndarray of shape (x, y, z), bool
        Where the noise is estimated, not empty.

    Returns
    -------
    float32
        SD of the noise of one channel, the unit of `magnitude`, >= 1e-10.

    References
    ----------
    Gudbjartsson H, Patz S. The Rician distribution of noisy MRI data. Magn Reson Med 1995;34:910-914.
    doi:10.1002/mrm.1910340618

    Examples
    --------
    >>> image = 100 + np.random.default_rng(1).standard_normal((24, 24, 24))
    >>> bool(abs(noise_from_magnitude(image, np.ones(image.shape, bool)) - 1) < 0.05)
    True
    """
    box = bounding_box(mask)
    inner = magnitude[box].astype(np.float32)
    d = np.diff(np.diff(np.diff(inner, axis=0), axis=1), axis=2)
    inside = mask[box][:-1, :-1, :-1] & mask[box][1:, 1:, 1:]
    values = np.abs(d[inside]) if inside.any() else np.abs(d)
    return np.float32(max(float(np.median(values)) / MAD_OF_NORMAL / np.sqrt(DIFFERENCE_GAIN), MIN_NOISE))
