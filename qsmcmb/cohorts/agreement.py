"""Agreement of two measurements of the same subjects: kappa, intraclass correlation, limits of agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

from qsmcmb.cohorts.statistic import NORMAL_QUANTILE, Statistic
from qsmcmb.typing import FloatArray

__all__ = ("describe_differences", "intraclass_correlation", "weighted_kappa")

LEVEL = 0.975
"""Quantile of the upper end of an interval."""


def weighted_kappa(
    first: Sequence[int], second: Sequence[int], *, quantity: str, group: str, weights: str | None = None
) -> Statistic:
    """Return Cohen's kappa of two ratings.

    Parameters
    ----------
    first, second : sequence of int
        Category of each subject by either rating; categories of a weighted kappa are in order.
    quantity, group : str
        First columns of the row.
    weights : {None, "linear", "quadratic"}, optional
        How a disagreement counts; all alike by default.

    Returns
    -------
    Statistic
        Kappa; no estimate where all ratings are one category, for chance alone then explains all agreement.

    References
    ----------
    Cohen J. Weighted kappa. Psychol Bull 1968;70:213-220. doi:10.1037/h0026256

    Examples
    --------
    >>> weighted_kappa([0, 0, 0], [0, 0, 0], quantity="count class", group="all").warnings
    ('all ratings are the same: kappa is 0/0',)
    """
    name, model = f"kappa of {quantity}", f"Cohen's kappa, {weights or 'unweighted'}"
    categories = np.unique([*first, *second])
    if len(first) < 2 or len(categories) < 2:
        said = "fewer than two pairs" if len(first) < 2 else "all ratings are the same: kappa is 0/0"
        return Statistic(name, group, n=len(first), model=model, warnings=(said,))
    from statsmodels.stats.inter_rater import cohens_kappa

    table = np.zeros((len(categories),) * 2)
    np.add.at(table, (np.searchsorted(categories, first), np.searchsorted(categories, second)), 1)
    found = cohens_kappa(table, wt=weights)
    kappa, half = float(found.kappa), NORMAL_QUANTILE * float(found.std_kappa)
    said_of = ("no disagreement: the interval has no width",) if half == 0 else ()
    return Statistic(
        name, group, kappa, kappa - half, min(1.0, kappa + half), n=len(first), model=model, warnings=said_of
    )


def intraclass_correlation(values: FloatArray, *, quantity: str, group: str) -> Statistic:
    """Return the intraclass correlation ICC(2,1): absolute agreement of single measurements.

    Parameters
    ----------
    values : ndarray of shape (subjects, measurements)
        One row for each subject.
    quantity, group : str
        First columns of the row.

    Returns
    -------
    Statistic
        ICC with its interval; no estimate for fewer than two subjects or values that do not vary.

    Notes
    -----
    ICC = (R - E) / (R + (k - 1) E + k (C - E) / n), with the mean squares of n rows (R), k columns (C) and the
    rest (E).

    References
    ----------
    Shrout PE, Fleiss JL. Intraclass correlations: uses in assessing rater reliability. Psychol Bull 1979;86:420-428.
    doi:10.1037/0033-2909.86.2.420

    Examples
    --------
    >>> ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]])
    >>> icc = intraclass_correlation(ratings, quantity="rating", group="all")
    >>> round(icc.estimate, 2), round(icc.low, 2), round(icc.high, 2)
    (0.29, 0.02, 0.76)
    """
    name, model = f"intraclass correlation of {quantity}", "ICC(2,1)"
    n, k = values.shape
    if n < 2 or values.std() == 0:
        said = "fewer than two subjects" if n < 2 else "the values do not vary"
        return Statistic(name, group, n=n, model=model, warnings=(said,))
    mean, rows, columns = values.mean(), values.mean(axis=1), values.mean(axis=0)
    r = k * ((rows - mean) ** 2).sum() / (n - 1)
    c = n * ((columns - mean) ** 2).sum() / (k - 1)
    rest = values - rows[:, None] - columns + mean
    e = (rest**2).sum() / ((n - 1) * (k - 1))
    icc = float((r - e) / (r + (k - 1) * e + k * (c - e) / n))
    if e == 0:
        said = "the measurements differ by a constant: no interval"
        return Statistic(name, group, icc, n=n, model=model, warnings=(said,))
    a, b = k * icc / (n * (1 - icc)), 1 + k * icc * (n - 1) / (n * (1 - icc))
    v = (a * c + b * e) ** 2 / ((a * c) ** 2 / (k - 1) + (b * e) ** 2 / ((n - 1) * (k - 1)))
    up, down = f_distribution.ppf(LEVEL, n - 1, v), f_distribution.ppf(LEVEL, v, n - 1)
    shared = k * c + (k * n - k - n) * e
    low = n * (r - up * e) / (up * shared + n * r)
    high = n * (down * r - e) / (shared + n * down * r)
    return Statistic(name, group, icc, float(low), float(high), n=n, model=model)


def describe_differences(
    first: FloatArray, second: FloatArray, *, quantity: str, group: str, unit: str = ""
) -> list[Statistic]:
    """Return the mean difference of two measurements and their limits of agreement.

    Parameters
    ----------
    first, second : ndarray of shape (subjects,)
        The measurements; differences are second minus first.
    quantity, group : str
        First columns of the rows.
    unit : str, optional
        Their unit.

    Returns
    -------
    list of Statistic
        Mean difference, lower and upper limit of agreement (1.96 SD from it), each with its interval.

    References
    ----------
    Bland JM, Altman DG. Statistical methods for assessing agreement between two methods of clinical measurement. Lancet
    1986;327:307-310. doi:10.1016/S0140-6736(86)90837-8

    Examples
    --------
    >>> rows = describe_differences(np.zeros(4), np.array([1.0, 2.0, 3.0, 2.0]), quantity="x", group="all")
    >>> [round(row.estimate, 2) for row in rows]
    [2.0, 0.4, 3.6]
    """
    n, model = len(first), "Bland and Altman"
    names = ("mean difference", "lower limit of agreement", "upper limit of agreement")
    if n < 2:
        said = ("fewer than two pairs",)
        return [
            Statistic(f"{m} of {quantity}", group, n=n, unit=unit, model=model, warnings=said) for m in names
        ]
    difference = second - first
    mean, sd, t = (
        float(difference.mean()),
        float(difference.std(ddof=1)),
        float(t_distribution.ppf(LEVEL, n - 1)),
    )
    same = ("the difference is the same in all pairs: no interval",) if sd == 0 else ()
    halves = (t * sd / math.sqrt(n), *[t * sd * math.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))] * 2)
    centres = (mean, mean - 1.96 * sd, mean + 1.96 * sd)
    return [
        Statistic(f"{name} of {quantity}", group, c, c - h, c + h, n=n, unit=unit, model=model, warnings=same)
        for name, c, h in zip(names, centres, halves, strict=True)
    ]
