"""The loop over points of balls against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.signal._ball_loops import ball_factor
from tests.scenes.lesion_signal import B0_DIR, balls_at_points


@pytest.mark.parametrize("n_balls", [1, 2])
def test_loop_agrees_with_a_plain_twin(n_balls: int, rng: np.random.Generator) -> None:
    balls = np.array([[3.0, 0.4, -0.2, 0.1, 0.9], [2.0, -1.2, 0.6, 0.5, 0.7]])[:n_balls]
    points = rng.uniform(-4, 4, (500, 3)).astype(np.float32)
    r = np.linalg.norm(points[:, None] - balls[None, :, 1:4], axis=2)
    points = points[(np.abs(r - balls[None, :, 4]) > 0.01).all(axis=1)]
    constants, inside = np.array([0.3, 0.9]), np.array([0.6, 0.2])
    out = np.empty((2, 1, 2, len(points)), np.float32)
    core = np.stack([inside, np.zeros(2)])
    args = (a.astype(np.float32) for a in (balls, points, np.ones(len(points)), B0_DIR, constants, core))
    ball_factor(*args, np.float32(0.01), out)
    expected = balls_at_points(balls, points.astype(float), constants, inside) - 1
    np.testing.assert_allclose(out[0, 0] + 1j * out[1, 0], expected, atol=2e-5)
