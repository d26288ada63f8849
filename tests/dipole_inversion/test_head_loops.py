"""Loops of the head and of data weights against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.dipole_inversion import _head_loops as loops

pytestmark = pytest.mark.loops


def test_echoes_are_combined_in_their_box(rng: np.random.Generator) -> None:
    echoes, out = rng.standard_normal((3, 9, 8, 7)), np.zeros((12, 11, 10), np.float32)
    loops.combine_echoes(echoes, (2, 1, 0), (5, 6, 7), (4, 3, 2), out)
    box = echoes[:, 2:7, 1:7, 0:7]
    np.testing.assert_allclose(out[4:9, 3:9, 2:9], np.sqrt((box**2).sum(axis=0)), rtol=1e-6)
    out[4:9, 3:9, 2:9] = 0
    assert not out.any()


def test_a_datum_weighs_as_much_of_its_variance_as_is_signal(rng: np.random.Generator) -> None:
    sd = rng.uniform(0.0, 3.0, (5, 6, 7)).astype(np.float32)
    sd[0, 0, 0], sd[1, 1, 1] = np.inf, 0
    usable = rng.random(sd.shape) < 0.7
    usable[0, 0, 0], usable[1, 1, 1] = False, True
    out = np.ones_like(sd)
    loops.weigh_signal(np.float32(0.8), sd, usable, out)
    expected = np.where(usable, 0.8 / (0.8 + np.where(usable, sd, 0).astype(float) ** 2), 0)
    np.testing.assert_allclose(out, expected, rtol=1e-6)
    loops.weigh_signal(np.float32(0), np.zeros_like(sd), np.ones_like(usable), out)
    assert not out.any()
