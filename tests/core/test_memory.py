"""Working volumes are zero to the last value, whatever their size."""

import numpy as np
import pytest

from qsmcmb.core.memory import zeros


@pytest.mark.parametrize("shape", [(1,), (7, 3), (65,), (5, 11, 13)])
@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_all_values_are_written(shape, dtype, monkeypatch):
    monkeypatch.setattr("qsmcmb.core.memory.np.empty", lambda s, d: np.full(s, 7, d))
    out = zeros(shape, dtype)
    assert out.shape == shape
    assert out.dtype == dtype
    assert not out.any()
