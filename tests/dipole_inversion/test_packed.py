"""Packed rows."""

import numpy as np
import pytest

from qsmcmb.dipole_inversion import _packed_loops as loops

pytestmark = pytest.mark.loops


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
