"""TODO."""

from __future__ import annotations

import numpy as np

from qsmcmb.typing import FloatArray


def point_dipole_field(xyz: FloatArray, b0_dir: FloatArray) -> FloatArray:
    """Return the field (ppm) of 1 ppm mm3 at (3, n) distances in mm."""
    r2 = np.maximum((xyz**2).sum(axis=0), 0.25)
    along = b0_dir @ xyz
    return np.asarray((3 * along**2 / r2 - 1) / (4 * np.pi * r2**1.5))
