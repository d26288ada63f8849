"""Statistics over a mask without gathering its voxels: exact medians, standard deviation, weights from an SD.

A gathered copy costs as much as a transform, and so does selecting in it. Here a sample tells between what limits a
rank lies, and one parallel pass counts what is below them and gathers the few values between.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core import _box_loops as boxes
from qsmcmb.core import _robust_loops as loops
from qsmcmb.core.memory import empty, sparse_zeros
from qsmcmb.typing import BoolArray, FloatArray

ZERO = np.float32(0)
ROW_STEP = 101
"""One row in so many is the sample that a median is looked for by."""
Limits = tuple[np.float32, np.float32]


def median_inside(volume: FloatArray, mask: BoolArray) -> float:
    """Return the median of a float32 volume over a mask that is not empty.

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
    """Return the median of what is positive and finite inside a mask; None where nothing is.

    Examples
    --------
    >>> volume = np.array([[[1, 3, np.inf, -2]]], np.float32)
    >>> positive_median(volume, volume > -9)
    2.0
    """
    return _median(volume, mask, positive=True)


def deviation_inside(volume: FloatArray, mask: BoolArray) -> float:
    """Return the median absolute deviation from the median over a mask that is not empty.

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
    way, kept = (centre, fold, positive), sparse_zeros((len(volume), volume[0].size + 1))
    everything = np.float32(-np.inf), np.float32(np.inf)
    # A sample says between what limits the middle lies; should it mislead, everything is gathered.
    for limits in (_around_middle(_gathered(volume, mask, way, everything, ROW_STEP, kept)[0]), everything):
        values, below, count = _gathered(volume, mask, way, limits, 1, kept)
        if not count:
            return None
        ranks = [(count - 1) // 2 - below, count // 2 - below]
        if ranks[0] >= 0 and ranks[1] < values.size:
            break
    return float(np.mean(np.partition(values, ranks)[ranks], dtype=np.float32))


def _around_middle(sample: FloatArray) -> tuple[np.float32, np.float32]:
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
    kept: FloatArray,
) -> tuple[FloatArray, int, int]:
    """Return the values between the limits, how many are below, and how many there are in all."""
    found = loops.gather(volume, mask, way, limits, step, kept)
    values = np.concatenate([row[:n] for row, n in zip(kept, found[:, 1], strict=True)])
    return values, int(found[:, 0].sum()), int(found[:, 2].sum())


def mean_inside(volume: FloatArray, mask: BoolArray) -> float:
    """Return the mean over a mask that is not empty, accumulated in float64.

    Examples
    --------
    >>> volume = np.array([[[1, 3, 9]]], np.float32)
    >>> mean_inside(volume, volume < 5)
    2.0
    """
    return float(boxes.sum_inside(volume, mask, (0, 0, 0)).sum() / np.count_nonzero(mask))


def std_inside(volume: FloatArray, mask: BoolArray) -> float:
    """Return the standard deviation over a mask that is not empty, accumulated in float64.

    Examples
    --------
    >>> volume = np.array([[[1, 3, 9]]], np.float32)
    >>> std_inside(volume, volume < 5)
    1.0
    """
    count, total, _ = loops.moments(volume, mask, 0.0).sum(axis=0)
    return float(np.sqrt(loops.moments(volume, mask, total / count).sum(axis=0)[2] / count))


def positive_inside(volume: FloatArray, mask: BoolArray) -> BoolArray | None:
    """Return where in the mask a volume is positive and finite; None where it is so nowhere."""
    out = empty(mask.shape, bool)
    return out if loops.mark_positive(volume, mask, out).any() else None


def inverse_sd_weights(field_sd: FloatArray | None, mask: BoolArray, cap: float) -> FloatArray:
    """Return the inverse SD with median 1 inside the mask, at most `cap`.

    Parameters
    ----------
    field_sd : ndarray of shape mask.shape, float32, optional
        Any unit. Where it is not positive or not finite the weight is 0; where it is so nowhere, or with None, all
        weights are 1.
    mask : ndarray of bool
        0 outside.
    cap : float
        Largest weight.

    Returns
    -------
    ndarray of shape mask.shape, float32
    """
    return weights_and_median(field_sd, mask, cap)[0]


def weights_and_median(
    field_sd: FloatArray | None, mask: BoolArray, cap: float, *, squared: bool = False
) -> tuple[FloatArray, float | None]:
    """Return `inverse_sd_weights`, or their squares, and the median SD that counts 1; None where no SD is usable."""
    middle = None if field_sd is None else positive_median(field_sd, mask)
    if field_sd is None or middle is None:
        return mask.astype(np.float32), None
    weight = empty(mask.shape)
    loops.divide_capped(np.float32(middle), field_sd, mask, np.float32(cap), squared, weight)
    return weight, middle
