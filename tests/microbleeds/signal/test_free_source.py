"""The free source: rows, their derivatives and the priors, against differences and the simple shapes."""

import numpy as np
import pytest

from qsmcmb.microbleeds.signal.free_source import FreeSource
from qsmcmb.microbleeds.signal.source_shapes import BALL, BALL_PAIR, LAYOUT
from qsmcmb.typing import FloatArray

SIGNS = [(1,), (1, 1), (1, 1, 1), (1, -1), (1, -1, 1, 1)]
STEP = 1e-6


def parameters(shape: FreeSource, rng: np.random.Generator) -> FloatArray:
    own = 0.5 * rng.standard_normal(shape.n_source_parameters - LAYOUT.n_common)
    return np.concatenate([[4.0, 0.1, -0.2, 0.3, np.log(1.2), 0.1, 4.5], own])


def differences(function, p: FloatArray) -> FloatArray:  # type: ignore[no-untyped-def]
    """Return central differences of a function by each parameter, along the last axis."""
    steps = STEP * np.eye(len(p))
    return np.stack([(function(p + s) - function(p - s)) / (2 * STEP) for s in steps], axis=-1)


@pytest.fixture(params=SIGNS, ids=str)
def shape(request: pytest.FixtureRequest) -> FreeSource:
    return FreeSource(request.param)


def test_strengths_add_to_the_total_and_volumes_to_the_balls(
    shape: FreeSource, rng: np.random.Generator
) -> None:
    p = parameters(shape, rng)
    rows = shape.rows(p)
    assert rows[:, 0].sum() == pytest.approx(4.0)
    assert (rows[:, 4] ** 3).sum() == pytest.approx(1.2**3)
    volume = rows[:, 4] ** 3 / (rows[:, 4] ** 3).sum()
    np.testing.assert_allclose(volume @ rows[:, 1:4], [0.1, -0.2, 0.3], atol=1e-12)
    # One susceptibility for each sign.
    dchi = rows[:, 0] / rows[:, 4] ** 3
    contrast = np.exp(p[-1]) if -1 in shape.signs else 1.0
    np.testing.assert_allclose(dchi / dchi[0], np.where(np.array(shape.signs) > 0, 1, -contrast))


def test_rows_and_parameters_are_inverse(shape: FreeSource, rng: np.random.Generator) -> None:
    p = parameters(shape, rng)
    rows = shape.rows(p)
    made = shape.parameters(
        p[: LAYOUT.n_common], rows[:, 0], rows[:, 1:4], log_contrast=shape.log_contrast(p)
    )
    np.testing.assert_allclose(made, p, atol=1e-12)


def test_derivatives_of_rows_are_differences(shape: FreeSource, rng: np.random.Generator) -> None:
    p = parameters(shape, rng)
    expected = differences(shape.rows, p)
    by_row = np.eye(5 * len(shape.signs) + 2)
    made = shape.chain_rule(p, by_row.astype(complex))
    # A loop that gives the rows themselves; decay and width come last, and are swapped.
    np.testing.assert_allclose(
        made[:, :-2].T.reshape(expected.shape), expected, atol=1e-5 * np.abs(expected).max()
    )
    assert made[LAYOUT.psf_width2, -1] == 1 == made[LAYOUT.log_decay, -2]
    assert np.count_nonzero(made[:, -2:]) == 2


def test_derivatives_of_priors_are_differences(shape: FreeSource, rng: np.random.Generator) -> None:
    p = parameters(shape, rng)
    _, slopes = shape.shape_prior(p)
    np.testing.assert_allclose(slopes, differences(lambda q: shape.shape_prior(q)[0], p), atol=1e-7)
    ratio = differences(lambda q: np.array(shape.log_susceptibility_ratio(q)), p)
    np.testing.assert_allclose(shape.log_susceptibility_slopes(p), ratio, atol=1e-7)


def test_one_ball_is_the_ball_and_two_equal_ones_are_the_pair() -> None:
    common = np.array([4.0, 0.1, -0.2, 0.3, np.log(1.2), 0.1, 4.5])
    np.testing.assert_allclose(FreeSource((1,)).rows(common), BALL.rows(common))
    assert FreeSource((1,)).log_susceptibility_ratio(common) == pytest.approx(
        BALL.log_susceptibility_ratio(common)
    )
    half_axis = np.array([0.3, 0.5, -0.4])
    pair = np.concatenate([common, half_axis])
    own = np.concatenate([[0.0], -2 * half_axis])
    # The pair's radius is that of one ball, the free source's that of the whole volume.
    free = np.concatenate([common, own])
    free[LAYOUT.log_radius] += np.log(2) / 3
    np.testing.assert_allclose(FreeSource((1, 1)).rows(free), BALL_PAIR.rows(pair))


def test_opposite_balls_have_the_susceptibility_of_their_absolute_sum() -> None:
    mixed = FreeSource((1, -1))
    common = np.array([0.0, 0.0, 0.0, 0.0, np.log(1.5), 0.1, 4.5])
    p = mixed.parameters(common, np.array([5.0, -2.0]), np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]]))
    volume = 4 / 3 * np.pi * 1.5**3
    assert mixed.log_susceptibility_ratio(p) == pytest.approx(np.log(7.0 / volume))


def test_distances_count_by_the_radius_and_volume_ratios_by_a_factor_of_two() -> None:
    p = np.array([4.0, 0.0, 0.0, 0.0, np.log(2.0), 0.1, 4.5, 0.7, 0.0, 2.4, -1.2])
    deviations, _ = FreeSource((1, 1)).shape_prior(p)
    np.testing.assert_allclose(deviations, [1.0, 0.0, 1.0, -0.5])
