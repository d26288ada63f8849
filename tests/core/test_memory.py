"""Working volumes are zero to the last value, whatever their size."""

import mmap
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.core.memory import sparse_zeros, zeros


@pytest.mark.parametrize("shape", [(1,), (7, 3), (65,), (5, 11, 13)])
@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_all_values_are_written(shape, dtype, monkeypatch):
    monkeypatch.setattr("qsmcmb.core.memory.np.empty", lambda s, d: np.full(s, 7, d))
    out = zeros(shape, dtype)
    assert out.shape == shape
    assert out.dtype == dtype
    assert not out.any()


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 70, 33, 5)])
def test_a_sparse_volume_is_a_volume(shape):
    out = sparse_zeros(shape)
    assert out.shape == shape
    assert out.dtype == np.float32
    assert not out.any()
    out[...] = 1
    assert out.flags.c_contiguous
    assert out.sum() == np.prod(shape)


def test_a_sparse_volume_takes_what_is_written():
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    out = sparse_zeros((64, 1 << 18))
    before = resident()
    out[:, :1000] = 1
    assert resident() - before < out.nbytes / 16
