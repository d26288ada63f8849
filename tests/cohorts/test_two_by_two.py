"""Two arms: against statsmodels, against printed trials, and with empty cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import hypergeom
from statsmodels.stats.contingency_tables import Table2x2
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.rates import confint_poisson

from qsmcmb.cohorts.proportions import describe_proportion
from qsmcmb.cohorts.rates import compare_rates, describe_rate
from qsmcmb.cohorts.trials import recompute_trials
from qsmcmb.cohorts.two_by_two import TwoArms, compare_arms, wald_odds_ratio

ARMS = TwoArms(59, 362, 41, 384)
EXPECTED = {
    "CASISP": (1.065, 0.533, 2.129),
    "PERFORM": (1.629, 1.062, 2.498),
    "CHANCE": (1.156, 0.541, 2.473),
    "AVERROES": (0.957, 0.538, 1.701),
    "COMPASS 2.5 mg": (1.495, 0.883, 2.531),
    "COMPASS 5 mg": (1.418, 0.833, 2.416),
}


@pytest.mark.parametrize("trial", recompute_trials(), ids=lambda t: t.trial)
def test_published_counts_give_these_odds_ratios(trial: object) -> None:
    found = (trial.odds_ratio, trial.low, trial.high)  # type: ignore[attr-defined]
    assert found == pytest.approx(EXPECTED[trial.trial], abs=5e-4)  # type: ignore[attr-defined]


def test_trials_that_do_not_agree_are_named() -> None:
    off = {t.trial: t.disagreement for t in recompute_trials() if t.disagreement}
    assert set(off) == {"COMPASS 5 mg", "AVERROES", "PERFORM"}
    assert off["COMPASS 5 mg"] == "1.42, printed 1.40"
    assert "hazard ratio" in off["AVERROES"]
    assert "p = 0.025" in off["PERFORM"]


def test_wald_is_that_of_statsmodels() -> None:
    table = Table2x2(np.reshape(ARMS.cells, (2, 2)))
    assert wald_odds_ratio(ARMS)[0] == pytest.approx(table.oddsratio)
    assert wald_odds_ratio(ARMS)[1:3] == pytest.approx(table.oddsratio_confint())
    rows = {row.model: row for row in compare_arms(ARMS, quantity="x", group="b vs a")}
    risk = rows["Wald on the log scale"]
    assert (risk.low, risk.high) == pytest.approx(table.riskratio_confint())
    difference = rows["Newcombe"]
    own = confint_proportions_2indep(59, 362, 41, 384, method="newcomb", compare="diff")
    assert (difference.low, difference.high) == pytest.approx(own)


def test_mid_p_leaves_half_of_what_was_observed() -> None:
    a, b, c, d = ARMS.cells
    rows = {row.model: row for row in compare_arms(ARMS, quantity="x", group="b vs a")}
    k = np.arange(0, a + c + 1)
    base = hypergeom.logpmf(k, a + b + c + d, a + b, a + c)
    for end, beyond in ((rows["mid-p"].low, k > a), (rows["mid-p"].high, k < a)):
        weight = np.exp(base + k * math.log(end) - np.max(base + k * math.log(end)))
        tail = (weight[beyond].sum() + weight[k == a].sum() / 2) / weight.sum()
        assert tail == pytest.approx(0.025, abs=1e-6)
    assert rows["exact conditional, Fisher"].low < rows["mid-p"].low < rows["mid-p"].high
    assert rows["mid-p"].high < rows["exact conditional, Fisher"].high


@pytest.mark.parametrize(
    "cells", [(0, 20, 0, 20), (20, 20, 20, 20), (0, 20, 6, 20), (20, 20, 6, 20), (0, 0, 3, 9)]
)
def test_an_empty_cell_gives_no_number_without_a_word(cells: tuple[int, int, int, int]) -> None:
    for row in compare_arms(TwoArms(*cells), quantity="x", group="b vs a"):
        if "difference" in row.quantity:
            assert row.low <= row.estimate <= row.high
            continue
        if row.quantity.startswith("risk ratio") and row.low < row.estimate < row.high:
            # One full arm: the interval of the risk ratio is defined.
            assert cells == (20, 20, 6, 20)
            continue
        assert row.warnings, row
        assert math.isnan(row.estimate) or row.low == 0 or math.isinf(row.high)


def test_no_event_has_a_one_sided_limit() -> None:
    exact, _ = describe_proportion(0, 100, quantity="x", group="all")
    assert exact.high == pytest.approx(1 - 0.025**0.01)
    assert "below 0.03 with 95 % confidence" in exact.warnings[0]
    rate = describe_rate(0, 100.0, group="all", n=50)
    assert "below 3 with 95 % confidence" in rate.warnings[0]
    assert math.isnan(describe_rate(0, 0.0, group="all", n=1).estimate)


def test_rates_are_those_of_statsmodels() -> None:
    rate = describe_rate(10, 200.0, group="all", n=100)
    low, high = confint_poisson(10, 200.0, method="exact-c")
    assert (rate.low, rate.high) == pytest.approx((100 * low, 100 * high))


def test_a_rate_ratio_without_events_says_so() -> None:
    assert "nothing to compare" in compare_rates((0, 0), (10.0, 10.0), group="b vs a", n=9).warnings[0]
    half = compare_rates((3, 0), (50.0, 50.0), group="b vs a", n=9)
    assert half.estimate == 0
    assert half.high == pytest.approx((1 - 0.025 ** (1 / 3)) / 0.025 ** (1 / 3))
