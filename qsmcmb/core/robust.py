"""Statistics over a mask without gathering its voxels: exact medians, standard deviation, weights from an SD.

A gathered copy costs as much as a transform, and so does selecting in it. Here the ranks of float32 values are found
by counting the two halves of their bit patterns, one parallel pass each.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core import _box_loops as boxes
from qsmcmb.core import _robust_loops as loops
from qsmcmb.core.memory import empty
from qsmcmb.typing import BoolArray, FloatArray


def median_inside(volume: FloatArray, mask: BoolArray) -> float:
    """Return the median of a float32 volume over a mask that is not empty.

    Examples
    --------
    >>> volume = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    >>> median_inside(volume, volume > 1)
    4.5
    """
    return _median(volume, mask, np.float32(0), fold=False)


def deviation_inside(volume: FloatArray, mask: BoolArray) -> float:
    """Return the median absolute deviation from the median over a mask that is not empty.

    Examples
    --------
    >>> volume = np.array([[[1, 2, 4, 100]]], np.float32)
    >>> deviation_inside(volume, volume > 0)
    1.5
    """
    return _median(volume, mask, np.float32(median_inside(volume, mask)), fold=True)


def _median(volume: FloatArray, mask: BoolArray, centre: np.float32, *, fold: bool) -> float:
    high = loops.count_high(volume, mask, centre, fold).sum(axis=0)
    count = int(high.sum())
    ranks = sorted({(count - 1) // 2, count // 2})
    below = np.cumsum(high)
    values, upper, low = [], -1, high
    for rank in ranks:
        found = int(np.searchsorted(below, rank, side="right"))
        if found != upper:
            upper, low = found, loops.count_low(volume, mask, centre, fold, found).sum(axis=0)
        lower = int(np.searchsorted(np.cumsum(low), rank - (below[upper] - high[upper]), side="right"))
        key = np.int32(((upper - loops.HALF_KEYS // 2) << 16) | lower)
        values.append(np.int32(key ^ ((key >> 31) & 0x7FFFFFFF)).view(np.float32))
    return float(np.mean(values, dtype=np.float32))


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
    usable = None if field_sd is None else positive_inside(field_sd, mask)
    if field_sd is None or usable is None:
        return mask.astype(np.float32), None
    weight = empty(mask.shape)
    middle = median_inside(field_sd, usable)
    loops.divide_capped(np.float32(middle), field_sd, usable, np.float32(cap), squared, weight)
    return weight, middle
