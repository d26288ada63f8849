"""Tasks on threads: in order, with their errors, each with its own loops."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
import scipy.linalg  # noqa: F401 - brings a BLAS of its own
from numba import prange
from threadpoolctl import threadpool_info

from qsmcmb.core import workers
from qsmcmb.core.compiled import compiled, loop_threads, use_loop_threads
from qsmcmb.core.workers import run_each


@compiled(parallel=True)
def _doubled(values: np.ndarray, out: np.ndarray) -> None:
    for i in prange(values.size):
        out[i] = 2 * values[i]


def loop(n: int) -> tuple[float, int, int]:
    values = np.full(1000, float(n))
    out = np.empty_like(values)
    _doubled(values, out)
    return float(out.sum()), loop_threads(), threading.get_ident()


@pytest.fixture
def two_threads() -> object:
    before = loop_threads()
    try:
        use_loop_threads(2)
    except ValueError:
        pytest.skip("one thread for loops on this machine")
    yield
    use_loop_threads(before)


def test_results_keep_their_order_and_loops_run_on_one_thread(two_threads: object) -> None:
    del two_threads
    results = run_each(loop, range(1, 9))
    assert [r[0] for r in results] == [2000.0 * n for n in range(1, 9)]
    assert all(r[1] == 1 for r in results[1:])
    assert loop_threads() == 2


def test_one_after_another_where_loops_may_not_meet(
    two_threads: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    del two_threads
    monkeypatch.setattr(workers, "loops_may_meet", lambda: False)
    results = run_each(loop, range(4))
    assert {r[2] for r in results} == {threading.get_ident()}


def test_an_error_is_raised() -> None:
    def fail(n: int) -> int:
        if n == 3:
            raise ValueError("three")
        return n

    with pytest.raises(ValueError, match="three"):
        run_each(fail, range(6))
    assert run_each(fail, []) == []


def test_blas_runs_on_one_thread_in_the_tests() -> None:
    """Threads that spin while they wait make tests slow where workers share cores, without a trace of it."""
    blas = [library for library in threadpool_info() if library["internal_api"] == "openblas"]
    assert {library["num_threads"] for library in blas} <= {int(os.environ["OPENBLAS_NUM_THREADS"])}
