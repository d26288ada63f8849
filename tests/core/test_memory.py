"""Working volumes are zero to the last value, whatever their size; memory that none of them holds is used again."""

import mmap
import threading
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.core import memory
from qsmcmb.core.memory import empty, sparse_zeros, zeros

BIG = (6, memory.MIN_POOLED_BYTES // 16)


def place_of(array):
    return array.__array_interface__["data"][0]


@pytest.fixture
def no_kept_memory():
    memory.release()
    yield
    memory.release()


@pytest.mark.loops
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


@pytest.mark.usefixtures("no_kept_memory")
def test_memory_is_used_again_once_no_view_is_left():
    first = empty(BIG)
    view, where = first[1:, 5:], place_of(first)
    view[...] = 7
    del first
    other = empty(BIG)
    assert place_of(other) != where
    other[...] = 0
    assert (view == 7).all()
    del view
    assert place_of(zeros(BIG, np.float32)) == where


@pytest.mark.usefixtures("no_kept_memory")
def test_memory_of_much_another_size_is_not_taken():
    where, size = place_of(empty(BIG)), 4 * BIG[0] * BIG[1]
    assert place_of(empty((BIG[0] - 1, BIG[1]))) == where
    assert place_of(empty((BIG[0] // 2, BIG[1]), np.complex64)) == where
    memory.release()
    held = empty((BIG[0] * 2, BIG[1]))
    del held
    smaller = empty(BIG)
    assert memory.idle_bytes() == 0
    del smaller
    assert memory.idle_bytes() == size


@pytest.mark.usefixtures("no_kept_memory")
def test_fresh_memory_replaces_what_is_kept():
    held = [empty(BIG), empty(BIG)]
    size = held[0].nbytes
    held.clear()
    assert memory.idle_bytes() == 2 * size
    large = empty((BIG[0] + 3, BIG[1]))
    assert memory.idle_bytes() <= 2 * size - large.nbytes


@pytest.mark.usefixtures("no_kept_memory")
def test_kept_memory_is_bounded_and_can_be_released(monkeypatch):
    block = empty(BIG).nbytes
    monkeypatch.setattr(memory, "MAX_IDLE_BYTES", 2 * block)
    held = [empty(BIG) for _ in range(4)]
    last = {place_of(a) for a in held[2:]}
    while held:
        held.pop(0)
    assert memory.idle_bytes() <= 2 * block
    again = [empty(BIG) for _ in range(2)]
    assert {place_of(a) for a in again} == last
    del again
    memory.release()
    assert memory.idle_bytes() == 0


@pytest.mark.usefixtures("no_kept_memory")
def test_threads_never_share_memory():
    wrong = []

    def work(number):
        for _ in range(10):
            volume = empty(BIG)
            volume[:] = number
            if (volume != number).any():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_small_volumes_are_numpys():
    assert empty((2, 3)).base is None
