"""Directions are unit vectors, spread evenly."""

from __future__ import annotations

import numpy as np

from qsmcmb.core.directions import half_sphere


def test_directions_cover_the_half_sphere() -> None:
    found = half_sphere(60)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    assert (found[:, 2] > 0).all()
    # Any line lies within 15 degrees of one of them.
    lines = np.random.default_rng(1).standard_normal((500, 3))
    lines /= np.linalg.norm(lines, axis=1)[:, None]
    assert np.degrees(np.arccos(np.abs(lines @ found.T).max(axis=1))).max() < 18
