"""The loop over points of a cylinder against a plain twin, and its derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.signal._cylinder_loops import PER_CYLINDER, cylinder_factor
from qsmcmb.microbleeds.signal.source_shapes import CYLINDER
from tests.scenes.lesion_signal import B0_DIR, cylinder_at_points


def seen(
    row: np.ndarray, points: np.ndarray, weight: np.ndarray, *args: np.ndarray | float, count: int
) -> np.ndarray:
    """Return what the loop makes of direction of B0, constants, core and edge, all of them float32."""
    single = [np.asarray(a, np.float32) for a in (row[None], points, weight, *args[:-1])]
    out = np.empty((2, count, len(args[1]), len(points)), np.float32)
    cylinder_factor(*single, np.float32(args[-1]), out)
    return np.asarray(out[0] + 1j * out[1])


def row_of(axis: tuple[float, float, float]) -> np.ndarray:
    return np.array([0.9, 0.3, -0.2, 0.1, 0.8, *(np.array(axis) / np.linalg.norm(axis))])


@pytest.mark.parametrize("axis", [(0.0, 0.0, 1.0), (1.0, 2.0, -0.5), (0.6, 0.0, 0.8)])
def test_loop_agrees_with_a_plain_twin(axis: tuple[float, float, float], rng: np.random.Generator) -> None:
    row, points = row_of(axis), rng.uniform(-4, 4, (500, 3)).astype(np.float32)
    offset = points - row[1:4]
    rho = np.linalg.norm(offset - np.outer(offset @ row[5:8], row[5:8]), axis=1)
    points = points[np.abs(rho - row[4]) > 0.01]
    constants, inside = np.array([0.3, 0.9]), np.array([0.6, 0.2])
    core = np.stack([inside, np.zeros(2)])
    weight = np.ones(len(points))
    made = seen(row, points, weight, B0_DIR, constants, core, 0.01, count=1)[0]
    expected = cylinder_at_points(row, points.astype(float), constants, inside) - 1
    np.testing.assert_allclose(made, expected, atol=3e-5)


def test_what_has_no_weight_is_not_seen(rng: np.random.Generator) -> None:
    points, weight = rng.uniform(-4, 4, (500, 3)), np.zeros(500)
    weight[300:310] = 1
    core = np.stack([np.full(2, 0.5), np.full(2, -0.1)])
    made = seen(row_of((1.0, 0.0, 2.0)), points, weight, B0_DIR, np.array([0.3, 0.9]), core, 0.3, count=10)
    there = np.abs(made).max(axis=(0, 1)) > 0
    np.testing.assert_array_equal(there, weight > 0)


def test_derivatives_of_the_loop_are_differences(rng: np.random.Generator) -> None:
    points = rng.uniform(-4, 4, (400, 3)).astype(np.float32)
    weight = np.ones(len(points))
    constants, core = np.array([0.5, 1.1]), np.array([[0.7, 0.4], [-0.2, -0.3]])

    def factor(p: np.ndarray, count: int) -> np.ndarray:
        return seen(CYLINDER.rows(p)[0], points, weight, B0_DIR, constants, core, 0.5, count=count)

    p = np.array([0.9, 0.3, -0.2, 0.1, np.log(0.8), 0.4, 0.0, 0.5, -0.6, 0.7])
    made = factor(p, 2 + PER_CYLINDER)[1:]
    # No wider point spread in the place of its slope.
    slopes = CYLINDER.chain_rule(p, np.concatenate([made, np.zeros_like(made[:1])]))
    for i in (0, 1, 2, 3, 4, 7, 8, 9):
        step = np.zeros(10)
        step[i] = 2e-3
        difference = (factor(p + step, 1)[0] - factor(p - step, 1)[0]) / 4e-3
        assert np.linalg.norm(difference - slopes[i]) < 0.03 * np.linalg.norm(difference)
    np.testing.assert_allclose(slopes[6], made[-1])
