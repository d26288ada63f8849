"""Which numbers of a study its protocols move: counts, visible volumes, totals, within subjects where that is possible.

The sum of a number over a subject's scans is parted among them: scan t of subject i has the fraction exp(x b) / sum of
exp(x b). This conditional Poisson likelihood needs no Poisson data, takes zeros, and leaves out what differs between
subjects; the standard errors are robust, by subject.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import t as t_distribution

from qsmcmb.cohorts.statistic import Statistic
from qsmcmb.typing import AnyArray, FloatArray

__all__ = ("compare_protocols",)

STEPS = 50
"""Newton steps after which the fit is given up."""
CONVERGED = 1e-9
"""Largest step of a coefficient at which it has ended."""
MIN_SUBJECTS = 6
"""Subjects below which a robust standard error says nothing."""
MAX_LOG_RATIO = 20.0
"""Logarithm of a ratio beyond which there is no finite estimate."""


def compare_protocols(
    numbers: dict[str, FloatArray], factors: dict[str, FloatArray], *, subjects: AnyArray
) -> list[Statistic]:
    """Return by what ratio each number changes with each factor of the protocol.

    Parameters
    ----------
    numbers : dict of str to ndarray of shape (scans,)
        Counts, volumes and totals of the scans, 0 or more.
    factors : dict of str to ndarray of shape (scans,)
        Columns by what one step of them is, e.g. ``"doubled field strength"`` for the base-2 logarithm of tesla.
    subjects : ndarray of shape (scans,)
        Subject of each scan.

    Returns
    -------
    list of Statistic
        A row for each number and factor: ratio per step. Factors that no subject's scans differ in are compared
        between subjects, with a warning; those that follow from others are not estimated.

    References
    ----------
    Wooldridge JM. Distribution-free estimation of some nonlinear panel data models. J Econom 1999;90:77-97.
    doi:10.1016/S0304-4076(98)00033-5

    Examples
    --------
    >>> subjects = np.repeat(np.arange(20), 2)
    >>> tesla, own = np.tile([0.0, 1.0], 20), np.repeat(np.arange(1.0, 21), 2)
    >>> numbers = {"volume": own * 2**tesla, "total": own}
    >>> rows = compare_protocols(numbers, {"doubled field strength": tesla}, subjects=subjects)
    >>> [(row.quantity, round(row.estimate, 2)) for row in rows]
    [('ratio of volume', 2.0), ('ratio of total', 1.0)]
    """
    _, index = np.unique(subjects, return_inverse=True)
    within = {
        name: column - (np.bincount(index, column) / np.bincount(index))[index]
        for name, column in factors.items()
    }
    paired = [name for name, column in within.items() if np.abs(column).max(initial=0) > 1e-9]
    alone = [name for name in factors if name not in paired and np.ptp(factors[name]) > 1e-9]
    independent, dependent = _independent({name: within[name] for name in paired})
    rows = []
    for quantity, values in numbers.items():
        rows += _ratios(quantity, values, {n: factors[n] for n in independent}, index)
        rows += [
            Statistic(
                f"ratio of {quantity}", name, n=len(values), model="within subjects",
                warnings=(f"changes together with {', '.join(independent)}: cannot be separated",),
            )
            for name in dependent
        ]  # fmt: skip
        everyone = np.zeros(len(values), int)
        for name in alone:
            rows += _ratios(quantity, values, {name: factors[name]}, everyone, clusters=index)
    return rows


def _independent(columns: dict[str, FloatArray]) -> tuple[list[str], list[str]]:
    """Return the names of columns that do not follow from earlier ones, and of those that do."""
    taken: list[str] = []
    rest: list[str] = []
    for name in columns:
        matrix = np.column_stack([columns[n] / columns[n].std() for n in (*taken, name)])
        (taken if np.linalg.matrix_rank(matrix, tol=1e-6) == matrix.shape[1] else rest).append(name)
    return taken, rest


def _ratios(
    quantity: str,
    values: FloatArray,
    factors: dict[str, FloatArray],
    index: AnyArray,
    *,
    clusters: AnyArray | None = None,
) -> list[Statistic]:
    """Return the rows of one number; `index` groups the scans whose sum is parted."""
    if not factors:
        return []
    x, name = np.column_stack(list(factors.values())), f"ratio of {quantity}"
    model = "conditional Poisson within subjects, robust"
    said: tuple[str, ...] = ()
    if clusters is not None:
        model, said = "Poisson between subjects, robust", ("other subjects, not the same ones scanned twice",)
    sums = np.bincount(index, values)
    shown = int(np.count_nonzero(sums))
    fitted = _fit(x, values, index, index if clusters is None else clusters) if shown else None
    if fitted is None or (shown < 2 and clusters is None):
        reason = (
            "all are 0"
            if not values.any()
            else "no finite estimate: too few subjects with any, or 0 at one level"
        )
        return [Statistic(name, f, n=len(values), model=model, warnings=(reason, *said)) for f in factors]
    b, se = fitted
    n_subjects = shown if clusters is None else len(np.unique(clusters))
    rows = []
    for number, factor in enumerate(factors):
        if n_subjects < MIN_SUBJECTS or se[number] <= 0:
            few = f"{n_subjects} subjects with any: no interval"
            values_of, more = (math.exp(b[number]), math.nan, math.nan, math.nan), few
        else:
            quantile = float(t_distribution.ppf(0.975, n_subjects - 1))
            low, high = (math.exp(b[number] + k * quantile * se[number]) for k in (-1, 1))
            p = 2 * float(t_distribution.sf(abs(b[number]) / se[number], n_subjects - 1))
            values_of, more = (math.exp(b[number]), low, high, p), _verdict(low, high)
        rows.append(
            Statistic(
                name, factor, *values_of, n=len(values), events=shown, model=model, warnings=(*said, more)
            )
        )
    return rows


def _verdict(low: float, high: float) -> str:
    """Return in words what an interval of a ratio says."""
    if low > 1 or high < 1:
        return "moves with the protocol"
    most = max(abs(1 - low), abs(high - 1))
    return f"no movement shown; the interval allows {100 * most:.0f} %"


def _fit(
    x: FloatArray, values: FloatArray, index: AnyArray, clusters: AnyArray
) -> tuple[FloatArray, FloatArray] | None:
    """Return coefficients and robust standard errors by Newton's method; None without a finite estimate."""
    n_groups, sums = int(index.max()) + 1, np.bincount(index, values)
    b = np.zeros(x.shape[1])
    for _ in range(STEPS):
        weight = np.exp(x @ b - (x @ b).max())
        mean = sums[index] * weight / np.bincount(index, weight)[index]
        centre = np.column_stack([
            np.bincount(index, mean * column, minlength=n_groups) for column in x.T
        ]) / np.where(sums, sums, 1)[:, None]  # fmt: skip
        from_centre = x - centre[index]
        information = (from_centre * mean[:, None]).T @ from_centre
        if np.linalg.matrix_rank(information) < len(b):
            return None
        step = np.linalg.solve(information, from_centre.T @ (values - mean))
        b = b + np.clip(step, -2, 2)
        if np.abs(b).max() > MAX_LOG_RATIO:
            return None
        if np.abs(step).max() < CONVERGED:
            break
    else:
        return None
    scores = from_centre * (values - mean)[:, None]
    of_clusters = np.column_stack([np.bincount(clusters, column) for column in scores.T])
    inverse = np.linalg.inv(information)
    n_clusters = len(np.unique(clusters))
    robust = inverse @ (of_clusters.T @ of_clusters) @ inverse * n_clusters / max(n_clusters - 1, 1)
    # Scores that cancel leave a variance of rounding errors, which may be below 0.
    return b, np.sqrt(np.maximum(np.diag(robust), 0.0))
