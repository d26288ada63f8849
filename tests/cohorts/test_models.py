"""Models: against statsmodels, with known variances, and where the data say nothing."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from qsmcmb.cohorts.agreement import describe_differences, weighted_kappa
from qsmcmb.cohorts.design import find_separation, make_design
from qsmcmb.cohorts.harmonisation import compare_protocols
from qsmcmb.cohorts.mixed_model import fit_mixed_model
from qsmcmb.cohorts.regression import regress_counts, regress_outcome


def table(n: int, seed: int = 1) -> list[dict[str, str | None]]:
    rng = np.random.default_rng(seed)
    return [{"arm": "ab"[k % 2], "age": f"{rng.normal(70, 8):.1f}", "site": "one"} for k in range(n)]


def outcome(n: int, chance: float = 0.4) -> list[int]:
    return [int(v) for v in np.random.default_rng(2).random(n) < chance]


def test_logistic_and_its_constant_covariate() -> None:
    rows = regress_outcome(table(200), outcome(200), ["arm", "age", "site"])
    assert [row.group for row in rows] == ["arm: b", "age"]
    assert all("site is the same for all and left out" in row.warnings for row in rows)
    assert all(row.low < row.estimate < row.high for row in rows)


def quasi_separated(n: int) -> list[int]:
    return [value * (k % 2) for k, value in enumerate(outcome(n))]


@pytest.mark.parametrize(
    ("y", "said"),
    [
        ([0] * 60, "no subject has the outcome"),
        ([1] * 60, "every subject has the outcome"),
        (quasi_separated(60), "on one side of arm: b"),
        ([k % 2 for k in range(60)], "on one side of arm: b"),
    ],
)
def test_outcomes_without_a_finite_estimate_are_found_first(y: list[int], said: str) -> None:
    for rows in (regress_outcome(table(60), y, ["arm", "age"]), regress_counts(table(60), y, ["arm", "age"])):
        if "every" in said and "counts" in rows[0].quantity:
            continue
        assert all(math.isnan(row.estimate) for row in rows)
        assert any(said in w or "all counts are 0" in w or "0 for all" in w for w in rows[0].warnings)


def test_collinear_covariates_and_too_few_subjects() -> None:
    rows = [{**row, "years": str(2 * float(str(row["age"])))} for row in table(80)]
    assert (
        "years follows from the columns before it and is left out"
        in make_design(rows, ["age", "years"]).notes
    )
    few = regress_outcome(table(3), [0, 1, 0], ["arm", "age"])
    assert "3 subjects for 3 coefficients" in few[0].warnings[0]
    one = regress_outcome(table(1), [1], ["arm"])
    assert math.isnan(one[0].estimate)


def test_separation_by_a_combination_of_columns() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 2))
    y = (x.sum(axis=1) > 0).astype(float)
    matrix = np.column_stack([np.ones(60), x])
    assert find_separation(matrix, y) == [1, 2]
    y[:4] = 1 - y[:4]
    assert find_separation(matrix, y) == []


def test_counts_are_those_of_statsmodels() -> None:
    rng = np.random.default_rng(4)
    rows = table(300)
    counts = rng.negative_binomial(1, 1 / (1 + np.where(np.arange(300) % 2, 1.0, 2.0)))
    (arm,) = regress_counts(rows, counts.tolist(), ["arm"])
    x = sm.add_constant(np.arange(300) % 2)
    fit = sm.NegativeBinomial(counts, x).fit(disp=0)
    assert arm.estimate == pytest.approx(math.exp(fit.params[1]), rel=1e-3)
    assert arm.model == "negative binomial"
    (even,) = regress_counts(rows, [1 + k % 3 for k in range(300)], ["arm"])
    assert even.model == "Poisson"
    assert "no negative binomial" in even.warnings[0]


def nested(subjects: int, per: int, scans: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    lesion = np.repeat(np.arange(subjects * per), scans)
    subject = lesion // per
    y = 0.5 * rng.normal(size=subjects)[subject] + 0.9 * rng.normal(size=subjects * per)[lesion]
    return y + 0.1 * rng.normal(size=len(y)), subject, lesion


def test_mixed_model_is_that_of_statsmodels() -> None:
    y, subject, lesion = nested(20, 4, 3)
    time = np.tile([0.0, 1.0, 2.0], len(y) // 3)
    found = fit_mixed_model(y + 0.05 * time, {"1 year": time}, subjects=subject, lesions=lesion, quantity="y")
    data = pd.DataFrame({"y": y + 0.05 * time, "t": time, "s": subject, "l": lesion})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        effects = {"groups": "s", "re_formula": "1", "vc_formula": {"l": "0 + C(l)"}}
        fit = sm.MixedLM.from_formula("y ~ t", data=data, **effects).fit()
    by = {row.group: row for row in found}
    assert by["1 year"].estimate == pytest.approx(fit.params["t"], abs=1e-6)
    assert by["1 year"].high - by["1 year"].low == pytest.approx(2 * 1.96 * fit.bse["t"], rel=1e-3)
    assert by["lesion"].estimate == pytest.approx(math.sqrt(fit.vcomp[0]), rel=5e-3)
    assert by["scan"].estimate == pytest.approx(math.sqrt(fit.scale), rel=5e-3)
    assert by["subject"].estimate == pytest.approx(math.sqrt(fit.cov_re.iloc[0, 0]), rel=2e-2)


def test_mixed_model_says_what_cannot_be_told_apart() -> None:
    y, subject, lesion = nested(20, 4, 3)
    single = {r.group: r for r in fit_mixed_model(y, {}, subjects=0 * subject, lesions=lesion, quantity="y")}
    assert math.isnan(single["subject"].estimate)
    assert "one subject" in single["subject"].warnings[0]
    once = {
        r.group: r for r in fit_mixed_model(y, {}, subjects=subject, lesions=np.arange(len(y)), quantity="y")
    }
    assert math.isnan(once["lesion"].estimate)
    groups = y.reshape(20, 12)
    assert once["scan"].estimate == pytest.approx(math.sqrt(groups.var(axis=1, ddof=1).mean()), rel=1e-3)
    (same,) = fit_mixed_model(np.ones(9), {}, subjects=np.arange(9) // 3, lesions=np.arange(9), quantity="y")
    assert same.warnings == ("the values do not vary: no variance to part",)
    (none,) = fit_mixed_model(np.zeros(0), {}, subjects=np.zeros(0), lesions=np.zeros(0), quantity="y")
    assert "too few" in none.warnings[0]
    rng = np.random.default_rng(6)
    flat = fit_mixed_model(rng.normal(size=300), {}, subjects=subject[:240].repeat(2)[:300],
                           lesions=np.arange(300) // 2, quantity="y")  # fmt: skip
    edge = [row for row in flat if row.estimate == 0]
    assert all("boundary" in row.warnings[0] and math.isnan(row.high) for row in edge)


def test_kappa_and_differences_of_nothing() -> None:
    kappa = weighted_kappa([0, 1, 1, 0, 1], [0, 1, 0, 0, 1], quantity="x", group="all")
    assert kappa.estimate == pytest.approx(8 / 13)
    assert "0/0" in weighted_kappa([1, 1], [1, 1], quantity="x", group="all").warnings[0]
    assert (
        "fewer than two pairs"
        in describe_differences(np.ones(1), np.ones(1), quantity="x", group="all")[0].warnings
    )


def test_protocols_move_volume_and_not_totals() -> None:
    rng = np.random.default_rng(7)
    subjects = np.repeat(np.arange(80), 2)
    field = np.log2(np.tile([1.5, 3.0], 80))
    own = np.exp(rng.normal(1, 1, 80))[subjects]
    noise = np.exp(0.05 * rng.normal(size=160))
    numbers = {"volume": own * 2**field * noise, "total": own * noise[::-1], "none": 0 * own}
    rows = {(r.quantity, r.group): r for r in compare_protocols(
        numbers, {"field": field, "echo": 2 * field, "site": (subjects % 2) * 1.0}, subjects=subjects)}  # fmt: skip
    volume, total = rows["ratio of volume", "field"], rows["ratio of total", "field"]
    assert volume.low < 2 < volume.high
    assert "moves" in volume.warnings[0]
    assert total.low < 1 < total.high
    assert "no movement" in total.warnings[0]
    assert "cannot be separated" in rows["ratio of total", "echo"].warnings[0]
    assert "other subjects" in rows["ratio of total", "site"].warnings[0]
    assert "all are 0" in rows["ratio of none", "field"].warnings[0]
