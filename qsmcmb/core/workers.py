"""Independent tasks on threads: many small loops are done sooner one on each core than one after another on all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from qsmcmb.core.compiled import loop_threads, loops_may_meet, use_loop_threads

T = TypeVar("T")
R = TypeVar("R")
MOST_WORKERS = 8
"""Each holds its own working arrays."""


def run_each(task: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return the results of a task for all items, in their order; the tasks must not depend on each other.

    Parameters
    ----------
    task : callable
        Called once for each item; its first error is raised.
    items : iterable
        What the task is called with.

    Notes
    -----
    The first item is done before the others, its loops on all threads: it loads them, and says which runtime their
    threads have. The others' loops run on one thread each. Where the runtime does not let two threads start loops at
    a time, all items are done one after another.

    Examples
    --------
    >>> run_each(lambda n: n * n, [1, 2, 3])
    [1, 4, 9]
    """
    rest = list(items)
    out = [task(item) for item in rest[:1]]
    workers = min(loop_threads(), MOST_WORKERS, len(rest) - 1)
    if workers < 2 or not loops_may_meet():
        return out + [task(item) for item in rest[1:]]
    with ThreadPoolExecutor(workers, initializer=use_loop_threads, initargs=(1,)) as pool:
        return out + list(pool.map(task, rest[1:]))
