"""The check that phase has the sign which makes paramagnetic tissue positive: iron raises both R2* and
susceptibility.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.morphology import erode
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("sign_looks_inverted",)

RIM_MM = 6.0
"""Depth below the brain's surface that is left out, mm: there R2* is air's."""
TOP_PERCENT = 3.0
"""Fraction of the voxels with the highest R2* that are looked at, percent: nuclei, veins and bleeds. Set by trial."""
MIN_TOP_VOXELS = 50
"""Voxels below which nothing is said, a count: a median of fewer is chance."""
MIN_DIFFERENCE_PPM = 0.01
"""Difference of medians from which on the sign counts as inverted, ppm: a tenth of the globus pallidus'."""


def sign_looks_inverted(chi_ppm: FloatArray, r2star_hz: FloatArray, mask: BoolArray, grid: Grid) -> bool:
    """Return whether the voxels of the highest R2* (iron-rich nuclei, veins, bleeds) are diamagnetic.

    Parameters
    ----------
    chi_ppm, r2star_hz : ndarray of shape (x, y, z)
        Susceptibility, ppm, and R2*, 1/s.
    mask : ndarray of shape (x, y, z), bool
        Voxels where both are defined.
    grid : Grid
        Shape and voxel size (mm).

    Returns
    -------
    bool
        True where their median is at least 0.01 ppm below that of the brain; False where there is too little to say.

    Examples
    --------
    >>> grid = Grid.isotropic((32, 32, 32), 1.0)
    >>> rate = np.random.default_rng(0).uniform(10, 50, grid.shape)
    >>> sign_looks_inverted(-0.01 * rate, rate, np.ones(grid.shape, bool), grid)
    True
    """
    inner = erode(mask, RIM_MM, grid.voxel_size_mm)
    # A percentile of so few voxels would be chance.
    if inner.sum() < MIN_TOP_VOXELS * 100 / TOP_PERCENT:
        return False
    rates, chi = r2star_hz[inner], chi_ppm[inner]
    top = chi[rates >= np.percentile(rates, 100 - TOP_PERCENT)]
    # Against the brain's own median, for a map has no absolute reference.
    return bool(np.median(top) < np.median(chi) - MIN_DIFFERENCE_PPM)
