"""Regressions of subjects: logistic for yes or no, negative binomial for counts."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qsmcmb.cohorts.design import MIN_ROWS_PER_TERM, Design, find_separation, make_design
from qsmcmb.cohorts.statistic import NORMAL_QUANTILE, Statistic
from qsmcmb.typing import FloatArray

__all__ = ("regress_counts", "regress_outcome")

EVENTS_PER_TERM = 10
"""Events for each column below which estimates of a logistic regression are biased away from 1 (a usual rule)."""


def regress_outcome(
    table: Sequence[Mapping[str, str | None]],
    outcome: Sequence[int],
    terms: Sequence[str],
    *,
    first: str = "",
) -> list[Statistic]:
    """Return the adjusted odds ratios of an outcome by logistic regression.

    Parameters
    ----------
    table : sequence of mapping
        Cell of each term for each subject.
    outcome : sequence of int
        0 or 1 for each subject.
    terms : sequence of str
        The arm first, then what is adjusted for.
    first : str, optional
        Reference level of the first term.

    Returns
    -------
    list of Statistic
        One row for each column; without an estimate, and with the reason, where the data have none.

    Examples
    --------
    >>> table = [{"arm": "ab"[n % 2], "age": str(n)} for n in range(40)]
    >>> rows = regress_outcome(table, [0] * 40, ["arm", "age"])
    >>> rows[0].estimate, rows[0].warnings
    (nan, ('no subject has the outcome: nothing to regress',))
    """
    design = make_design(table, terms, first=first)
    y = np.asarray(outcome, float)[design.rows]
    of = _Of("adjusted odds ratio of new microbleeds", "logistic", len(y), float(y.sum()))
    fault = "" if 0 < y.sum() < len(y) else f"{'no' if y.sum() == 0 else 'every'} subject has the outcome"
    refused = of.refuse(design, terms, y, fault, is_count=False)
    if refused:
        return refused
    from statsmodels.discrete.discrete_model import Logit

    few = min(y.sum(), len(y) - y.sum()) < EVENTS_PER_TERM * (design.matrix.shape[1] - 1)
    notes = ("fewer than 10 events for each column: estimates lean away from 1",) if few else ()
    fitted, said = _fit(lambda: Logit(y, design.matrix).fit(disp=0, method="newton"))
    return of.rows(design, fitted, (*notes, *said))


def regress_counts(
    table: Sequence[Mapping[str, str | None]],
    counts: Sequence[int],
    terms: Sequence[str],
    *,
    years: Sequence[float] | None = None,
    first: str = "",
) -> list[Statistic]:
    """Return the adjusted ratios of counts by negative binomial regression.

    The variance of a count of mean m is m + a m². Where counts vary no more than Poisson's (a = 0, on the boundary),
    the model is Poisson's and the row says so.

    Parameters
    ----------
    table : sequence of mapping
        Cell of each term for each subject.
    counts : sequence of int
        Count of each subject.
    terms : sequence of str
        The arm first, then what is adjusted for.
    years : sequence of float, optional
        Time under observation of each subject; the ratio is then one of rates.
    first : str, optional
        Reference level of the first term.

    Returns
    -------
    list of Statistic
        One row for each column; without an estimate, and with the reason, where the data have none.

    Examples
    --------
    >>> table = [{"arm": "ab"[n % 2]} for n in range(40)]
    >>> regress_counts(table, [n % 2 * (n % 3) for n in range(40)], ["arm"])[0].warnings
    ('the outcome is 0 for all on one side of arm: b: no finite estimate; the exact rows without adjustment hold',)
    """
    design = make_design(table, terms, first=first)
    y = np.asarray(counts, float)[design.rows]
    time = None if years is None else np.asarray(years, float)[design.rows]
    name = "adjusted ratio of counts" if time is None else "adjusted incidence rate ratio"
    of = _Of(name, "negative binomial", len(y), float(y.sum()))
    fault = "" if y.any() else "all counts are 0"
    if time is not None and len(time) and time.min() <= 0:
        fault = "a subject without person-time"
    refused = of.refuse(design, terms, y, fault, is_count=True)
    if refused:
        return refused
    from statsmodels.discrete.discrete_model import NegativeBinomial
    from statsmodels.genmod.families import Poisson
    from statsmodels.genmod.generalized_linear_model import GLM

    offset = None if time is None else np.log(time)
    poisson, said = _fit(lambda: GLM(y, design.matrix, family=Poisson(), offset=offset).fit())
    excess = 0.0 if poisson is None else float(((y - poisson.mu) ** 2 - y).sum())
    if excess <= 0:
        of = _Of(name, "Poisson", len(y), float(y.sum()))
        note = "counts vary no more than Poisson's: no negative binomial can be fitted"
        return of.rows(design, poisson, (note, *said))
    fitted, said = _fit(
        lambda: NegativeBinomial(y, design.matrix, offset=offset).fit(disp=0, maxiter=200, method="bfgs")
    )
    return of.rows(design, fitted, said)


class _Of:
    """Columns that the rows of one regression share."""

    def __init__(self, quantity: str, model: str, n: int, events: float) -> None:
        self.quantity, self.model, self.n, self.events = quantity, model, n, events

    def row(self, term: str, values: tuple[float, float, float, float], said: tuple[str, ...]) -> Statistic:
        """Return the row of a term."""
        return Statistic(
            self.quantity, term, *values, n=self.n, events=self.events, model=self.model, warnings=said
        )

    def refuse(
        self, design: Design, terms: Sequence[str], y: FloatArray, fault: str, *, is_count: bool
    ) -> list[Statistic]:
        """Return rows without estimates where the data have none; nothing where they have."""
        nothing = (math.nan,) * 4
        if not fault and design.matrix.shape[1] < 2:
            fault = "no covariate differs between subjects"
        if not fault and len(y) < MIN_ROWS_PER_TERM * design.matrix.shape[1]:
            fault = f"{len(y)} subjects for {design.matrix.shape[1]} coefficients"
        if fault:
            said = f"{fault}: nothing to regress"
            return [self.row(name, nothing, (said, *design.notes)) for name in design.names[1:] or terms]
        columns = find_separation(design.matrix, y, is_count=is_count)
        if not columns:
            return []
        named = ", ".join(design.names[c] for c in columns)
        side = "0 for all" if is_count else "the same for all"
        said = (
            f"the outcome is {side} on one side of {named}: no finite estimate; "
            "the exact rows without adjustment hold"
        )
        return [self.row(name, nothing, (said, *design.notes)) for name in design.names[1:]]

    def rows(self, design: Design, fitted: Any, said: tuple[str, ...]) -> list[Statistic]:
        """Return the row of each column from a fit; none of its numbers where it has not converged."""
        said = (*said, *design.notes)
        wide = range(1, design.matrix.shape[1])
        if fitted is None or not np.isfinite(np.asarray(fitted.bse)[: design.matrix.shape[1]]).all():
            said = ("the fit did not converge", *said)
            return [self.row(design.names[n], (math.nan,) * 4, said) for n in wide]
        b, se = np.asarray(fitted.params), np.asarray(fitted.bse)
        ratio = [[math.exp(b[n] + k * NORMAL_QUANTILE * se[n]) for k in (0, -1, 1)] for n in wide]
        return [
            self.row(design.names[n], (r, low, high, math.erfc(abs(b[n]) / se[n] / math.sqrt(2))), said)
            for n, (r, low, high) in zip(wide, ratio, strict=True)
        ]


def _fit(fit: Any) -> tuple[Any, tuple[str, ...]]:
    """Return a fit and its warnings; None where it fails or has not converged."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fitted = fit()
        except (np.linalg.LinAlgError, ValueError, FloatingPointError) as error:
            return None, (f"statsmodels: {error}",)
    said = tuple(dict.fromkeys(f"statsmodels: {w.message}" for w in caught))
    retained = getattr(fitted, "mle_retvals", None)
    converged = retained["converged"] if retained else getattr(fitted, "converged", True)
    return (fitted if converged else None), said
