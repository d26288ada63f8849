"""The curve that made the cases comes back, with intervals that hold it."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.errors import InvalidInputError
from qsmcmb.microbleeds.detection.detection_curve import fit_detection_curve


def cases(seed: int, half: float = 1.2, slope: float = 3.0, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    total = np.exp(rng.uniform(np.log(0.2), np.log(10), n))
    chance = 1 / (1 + (total / half) ** -slope)
    return total, rng.random(n) < chance


def test_curve_comes_back_and_its_intervals_hold_it() -> None:
    inside = []
    for seed in range(40):
        curve = fit_detection_curve(*cases(seed))
        inside.append(
            (
                curve.half_interval[0] < 1.2 < curve.half_interval[1],
                curve.ninety_five_interval[0] < 1.2 * 19 ** (1 / 3) < curve.ninety_five_interval[1],
            )
        )
    assert curve.half_ppm_mm3 == pytest.approx(1.2, rel=0.25)
    assert curve.slope == pytest.approx(3.0, rel=0.4)
    assert (np.mean(inside, axis=0) >= 0.85).all()


def test_a_sharp_edge_stays_finite_and_sign_does_not_count() -> None:
    total = np.array([0.2, 0.4, 0.8, 1.6, 3.2, 6.4])
    sharp, negative = (fit_detection_curve(m, total > 1) for m in (total, -total))
    assert 0.8 < sharp.half_ppm_mm3 < 1.6 < sharp.ninety_five_ppm_mm3 < 10
    assert sharp == negative


def test_all_or_none_found_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="some found and some missed"):
        fit_detection_curve(np.array([1.0, 2.0]), np.array([True, True]))


def test_the_curve_is_the_most_likely_one_with_the_prior_on_its_slope() -> None:
    """Against a plain search for the maximum, and intervals from the second derivative there."""
    from scipy.optimize import minimize

    total, found = cases(3, n=60)
    curve = fit_detection_curve(total, found)
    x = np.log(total)

    def cost(q: np.ndarray) -> float:
        logit = q[1] * (x - q[0])
        return float(np.log1p(np.exp(np.where(found, -logit, logit))).sum() + 0.5 * ((q[1] - 2.0) / 2.0) ** 2)

    best = minimize(cost, [0.1, 2.5], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}).x
    assert curve.half_ppm_mm3 == pytest.approx(np.exp(best[0]), rel=1e-5)
    assert curve.slope == pytest.approx(best[1], rel=1e-5)
    assert curve.ninety_five_ppm_mm3 == pytest.approx(np.exp(best[0] + np.log(19) / best[1]), rel=1e-5)
    assert curve.n == 60

    def second(i: int, j: int) -> float:
        a, b = np.eye(2)[i] * 1e-3, np.eye(2)[j] * 1e-3
        return (cost(best + a + b) - cost(best + a - b) - cost(best - a + b) + cost(best - a - b)) / 4e-6

    covariance = np.linalg.inv([[second(0, 0), second(0, 1)], [second(1, 0), second(1, 1)]])
    half = np.sqrt(covariance[0, 0])
    by = np.array([1.0, -np.log(19) / best[1] ** 2])
    most = np.sqrt(by @ covariance @ by)
    for (low, high), value, sd in (
        (curve.half_interval, curve.half_ppm_mm3, half),
        (curve.ninety_five_interval, curve.ninety_five_ppm_mm3, most),
    ):
        assert np.log(high / value) == pytest.approx(1.96 * sd, rel=0.02)
        assert np.log(value / low) == pytest.approx(1.96 * sd, rel=0.02)


def test_the_mean_of_the_lesions_is_no_part_of_the_curve() -> None:
    total, found = cases(5, n=80)
    curve, scaled = fit_detection_curve(total, found), fit_detection_curve(10 * total, found)
    assert scaled.half_ppm_mm3 == pytest.approx(10 * curve.half_ppm_mm3)
    assert scaled.slope == pytest.approx(curve.slope)
    with pytest.raises(InvalidInputError, match="0 of 2"):
        fit_detection_curve(np.array([1.0, 2.0]), np.array([False, False]))
