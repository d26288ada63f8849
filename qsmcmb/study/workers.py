"""Processes that work for a run: each has one task at a time, and one that dies takes no other's task with it.

Workers start by spawn, never fork: the threads of OpenMP and FFTW do not survive a fork. They leave signals to the run
and end when it ends, however it does.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from qsmcmb.typing import Report

__all__ = ["Died", "Task", "Worker", "run_tasks"]

PARENT_DEATH = 1
"""Number of Linux' prctl option PR_SET_PDEATHSIG."""
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Environment variables of BLAS libraries: their sums depend on the number of threads, so that it is always one."""
OUR_THREADS = ("NUMBA_NUM_THREADS", "QSMCMB_THREADS")
"""Environment variables of our loops and transforms: no result depends on their number of threads."""
_starting = threading.Lock()
"""Held while a process starts: its environment is that of this one."""


class Task(NamedTuple):
    """A call that a worker makes.

    Parameters
    ----------
    function : callable
        Function of a module; gets `report` besides its argument.
    argument : object
        Its argument.

    Examples
    --------
    >>> Task(print, "done").argument
    'done'
    """

    function: Callable[..., Any]
    argument: Any


class Died(NamedTuple):
    """Result of a task whose worker has died.

    Parameters
    ----------
    exit_code : int or None
        The worker's; minus the number of the signal that has killed it.

    Examples
    --------
    >>> Died(-9).cause
    'signal 9 (SIGKILL)'
    """

    exit_code: int | None

    @property
    def cause(self) -> str:
        """The end of the worker in words."""
        code = self.exit_code or 0
        if code >= 0:
            return f"exit code {code}"
        with contextlib.suppress(ValueError):
            return f"signal {-code} ({signal.Signals(-code).name})"
        return f"signal {-code}"


class Worker:
    """One process and the connection to it; it does one task at a time.

    Parameters
    ----------
    threads : int
        Threads of its loops and transforms, >= 1; the user's environment may say fewer.

    Attributes
    ----------
    connection : Connection
        Ready when `receive` has something.

    Examples
    --------
    >>> worker = Worker(1)
    >>> worker.end()
    """

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with _starting, _environment(threads):
            self._process.start()
        theirs.close()

    def begin(self, task: Task) -> None:
        """Give the process a task; where it has died, `receive` says so.

        Parameters
        ----------
        task : Task
            The task.

        Examples
        --------
        >>> worker.begin(task)  # doctest: +SKIP
        """
        with contextlib.suppress(BrokenPipeError):
            self.connection.send(task)

    def receive(self) -> tuple[str, Any]:
        """Wait for what the process says next.

        Returns
        -------
        tuple of (str, object)
            "report" with its arguments, "result" with what the task has returned, or "died" with `Died`.

        Examples
        --------
        >>> worker.receive()  # doctest: +SKIP
        """
        try:
            kind, value = self.connection.recv()
            return kind, value
        except (EOFError, OSError):
            self._process.join()
            return "died", Died(self._process.exitcode)

    def kill(self) -> None:
        """Kill the process; whoever waits in `receive` hears of it.

        Examples
        --------
        >>> worker.kill()  # doctest: +SKIP
        """
        self._process.kill()

    def end(self) -> None:
        """End the process at once, and the connection with it.

        Examples
        --------
        >>> worker.end()  # doctest: +SKIP
        """
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextlib.contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Set what a process reads when it starts: threads of its loops and transforms, one for BLAS."""
    ours = {name: str(min(threads, int(os.environ.get(name, threads)))) for name in OUR_THREADS}
    wanted = {**ours, **dict.fromkeys(ONE_THREAD, "1")}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection) -> None:
    """Do tasks until there are no more: the whole life of a worker."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _end_with_parent()

    def report(scan: str, stage: str, seconds: float) -> None:
        connection.send(("report", (scan, stage, seconds)))

    with contextlib.suppress(EOFError, BrokenPipeError):
        while (task := connection.recv()) is not None:
            connection.send(("result", task.function(task.argument, report=report)))


def _end_with_parent() -> None:
    """See to it that this process ends with the run, even when that is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGKILL)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def run_tasks(
    tasks: Sequence[Task], *, n_processes: int, report: Report | None = None
) -> Generator[tuple[int, Any]]:
    """Do tasks in processes of their own; the processor's threads are divided among them.

    Parameters
    ----------
    tasks : sequence of Task
        Tasks that do not depend on each other.
    n_processes : int
        Tasks at the same time, >= 1.
    report : callable, optional
        Gets the reports of all tasks.

    Yields
    ------
    tuple of (int, object)
        Number of a task and what it has returned, or `Died`, as they come. Whoever stops early ends all workers.

    Examples
    --------
    >>> list(run_tasks([], n_processes=1))
    []
    """
    waiting = deque(enumerate(tasks))
    n_processes = min(n_processes, len(tasks))
    idle: list[Worker] = []
    busy: dict[Connection, tuple[Worker, int]] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < n_processes:
                worker = idle.pop() if idle else Worker(max(1, (os.cpu_count() or 1) // n_processes))
                number, task = waiting.popleft()
                busy[worker.connection] = (worker, number)
                worker.begin(task)
            ready = wait(list(busy))
            for connection in [c for c in busy if c in ready]:
                worker, number = busy[connection]
                kind, value = worker.receive()
                if kind == "report":
                    if report:
                        report(*value)
                    continue
                del busy[connection]
                if kind == "result":
                    idle.append(worker)
                yield number, value
    finally:
        for worker in (*idle, *(worker for worker, _ in busy.values())):
            worker.end()
