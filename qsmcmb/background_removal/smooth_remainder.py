"""Smooth remainder of one echo: what the receive phase leaves in the local field.

The phase of one echo is phi_0 + 2 pi df TE. Several echoes tell the receive phase phi_0 from the field df; one does
not. Background removal takes the part of phi_0 / (2 pi TE) that is harmonic in the brain. The rest is as smooth as the
coils' sensitivities, and a polynomial over the brain describes it:

    p(x, y, z) = sum a_ijk x^i y^j z^k,    i + j + k <= 4,

fitted to the local field with weights 1 / SD that strong sources cannot draw (Huber). Along an axis on which the brain
is short the powers are fewer, so that no tissue is described.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.noise import MAD_OF_NORMAL
from qsmcmb.core.polynomials import monomials
from qsmcmb.core.validate import check_mask, check_volume
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("SmoothRemainder", "remove_smooth_remainder")

MAX_ORDER = 4
"""Largest order of the polynomial: on a real scan order 2 leaves half of what order 4 takes."""
MM_PER_POWER = 30.0
"""Length of the brain along an axis, mm, that each power of its coordinate needs: nuclei and gyri are shorter."""
HUBER_KNEE = 1.345
"""Residual in SDs beyond which a voxel's weight falls: 95 % efficient for normal errors."""
N_REWEIGHTED = 4
"""Number of fits: the weights settle in three or four."""
SMALLEST = float(np.finfo(np.float32).tiny)
"""Smallest spread of the residual, unit of the field, against division by 0 where the fit is exact."""
MAX_VOXELS = 50_000
"""Number of voxels above which a regular sample of them is fitted: 35 coefficients need no more."""


class SmoothRemainder(NamedTuple):
    """Local field without its smooth remainder.

    Parameters
    ----------
    local_field_hz : ndarray of shape (x, y, z), float32
        Local field, Hz, 0 outside the mask.
    removed_hz : float
        Root mean square of what was taken off, over the mask, Hz.

    Examples
    --------
    >>> SmoothRemainder(np.zeros((2, 2, 2), np.float32), 0.0).removed_hz
    0.0
    """

    local_field_hz: FloatArray
    removed_hz: float


def remove_smooth_remainder(
    local_field_hz: FloatArray, mask: BoolArray, grid: Grid, *, field_sd_hz: FloatArray
) -> SmoothRemainder:
    """Take a polynomial of low order off the local field of one echo.

    Parameters
    ----------
    local_field_hz : ndarray of shape grid.shape, float32
        Local field, Hz.
    mask : ndarray of shape grid.shape, bool
        Voxels where it is defined, not empty.
    grid : Grid
        Geometry.
    field_sd_hz : ndarray of shape grid.shape
        SD of the field, Hz; voxels without a finite positive one do not count.

    Returns
    -------
    SmoothRemainder
        Local field without the polynomial, Hz, and the size of what was taken off, Hz.

    Raises
    ------
    InvalidInputError
        SHAPE or MASK-EMPTY.

    Notes
    -----
    A susceptibility that varies as smoothly as the polynomial goes with it.

    References
    ----------
    What the phase of the coils does to maps of one echo: Kan H, Arai N, Takizawa M, et al. Improvement of signal
    inhomogeneity induced by radio-frequency transmit-related phase error for single-step quantitative susceptibility
    mapping reconstruction. Magn Reson Med Sci 2019;18:276-285. doi:10.2463/mrms.tn.2018-0066

    Examples
    --------
    >>> grid = Grid.isotropic((40, 40, 40), 4.0)
    >>> x = (np.indices(grid.shape)[0] - 19.5).astype(np.float32)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> cleaned = remove_smooth_remainder(0.01 * x**2, ones > 0, grid, field_sd_hz=ones)
    >>> bool(abs(cleaned.local_field_hz).max() < 1e-4), round(cleaned.removed_hz, 2)
    (True, 1.79)
    """
    check_mask(mask, grid)
    check_volume("local_field_hz", local_field_hz, grid)
    check_volume("field_sd_hz", field_sd_hz, grid)
    voxels = np.argwhere(mask)
    low, high = voxels.min(axis=0), voxels.max(axis=0)
    lengths_mm = (high - low + 1) * np.array(grid.voxel_size_mm)
    # From -1 to 1 over the brain, so that the powers stay independent.
    scaled = (2 * (voxels - low) / np.maximum(high - low, 1) - 1).astype(np.float32)
    most = lengths_mm // MM_PER_POWER
    powers = [p for p in monomials(MAX_ORDER) if np.all(np.array(p) <= most)]
    if len(powers) < 2:
        return SmoothRemainder(local_field_hz, 0.0)
    field, sd = local_field_hz[mask], field_sd_hz[mask]
    counts = np.isfinite(sd) & (sd > 0)
    weight: FloatArray = np.where(counts, 1 / np.where(counts, sd, 1), 0).astype(np.float64)
    step = -(-len(voxels) // MAX_VOXELS)
    coefficients = _robust_fit(_terms(scaled[::step], powers), field[::step], weight[::step])
    smooth = np.zeros(len(voxels), np.float32)
    for c, p in zip(coefficients, powers, strict=True):
        smooth += np.float32(c) * _term(scaled, p)
    out = np.zeros_like(local_field_hz)
    out[mask] = field - smooth
    return SmoothRemainder(out, float(np.sqrt(np.mean(np.square(smooth)))))


def _term(scaled: FloatArray, powers: tuple[int, int, int]) -> FloatArray:
    """Return one monomial at each point of (n, 3)."""
    x, y, z = scaled.T
    a, b, c = powers
    return np.asarray(x**a * y**b * z**c)


def _terms(scaled: FloatArray, powers: list[tuple[int, int, int]]) -> FloatArray:
    """Return the monomials at each point, (n, terms)."""
    return np.stack([_term(scaled, p) for p in powers], axis=1)


def _robust_fit(terms: FloatArray, field: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the coefficients of a weighted fit whose large residuals count less, by Huber's weights."""
    root = weight
    coefficients: FloatArray = np.zeros(terms.shape[1])
    for _ in range(N_REWEIGHTED):
        coefficients = np.linalg.lstsq(terms * root[:, None], field * root, rcond=None)[0]
        residual = np.abs(field - terms @ coefficients)
        spread = max(float(np.median(residual[weight > 0])) / MAD_OF_NORMAL, SMALLEST)
        root = weight * np.sqrt(np.minimum(1, HUBER_KNEE * spread / np.maximum(residual, spread)))
    return coefficients
