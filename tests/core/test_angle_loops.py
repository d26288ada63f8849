"""The trigonometry of registers."""

import numpy as np
import pytest

from qsmcmb.core import _angle_loops as loops

pytestmark = pytest.mark.loops


def test_series_are_sine_and_cosine():
    a = np.linspace(-np.pi, np.pi, 2001, dtype=np.float32)
    np.testing.assert_allclose([loops.sinc(x) for x in a], np.sinc(a / np.pi), atol=1e-6)
    np.testing.assert_allclose([loops.cosine(x) for x in a], np.cos(a), atol=8e-6)


def test_turns_are_taken_away(rng):
    a = rng.uniform(-60, 60, 500).astype(np.float32)
    expected = a - 2 * np.pi * np.rint(a / (2 * np.pi))
    np.testing.assert_allclose([loops.wrap(x) for x in a], expected, atol=1e-5)
