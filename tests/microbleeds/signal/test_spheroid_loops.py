"""The loop over points of a spheroid against the sum over its body."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.signal._spheroid_loops import spheroid_factor
from qsmcmb.microbleeds.signal.source_shapes import SPHEROID
from tests.scenes.lesion_signal import B0_DIR


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
    out = np.empty((2, 1, 1, len(points)), np.float32)
    args = (row[None], points, np.ones(len(points)), B0_DIR, np.array([0.05]), np.zeros((2, 1)))
    spheroid_factor(*(a.astype(np.float32) for a in args), np.float32(0.05), out)
    made = np.angle(1 + out[0, 0, 0] + 1j * out[1, 0, 0]) / 0.05
    assert np.abs(made - field).max() < 0.02 * np.abs(field).max()
