"""The loop over points of a spheroid against the sum over its body, its derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.signal._spheroid_loops import PER_SPHEROID, spheroid_factor
from qsmcmb.microbleeds.signal.source_shapes import SPHEROID
from qsmcmb.typing import FloatArray
from tests.scenes.lesion_signal import B0_DIR, looped

pytestmark = pytest.mark.loops
P = np.array([3.0, 0.2, -0.1, 0.3, np.log(0.9), 0.2, np.log(90.0), 0.7, 0.4, -0.5])
"""Parameters of a spheroid, see `ParameterLayout`."""


@pytest.mark.parametrize("stretch", [1.4, 2.0])
def test_a_spheroid_has_the_field_of_its_body(stretch: float, rng: np.random.Generator) -> None:
    radius = 1.1
    # Of the ball's volume: across, along and from the middle to a focus.
    focus = radius * stretch ** (-1 / 3) * np.sqrt(stretch**2 - 1) * np.array([0.8, 0.5, -0.33166])
    p = np.array([4.0, 0.2, -0.1, 0.3, np.log(radius), 0.0, 0.0, *focus])
    row = SPHEROID.rows(p)[0]
    across, length = row[4], np.hypot(row[4], np.linalg.norm(focus))
    assert across**2 * length == pytest.approx(radius**3)
    step = 0.05
    cells = np.stack(np.meshgrid(*[np.arange(-2.5, 2.5, step)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    along = cells @ focus / np.linalg.norm(focus)
    inside = (along / length) ** 2 + ((cells**2).sum(axis=1) - along**2) / across**2 < 1
    body = cells[inside] + p[1:4]
    # From a quarter of the surface's distance above it on.
    points = rng.standard_normal((40, 3))
    along = points @ focus / np.linalg.norm(focus)
    surface = np.sqrt((along / length) ** 2 + ((points**2).sum(axis=1) - along**2) / across**2)
    points = p[1:4] + points * (rng.uniform(1.25, 2.5, 40) / surface)[:, None]
    offset = points[:, None] - body
    r = np.linalg.norm(offset, axis=2)
    field = p[0] * ((3 * (offset @ B0_DIR / r) ** 2 - 1) / r**3).mean(axis=1)
    core, weight = np.zeros((2, 1)), np.ones(len(points))
    seen = looped(spheroid_factor, row[None], points, weight, B0_DIR, np.array([0.05]), core, 0.05, n=1)[0, 0]
    made = np.angle(1 + seen) / 0.05
    assert np.abs(made - field).max() < 0.02 * np.abs(field).max()


def signed_distance(points: FloatArray) -> FloatArray:
    """Return the distance from the surface by the slope of the body's level there, as the loop takes it."""
    _, cx, cy, cz, across, *focus = SPHEROID.rows(P)[0]
    axis = np.array(focus) / np.linalg.norm(focus)
    length2 = across**2 + np.dot(focus, focus)
    offset = points - [cx, cy, cz]
    along = offset @ axis
    level = along**2 / length2 + ((offset**2).sum(axis=1) - along**2) / across**2
    gradient = np.outer(along / length2, axis) + (offset - np.outer(along, axis)) / across**2
    return np.asarray((level - 1) / (2 * np.linalg.norm(gradient, axis=1)))


def test_the_edge_is_a_ramp_across_the_surface(rng: np.random.Generator) -> None:
    points = P[1:4] + rng.uniform(-1.5, 1.5, (400, 3))
    core = np.array([[0.3], [0.0]])
    row = SPHEROID.rows(P)
    row[0, 0] = 0.0
    made = looped(spheroid_factor, row, points, np.ones(400), B0_DIR, np.array([0.5]), core, 0.4, n=1)[0, 0]
    outside = np.clip(signed_distance(points) / 0.4 + 0.5, 0, 1)
    np.testing.assert_allclose(made, (1 - outside) * (0.3 - 1), atol=1e-5)
    assert 20 < ((outside > 0) & (outside < 1)).sum() < 300


@pytest.mark.parametrize(("on_edge", "edge", "tolerance"), [(False, 0.5, 0.002), (True, 0.08, 0.06)])
def test_derivatives_are_differences(
    on_edge: bool, edge: float, tolerance: float, rng: np.random.Generator
) -> None:
    points = P[1:4] + rng.uniform(-2, 2, (20000, 3))
    # The kinks of the ramp are left out. On it the slope of the level counts as that at the surface.
    distance = np.abs(signed_distance(points))
    points = points[distance < edge / 2 - 0.005 if on_edge else (distance > 0.27) & (distance < 0.6)][:400]
    weight = rng.uniform(0.5, 1, len(points))
    constants = np.array([0.5, 1.1])

    def factor(p: FloatArray, n: int = 1) -> FloatArray:
        decay = np.exp(p[6]) * np.array([0.004, 0.012])
        core = np.stack([np.exp(-decay), -decay * np.exp(-decay)])
        return looped(spheroid_factor, SPHEROID.rows(p), points, weight, B0_DIR, constants, core, edge, n=n)

    made = factor(P, 2 + PER_SPHEROID)
    np.testing.assert_array_equal(made[0], factor(P)[0])
    flat = made[1:].reshape(PER_SPHEROID + 1, -1)
    slopes = SPHEROID.chain_rule(P, np.concatenate([flat, np.zeros_like(flat[:1])]))
    for i in (0, 1, 2, 3, 4, 6, 7, 8, 9):
        step = np.zeros(10)
        step[i] = 2e-3
        difference = ((factor(P + step)[0] - factor(P - step)[0]) / 4e-3).ravel()
        assert np.linalg.norm(difference - slopes[i]) <= tolerance * np.linalg.norm(difference) + 1e-4, i
    assert not slopes[5].any()


def test_what_has_no_weight_is_not_seen(rng: np.random.Generator) -> None:
    points, weight = rng.uniform(-2, 2, (300, 3)), np.zeros(300)
    weight[280:290] = 1
    core = np.array([[0.5, 0.5], [-0.1, -0.1]])
    made = looped(
        spheroid_factor, SPHEROID.rows(P), points, weight, B0_DIR, np.array([0.3, 0.9]), core, 0.3, n=10
    )
    np.testing.assert_array_equal(np.abs(made).max(axis=(0, 1)) > 0, weight > 0)
