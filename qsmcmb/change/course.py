"""Course of a quantity over dated sessions, and counts whose events are uncertain.

A straight line a + b t is fitted to values v_k with SDs s_k at times t_k by weighted least squares, weights 1 / s_k^2,
so that Var(b) = 1 / sum w_k (t_k - t)^2 with the weighted mean t of the times. With three sessions or more the SD is
widened by the root of chi^2 / (n - 2) where that exceeds 1: then the line, or an SD, is not the whole truth.

The number of events of probabilities p_i is Poisson-binomial: its distribution is the convolution of (1 - p_i, p_i).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.change.records import NORMAL_QUANTILE
from qsmcmb.model import Estimate
from qsmcmb.typing import FloatArray

__all__ = ("CountInterval", "annual_change", "count_distribution", "count_interval", "interval_record")


class CountInterval(NamedTuple):
    """Number of uncertain events.

    Parameters
    ----------
    expected : float
        Mean.
    low, high : int
        Ends of the 95 % interval.
    n_events : int
        Events that may count.

    Examples
    --------
    >>> CountInterval(1.4, 1, 2, 2).high
    2
    """

    expected: float
    low: int
    high: int
    n_events: int


def annual_change(years: Sequence[float], values: Sequence[Estimate | None]) -> Estimate | None:
    """Return the change a year of a quantity, by a weighted straight line.

    Parameters
    ----------
    years : sequence of float
        Time of each session, years.
    values : sequence of Estimate or None
        Value in each session; those that are None or have no SD are left out.

    Returns
    -------
    Estimate or None
        Change a year, in the unit of the values; None with fewer than two values or times.

    Examples
    --------
    >>> values = [Estimate(10.0, 0.3, "ppm mm3"), Estimate(12.0, 0.4, "ppm mm3")]
    >>> str(annual_change([0.0, 2.0], values))
    '1 +- 0.25 ppm mm3'
    """
    known = [(t, v) for t, v in zip(years, values, strict=True) if v is not None and 0 < v.sd < np.inf]
    times = np.array([t for t, _ in known])
    if len(known) < 2 or np.ptp(times) <= 0:
        return None
    y = np.array([v.value for _, v in known])
    weight = np.array([v.sd for _, v in known]) ** -2.0
    centred = times - weight @ times / weight.sum()
    power = float(weight @ centred**2)
    slope = float((weight * centred) @ y) / power
    sd = power**-0.5
    if len(known) > 2:
        off = y - weight @ y / weight.sum() - slope * centred
        sd *= max(1.0, float(np.sqrt(weight @ off**2 / (len(known) - 2))))
    return Estimate(slope, sd, known[0][1].unit)


def count_distribution(probabilities: Sequence[float]) -> FloatArray:
    """Return the distribution of the number of events.

    Parameters
    ----------
    probabilities : sequence of float
        Probability of each event, 0 to 1, independent of each other.

    Returns
    -------
    ndarray of shape (n + 1,)
        Probability of 0, 1 ... n events.

    References
    ----------
    Hong Y. On computing the distribution function for the Poisson binomial distribution. Comput Stat Data Anal
    2013;59:41-51. doi:10.1016/j.csda.2012.10.006

    Examples
    --------
    >>> count_distribution([0.5, 0.5]).tolist()
    [0.25, 0.5, 0.25]
    """
    found = np.ones(1)
    for p in probabilities:
        found = np.convolve(found, (1.0 - p, p))
    return found


def count_interval(probabilities: Sequence[float]) -> CountInterval:
    """Return the expected number of events with its 95 % interval.

    Parameters
    ----------
    probabilities : sequence of float
        Probability of each event, 0 to 1, independent of each other.

    Returns
    -------
    CountInterval
        Mean, and the numbers below and above which at most 2.5 % lie.

    Examples
    --------
    >>> count_interval([1.0, 1.0, 0.5])
    CountInterval(expected=2.5, low=2, high=3, n_events=3)
    """
    below = np.cumsum(count_distribution(probabilities))
    tail = 1.0 - 0.95
    low, high = (int(np.searchsorted(below, q * (1 - 1e-12))) for q in (tail / 2, 1 - tail / 2))
    return CountInterval(float(sum(probabilities)), low, min(high, len(probabilities)), len(probabilities))


def interval_record(estimate: Estimate | None, name: str, unit: str) -> dict[str, float | None]:
    """Return value, SD and 95 % interval under names for a JSON.

    Parameters
    ----------
    estimate : Estimate or None
        The value; None where there is none.
    name, unit : str
        Name, and the unit as it stands in names, as ``"ppm_mm3"``.

    Returns
    -------
    dict
        The value, and the same with `_sd`, `_low` and `_high` behind the name.

    Examples
    --------
    >>> interval_record(Estimate(1.0, 0.5, "ppm"), "change", "ppm")["change_high_ppm"]
    1.98
    """
    names = [f"{name}{part}_{unit}" for part in ("", "_sd", "_low", "_high")]
    if estimate is None:
        return dict.fromkeys(names)
    half = NORMAL_QUANTILE * estimate.sd
    values = (estimate.value, estimate.sd, estimate.value - half, estimate.value + half)
    return dict(zip(names, values, strict=True))
