"""Whether estimators agree: three SDs of their difference."""

from __future__ import annotations

import pytest

from qsmcmb.microbleeds.crosscheck.agreement import estimators_disagree
from qsmcmb.model import Estimate

FIT = Estimate(5.0, 0.3, "ppm mm3")


@pytest.mark.parametrize(
    ("value", "sd", "expected"),
    [
        (6.4, 0.4, False),
        (6.6, 0.4, True),
        (3.6, 0.4, False),
        (3.4, 0.4, True),
        (5.8, 0.0, False),
        (6.0, 0.0, True),
    ],
)
def test_three_sds_of_the_difference_are_the_limit(value: float, sd: float, expected: bool) -> None:
    # sqrt(0.3^2 + 0.4^2) is 0.5: the limit is 1.5 from the fit, or 0.9 where the other is exact.
    assert estimators_disagree(FIT, [Estimate(value, sd, "ppm mm3")]) == expected


def test_one_that_differs_is_enough_and_none_are_no_difference() -> None:
    near, far = Estimate(5.1, 0.1, "ppm mm3"), Estimate(50.0, 1.0, "ppm mm3")
    assert estimators_disagree(FIT, [near, None, far])
    assert not estimators_disagree(FIT, [None, None])
    assert not estimators_disagree(FIT, [])
    assert not estimators_disagree(FIT, [Estimate(float("nan"), 0.1, "ppm mm3")])
    assert not estimators_disagree(FIT, [Estimate(50.0, float("inf"), "ppm mm3")])
