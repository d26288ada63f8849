"""Field of a point dipole, the far field of every compact source of susceptibility."""

from __future__ import annotations

import numpy as np

from qsmcmb.typing import FloatArray

__all__ = ("point_dipole_field",)

MIN_DISTANCE2_MM2 = 0.25
"""Squared distance, mm2, below which the field is that at 0.5 mm: a point's field has no value at its centre."""


def point_dipole_field(offset_mm: FloatArray, b0_dir: FloatArray) -> FloatArray:
    """Return the field of a point dipole of 1 ppm mm3.

        dB / B0 = (3 cos^2 theta - 1) / (4 pi r^3)

    theta is the angle between the offset and B0. Outside a compact source of total susceptibility M the field is M
    times this, up to terms that fall as r^-4 and faster.

    Parameters
    ----------
    offset_mm : ndarray of shape (3, n)
        Points, mm from the dipole along the voxel axes.
    b0_dir : ndarray of shape (3,)
        Unit vector of B0 in voxel axes.

    Returns
    -------
    ndarray of shape (n,), float64
        Field relative to B0, ppm per ppm mm3 (1/mm3). Within 0.5 mm the distance is taken as 0.5 mm.

    References
    ----------
    Schenck JF. The role of magnetic susceptibility in magnetic resonance imaging: MRI magnetic compatibility of the
    first and second kinds. Med Phys 1996;23:815-850. doi:10.1118/1.597854

    Examples
    --------
    >>> offset_mm = np.array([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    >>> (4 * np.pi * point_dipole_field(offset_mm, np.array([0, 0, 1]))).round(6).tolist()
    [2.0, -1.0]
    """
    r2 = np.maximum((offset_mm**2).sum(axis=0), MIN_DISTANCE2_MM2)
    along = b0_dir @ offset_mm
    return np.asarray((3 * along**2 / r2 - 1) / (4 * np.pi * r2**1.5))
