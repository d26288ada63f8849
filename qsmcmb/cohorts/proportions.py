"""Proportions of one group, with exact and score intervals."""

from __future__ import annotations

from scipy.stats import binomtest

from qsmcmb.cohorts.statistic import Statistic

__all__ = ("describe_proportion",)

ONE_SIDED = 0.05
"""Level of the one-sided limit that is stated where no subject, or every one, has the outcome."""


def describe_proportion(events: int, n: int, *, quantity: str, group: str) -> list[Statistic]:
    """Return a proportion with its exact interval, and with Wilson's.

    Parameters
    ----------
    events : int
        Subjects with the outcome.
    n : int
        Subjects.
    quantity, group : str
        First columns of the rows.

    Returns
    -------
    list of Statistic
        Two rows: Clopper and Pearson, Wilson; one without an estimate where there is no subject.

    References
    ----------
    Newcombe RG. Two-sided confidence intervals for the single proportion. Stat Med 1998;17:857-872.
    doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E

    Examples
    --------
    >>> exact, wilson = describe_proportion(0, 30, quantity="prevalence", group="all")
    >>> exact.estimate, round(exact.high, 3), exact.warnings
    (0.0, 0.116, ('no event: below 0.095 with 95 % confidence (one-sided)',))
    """
    if n == 0:
        return [Statistic(quantity, group, model="binomial", warnings=("no subject",))]
    test = binomtest(events, n)
    said: tuple[str, ...] = ()
    limit = ONE_SIDED ** (1 / n)
    if events == 0:
        said = (f"no event: below {1 - limit:.2g} with 95 % confidence (one-sided)",)
    elif events == n:
        said = (f"all have the outcome: above {limit:.2g} with 95 % confidence (one-sided)",)
    rows = []
    for method, model in (("exact", "binomial, Clopper-Pearson"), ("wilson", "binomial, Wilson")):
        ci = test.proportion_ci(method=method)
        rows.append(
            Statistic(
                quantity, group, events / n, ci.low, ci.high, n=n, events=events, model=model, warnings=said
            )
        )
    return rows
