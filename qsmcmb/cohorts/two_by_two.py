"""Two arms and one outcome of yes or no: odds ratio, risk ratio, risk difference."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, fisher_exact, nchypergeom_fisher
from scipy.stats.contingency import odds_ratio

from qsmcmb.cohorts.statistic import NORMAL_QUANTILE, Statistic

__all__ = ("TwoArms", "compare_arms", "wald_odds_ratio")

WIDEST_LOG_ODDS = 30.0
"""Log odds ratio beyond which an end of an interval is taken as infinite."""
TAIL = 0.025


class TwoArms(NamedTuple):
    """Counts of two arms.

    Parameters
    ----------
    events : int
        Subjects with the outcome in the arm that is compared.
    n : int
        Subjects of that arm.
    reference_events : int
        Subjects with the outcome in the reference arm.
    reference_n : int
        Subjects of the reference arm.

    Examples
    --------
    >>> TwoArms(17, 292, 17, 310).cells
    (17, 275, 17, 293)
    """

    events: int
    n: int
    reference_events: int
    reference_n: int

    @property
    def cells(self) -> tuple[int, int, int, int]:
        """The four cells: with and without the outcome, in the arm and in the reference."""
        return (
            self.events, self.n - self.events, self.reference_events, self.reference_n - self.reference_events,
        )  # fmt: skip


def wald_odds_ratio(arms: TwoArms) -> tuple[float, float, float, float]:
    """Return the crude odds ratio with Wald's interval and p value.

    Parameters
    ----------
    arms : TwoArms
        Counts.

    Returns
    -------
    tuple of float
        Estimate, lower and upper end of the 95 % interval, p value; all NaN where a cell is 0.

    Examples
    --------
    >>> [round(v, 3) for v in wald_odds_ratio(TwoArms(59, 362, 41, 384))]
    [1.629, 1.062, 2.498, 0.025]
    """
    if min(arms.cells) == 0:
        return (math.nan,) * 4
    a, b, c, d = arms.cells
    log_ratio, se = math.log(a * d / (b * c)), math.sqrt(sum(1 / cell for cell in arms.cells))
    ends = (math.exp(log_ratio + k * NORMAL_QUANTILE * se) for k in (0, -1, 1))
    return (*ends, math.erfc(abs(log_ratio) / se / math.sqrt(2)))  # type: ignore[return-value]


def compare_arms(arms: TwoArms, *, quantity: str, group: str) -> list[Statistic]:
    """Return odds ratio (Wald, exact, mid-p), risk ratio and risk difference of two arms.

    What is not defined is n/a, and the row says why: a Wald interval with an empty cell, any ratio where no subject of
    either arm, or every one, has the outcome. Nothing is added to the cells.

    Parameters
    ----------
    arms : TwoArms
        Counts.
    quantity : str
        Outcome.
    group : str
        Which arms are compared.

    Returns
    -------
    list of Statistic
        Five rows; one where an arm has no subject.

    References
    ----------
    Agresti A. Exact inference for categorical data. Stat Med 2001;20:2709-2722. doi:10.1002/sim.738

    Newcombe RG. Interval estimation for the difference between independent proportions. Stat Med 1998;17:873-890.
    doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I

    Examples
    --------
    >>> for row in compare_arms(TwoArms(0, 20, 6, 20), quantity="new microbleeds", group="b vs a"):
    ...     print(row.quantity, row.model, f"{row.estimate:.2f} {row.low:.2f} {row.high:.2f}")
    odds ratio of new microbleeds Wald nan nan nan
    odds ratio of new microbleeds exact conditional, Fisher 0.00 0.00 0.72
    odds ratio of new microbleeds mid-p 0.00 0.00 0.54
    risk ratio of new microbleeds Wald on the log scale nan nan nan
    risk difference of new microbleeds Newcombe -0.30 -0.52 -0.08
    """
    n, events = arms.n + arms.reference_n, arms.events + arms.reference_events

    def make(name: str, model: str, values: tuple[float, float, float, float], said: str = "") -> Statistic:
        return Statistic(
            f"{name} of {quantity}", group, *values, n=n, events=events, model=model,
            warnings=(said,) if said else (),
        )  # fmt: skip

    if min(arms.n, arms.reference_n) == 0:
        return [make("odds ratio", "exact conditional, Fisher", (math.nan,) * 4, "an arm without subjects")]
    empty = _what_is_empty(arms)
    none = "no ratio can be estimated" if events in (0, n) else ""
    wald = f"{empty}: no Wald interval, see the exact row" if empty else ""
    risk_ratio = _risk_ratio(arms)
    ratio = f"{empty}: no interval on the log scale" if math.isnan(risk_ratio[0]) else ""
    exact = f"{empty}: {none or 'the interval is open on one side'}" if empty else ""
    return [
        make("odds ratio", "Wald", wald_odds_ratio(arms), wald),
        make("odds ratio", "exact conditional, Fisher", _exact(arms), exact),
        make("odds ratio", "mid-p", _mid_p(arms), exact),
        make("risk ratio", "Wald on the log scale", risk_ratio, ratio),
        make("risk difference", "Newcombe", _risk_difference(arms)),
    ]


def _what_is_empty(arms: TwoArms) -> str:
    """Return in words which cells are 0; nothing where none is."""
    a, b, c, d = arms.cells
    if a + c == 0:
        return "no subject of either arm has the outcome"
    if b + d == 0:
        return "every subject of both arms has the outcome"
    if a == 0 or c == 0:
        return "an arm has no subject with the outcome"
    return "an arm has no subject without the outcome" if b == 0 or d == 0 else ""


def _exact(arms: TwoArms) -> tuple[float, float, float, float]:
    """Return the conditional estimate, its exact interval, and Fisher's p value."""
    a, b, c, d = arms.cells
    if min(a + c, b + d) == 0:
        return (math.nan,) * 4
    table = np.array([[a, b], [c, d]])
    found = odds_ratio(table)
    ci = found.confidence_interval()
    return float(found.statistic), float(ci.low), float(ci.high), float(fisher_exact(table).pvalue)


def _mid_p(arms: TwoArms) -> tuple[float, float, float, float]:
    """Return the conditional estimate, and interval and p value that count half of what was observed."""
    a, b, c, d = arms.cells
    estimate = _exact(arms)[0]
    if math.isnan(estimate):
        return (math.nan,) * 4

    def upper_tail(log_odds: float) -> float:
        law = nchypergeom_fisher(a + b + c + d, a + b, a + c, math.exp(log_odds))
        return float(law.sf(a) + law.pmf(a) / 2)

    is_lowest, is_highest = a == max(0, a + c - (c + d)), a == min(a + b, a + c)
    low = 0.0 if is_lowest else math.exp(_root(lambda t: upper_tail(t) - TAIL))
    high = math.inf if is_highest else math.exp(_root(lambda t: upper_tail(t) - 1 + TAIL))
    upper = upper_tail(0.0)
    return estimate, low, high, min(1.0, 2 * min(upper, 1 - upper))


def _root(function: Callable[[float], float]) -> float:
    """Return where a rising function is 0, between the widest log odds ratios."""
    return float(brentq(function, -WIDEST_LOG_ODDS, WIDEST_LOG_ODDS, xtol=1e-8))


def _risk_ratio(arms: TwoArms) -> tuple[float, float, float, float]:
    """Return the risk ratio with Wald's interval on the log scale; NaN where an arm has no event."""
    a, _, c, _ = arms.cells
    se2 = 0.0 if min(a, c) == 0 else 1 / a - 1 / arms.n + 1 / c - 1 / arms.reference_n
    if se2 <= 0:
        return (math.nan,) * 4
    log_ratio, se = math.log((a / arms.n) / (c / arms.reference_n)), math.sqrt(se2)
    ends = (math.exp(log_ratio + k * NORMAL_QUANTILE * se) for k in (0, -1, 1))
    return (*ends, math.erfc(abs(log_ratio) / se / math.sqrt(2)))  # type: ignore[return-value]


def _risk_difference(arms: TwoArms) -> tuple[float, float, float, float]:
    """Return the risk difference with Newcombe's interval, from the two Wilson intervals."""
    p, q = arms.events / arms.n, arms.reference_events / arms.reference_n
    one = binomtest(arms.events, arms.n).proportion_ci(method="wilson")
    other = binomtest(arms.reference_events, arms.reference_n).proportion_ci(method="wilson")
    low = p - q - math.hypot(p - one.low, other.high - q)
    return p - q, low, p - q + math.hypot(one.high - p, q - other.low), math.nan
