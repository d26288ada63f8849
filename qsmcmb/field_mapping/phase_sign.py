"""Whether phase has the sign that makes paramagnetic tissue positive: iron raises both R2* and susceptibility."""

from __future__ import annotations

import numpy as np

from qsmcmb.core.morphology import erode
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

RIM_MM = 6.0
"""Near the brain's surface R2* is air's."""
TOP_PERCENT = 3.0
ENOUGH_VOXELS = 50
CLEAR_PPM = 0.01


def sign_looks_inverted(chi_ppm: FloatArray, r2star_hz: FloatArray, mask: BoolArray, grid: Grid) -> bool:
    """Return whether the voxels of the highest R2* (iron-rich nuclei, veins, bleeds) are diamagnetic.

    Parameters
    ----------
    chi_ppm, r2star_hz : ndarray of shape (x, y, z)
        Susceptibility, ppm, and R2*, 1/s.
    mask : ndarray of bool
        Where both are defined.
    grid : Grid
        Geometry.

    Returns
    -------
    bool
        False where there is too little to tell.
    """
    inner = erode(mask, RIM_MM, grid.voxel_size_mm)
    if inner.sum() < ENOUGH_VOXELS * 100 / TOP_PERCENT:
        return False
    rates, chi = r2star_hz[inner], chi_ppm[inner]
    top = chi[rates >= np.percentile(rates, 100 - TOP_PERCENT)]
    return bool(np.median(top) < np.median(chi) - CLEAR_PPM)
