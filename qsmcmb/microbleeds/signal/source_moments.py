"""Moments of a fitted source: how long it is, and what its field shows of that further out.

With the bodies i of total susceptibility M_i, centre c_i and radius r_i, weighted by |M_i|,

    c = sum |M_i| c_i / sum |M_i|,   S = sum |M_i| [(c_i - c)(c_i - c)^T + r_i^2 / 5 + f_i f_i^T / 5] / sum |M_i|,

f_i the focus of a spheroid, 0 for a ball. The principal lengths are those of the uniform ellipsoid of these second
moments, 2 sqrt(5 lambda) for each eigenvalue lambda of S. The field outside is a dipole of the total susceptibility M
and a remainder, quadrupole and higher, which falls faster with distance (Schenck 1996, doi:10.1118/1.597854).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.microbleeds.signal._ball_loops import PER_BALL
from qsmcmb.microbleeds.signal._spheroid_loops import DIPOLE_FRACTIONS, DIPOLE_POSITIONS
from qsmcmb.microbleeds.signal.source_shapes import ROW_CENTRE, ROW_RADIUS
from qsmcmb.typing import FloatArray

__all__ = ("REMAINDER_DISTANCES_MM", "SourceMoments", "half_lengths_mm", "source_moments")

REMAINDER_DISTANCES_MM = (3.0, 5.0, 8.0)
"""Distances from the centre at which the remainder of the field is given, mm: from near the void to the patch's end."""
N_DIRECTIONS = 400
"""Number of directions over which the field is averaged: enough for the third digit."""
UNIFORM_VARIANCE = 5.0
"""Ratio of the squared half axis of a uniform ellipsoid to its variance along that axis."""


class SourceMoments(NamedTuple):
    """Moments of a source."""

    total_chi_ppm_mm3: float
    """Total susceptibility M: the dipole, ppm mm3."""
    absolute_chi_ppm_mm3: float
    """Sum of the bodies' |M_i|, ppm mm3; above |M| where they have both signs."""
    centre_mm: tuple[float, float, float]
    """Centre c, weighted by |M_i|, mm from the patch's point."""
    principal_lengths_mm: tuple[float, float, float]
    """Lengths along the principal axes, the longest first, mm."""
    long_axis: tuple[float, float, float]
    """Unit vector of the longest, in voxel axes."""
    remainder: tuple[float | None, ...]
    """Root mean square of the field less that of a dipole M at c, over that of a dipole of the sum of |M_i|, at
    REMAINDER_DISTANCES_MM; None at distances that the source reaches."""

    @property
    def elongation(self) -> float:
        """Ratio of the longest to the shortest principal length."""
        return self.principal_lengths_mm[0] / self.principal_lengths_mm[2]


def half_lengths_mm(rows: FloatArray) -> FloatArray:
    """Return the distance of each body's furthest point from its own centre.

    Parameters
    ----------
    rows : ndarray of shape (n, 5) or (n, 8)
        Balls, or spheroids with their radius across and focus (`SourceShape.rows`).

    Returns
    -------
    ndarray of shape (n,)
        Radius of a ball, half of the length of a spheroid, mm.

    Examples
    --------
    >>> half_lengths_mm(np.array([[2.0, 0.0, 0.0, 0.0, 0.6, 0.0, 0.8, 0.0]])).round(6).tolist()
    [1.0]
    """
    return np.asarray(np.sqrt(rows[:, ROW_RADIUS] ** 2 + (_foci(rows) ** 2).sum(axis=1)))


def source_moments(rows: FloatArray, b0_dir: tuple[float, float, float]) -> SourceMoments:
    """Return the moments of a source.

    Parameters
    ----------
    rows : ndarray of shape (n, 5) or (n, 8)
        Balls, or spheroids with their radius across and focus (`SourceShape.rows`).
    b0_dir : tuple of float
        Unit vector of B0 in voxel axes.

    Returns
    -------
    SourceMoments
        Dipole, lengths, and what the field outside shows beyond the dipole.

    Examples
    --------
    A ball has its diameter in all directions, and no field but that of its dipole:

    >>> moments = source_moments(np.array([[4.0, 0.0, 0.0, 0.0, 1.0]]), (0.0, 0.0, 1.0))
    >>> [round(length, 6) for length in moments.principal_lengths_mm], [round(r, 6) for r in moments.remainder]
    ([2.0, 2.0, 2.0], [0.0, 0.0, 0.0])
    """
    size = np.abs(rows[:, 0])
    weight = size / size.sum()
    centre = weight @ rows[:, ROW_CENTRE]
    away, foci = rows[:, ROW_CENTRE] - centre, _foci(rows)
    spread = (weight[:, None] * away).T @ away + (weight[:, None] * foci).T @ foci / UNIFORM_VARIANCE
    spread += np.eye(3) * (weight @ rows[:, ROW_RADIUS] ** 2) / UNIFORM_VARIANCE
    variances, axes = np.linalg.eigh(spread)
    lengths = 2 * np.sqrt(UNIFORM_VARIANCE * variances[::-1])
    reach = float((np.linalg.norm(away, axis=1) + half_lengths_mm(rows)).max())
    return SourceMoments(
        total_chi_ppm_mm3=float(rows[:, 0].sum()),
        absolute_chi_ppm_mm3=float(size.sum()),
        centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        principal_lengths_mm=(float(lengths[0]), float(lengths[1]), float(lengths[2])),
        long_axis=(float(axes[0, -1]), float(axes[1, -1]), float(axes[2, -1])),
        remainder=tuple(
            _remainder(rows, centre, np.array(b0_dir), distance) if distance > reach else None
            for distance in REMAINDER_DISTANCES_MM
        ),
    )


def _foci(rows: FloatArray) -> FloatArray:
    """Return the vector from centre to focus of each body, mm, (n, 3); 0 for balls."""
    return rows[:, PER_BALL:] if rows.shape[1] > PER_BALL else np.zeros((len(rows), 3))


def _remainder(rows: FloatArray, centre: FloatArray, b0_dir: FloatArray, distance_mm: float) -> float:
    """Return the root mean square of the field beyond the dipole's over that of a dipole of the sum of |M_i|."""
    points = centre[:, None] + distance_mm * _directions()
    dipole = point_dipole_field(points - centre[:, None], b0_dir)
    field = -rows[:, 0].sum() * dipole
    # A spheroid's field is that of dipoles on its focal line; of a ball they are all at its centre.
    for row, focus in zip(rows, _foci(rows), strict=True):
        for position, fraction in zip(DIPOLE_POSITIONS, DIPOLE_FRACTIONS, strict=True):
            at = row[ROW_CENTRE] + float(position) * focus
            field += row[0] * float(fraction) * point_dipole_field(points - at[:, None], b0_dir)
    return float(np.linalg.norm(field) / (np.abs(rows[:, 0]).sum() * np.linalg.norm(dipole)))


def _directions() -> FloatArray:
    """Return unit vectors that cover the sphere evenly, (3, N_DIRECTIONS): a Fibonacci lattice."""
    number = np.arange(N_DIRECTIONS) + 0.5
    z = 1 - 2 * number / N_DIRECTIONS
    angle = np.pi * (1 + np.sqrt(5)) * number
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.cos(angle), across * np.sin(angle), z])
