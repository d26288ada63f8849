"""R2* against decays whose rate is known: exact, in noise, below the noise floor; slabs, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.errors import InvalidInputError
from qsmcmb.relaxometry import METHODS
from qsmcmb.relaxometry.r2star import MAX_R2STAR_HZ, SLAB, fit_arlo, fit_log_linear
from qsmcmb.typing import FloatArray
from tests.scenes.echoes import EVEN_TE_S, signal_of, times

UNEVEN_TE_S = (0.003, 0.008, 0.015, 0.021)
SHAPE = (9, 8, 7)
EVERYWHERE = np.ones(SHAPE, bool)


def rates(low: float = 5.0, high: float = 150.0) -> FloatArray:
    return np.linspace(low, high, int(np.prod(SHAPE))).reshape(SHAPE)


def decays(rate: FloatArray, te_s: tuple[float, ...], amplitude: float = 80.0) -> FloatArray:
    return (amplitude * np.exp(-times(te_s) * rate)).astype(np.float32)


@pytest.mark.parametrize("te_s", [EVEN_TE_S, UNEVEN_TE_S, EVEN_TE_S[:2]])
def test_a_line_through_the_logarithm_is_exact_without_noise(te_s: tuple[float, ...]) -> None:
    found = qc.map_r2star(decays(rates(), te_s), EVERYWHERE, te_s=te_s)
    np.testing.assert_allclose(found, rates(), rtol=2e-4)


def test_simpsons_rule_sees_the_rate_that_it_must() -> None:
    """On S = exp(-R TE) with spacing t it gives 3 sinh(R t) / (t (2 + cosh(R t))), R to the fourth order."""
    spacing = EVEN_TE_S[1] - EVEN_TE_S[0]
    x = rates() * spacing
    found = qc.map_r2star(decays(rates(), EVEN_TE_S), EVERYWHERE, te_s=EVEN_TE_S, method="arlo")
    np.testing.assert_allclose(found, 3 * np.sinh(x) / (spacing * (2 + np.cosh(x))), rtol=2e-5)
    # To the fourth order: x^4 / 180 too low.
    slow = x < 0.4
    np.testing.assert_allclose(1 - found[slow] / rates()[slow], x[slow] ** 4 / 180, atol=3e-5)


def test_the_weights_are_the_squared_magnitude(rng: np.random.Generator) -> None:
    magnitude = rng.uniform(1.0, 9.0, (4, 3, 2, 2)).astype(np.float32)
    found = fit_log_linear(magnitude, UNEVEN_TE_S)
    for at in np.ndindex(3, 2, 2):
        s = magnitude[(slice(None), *at)].astype(float)
        # polyfit squares the weights that it is given.
        slope = np.polyfit(UNEVEN_TE_S, np.log(s), 1, w=s)[0]
        assert found[at] == pytest.approx(-slope, rel=1e-4)


def test_the_closed_form_is_the_least_squares_of_its_equation(rng: np.random.Generator) -> None:
    """Pei 2015, eq. 5: sum of (I^2 + t/3 D^2-mixed) terms, written with plain sums over the triples of echoes."""
    s = rng.uniform(1.0, 9.0, (5, 4)).astype(np.float64)
    te_s = (0.004, 0.009, 0.014, 0.019, 0.024)
    third = 0.005 / 3
    top = bottom = np.zeros(4)
    for first, middle, last in zip(s, s[1:], s[2:], strict=False):
        integral, difference = third * (first + 4 * middle + last), first - last
        top = top + integral**2 + third * integral * difference
        bottom = bottom + third * difference**2 + integral * difference
    found = fit_arlo(s.reshape(5, 4, 1, 1).astype(np.float32), te_s)
    np.testing.assert_allclose(found.ravel(), bottom / top, rtol=1e-5)


@pytest.mark.parametrize(("method", "over_bound"), [("weighted", 1.0), ("arlo", 1.12)])
def test_the_spread_in_noise_is_the_bound_of_a_decay(method: str, over_bound: float) -> None:
    """Cramer-Rao for ln S with variance (snr S)^-2: 1 / (snr sqrt(sum S^2 (TE - weighted mean)^2))."""
    rate, snr, te = 30.0, 100.0, np.array(EVEN_TE_S)
    _, magnitude = signal_of(np.zeros((20, 20, 20)), np.full((20, 20, 20), rate), EVEN_TE_S, snr=snr)
    found = qc.map_r2star(magnitude, np.ones((20, 20, 20), bool), te_s=EVEN_TE_S, method=method)
    weight = np.exp(-2 * rate * te)
    bound = 1 / (snr * np.sqrt((weight * (te - (weight * te).sum() / weight.sum()) ** 2).sum()))
    error = found.astype(float) - rate
    assert error.std() == pytest.approx(over_bound * bound, rel=0.04)
    assert abs(error.mean()) < 0.05 * bound


@pytest.mark.parametrize(("rate", "low_by"), [(50.0, 0.006), (100.0, 0.02), (150.0, 0.06), (200.0, 0.165)])
def test_an_echo_at_the_noise_floor_lowers_the_rate_by_its_weight(rate: float, low_by: float) -> None:
    """The magnitude of noise alone has the mean sqrt(pi / 2) / snr and does not decay: a line through it is flat."""
    te_s, snr = (0.004, 0.008, 0.016, 0.032), 60.0
    _, magnitude = signal_of(np.zeros((16, 16, 16)), np.full((16, 16, 16), rate), te_s, snr=snr, seed=8)
    if rate == 200.0:
        assert magnitude[-1].mean() == pytest.approx(np.sqrt(np.pi / 2) / snr, rel=0.03)
    found = np.median(qc.map_r2star(magnitude, np.ones((16, 16, 16), bool), te_s=te_s))
    assert 1 - found / rate == pytest.approx(low_by, rel=0.2)
    if rate > 100:
        # Each echo counts by its squared magnitude: the floor's pull is a third of what it is on a plain line.
        plain = np.median(-np.polyfit(te_s, np.log(magnitude.reshape(4, -1).astype(float)), 1)[0])
        assert 1 - found / rate < 0.4 * (1 - plain / rate)


@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_decay_or_is_not_there_is_0_and_nothing_exceeds_the_range(method: str) -> None:
    magnitude = decays(np.full(SHAPE, 20.0), EVEN_TE_S)
    magnitude[:, 0, 0, 0] = 0
    magnitude[:, 1, 1, 1] = (1.0, 2.0, 3.0, 4.0)
    magnitude[:, 2, 2, 2] = (1.0, 1e-12, 1e-24, 1e-36)
    found = qc.map_r2star(magnitude, EVERYWHERE, te_s=EVEN_TE_S, method=method)
    assert found[0, 0, 0] == 0
    assert found[1, 1, 1] == 0
    assert found[2, 2, 2] == (MAX_R2STAR_HZ if method == "weighted" else pytest.approx(600, rel=1e-3))
    assert np.isfinite(found).all()
    assert found[4, 4, 4] == pytest.approx(20, rel=1e-3)


@pytest.mark.parametrize("start", range(SLAB + 1))
def test_slabs_of_the_box_leave_no_seam(start: int, rng: np.random.Generator) -> None:
    magnitude = rng.uniform(1.0, 9.0, (3, 3 * SLAB + 2, 4, 5)).astype(np.float32)
    mask = np.zeros(magnitude.shape[1:], bool)
    mask[start : start + 2 * SLAB + 1, 1:3, 2:5] = rng.random((2 * SLAB + 1, 2, 3)) < 0.8
    whole = np.clip(fit_log_linear(magnitude, EVEN_TE_S[:3]), 0, MAX_R2STAR_HZ)
    found = qc.map_r2star(magnitude, mask, te_s=EVEN_TE_S[:3])
    np.testing.assert_array_equal(found, np.where(mask, whole, 0))


@pytest.mark.parametrize(
    ("te_s", "method", "match"),
    [
        (EVEN_TE_S[:1], "weighted", "echoes = 1; expected at least 2"),
        (EVEN_TE_S[:2], "arlo", "echoes = 2; expected at least 3"),
        (UNEVEN_TE_S, "arlo", r"spacing = \[0.005, 0.007, 0.006\]; expected even echo spacing"),
    ],
)
def test_too_few_or_uneven_echoes_are_refused(te_s: tuple[float, ...], method: str, match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        qc.map_r2star(decays(rates(), te_s), EVERYWHERE, te_s=te_s, method=method)


def test_times_and_volumes_must_match() -> None:
    with pytest.raises(InvalidInputError, match="ECHOES"):
        qc.map_r2star(decays(rates(), EVEN_TE_S), EVERYWHERE, te_s=EVEN_TE_S[:3])
    with pytest.raises(InvalidInputError, match=r"mask\.shape"):
        qc.map_r2star(decays(rates(), EVEN_TE_S), np.ones((9, 8, 6), bool), te_s=EVEN_TE_S)


def test_spacing_may_be_rounded() -> None:
    """Echo times of a header, in whole microseconds and a little off, are evenly spaced."""
    rounded = (0.00498, 0.01001, 0.01502, 0.02)
    found = qc.map_r2star(decays(np.full(SHAPE, 20.0), rounded), EVERYWHERE, te_s=rounded, method="arlo")
    np.testing.assert_allclose(found, 20.0, rtol=0.01)
