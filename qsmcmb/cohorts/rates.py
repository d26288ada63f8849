"""Rates of events in person-time, exact: one group, or two against each other."""

from __future__ import annotations

import math

from scipy.stats import binomtest, chi2

from qsmcmb.cohorts.statistic import Statistic

__all__ = ("compare_rates", "describe_rate")

PER_YEARS = 100.0
"""Rates are per 100 person-years, as the literature states them."""
UNIT = "1/(100 person-years)"
TAIL = 0.025
"""Probability beyond each end of an interval."""


def describe_rate(events: int, person_years: float, *, group: str, n: int) -> Statistic:
    """Return a rate with its exact Poisson interval.

    Parameters
    ----------
    events : int
        New lesions.
    person_years : float
        Time under observation, summed over the subjects.
    group : str
        Whom it is of.
    n : int
        Subjects.

    Returns
    -------
    Statistic
        Events per 100 person-years; no estimate without person-time.

    References
    ----------
    Garwood F. Fiducial limits for the Poisson distribution. Biometrika 1936;28:437-442.
    doi:10.1093/biomet/28.3-4.437

    Examples
    --------
    >>> rate = describe_rate(0, 50.0, group="all", n=25)
    >>> rate.estimate, rate.low, round(rate.high, 2)
    (0.0, 0.0, 7.38)
    """
    name, model = "incidence rate of microbleeds", "Poisson, exact"
    if person_years <= 0:
        said = ("no person-time: one session, or sessions without dates",)
        return Statistic(name, group, n=n, events=events, unit=UNIT, model=model, warnings=said)
    scale = PER_YEARS / person_years
    low = float(chi2.ppf(TAIL, 2 * events)) / 2 if events else 0.0
    high = float(chi2.ppf(1 - TAIL, 2 * events + 2)) / 2
    one_sided = -math.log(2 * TAIL) * scale
    none: tuple[str, ...] = (
        () if events else (f"no event: below {one_sided:.2g} with 95 % confidence (one-sided)",)
    )
    return Statistic(
        name, group, events * scale, low * scale, high * scale, n=n, events=events, unit=UNIT, model=model,
        warnings=none,
    )  # fmt: skip


def compare_rates(
    events: tuple[int, int], person_years: tuple[float, float], *, group: str, n: int
) -> Statistic:
    """Return the ratio of two rates, the second over the first, exact given the sum of the events.

    Given the sum, the events of the second group are binomial with the probability q = r t2 / (t1 + r t2).

    Parameters
    ----------
    events : tuple of int
        New lesions of the first group (the reference) and of the second.
    person_years : tuple of float
        Their times under observation.
    group : str
        Which groups are compared.
    n : int
        Subjects of both.

    Returns
    -------
    Statistic
        Rate ratio; no estimate where both have no event or one has no person-time.

    Examples
    --------
    >>> ratio = compare_rates((10, 0), (100.0, 100.0), group="b vs a", n=100)
    >>> ratio.estimate, round(ratio.high, 2), round(float(ratio.p_value), 4)
    (0.0, 0.45, 0.002)
    """
    name, model = "incidence rate ratio", "Poisson, exact given the sum"
    total = sum(events)
    if min(person_years) <= 0 or total == 0:
        said = "no event in either group" if total == 0 else "a group without person-time"
        return Statistic(
            name, group, n=n, events=total, model=model, warnings=(f"{said}: nothing to compare",)
        )
    times = person_years[0] / person_years[1]
    test = binomtest(events[1], total, person_years[1] / sum(person_years))
    ci = test.proportion_ci(method="exact")
    low, high = (float(q / (1 - q) * times) if q < 1 else math.inf for q in (ci.low, ci.high))
    estimate = events[1] / events[0] * times if events[0] else math.inf
    said_of_none = () if min(events) else ("one group has no event: the interval is open on one side",)
    return Statistic(
        name, group, estimate, low, high, p_value=float(test.pvalue), n=n, events=total, model=model,
        warnings=said_of_none,
    )  # fmt: skip
