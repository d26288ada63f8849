"""Scans that stand out from the others of a study, by the median and the median absolute deviation.

The robust z of a value is its distance from the median in units of 1.4826 times the median absolute deviation, which is
the SD of normal values (Iglewicz and Hoaglin, How to detect and handle outliers, 1993, limit 3.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ("MAX_Z", "MIN_VALUES", "Outlier", "find_outliers")

MAX_Z = 3.5
"""Robust z beyond which a value is an outlier."""
MIN_VALUES = 8
"""Values that a median absolute deviation needs to say anything."""
MAD_TO_SD = 1.4826
"""SD of normal values over their median absolute deviation."""
MIN_RELATIVE_SD = 0.01
"""Least SD as a fraction of the median: values that all but agree have no outliers."""


class Outlier(NamedTuple):
    """A value that stands out.

    Parameters
    ----------
    position : int
        Its position among the values.
    value, median : float
        The value, and the median of all.
    z : float
        Its robust z, of logarithms where all values are above 0.

    Examples
    --------
    >>> Outlier(3, 90.0, 4.0, 6.1).position
    3
    """

    position: int
    value: float
    median: float
    z: float


def find_outliers(values: Sequence[float | None]) -> list[Outlier]:
    """Return the values that lie more than 3.5 robust SDs from the median.

    Parameters
    ----------
    values : sequence of float or None
        One for each scan; unknown ones do not count.

    Returns
    -------
    list of Outlier
        In the order of the values; empty for fewer than 8 of them, and where more than half are one value.

    Examples
    --------
    >>> find_outliers([4.0, 5.0, 3.0, None, 6.0, 4.5, 5.5, 3.5, 900.0])[0].position
    8
    >>> find_outliers([4.0, 5.0, 900.0])
    []
    """
    known = [n for n, value in enumerate(values) if value is not None and math.isfinite(value)]
    if len(known) < MIN_VALUES:
        return []
    x = np.array([values[n] for n in known], float)
    is_log = bool((x > 0).all())
    y = np.log(x) if is_log else x
    middle = float(np.median(y))
    spread = MAD_TO_SD * float(np.median(np.abs(y - middle)))
    if spread == 0:
        return []
    z = (y - middle) / max(spread, MIN_RELATIVE_SD * (1.0 if is_log else abs(middle)))
    median = float(np.exp(middle)) if is_log else middle
    return [
        Outlier(n, float(value), median, float(own))
        for n, value, own in zip(known, x, z, strict=True)
        if abs(own) > MAX_Z
    ]
