"""Scores of lesions on a map: what of their total susceptibility is recovered, and what streaks they leave.

As in `qsmcmb.validation.scores`, what lies outside the mask does not count.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmcmb.core.boxes import ball_box
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray, IntArray
from qsmcmb.validation.scores import checked_pair

__all__ = ("moment_ratios", "point_moments", "streaks")

LESION_MARGIN = 5
"""Voxels around lesions that do not count as tissue when the reference is taken, so that their blur does not shift
it.
"""
BALL_MM, GAP_MM, SHELL_MM = 5.0, 0.5, 3.0
"""Radius of the ball (mm), width of the gap around it (mm) and of the shell (mm) of the sum around a point: the ball
holds a microbleed and its blur.
"""
STREAK_SHELL = (2, 8)
"""Distances from a lesion, voxels, beyond the first and up to the second of which streaks are looked for."""


def moment_ratios(
    result_ppm: FloatArray, truth_ppm: FloatArray, mask: BoolArray, labels: IntArray
) -> FloatArray:
    """Return for each lesion the fraction of its total susceptibility that the map recovers.

    Parameters
    ----------
    result_ppm : ndarray of shape (x, y, z)
        Susceptibility, ppm, taken against its median over the mask 5 voxels and more from any lesion.
    truth_ppm : ndarray of shape (x, y, z)
        True susceptibility, ppm.
    mask : ndarray of shape (x, y, z), bool
        Where the map is defined.
    labels : ndarray of shape (x, y, z), int
        Lesions, numbered from 1.

    Returns
    -------
    ndarray of shape (lesions,)
        Sum of the result over the true sum; NaN for a lesion that is not wholly inside the mask.

    Raises
    ------
    InvalidInputError
        ARGUMENT: shapes differ, or the mask is empty.

    Examples
    --------
    >>> labels = np.zeros((20, 20, 20), int)
    >>> labels[4, 4, 4], labels[14, 14, 14] = 1, 2
    >>> truth = 2.0 * (labels > 0)
    >>> moment_ratios(0.9 * truth - 3, truth, np.ones(truth.shape, bool), labels).round(3)
    array([0.9, 0.9])
    """
    result_ppm, truth_ppm = checked_pair(result_ppm, truth_ppm, mask)
    lesions = labels > 0
    far = mask & ~ndimage.binary_dilation(lesions, iterations=LESION_MARGIN)
    reference = np.median(result_ppm[far])
    ratios = []
    for number in range(1, int(labels.max()) + 1):
        lesion = labels == number
        inside = lesion.any() and bool(mask[lesion].all())
        ratios.append((result_ppm[lesion] - reference).sum() / truth_ppm[lesion].sum() if inside else np.nan)
    return np.array(ratios)


def point_moments(chi_ppm: FloatArray, mask: BoolArray, grid: Grid, points_mm: FloatArray) -> FloatArray:
    """Return the sum of a map around points, one rule for all methods.

    Parameters
    ----------
    chi_ppm : ndarray of shape grid.shape
        Susceptibility, ppm.
    mask : ndarray of shape grid.shape, bool
        Where the map is defined.
    grid : Grid
        Geometry.
    points_mm : ndarray of shape (n, 3)
        Positions, scanner RAS+, mm.

    Returns
    -------
    ndarray of shape (n,)
        Sum over a ball of 5 mm above the median of a shell of 3 mm that begins 0.5 mm further out, ppm mm3; NaN where
        ball or shell have no voxel in the mask.

    Examples
    --------
    >>> grid = Grid.isotropic((30, 30, 30), 1.0)
    >>> chi = np.full(grid.shape, 0.5)
    >>> chi[15, 15, 15] += 4
    >>> point_moments(chi, np.ones(grid.shape, bool), grid, np.zeros((1, 3)))
    array([4.])
    """
    reach = BALL_MM + GAP_MM + SHELL_MM
    sums = []
    for centre in grid.to_voxel(np.asarray(points_mm, float)):
        box, distance = ball_box(grid, centre, reach)
        values, inside = chi_ppm[box].astype(np.float64), mask[box]
        ball = inside & (distance <= BALL_MM)
        shell = inside & (distance > BALL_MM + GAP_MM) & (distance <= reach)
        known = ball.any() and shell.any()
        above = (values[ball] - np.median(values[shell])).sum() if known else np.nan
        sums.append(above * grid.voxel_volume_mm3)
    return np.array(sums)


def streaks(result_ppm: FloatArray, truth_ppm: FloatArray, mask: BoolArray, labels: IntArray) -> float:
    """Return the SD of the error in a shell around lesions over the lesion's true mean contrast, their median.

    Parameters
    ----------
    result_ppm : ndarray of shape (x, y, z)
        Susceptibility, ppm.
    truth_ppm : ndarray of shape (x, y, z)
        True susceptibility, ppm.
    mask : ndarray of shape (x, y, z), bool
        Where the map is defined.
    labels : ndarray of shape (x, y, z), int
        Lesions, numbered from 1. The shell begins 2 voxels outside the lesion, so that a blurred edge is no streak,
        and ends at 8; other lesions' surroundings are left out.

    Returns
    -------
    float
        Streaks, %, >= 0; NaN without any lesion inside the mask.

    Raises
    ------
    InvalidInputError
        ARGUMENT: shapes differ, or the mask is empty.

    Examples
    --------
    >>> labels = np.zeros((24, 24, 24), int)
    >>> labels[12, 12, 12] = 1
    >>> truth = 2.0 * labels
    >>> streaks(truth + 7, truth, np.ones(truth.shape, bool), labels)
    0.0
    """
    result_ppm, truth_ppm = checked_pair(result_ppm, truth_ppm, mask)
    near, far = STREAK_SHELL
    found = []
    for number, where in enumerate(ndimage.find_objects(labels), start=1):
        if where is None:
            continue
        box = tuple(
            slice(max(0, s.start - far), min(n, s.stop + far))
            for s, n in zip(where, labels.shape, strict=True)
        )
        lesion, others = labels[box] == number, (labels[box] > 0) & (labels[box] != number)
        distance = ndimage.distance_transform_edt(~lesion)
        shell = mask[box] & (distance > near) & (distance <= far)
        if others.any():
            shell &= ndimage.distance_transform_edt(~others) > near
        if not shell.any() or not mask[box][lesion].all():
            continue
        error = (result_ppm[box] - truth_ppm[box])[shell]
        found.append(100 * error.std() / abs(truth_ppm[box][lesion].mean()))
    return float(np.median(found)) if found else float("nan")
