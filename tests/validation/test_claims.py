"""Claims: known tables give known figures, and what is missed fails."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from qsmcmb.validation.accuracy import (
    accuracy_claims,
    class_table,
    error_claims,
    normal_ratio,
    repeat_claim,
    seen_claims,
)
from qsmcmb.validation.claims import Claim, absolute_errors, at_most, covered, cv_over, lesions_in, within
from qsmcmb.validation.literature import literature_claims, liu_claims, naji_claims, wang_claims

VISIBLE_MM3 = {"15T": 10.0, "3T": 18.0, "7T": 34.0}


def lesion(session: str, number: int, truth: float, estimate: float, **more: Any) -> dict[str, Any]:
    return {
        "experiment": "fields", "head": "h", "session": session, "kind": "microbleed" if truth > 0 else "calcification",
        "shape": "sphere", "lesion": float(number), "truth_ppm_mm3": truth, "estimate_ppm_mm3": estimate,
        "low_ppm_mm3": estimate - 0.05 * abs(truth), "high_ppm_mm3": estimate + 0.05 * abs(truth),
        "sd_ppm_mm3": 0.025 * abs(truth), "equal_te_mm3": VISIBLE_MM3.get(session, 10.0), "seconds": 0.3, **more,
    }  # fmt: skip


def find(claims: list[Claim], words: str) -> Claim:
    return next(c for c in claims if words in c.quantity)


def test_limits_decide_and_the_unknown_fails() -> None:
    assert at_most("s", "q", "", 1.0, 1.0).passed
    assert not at_most("s", "q", "", math.nan, 1.0).passed
    assert not within("s", "q", "", -2.0, (-1, 1)).passed
    assert at_most("s", "q", "", 1.0, 2.5).limit == "at most 2.5"


def test_a_missing_estimate_errs_by_the_whole_truth_and_is_not_covered() -> None:
    rows = [lesion("3T", 1, 5.0, math.nan), lesion("3T", 2, -4.0, -4.1)]
    np.testing.assert_allclose(absolute_errors(rows), [5.0, 0.1])
    assert covered(rows).tolist() == [False, True]


def test_accuracy_of_a_perfect_and_of_a_poor_table() -> None:
    sessions = {"15T": 0.99, "3T": 1.0, "7T": 1.01}
    sizes = (1.5, 3.0, 8.0, -20.0)
    good = [lesion(s, n, m, m * f) for s, f in sessions.items() for n, m in enumerate(sizes)]
    claims = accuracy_claims({"fields": good})
    assert all(c.passed for c in claims if "coverage" not in c.quantity and "half-width" not in c.quantity)
    assert find(claims, "CV over 1.5").here == pytest.approx(1.0)
    assert find(claims, "coverage").here == 100
    assert find(claims, "visible volume").here == pytest.approx(59.13, abs=0.01)
    poor = [
        lesion(s, n, m, m * (1 + 20 * (f - 1) - 0.1))
        for s, f in sessions.items()
        for n, m in enumerate(sizes)
    ]
    missed = [c for c in accuracy_claims({"fields": poor}) if not c.passed]
    assert len(missed) >= 5


def test_error_is_judged_relative_or_absolute_by_size() -> None:
    median, worst, small = error_claims([lesion("3T", 1, 2.5, 2.6), lesion("3T", 2, 1.2, 1.3)])
    assert median.here == pytest.approx(1.0)
    assert worst.here == pytest.approx(1 / 3)
    assert small.here == pytest.approx(0.1)


def test_size_classes_count_every_lesion_once() -> None:
    rows = [lesion("3T", n, m, m) for n, m in enumerate((1.0, 1.9, 2.0, 5.0, 14.0, 15.0, 60.0))]
    table = class_table(rows)
    assert [r["lesions"] for r in table] == [2, 1, 2, 2]


def test_mimics_are_left_out_and_sessions_chosen() -> None:
    rows = [lesion("3T", 1, 5.0, 5.0), lesion("7T", 1, 5.0, 5.0), lesion("3T", 2, 5.0, 5.0, kind="air")]
    assert len(lesions_in(rows)) == 2
    assert len(lesions_in(rows, session="3T")) == 1


def test_repeatability_is_the_root_mean_square() -> None:
    rows = [lesion(f"scan{s}", n, 10.0, 10.0 + d) for s, d in ((1, -0.1), (2, 0.0), (3, 0.1)) for n in (1, 2)]
    assert repeat_claim(rows).here == pytest.approx(1.0)
    assert float(cv_over(rows, "estimate_ppm_mm3")[0]) == pytest.approx(0.01)


def test_published_results_read_from_known_tables() -> None:
    shown = {"t2s_mm3": 10.0, "swi_mm3": 12.0, "r2s_mm3": 8.0, "qsm_mm3": 6.0, "qsm_mean_ppm": 0.4}
    grown = {"t2s_mm3": 20.0, "swi_mm3": 22.0, "r2s_mm3": 12.0, "qsm_mm3": 8.0, "qsm_mean_ppm": 0.3}
    sizes = (3.0, 6.0, 12.0, 30.0)
    rows = [lesion("TE20", n, m, m, **shown) for n, m in enumerate(sizes)]
    rows += [lesion("TE40", n, m, 1.01 * m, **grown) for n, m in enumerate(sizes)]
    assert all(c.passed for c in liu_claims(rows))
    assert liu_claims(rows)[0].here == pytest.approx(2.0)
    rows += [lesion("TE10", n, m, 0.99 * m, **shown) for n, m in enumerate(sizes)]
    size, mean, slope = naji_claims(rows)
    assert size.here == pytest.approx(0.75)
    assert mean.here == pytest.approx(4 / 3)
    assert slope.here == pytest.approx(0.99 / 1.01)


def test_counts_of_what_is_seen() -> None:
    seen = {"15T": 4, "3T": 6, "7T": 8, "thick15T": 2}
    rows = [
        lesion(s, n, 2.0, 2.0, seen_t2s=float(n < k), seen_swi=float(n < k))
        for s, k in seen.items() for n in range(10)
    ]  # fmt: skip
    assert [c.here for c in seen_claims(rows)] == pytest.approx([1.5, 2.0, 1 / 3])
    assert literature_claims({}) == []


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_the_ratio_of_medians_that_normal_errors_have(spread: float, rng: np.random.Generator) -> None:
    sd = np.exp(spread * rng.standard_normal(20000))
    errors = np.abs(sd * rng.standard_normal(sd.size))
    expected = 1.96 * np.median(sd) / np.median(errors)
    assert normal_ratio(1.96 * sd) == pytest.approx(expected, rel=0.03)
    assert (normal_ratio(1.96 * sd) > 3) == (spread > 0)


def test_a_haematomas_growth_with_echo_time_is_in_litres_a_second() -> None:
    te_s = {"TE10": 0.01, "TE20": 0.02, "TE40": 0.04}
    rows = [
        lesion(s, n, 3000.0, 0.0, kind="haematoma", te_max_s=te, t2s_mm3=4000 + 4e5 * te, swi_mm3=5000 + 5e5 * te,
               r2s_mm3=4000 + 3e5 * te, qsm_mm3=3600 + 1e4 * te * n)
        for n in (0, 1, 2) for s, te in te_s.items()
    ]  # fmt: skip
    claims = wang_claims(rows)
    assert [c.here for c in claims] == pytest.approx([0.4, 0.5, 0.75, 0.025])
    assert all(c.passed for c in claims)
    shrinking = [{**r, "t2s_mm3": 4000 - 1e5 * r["te_max_s"]} for r in rows]
    assert not wang_claims(shrinking)[0].passed
