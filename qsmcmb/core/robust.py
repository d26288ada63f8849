"""Statistics over a mask without gathering its voxels: exact medians, standard deviation, weights from an SD.

A gathered copy costs as much as a transform, and so does selecting in it. Here a sample gives limits between which a
rank lies, and one parallel pass counts what is below them and gathers the few values between.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core import _box_loops as boxes
from qsmcmb.core import _robust_loops as loops
from qsmcmb.core.memory import empty, sparse_zeros
from qsmcmb.typing import BoolArray, FloatArray

__all__ = (
    "deviation_inside",
    "inverse_sd_weights",
    "mean_inside",
    "median_inside",
    "positive_inside",
    "positive_median",
    "std_inside",
    "weights_and_median",
)

ZERO = np.float32(0)
"""The number 0 as float32, so that what it is taken from keeps its type."""
ROW_STEP = 101
"""Rows of a volume to one in the sample by which a median is looked for: one in 101 gives limits tight enough, and 101
is a prime, so that the sample does not follow the planes.
"""
Limits = tuple[np.float32, np.float32]
"""Lower and upper limit of the values that are gathered, unit of the volume."""


def median_inside(volume: FloatArray, mask: BoolArray) -> float:
    """Return the median over a mask.

    Parameters
    ----------
    volume : ndarray of shape (x, y, z), float32
        Any unit.
    mask : ndarray of shape (x, y, z), bool
        The mask, not empty.

    Returns
    -------
    float
        Median, unit of `volume`; the mean of the two middle ones where the number is even.

    Examples
    --------
    >>> volume = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    >>> median_inside(volume, volume > 1)
    4.5
    """
    middle = _median(volume, mask)
    assert middle is not None
    return middle


def positive_median(volume: FloatArray, mask: BoolArray) -> float | None:
    """Return the median of what is positive and finite inside a mask.

    Parameters
    ----------
    volume : ndarray of shape (x, y, z), float32
        Any unit.
    mask : ndarray of shape (x, y, z), bool
        The mask.

    Returns
    -------
    float or None
        Median, unit of `volume`, > 0; None where nothing in the mask is positive and finite.

    Examples
    --------
    >>> volume = np.array([[[1, 3, np.inf, -2]]], np.float32)
    >>> positive_median(volume, volume > -9)
    2.0
    """
    return _median(volume, mask, positive=True)


def deviation_inside(volume: FloatArray, mask: BoolArray) -> float:
    """Return the median absolute deviation from the median over a mask.

    Parameters
    ----------
    volume : ndarray of shape (x, y, z), float32
        Any unit.
    mask : ndarray of shape (x, y, z), bool
        The mask, not empty.

    Returns
    -------
    float
        Median absolute deviation, unit of `volume`, >= 0; 0.6745 SD of normal values.

    Examples
    --------
    >>> volume = np.array([[[1, 2, 4, 100]]], np.float32)
    >>> deviation_inside(volume, volume > 0)
    1.5
    """
    middle = _median(volume, mask, np.float32(median_inside(volume, mask)), fold=True)
    assert middle is not None
    return middle


def _median(
    volume: FloatArray,
    mask: BoolArray,
    centre: np.float32 = ZERO,
    *,
    fold: bool = False,
    positive: bool = False,
) -> float | None:
    # Of what a plane could hold little is written.
    """Return the median of the values, of their distances from a centre, or of the positive ones; None of nothing."""
    way, buffer = (centre, fold, positive), sparse_zeros((len(volume), volume[0].size + 1))
    everything = np.float32(-np.inf), np.float32(np.inf)
    # A sample says between what limits the middle lies; should it mislead, everything is gathered.
    for limits in (_around_middle(_gathered(volume, mask, way, everything, ROW_STEP, buffer)[0]), everything):
        values, below, count = _gathered(volume, mask, way, limits, 1, buffer)
        if not count:
            return None
        ranks = [(count - 1) // 2 - below, count // 2 - below]
        if ranks[0] >= 0 and ranks[1] < values.size:
            break
    return float(np.mean(np.partition(values, ranks)[ranks], dtype=np.float32))


def _around_middle(sample: FloatArray) -> tuple[np.float32, np.float32]:
    """Return limits between which the middle of all values lies almost surely, from a sample of them."""
    n = sample.size
    # Neighbouring voxels are alike: a sample says less than its size.
    reach = round((0.03 + 2 / np.sqrt(max(n, 1))) * n)
    low, high = n // 2 - reach, n // 2 + reach
    if low < 0 or high >= n:
        return np.float32(-np.inf), np.float32(np.inf)
    part = np.partition(sample, [low, high])
    return part[low], part[high]


def _gathered(
    volume: FloatArray,
    mask: BoolArray,
    way: tuple[np.float32, bool, bool],
    limits: Limits,
    step: int,
    buffer: FloatArray,
) -> tuple[FloatArray, int, int]:
    """Return the values between the limits, how many are below, and how many there are in all."""
    found = loops.gather(volume, mask, way, limits, step, buffer)
    values = np.concatenate([row[:n] for row, n in zip(buffer, found[:, 1], strict=True)])
    return values, int(found[:, 0].sum()), int(found[:, 2].sum())


def mean_inside(volume: FloatArray, mask: BoolArray) -> float:
    """Return the mean over a mask, accumulated in float64.

    Parameters
    ----------
    volume : ndarray of shape (x, y, z), float32
        Any unit.
    mask : ndarray of shape (x, y, z), bool
        The mask, not empty.

    Returns
    -------
    float
        Mean, unit of `volume`.

    Examples
    --------
    >>> volume = np.array([[[1, 3, 9]]], np.float32)
    >>> mean_inside(volume, volume < 5)
    2.0
    """
    return float(boxes.sum_inside(volume, mask, (0, 0, 0)).sum() / np.count_nonzero(mask))


def std_inside(volume: FloatArray, mask: BoolArray) -> float:
    """Return the standard deviation over a mask, accumulated in float64.

    Parameters
    ----------
    volume : ndarray of shape (x, y, z), float32
        Any unit.
    mask : ndarray of shape (x, y, z), bool
        The mask, not empty.

    Returns
    -------
    float
        Standard deviation of the values as a population, unit of `volume`, >= 0.

    Examples
    --------
    >>> volume = np.array([[[1, 3, 9]]], np.float32)
    >>> std_inside(volume, volume < 5)
    1.0
    """
    count, total, _ = loops.moments(volume, mask, 0.0).sum(axis=0)
    return float(np.sqrt(loops.moments(volume, mask, total / count).sum(axis=0)[2] / count))


def positive_inside(volume: FloatArray, mask: BoolArray) -> BoolArray | None:
    """Return the voxels of a mask at which a volume is positive and finite.

    Parameters
    ----------
    volume : ndarray of shape (x, y, z), float32
        Any unit.
    mask : ndarray of shape (x, y, z), bool
        The mask.

    Returns
    -------
    ndarray of shape (x, y, z), bool, or None
        The voxels; None where there is none.

    Examples
    --------
    >>> volume = np.array([[[1, -3, np.nan]]], np.float32)
    >>> positive_inside(volume, np.ones(volume.shape, bool)).tolist()
    [[[True, False, False]]]
    """
    out = empty(mask.shape, bool)
    return out if loops.mark_positive(volume, mask, out).any() else None


def inverse_sd_weights(field_sd: FloatArray | None, mask: BoolArray, cap: float) -> FloatArray:
    """Return weights that are inverse to an SD, with median 1 inside the mask.

    Parameters
    ----------
    field_sd : ndarray of shape (x, y, z), float32, or None
        SD, any unit. Where it is not positive or not finite the weight is 0; where it is so nowhere, or with None, all
        weights are 1.
    mask : ndarray of shape (x, y, z), bool
        The mask; the weight is 0 outside.
    cap : float
        Largest weight, > 0.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        Dimensionless weights, 0 to `cap`.

    Examples
    --------
    >>> sd = np.array([[[1, 2, 8]]], np.float32)
    >>> inverse_sd_weights(sd, sd > 0, 1.5).tolist()
    [[[1.5, 1.0, 0.25]]]
    """
    return weights_and_median(field_sd, mask, cap)[0]


def weights_and_median(
    field_sd: FloatArray | None, mask: BoolArray, cap: float, *, squared: bool = False
) -> tuple[FloatArray, float | None]:
    """Return weights that are inverse to an SD, and the SD that has weight 1.

    Parameters
    ----------
    field_sd : ndarray of shape (x, y, z), float32, or None
        SD, any unit. Where it is not positive or not finite the weight is 0; where it is so nowhere, or with None, all
        weights are 1.
    mask : ndarray of shape (x, y, z), bool
        The mask; the weight is 0 outside.
    cap : float
        Largest weight, > 0.
    squared : bool, optional
        Return the squares of the weights.

    Returns
    -------
    weights : ndarray of shape (x, y, z), float32
        Dimensionless weights, 0 to `cap`, or their squares.
    median : float or None
        Median SD, unit of `field_sd`; None where no SD is usable.

    Examples
    --------
    >>> sd = np.array([[[1, 2, 8]]], np.float32)
    >>> weights_and_median(sd, sd > 0, 1.5, squared=True)[1]
    2.0
    """
    middle = None if field_sd is None else positive_median(field_sd, mask)
    if field_sd is None or middle is None:
        return mask.astype(np.float32), None
    weight = empty(mask.shape)
    loops.divide_capped(np.float32(middle), field_sd, mask, np.float32(cap), squared, weight)
    return weight, middle
