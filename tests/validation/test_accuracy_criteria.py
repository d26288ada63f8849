"""Accuracy: known tables give known figures, and what is missed fails."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from qsmcmb.validation.acceptance_criteria import Claim, ResultRow, cv_over
from qsmcmb.validation.accuracy_criteria import (
    accuracy_claims,
    class_table,
    error_claims,
    normal_ratio,
    repeat_claim,
    seen_claims,
)

RowMaker = Callable[..., ResultRow]


def find(claims: list[Claim], words: str) -> Claim:
    return next(c for c in claims if words in c.quantity)


def test_accuracy_of_a_perfect_and_of_a_poor_table(lesion: RowMaker) -> None:
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


def test_error_is_judged_relative_or_absolute_by_size(lesion: RowMaker) -> None:
    median, worst, small = error_claims([lesion("3T", 1, 2.5, 2.6), lesion("3T", 2, 1.2, 1.3)])
    assert median.here == pytest.approx(1.0)
    assert worst.here == pytest.approx(1 / 3)
    assert small.here == pytest.approx(0.1)


def test_size_classes_count_every_lesion_once(lesion: RowMaker) -> None:
    rows = [lesion("3T", n, m, m) for n, m in enumerate((1.0, 1.9, 2.0, 5.0, 14.0, 15.0, 60.0))]
    table = class_table(rows)
    assert [r["lesions"] for r in table] == [2, 1, 2, 2]


def test_repeatability_is_the_root_mean_square(lesion: RowMaker) -> None:
    rows = [lesion(f"scan{s}", n, 10.0, 10.0 + d) for s, d in ((1, -0.1), (2, 0.0), (3, 0.1)) for n in (1, 2)]
    assert repeat_claim(rows).here == pytest.approx(1.0)
    assert float(cv_over(rows, "estimate_ppm_mm3")[0]) == pytest.approx(0.01)


def test_counts_of_what_is_seen(lesion: RowMaker) -> None:
    seen = {"15T": 4, "3T": 6, "7T": 8, "thick15T": 2}
    rows = [
        lesion(s, n, 2.0, 2.0, seen_t2s=float(n < k), seen_swi=float(n < k))
        for s, k in seen.items() for n in range(10)
    ]  # fmt: skip
    assert [c.here for c in seen_claims(rows)] == pytest.approx([1.5, 2.0, 1 / 3])


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_the_ratio_of_medians_that_normal_errors_have(spread: float, rng: np.random.Generator) -> None:
    sd = np.exp(spread * rng.standard_normal(20000))
    errors = np.abs(sd * rng.standard_normal(sd.size))
    expected = 1.96 * np.median(sd) / np.median(errors)
    assert normal_ratio(1.96 * sd) == pytest.approx(expected, rel=0.03)
    assert (normal_ratio(1.96 * sd) > 3) == (spread > 0)
