"""The check that phase has the sign which makes paramagnetic tissue positive.

Iron raises susceptibility, darkens a late echo and raises R2*. Veins, nuclei and bleeds are dark and narrow in a late
magnitude; where that says nothing, R2* is asked. R2* is also high beside air, which a contrast over wide regions meets
and one of narrow structures does not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.morphology import erode
from qsmcmb.core.noise import MAD_OF_NORMAL
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("DarkContrast", "contrast_of_iron", "contrast_of_the_dark")

RIM_MM = 6.0
"""Depth below the brain's surface that is left out, mm: there R2* is air's."""
TOP_PERCENT = 3.0
"""Fraction of the voxels with the highest R2* that are looked at, percent: nuclei, veins and bleeds. Set by trial."""
MIN_TOP_VOXELS = 50
"""Voxels below which nothing is said, a count: a median of fewer is chance."""
MIN_DIFFERENCE_PPM = 0.02
"""Difference of medians beyond which it says something of the sign, ppm: air pulls it to -0.013."""

WIDTH_MM = 1.2
"""Width of the Gaussian at whose scale narrow structures are looked for, mm: that of veins and bleeds."""
DARK_PERCENT = 2.0
"""Fraction of the voxels that count as dark and narrow, percent. Set by trial."""
DARKEST = 0.02
"""Least magnitude over the brain's median whose logarithm is taken: below it is noise."""
BLOCK_MM = 12.0
"""Edge of the blocks over which the contrast scatters, mm: errors of the map are alike within one."""
MIN_BLOCKS = 6
"""Blocks below which nothing is said, a count: an SD from fewer is chance."""
MAX_CONTRAST = 3.0
"""Contrast, in the map's own scatter, beyond which a voxel counts no more: one bleed must not decide."""
MIN_SIGN_SD = 3.0
"""SDs beyond which the contrast of the dark says something of the sign."""
MIN_WEIGHTING_T_S = 0.025
"""Least field strength times echo time, T s: below it the magnitude shows water and T1, not iron."""


class DarkContrast(NamedTuple):
    """Contrast of the map where the magnitude is dark and narrow, in units of the map's own scatter.

    Parameters
    ----------
    mean, sd : float
        Mean, and its SD from the scatter between blocks of the brain.

    Examples
    --------
    >>> DarkContrast(mean=-0.8, sd=0.1).in_sd
    -8.0
    """

    mean: float
    sd: float

    @property
    def in_sd(self) -> float:
        """The mean in units of its SD."""
        return self.mean / self.sd


def contrast_of_the_dark(
    chi_ppm: FloatArray, magnitude: FloatArray, mask: BoolArray, grid: Grid
) -> DarkContrast | None:
    """Return the contrast of a map where the magnitude is dark and narrow in two directions.

    Parameters
    ----------
    chi_ppm, magnitude : ndarray of shape (x, y, z)
        Susceptibility, ppm, and magnitude of one echo of T2* weighting, any unit.
    mask : ndarray of shape (x, y, z), bool
        Voxels where both are defined.
    grid : Grid
        Shape and voxel size (mm).

    Returns
    -------
    DarkContrast or None
        Positive where iron is paramagnetic; None where there is too little to say.

    Notes
    -----
    Dark and narrow: the largest 2 % of the middle eigenvalue of the Hessian of log magnitude, or of half its trace
    where that is less, at a width of 1.2 mm. It is large in tubes and balls, and not in plates such as the falx nor in
    the surroundings of a dark spot. The contrast of the map is minus its Laplacian at the same width, so that errors
    that vary slowly do not count.

    Examples
    --------
    >>> grid = Grid.isotropic((48, 48, 48), 1.0)
    >>> magnitude = np.random.default_rng(0).normal(1, 0.02, grid.shape)
    >>> magnitude[12:36:6, 12:36:6] = 0.5
    >>> contrast_of_the_dark(1 - magnitude, magnitude, magnitude > 0, grid).in_sd > MIN_SIGN_SD
    True
    >>> contrast_of_the_dark(magnitude - 1, magnitude, magnitude > 0, grid).in_sd < -MIN_SIGN_SD
    True
    """
    box = bounding_box(mask)
    inside = mask[box]
    inner = erode(inside, RIM_MM, grid.voxel_size_mm)
    if inner.sum() < MIN_TOP_VOXELS * 100 / DARK_PERCENT:
        return None
    level = float(np.median(magnitude[box][inside]))
    dark = np.log(np.maximum(magnitude[box] / level, DARKEST))
    curvature = _hessian(np.where(inside, dark, 0), inner, grid)
    middle = np.linalg.eigvalsh(curvature)[:, 1]
    # Beyond its core a dark spot curves the other way along its radius alone, and the map's sign turns there.
    narrow = np.minimum(middle, np.trace(curvature, axis1=1, axis2=2) / 2)
    least = float(np.percentile(narrow, 100 - DARK_PERCENT))
    if least <= 0:
        return None
    contrast = -np.trace(_hessian(np.where(inside, chi_ppm[box], 0), inner, grid), axis1=1, axis2=2)
    contrast -= np.median(contrast)
    scatter = float(np.median(np.abs(contrast))) / MAD_OF_NORMAL
    top = narrow >= least
    values = np.clip(contrast[top] / max(scatter, 1e-12), -MAX_CONTRAST, MAX_CONTRAST)
    blocks = (np.argwhere(inner)[top] * np.array(grid.voxel_size_mm) // BLOCK_MM).astype(int)
    _, block = np.unique(blocks, axis=0, return_inverse=True)
    count, total = np.bincount(block.ravel()), np.bincount(block.ravel(), values)
    if len(count) < MIN_BLOCKS:
        return None
    mean = float(total.sum() / count.sum())
    spread = float(((total - mean * count) ** 2).sum()) * len(count) / (len(count) - 1)
    # At least that of voxels which scatter independently, by 1 each.
    sd = max(float(np.sqrt(spread) / count.sum()), float(count.sum()) ** -0.5)
    return DarkContrast(mean, sd)


def _hessian(volume: FloatArray, inner: BoolArray, grid: Grid) -> FloatArray:
    """Return the second derivatives (voxel, 3, 3) of a smoothed volume at some voxels, per squared width."""
    sigma = [WIDTH_MM / v for v in grid.voxel_size_mm]
    out = np.empty((int(inner.sum()), 3, 3))
    for i in range(3):
        for j in range(i, 3):
            order = [(a == i) + (a == j) for a in range(3)]
            second = ndimage.gaussian_filter(volume.astype(np.float32), sigma, order=order, truncate=3.0)
            out[:, i, j] = out[:, j, i] = second[inner] * sigma[i] * sigma[j]
    return out


def contrast_of_iron(chi_ppm: FloatArray, r2star_hz: FloatArray, mask: BoolArray, grid: Grid) -> float | None:
    """Return the contrast of a map where R2* is highest (iron-rich nuclei, veins, bleeds).

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
    float or None
        Median of the map at the 3 % of highest R2* less that of the brain, ppm. None where there is too little to say.

    Examples
    --------
    >>> grid = Grid.isotropic((32, 32, 32), 1.0)
    >>> rate = np.random.default_rng(0).uniform(10, 50, grid.shape)
    >>> contrast_of_iron(-0.01 * rate, rate, np.ones(grid.shape, bool), grid) < 0
    True
    """
    inner = erode(mask, RIM_MM, grid.voxel_size_mm)
    # A percentile of so few voxels would be chance.
    if inner.sum() < MIN_TOP_VOXELS * 100 / TOP_PERCENT:
        return None
    rates, chi = r2star_hz[inner], chi_ppm[inner]
    top = chi[rates >= np.percentile(rates, 100 - TOP_PERCENT)]
    # Against the brain's own median, for a map has no absolute reference.
    return float(np.median(top) - np.median(chi))
