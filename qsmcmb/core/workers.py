"""Independent tasks on threads: many small loops are done sooner one on each core than one after another on all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from qsmcmb.core.compiled import loop_threads, loops_may_meet, use_loop_threads

__all__ = ("run_each",)

_T = TypeVar("_T")
_R = TypeVar("_R")
MAX_WORKERS = 8
"""Threads that run tasks: each holds its own working arrays, so that memory grows with their number."""


def run_each(task: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
    """Return the results of a task for all items, in their order; the tasks must not depend on each other.

    Parameters
    ----------
    task : callable
        Called once for each item; its first error is raised.
    items : iterable
        What the task is called with.

    Returns
    -------
    list
        One result for each item.

    Notes
    -----
    The loops of items that run beside each other run on one thread each. Where no loop has run yet the first item is
    done before the others: it shows which runtime the threads of loops have. Where that does not let two threads start
    loops at a time, all items are done one after another.

    Examples
    --------
    >>> run_each(lambda n: n * n, [1, 2, 3])
    [1, 4, 9]
    """
    rest, out = list(items), []
    if rest and not loops_may_meet():
        out.append(task(rest.pop(0)))
    workers = min(loop_threads(), MAX_WORKERS, len(rest))
    if workers < 2 or not loops_may_meet():
        return out + [task(item) for item in rest]
    with ThreadPoolExecutor(workers, initializer=use_loop_threads, initargs=(1,)) as pool:
        return out + list(pool.map(task, rest))
