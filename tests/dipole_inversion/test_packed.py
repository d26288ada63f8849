"""Packed rows and the trigonometry of registers."""

import numpy as np

from qsmcmb.dipole_inversion import _packed_loops as loops


def test_series_are_sine_and_cosine():
    a = np.linspace(-np.pi, np.pi, 2001, dtype=np.float32)
    np.testing.assert_allclose([loops.sinc(x) for x in a], np.sinc(a / np.pi), atol=1e-6)
    np.testing.assert_allclose([loops.cosine(x) for x in a], np.cos(a), atol=8e-6)


def test_turns_are_taken_away(rng):
    a = rng.uniform(-60, 60, 500).astype(np.float32)
    expected = a - 2 * np.pi * np.rint(a / (2 * np.pi))
    np.testing.assert_allclose([loops.wrap(x) for x in a], expected, atol=1e-5)


def test_rows_come_back_to_their_place(rng):
    rows = rng.standard_normal((6, 9)).astype(np.float32)
    weights = np.zeros_like(rows)
    weights[0, 2:5], weights[2], weights[3, 8] = 1, 1, 1
    ends = np.empty((6, 2), np.int64)
    total = loops.row_spans(weights, ends)
    assert total == 13
    packed = np.empty(total, np.float32)
    loops.pack(rows, ends, packed)
    np.testing.assert_array_equal(packed, rows[weights > 0])
    loops.unpack(-packed, ends, rows)
    np.testing.assert_array_equal(rows[weights > 0], -packed)
    assert (rows[weights == 0] != 0).all()
