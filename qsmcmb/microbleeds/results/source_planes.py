"""Planes through a fitted source: its susceptibility at a resolution far below the voxel's.

A ball or spheroid of total susceptibility M and volume V has the susceptibility difference M / V in its inside; where
bodies overlap the susceptibilities add.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.signal._ball_loops import PER_BALL
from qsmcmb.microbleeds.signal.source_moments import half_lengths_mm
from qsmcmb.microbleeds.signal.source_shapes import ROW_CENTRE, ROW_RADIUS, UNIT_BALL_MM3
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["SourcePlane", "source_planes"]

N_PIXELS = 160
"""Number of pixels along each side of a plane: a twentieth of a millimetre for a lesion of usual size."""
MARGIN_MM = 1.0
"""Distance shown beyond the source and the given point, mm."""
PLANES = ((0, 1), (0, 2), (1, 2))
"""Voxel axes along the two sides of each plane."""


class SourcePlane(NamedTuple):
    """Susceptibility of a fitted source in a plane through its centre along two voxel axes; mm from the given point."""

    axes: tuple[int, int]
    """Voxel axes along the plane's sides."""
    chi_ppm: FloatArray
    """Susceptibility above the tissue's, ppm, along the first axis, then along the second."""
    extent_mm: tuple[float, float, float, float]
    """Ends of the plane along both axes."""
    centre_mm: tuple[float, float]
    """Centre of the source."""
    voxel_mm: tuple[float, float]
    """Edges of a voxel along both axes."""


def source_planes(
    rows: FloatArray, centre_mm: tuple[float, float, float], voxel_size_mm: tuple[float, float, float]
) -> tuple[SourcePlane, ...]:
    """Return the three planes through a source's centre along the voxel axes.

    Parameters
    ----------
    rows : ndarray of shape (n, 5) or (n, 8)
        Balls, or spheroids with their radius across and focus (`SourceShape.rows`), mm from the given point.
    centre_mm : tuple of float
        Centre of the source, mm from the given point.
    voxel_size_mm : tuple of float
        Edges of a voxel, mm.

    Returns
    -------
    tuple of SourcePlane
        Susceptibility (ppm) across the third, the second and the first axis.

    Examples
    --------
    >>> planes = source_planes(np.array([[4.0, 0.0, 0.0, 0.0, 1.0]]), (0.0, 0.0, 0.0), (1.0, 1.0, 2.0))
    >>> planes[1].axes, round(float(planes[1].chi_ppm.max()), 3), planes[1].extent_mm
    ((0, 2), 0.955, (-2.0, 2.0, -2.0, 2.0))
    """
    reach = _reach_mm(rows, centre_mm)
    step = 2 * reach / N_PIXELS
    offsets = (np.arange(N_PIXELS) + 0.5) * step - reach
    made = []
    for one, two in PLANES:
        points = np.tile(np.reshape(centre_mm, (3, 1, 1)), (1, N_PIXELS, N_PIXELS))
        points[one] += offsets[:, None]
        points[two] += offsets[None, :]
        ends = tuple(float(centre_mm[axis] + side * reach) for axis in (one, two) for side in (-1, 1))
        made.append(
            SourcePlane(
                axes=(one, two),
                chi_ppm=_susceptibility(rows, points),
                extent_mm=(ends[0], ends[1], ends[2], ends[3]),
                centre_mm=(float(centre_mm[one]), float(centre_mm[two])),
                voxel_mm=(voxel_size_mm[one], voxel_size_mm[two]),
            )
        )
    return tuple(made)


def _reach_mm(rows: FloatArray, centre_mm: tuple[float, float, float]) -> float:
    """Return the distance from the centre that a plane shows: all of the source, and the given point."""
    away = np.linalg.norm(rows[:, ROW_CENTRE] - centre_mm, axis=1) + half_lengths_mm(rows)
    return float(max(away.max(), np.abs(centre_mm).max())) + MARGIN_MM


def _susceptibility(rows: FloatArray, points: FloatArray) -> FloatArray:
    """Return the susceptibility at points (3, n, m), ppm."""
    volumes = UNIT_BALL_MM3 * rows[:, ROW_RADIUS] ** 2 * half_lengths_mm(rows)
    return np.asarray(
        sum(
            row[0] / volume * _is_inside(row, points).astype(float)
            for row, volume in zip(rows, volumes, strict=True)
        )
    )


def _is_inside(row: FloatArray, points: FloatArray) -> BoolArray:
    """Return which points lie in a ball or a spheroid: their distances from its foci add to less than its length."""
    focus = row[PER_BALL:] if len(row) > PER_BALL else np.zeros(3)
    half_length = np.sqrt(row[ROW_RADIUS] ** 2 + focus @ focus)
    distances = [
        np.linalg.norm(points - (row[ROW_CENTRE] + sign * focus)[:, None, None], axis=0) for sign in (1, -1)
    ]
    return np.asarray(distances[0] + distances[1] < 2 * half_length)
