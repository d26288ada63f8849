"""Susceptibility-weighted imaging: echoes darkened where their high-pass filtered phase is positive."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmcmb.core.validate import check_choice, check_finite_inside, check_mask, check_range, check_volume
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = (
    "make_swi",
    "project_minimum",
)

ECHOES = ("last", "all")
"""Echoes that an image may be made of."""


def make_swi(
    phase_rad: FloatArray,
    magnitude: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    sigma_mm: float = 4.0,
    power: int = 4,
    echoes: str = "last",
) -> FloatArray:
    """Return the susceptibility-weighted image.

    Parameters
    ----------
    phase_rad, magnitude : ndarray of shape (echo, x, y, z)
        Wrapped phase (paramagnetic positive), rad, and magnitude, any unit.
    mask : ndarray of shape grid.shape, bool
        Voxels whose phase is used, at least one.
    grid : Grid
        Shape and voxel size (mm).
    sigma_mm : float, optional
        Width of the low-pass whose phase is divided out (homodyne filter), mm; 0.1 to 50.
    power : int, optional
        Number of times that the phase mask multiplies the magnitude, 1 to 8.
    echoes : {"last", "all"}, optional
        Echoes that are weighted: the last alone, or all, of which the mean is the image: less noise, and less blooming.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Susceptibility-weighted image, unit of the magnitude.

    Raises
    ------
    InvalidInputError
        Wrong shapes, empty mask, values that are not finite inside it, an option out of range.

    Notes
    -----
    With the signal s = m exp(i phi) of an echo, G its Gaussian low-pass and n the power::

        high = arg(s conj(G s))
        SWI = m (1 - high / pi)^n    where high > 0 inside the mask; m elsewhere

    References
    ----------
    Haacke et al. 2004. Susceptibility weighted imaging (SWI). doi:10.1002/mrm.20198

    Denk and Rauscher 2010. Susceptibility weighted imaging with multiple echoes. doi:10.1002/jmri.21995

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> phase = np.zeros((1, *grid.shape), np.float32)
    >>> phase[0, 8, 8, 8] = np.pi / 2
    >>> swi = make_swi(phase, np.ones_like(phase), np.ones(grid.shape, bool), grid)
    >>> round(float(swi[8, 8, 8]), 2), float(swi[2, 2, 2])
    (0.06, 1.0)
    """
    check_mask(mask, grid)
    for name, array in (("phase_rad", phase_rad), ("magnitude", magnitude)):
        check_volume(name, array, grid, echoes=magnitude.shape[0])
        check_finite_inside(name, array, mask)
    check_range("sigma_mm", sigma_mm, 0.1, 50.0)
    check_range("power", power, 1, 8)
    check_choice("echoes", echoes, ECHOES)
    sigma = [sigma_mm / v for v in grid.voxel_size_mm]
    first = 0 if echoes == "all" else -1
    weighted = [
        _weight_echo(phase, echo.astype(np.float32), mask, sigma, power)
        for phase, echo in zip(phase_rad[first:], magnitude[first:], strict=True)
    ]
    return weighted[0] if len(weighted) == 1 else np.mean(weighted, axis=0, dtype=np.float32)


def _weight_echo(
    phase_rad: FloatArray, magnitude: FloatArray, mask: BoolArray, sigma: list[float], power: int
) -> FloatArray:
    """Return the susceptibility-weighted image of one echo."""
    # Products would keep NaN outside the mask, and the low-pass would spread it.
    phasor = np.where(mask, magnitude * np.exp(1j * phase_rad).astype(np.complex64), np.complex64(0))
    # The low-pass of the phasor, not of the phase: no unwrapping comes before.
    low = [ndimage.gaussian_filter(part, sigma, truncate=3) for part in (phasor.real, phasor.imag)]
    high = np.angle(phasor * (low[0] - 1j * low[1]))
    # Paramagnetic veins and bleeds alone are darkened.
    weight = np.where(mask & (high > 0), 1 - high / np.pi, 1)
    return np.asarray(magnitude * weight**power, dtype=np.float32)


def project_minimum(swi: FloatArray, grid: Grid, *, thickness_mm: float = 8.0) -> FloatArray:
    """Return the sliding minimum over a slab along the slice axis, the one nearest to B0.

    Parameters
    ----------
    swi : ndarray of shape grid.shape
        Susceptibility-weighted image, any unit.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    thickness_mm : float, optional
        Slab thickness, mm; 0.1 to 200.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Minimum-intensity projection around each slice, unit of `swi`.

    Raises
    ------
    InvalidInputError
        Wrong shape, or a thickness out of range.

    Examples
    --------
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> swi = np.ones(grid.shape, np.float32)
    >>> swi[4, 4, 4] = 0.0
    >>> float(project_minimum(swi, grid, thickness_mm=3.0)[4, 4, 5])
    0.0
    """
    check_volume("swi", swi, grid)
    check_range("thickness_mm", thickness_mm, 0.1, 200.0)
    axis = int(np.argmax(np.abs(grid.b0_dir)))
    # At least the slice itself.
    slices = max(1, round(thickness_mm / grid.voxel_size_mm[axis]))
    return np.asarray(ndimage.minimum_filter1d(swi, slices, axis=axis), dtype=np.float32)
