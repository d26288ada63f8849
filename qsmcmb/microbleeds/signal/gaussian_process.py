"""Gaussian process of the tissue, as Gaussian functions on a lattice, and the dipole field of such a susceptibility.

A sum of Gaussian functions g_j on a lattice, each with a normally distributed coefficient c_j,

    m(r) = a sum over j of c_j exp(-|r - r_j|^2 / (2 s^2)),   c_j ~ N(0, sigma^2),

is a Gaussian process of SD sigma and of correlation exp(-|d|^2 / (4 s^2)), the better the denser the lattice. Its
posterior is a least-squares fit of the coefficients with a prior (Rasmussen and Williams 2006, chapter 2,
doi:10.7551/mitpress/3206.001.0001). Where m is a susceptibility, each function is the source of a dipole field, known
in closed form: the process of the field has no more freedom than tissue has.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erf

from qsmcmb.typing import FloatArray

__all__ = (
    "BASIS_AMPLITUDE",
    "BASIS_SD_MM",
    "BASIS_SPACING_MM",
    "basis_centres",
    "gaussian_basis",
    "gaussian_field_basis",
)

BASIS_SD_MM = 1.5
"""SD of a basis function, mm; the correlation length is sqrt(2) times this, 2.1 mm. The evidence of lesion-free patches
of heads is highest here (docs/notes/2026-11-27-lesion-fit.md)."""
BASIS_SPACING_MM = 1.3 * BASIS_SD_MM
"""Spacing of the lattice, mm: so wide that there are few functions, and the process still has an SD of 1.009 at the
lattice points and of 0.991 between them."""
BASIS_AMPLITUDE = (BASIS_SPACING_MM / (np.sqrt(np.pi) * BASIS_SD_MM)) ** 1.5
"""Amplitude a of a basis function, dimensionless: without it the squares of the functions at a point add to
(sqrt(pi) s / spacing)^3, and coefficients of unit SD are to make a process of unit SD."""
FIELD_TABLE_STEP = 0.002
"""Step of the table of a basis function's field, in squared SDs of the function: fine enough to be looked up without
interpolation, coarse enough that the table of a patch has 60 000 entries."""


def basis_centres(reach_mm: float) -> FloatArray:
    """Return the centres of the basis functions in a ball.

    Parameters
    ----------
    reach_mm : float
        Radius of the ball, mm, >= 0.

    Returns
    -------
    ndarray of shape (n, 3)
        Lattice points within the ball, mm from its centre, which is one of them.

    Examples
    --------
    >>> basis_centres(2.0).shape
    (7, 3)
    """
    half = int(np.ceil(reach_mm / BASIS_SPACING_MM))
    steps = np.arange(-half, half + 1) * BASIS_SPACING_MM
    centres = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    return centres[(centres**2).sum(axis=1) < reach_mm**2]


def gaussian_basis(xyz_mm: FloatArray, centres_mm: FloatArray) -> FloatArray:
    """Return the basis functions at some points.

    Parameters
    ----------
    xyz_mm : ndarray of shape (3, n_points)
        Points, mm.
    centres_mm : ndarray of shape (n, 3)
        Centres of the functions, mm.

    Returns
    -------
    ndarray of shape (n_points, n)
        Value of each function, in the unit of its coefficient.

    Examples
    --------
    >>> centres_mm = basis_centres(8.0)
    >>> values = gaussian_basis(np.zeros((3, 1)), centres_mm)
    >>> round(float(np.sqrt((values**2).sum())), 1)
    1.0
    """
    x, y, z = (
        np.exp(-0.5 * ((x[:, None] - centre) / BASIS_SD_MM) ** 2)
        for x, centre in zip(xyz_mm, centres_mm.T, strict=True)
    )
    return np.asarray(BASIS_AMPLITUDE * x * y * z)


def gaussian_field_basis(
    xyz_mm: FloatArray, centres_mm: FloatArray, b0_dir: tuple[float, float, float]
) -> FloatArray:
    """Return the field at some points where each basis function is a susceptibility.

    Parameters
    ----------
    xyz_mm : ndarray of shape (3, n_points)
        Points, mm.
    centres_mm : ndarray of shape (n, 3)
        Centres of the functions, mm.
    b0_dir : tuple of float
        Unit vector of B0 in voxel axes.

    Returns
    -------
    ndarray of shape (n_points, n)
        Field over B0, in the unit of the coefficient (ppm where that is ppm); the sphere of Lorentz is subtracted.

    Notes
    -----
    With r the distance from the centre, z its component along B0, both in SDs of the function, m(r) = a exp(-r^2 / 2)
    the susceptibility and q(r) its integral over the ball of radius r,

        dB / B0 = [q(r) - 4 pi r^3 m(r) / 3] (3 z^2 - r^2) / (4 pi r^5),
        q(r) = a (2 pi)^(3/2) [erf(r / sqrt 2) - sqrt(2 / pi) r exp(-r^2 / 2)].

    A shell has no field inside, so that only what lies further in counts, less a uniform ball of the susceptibility at
    r itself. Far away it is the field of a point dipole, at the centre it is 0.

    References
    ----------
    Schenck JF. The role of magnetic susceptibility in magnetic resonance imaging: MRI magnetic compatibility of the
    first and second kinds. Med Phys 1996;23:815-850. doi:10.1118/1.597854

    Examples
    --------
    >>> along_and_across = np.array([[0.0, 9.0], [0.0, 0.0], [9.0, 0.0]])
    >>> field = gaussian_field_basis(along_and_across, np.zeros((1, 3)), (0.0, 0.0, 1.0))
    >>> round(float(field[0, 0] / field[1, 0]), 3)
    -2.0
    """
    points, centres, axis = xyz_mm.T / BASIS_SD_MM, centres_mm / BASIS_SD_MM, np.array(b0_dir)
    along_b0 = (points @ axis)[:, None] - centres @ axis
    # |p - c|^2 by one matrix product; rounding can leave it slightly below 0.
    distance2 = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * points @ centres.T
    distance2 = np.maximum(distance2, 0)
    # Midpoints of the steps, so that none is 0, where the quotient is undefined.
    table = _radial_factor(np.arange(0.5, distance2.max() / FIELD_TABLE_STEP + 1) * FIELD_TABLE_STEP)
    factor = table[(distance2 / FIELD_TABLE_STEP).astype(np.intp)]
    return np.asarray(factor * (3 * along_b0**2 - distance2))


def _radial_factor(distance2: FloatArray) -> FloatArray:
    """Return [q(r) - 4 pi r^3 m(r) / 3] / (4 pi r^5) of `gaussian_field_basis`: its field without the angular part.

    Squared distances are in units of the squared SD of the Gaussian.
    """
    r = np.sqrt(distance2)
    # Integral of the susceptibility over the ball within r, less a uniform ball of the susceptibility at r.
    enclosed = erf(r / np.sqrt(2)) - np.sqrt(2 / np.pi) * (r + r**3 / 3) * np.exp(-0.5 * distance2)
    return np.asarray(BASIS_AMPLITUDE * np.sqrt(np.pi / 2) * enclosed / r**5)
