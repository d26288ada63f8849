"""The part of a run that Dask's workers do: each task in a child process, so that a killed one leaves the worker alive.

Children stay for the next task of the same run. They end with the run, with their worker, and when the task is no
longer wanted, as when the client has died: Dask itself lets a task that was cancelled run to its end.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable
from functools import lru_cache

from distributed import get_worker

from qsmcmb.study.workers import Died, Task, Worker

__all__ = ("describe_worker", "end_children", "run_in_child")

POLL_S = 0.25
"""Seconds between two looks at whether a task is still wanted."""
IDLE_S = 120.0
"""Seconds after which a child without a task ends: its client may be gone."""


class _Children:
    """Child processes of one run in one worker."""

    def __init__(self, run: str) -> None:
        self.run = run
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._timer: threading.Timer | None = None
        # Dask's nanny starts its workers as daemons, and Python lets these have no children.
        multiprocessing.current_process().daemon = False
        # It also makes them give memory back at once. A child that computes would fetch it anew all the time.
        os.environ.pop("MALLOC_TRIM_THRESHOLD_", None)

    def take(self, threads: int) -> Worker:
        """Return a child that has no task."""
        with self._lock:
            child = self._idle.pop() if self._idle else Worker(threads)
            self._busy.add(child)
            return child

    def give_back(self, child: Worker) -> None:
        """Hold a child for the next task, for a while."""
        with self._lock:
            if child not in self._busy:
                return
            self._busy.discard(child)
            self._idle.append(child)
            if self._timer:
                self._timer.cancel()
            self._timer = threading.Timer(IDLE_S, self.end_idle)
            self._timer.daemon = True
            self._timer.start()

    def drop(self, child: Worker) -> None:
        """End one child."""
        with self._lock:
            self._busy.discard(child)
        child.end()

    def end_idle(self) -> None:
        """End the children without a task."""
        with self._lock:
            while self._idle:
                self._idle.pop().end()

    def kill(self) -> None:
        """End those without a task, and kill the others: whoever waits for them sees it."""
        self.end_idle()
        with self._lock:
            for child in self._busy:
                child.kill()


@lru_cache(maxsize=16)
def _children_of(run: str) -> _Children:
    """Return the children of a run in this process."""
    return _Children(run)


def run_in_child(function: Callable[..., str], text: str, *, run: str, label: str, threads: int) -> None:
    """Do a task in a child of this worker; the answer is an event of the run, like the reports before it.

    The answer does not stay on the worker: one that ends after its task need not do it again.

    Parameters
    ----------
    function : callable
        Function of a module, from text to text.
    text : str
        Its argument.
    run : str
        Name of the run: topic of its events.
    label : str
        Name of the task in the answer.
    threads : int
        Threads of the child.

    Examples
    --------
    >>> client.submit(run_in_child, function, "{}", run="qsmcmb-1", label="0", threads=2)  # doctest: +SKIP
    """
    answer = _do(function, text, run=run, threads=threads)
    if answer is not None:
        get_worker().log_event(run, ["answer", label, *answer])


def _do(
    function: Callable[..., str], text: str, *, run: str, threads: int
) -> tuple[str | None, int | None] | None:
    """Return result and, where there is none, exit code of a child; None where the task is no longer wanted."""
    worker = get_worker()
    key = worker.get_current_task()
    children = _children_of(run)
    child = children.take(threads)
    child.begin(Task(function, text))
    while True:
        if not child.connection.poll(POLL_S):
            if _wanted(worker, key):
                continue
            children.drop(child)
            children.end_idle()
            return None
        kind, value = child.receive()
        if kind == "report":
            worker.log_event(run, ["report", *value])
        elif kind == "result":
            children.give_back(child)
            return str(value), None
        else:
            children.drop(child)
            assert isinstance(value, Died)
            return None, value.exit_code


def _wanted(worker: object, key: object) -> bool:
    """Return whether the scheduler still wants a task of this worker."""
    state = getattr(worker, "state").tasks.get(key)  # noqa: B009 (Dask's class has no types)
    return state is not None and state.state == "executing"


def describe_worker(function: Callable[..., str], text: str, *, run: str, label: str, threads: int) -> None:
    """Ask a child about its machine; the answer also has the memory that Dask gives this worker.

    Parameters
    ----------
    function : callable
        Function that looks, from text to text.
    text : str
        Its argument.
    run : str
        Name of the run: topic of its events.
    label : str
        Name of the task in the answer.
    threads : int
        Threads of the child.

    Examples
    --------
    >>> client.submit(describe_worker, function, "{}", run="qsmcmb-1", label="a", threads=2)  # doctest: +SKIP
    """
    answer = _do(function, text, run=run, threads=threads)
    if answer is not None:
        found, exit_code = answer
        record = json.loads(found) if found else {"died": exit_code}
        record["dask_bytes"] = get_worker().memory_manager.memory_limit
        get_worker().log_event(run, ["answer", label, json.dumps(record), None])


def end_children(run: str) -> None:
    """End all children of a run in this worker.

    Parameters
    ----------
    run : str
        Name of the run.

    Examples
    --------
    >>> end_children("a run that never was")
    """
    with contextlib.suppress(OSError):
        _children_of(run).kill()
