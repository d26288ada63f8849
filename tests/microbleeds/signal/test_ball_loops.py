"""The loop over points of balls against plain NumPy, its derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.signal._ball_loops import CHUNK_POINTS, PER_BALL, ball_factor, rotate_phase
from qsmcmb.microbleeds.signal.source_shapes import BALL_PAIR
from qsmcmb.typing import FloatArray
from tests.scenes.lesion_signal import B0_DIR, balls_at_points, looped

pytestmark = pytest.mark.loops
BALLS = np.array([[3.0, 0.4, -0.2, 0.1, 0.9], [2.0, -1.2, 0.6, 0.5, 0.7]])


def clear_of_edges(balls: FloatArray, points: FloatArray, mm: float) -> FloatArray:
    """Return the points further than this from the surface of each ball."""
    r = np.linalg.norm(points[:, None] - balls[None, :, 1:4], axis=2)
    return points[(np.abs(r - balls[None, :, 4]) > mm).all(axis=1)]


@pytest.mark.parametrize("n_balls", [1, 2])
def test_loop_agrees_with_a_plain_twin(n_balls: int, rng: np.random.Generator) -> None:
    balls = BALLS[:n_balls]
    points = clear_of_edges(balls, rng.uniform(-4, 4, (500, 3)).astype(np.float32), 0.01)
    constants, inside = np.array([0.3, 0.9]), np.array([0.6, 0.2])
    core = np.stack([inside, np.zeros(2)])
    weight = rng.uniform(0, 1, len(points))
    made = looped(ball_factor, balls, points, weight, B0_DIR, constants, core, 0.01, n=1)[0]
    expected = weight * (balls_at_points(balls, points.astype(float), constants, inside) - 1)
    np.testing.assert_allclose(made, expected, atol=2e-5)


def test_the_edge_is_a_ramp_across_the_surface() -> None:
    ball = np.array([[0.0, 0.0, 0.0, 0.0, 2.0]])
    r = np.array([1.6, 1.75, 1.9, 2.0, 2.1, 2.25, 2.4])
    points = np.outer(r, [0.0, 1.0, 0.0])
    core = np.array([[0.3], [0.0]])
    made = looped(ball_factor, ball, points, np.ones(7), B0_DIR, np.array([0.5]), core, 0.5, n=1)[0, 0]
    outside = np.clip((r - 2.0) / 0.5 + 0.5, 0, 1)
    np.testing.assert_allclose(made, (1 - outside) * (0.3 - 1), atol=1e-6)


def test_at_the_centre_there_is_no_field() -> None:
    made = looped(
        ball_factor,
        BALLS[:1],
        BALLS[:1, 1:4],
        np.ones(1),
        B0_DIR,
        np.array([0.9]),
        np.array([[0.4], [-0.1]]),
        0.3,
        n=7,
    )[:, 0, 0]
    np.testing.assert_allclose(made[0], -0.6, atol=1e-6)
    np.testing.assert_allclose(made[1:6], 0.0, atol=1e-6)
    np.testing.assert_allclose(made[6], -0.1, atol=1e-6)


@pytest.mark.parametrize("n_balls", [1, 2])
def test_derivatives_are_differences(n_balls: int, rng: np.random.Generator) -> None:
    balls = BALLS[:n_balls]
    points = rng.uniform(-3, 3, (400, 3))
    # On the ramp the factor is smooth within a step; its kinks are left out.
    r = np.linalg.norm(points[:, None] - balls[None, :, 1:4], axis=2) - balls[None, :, 4]
    points = points[(np.abs(np.abs(r) - 0.25) > 0.01).all(axis=1)]
    weight = rng.uniform(0.5, 1, len(points))
    constants, decay = np.array([0.5, 1.1]), np.array([0.4, 1.2])

    def factor(balls: FloatArray, decay: FloatArray, n: int = 1) -> FloatArray:
        core = np.stack([np.exp(-decay), -decay * np.exp(-decay)])
        return looped(ball_factor, balls, points, weight, B0_DIR, constants, core, 0.5, n=n)

    made = factor(balls, decay, 2 + PER_BALL * n_balls)
    # Without derivatives the phases of several balls are added before the sine, in single precision.
    np.testing.assert_allclose(made[0], factor(balls, decay)[0], atol=2e-6)
    for b in range(n_balls):
        for i in range(PER_BALL):
            step = np.zeros_like(balls)
            step[b, i] = 2e-3
            difference = (factor(balls + step, decay)[0] - factor(balls - step, decay)[0]) / 4e-3
            error = np.linalg.norm(difference - made[1 + PER_BALL * b + i])
            assert error < 0.01 * np.linalg.norm(difference), (b, i)
    by_log = (factor(balls, decay * np.exp(2e-3))[0] - factor(balls, decay * np.exp(-2e-3))[0]) / 4e-3
    assert np.linalg.norm(by_log - made[-1]) < 0.01 * np.linalg.norm(by_log)


def test_pairs_have_the_derivatives_of_both(rng: np.random.Generator) -> None:
    p = np.array([5.0, 0.3, -0.2, 0.1, np.log(0.7), 0.2, np.log(90.0), 0.6, 0.5, 0.4])
    points = rng.uniform(-3, 3, (200, 3))
    core, ones = np.array([[0.4], [-0.2]]), np.ones(200)
    made = looped(ball_factor, BALL_PAIR.rows(p), points, ones, B0_DIR, np.array([0.5]), core, 0.5, n=12)
    slopes = BALL_PAIR.chain_rule(p, np.concatenate([made[1:, 0], np.full((1, 200), 9.0)]))
    # Squared width before log decay.
    np.testing.assert_array_equal(slopes[5], 9.0)
    np.testing.assert_array_equal(slopes[6], made[11, 0])


@pytest.mark.parametrize("n", [1, CHUNK_POINTS, CHUNK_POINTS + 1, 3 * CHUNK_POINTS])
def test_points_without_weight_are_zero_in_every_chunk(n: int, rng: np.random.Generator) -> None:
    points, weight = rng.uniform(-2, 2, (n, 3)), np.zeros(n)
    weight[n - 1] = 1.0
    core = np.array([[0.5, 0.5], [-0.1, -0.1]])
    made = looped(ball_factor, BALLS, points, weight, B0_DIR, np.array([0.3, 0.9]), core, 0.3, n=12)
    assert np.isfinite(made).all()
    np.testing.assert_array_equal(np.abs(made).max(axis=(0, 1)) > 0, weight > 0)
    # What others have in the same chunk or in another one changes nothing.
    alone = looped(ball_factor, BALLS, points[-1:], np.ones(1), B0_DIR, np.array([0.3, 0.9]), core, 0.3, n=12)
    np.testing.assert_array_equal(made[..., -1:], alone)


def test_phases_are_rotated_at_every_point(rng: np.random.Generator) -> None:
    n = 2 * CHUNK_POINTS + 5
    values = rng.standard_normal((2, 3, 2, n)).astype(np.float32)
    angle = rng.uniform(-3, 3, (2, n))
    phasor = np.stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    made = values.copy()
    rotate_phase(made, phasor)
    expected = (values[0] + 1j * values[1]) * np.exp(1j * angle)
    np.testing.assert_allclose(made[0] + 1j * made[1], expected, atol=1e-5)
