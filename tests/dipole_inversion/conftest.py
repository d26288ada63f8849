"""A ball with its analytic field, and noise on the same odd, anisotropic, tilted grid."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.typing import FloatArray
from tests.scenes.sources import Sphere, sphere


@pytest.fixture(scope="session")
def ball_case() -> Sphere:
    """Return a ball of 0.5 ppm and 4 mm, off centre."""
    return sphere()


@pytest.fixture
def noise_pair(ball_case: Sphere, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return two volumes of white noise, 0 outside the mask of `ball_case`."""
    one, two = rng.standard_normal((2, *ball_case.grid.shape)).astype(np.float32) * ball_case.mask
    return one, two
