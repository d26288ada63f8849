"""The loop over points of a cylinder against a plain twin, and its derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.signal._cylinder_loops import PER_CYLINDER, cylinder_factor
from qsmcmb.microbleeds.signal.source_shapes import CYLINDER
from tests.scenes.lesion_signal import B0_DIR, cylinder_at_points, looped

pytestmark = pytest.mark.loops


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
    weight = rng.uniform(0, 1, len(points))
    made = looped(cylinder_factor, row[None], points, weight, B0_DIR, constants, core, 0.01, n=1)[0]
    expected = weight * (cylinder_at_points(row, points.astype(float), constants, inside) - 1)
    np.testing.assert_allclose(made, expected, atol=3e-5)


def test_what_has_no_weight_is_not_seen(rng: np.random.Generator) -> None:
    points, weight = rng.uniform(-4, 4, (500, 3)), np.zeros(500)
    weight[300:310] = 1
    core = np.stack([np.full(2, 0.5), np.full(2, -0.1)])
    made = looped(
        cylinder_factor,
        row_of((1.0, 0.0, 2.0))[None],
        points,
        weight,
        B0_DIR,
        np.array([0.3, 0.9]),
        core,
        0.3,
        n=10,
    )
    there = np.abs(made).max(axis=(0, 1)) > 0
    np.testing.assert_array_equal(there, weight > 0)


def test_derivatives_of_the_loop_are_differences(rng: np.random.Generator) -> None:
    points = rng.uniform(-4, 4, (400, 3)).astype(np.float32)
    weight = np.ones(len(points))
    constants, core = np.array([0.5, 1.1]), np.array([[0.7, 0.4], [-0.2, -0.3]])

    def factor(p: np.ndarray, n: int) -> np.ndarray:
        return looped(cylinder_factor, CYLINDER.rows(p), points, weight, B0_DIR, constants, core, 0.5, n=n)

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


def test_the_inside_decays_and_turns(rng: np.random.Generator) -> None:
    """Within the edge the field of the cylinder itself is there, the same everywhere, times the decay."""
    row = row_of((1.0, 2.0, -0.5))
    points = row[1:4] + np.outer(rng.uniform(-3, 3, 20), row[5:8])
    decay, constants = np.array([0.4, 1.2]), np.array([0.3, 0.9])
    core = np.stack([np.exp(-decay), -decay * np.exp(-decay)])
    made = looped(cylinder_factor, row[None], points, np.ones(20), B0_DIR, constants, core, 0.4, n=10)
    dchi = row[0] / (np.pi * row[4] ** 2)
    cosine = B0_DIR @ row[5:8]
    turn = 4 * np.pi * constants * dchi * (cosine**2 / 2 - 1 / 6)
    inside = np.exp(-decay + 1j * turn)
    np.testing.assert_allclose(made[0], np.outer(inside - 1, np.ones(20)), atol=1e-5)
    np.testing.assert_allclose(made[9], np.outer(-decay * inside, np.ones(20)), atol=1e-5)
    # By the strength, by the radius and by the axis; the place on the axis has no part in it.
    np.testing.assert_allclose(made[1], np.outer(1j * turn / row[0] * inside, np.ones(20)), atol=1e-5)
    np.testing.assert_allclose(made[5], np.outer(-2j * turn / row[4] * inside, np.ones(20)), atol=1e-5)
    np.testing.assert_allclose(made[2:5], 0, atol=1e-5)
    by_axis = 4j * np.pi * constants * dchi * cosine * inside
    for i in range(3):
        np.testing.assert_allclose(made[6 + i], np.outer(by_axis * B0_DIR[i], np.ones(20)), atol=1e-5)


def test_the_edge_is_a_ramp_across_the_surface() -> None:
    row = np.array([0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 1.0])
    rho = np.array([1.6, 1.75, 1.9, 2.0, 2.1, 2.25, 2.4])
    points = np.stack([0 * rho, rho, np.linspace(-3, 3, 7)], axis=1)
    core = np.array([[0.3], [0.0]])
    made = looped(cylinder_factor, row[None], points, np.ones(7), B0_DIR, np.array([0.5]), core, 0.5, n=1)[
        0, 0
    ]
    np.testing.assert_allclose(made, (1 - np.clip((rho - 2) / 0.5 + 0.5, 0, 1)) * (0.3 - 1), atol=1e-6)
