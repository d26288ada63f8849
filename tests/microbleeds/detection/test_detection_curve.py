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
