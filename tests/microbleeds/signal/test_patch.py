"""A patch: its coordinates, its background field and what of it is fitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.scenes.patches import scanned


def test_the_background_is_the_same_on_a_grid(rng: np.random.Generator) -> None:
    patch = replace(scanned(np.array([[3.0, 0.0, 0.0, 0.0, 0.8]])), background=rng.standard_normal(20))
    axes = [np.sort(rng.uniform(-5, 5, n)) for n in (3, 4, 5)]
    points = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    np.testing.assert_allclose(patch.background_on_grid_hz(*axes), patch.background_hz(points), atol=1e-10)
