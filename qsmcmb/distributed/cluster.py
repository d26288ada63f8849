"""The client's part of a run on Dask: it finds or starts a scheduler, gives out tasks, and hears of lost workers.

The client places each task itself and gives a worker no more than it does at once. Dask's own retries count every task
that waits on a lost worker as suspicious, so that a bad session could fail good ones. What travels is a function's name
and plain text; Dask pickles these two.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qsmcmb.core.packages import require
from qsmcmb.errors import ClusterError
from qsmcmb.study.cluster import Answer, TextTask
from qsmcmb.study.resources import Memory
from qsmcmb.study.workers import Died
from qsmcmb.typing import Report

__all__ = ("DaskCluster", "Means", "connect")

LOCAL = "local"
"""In place of an address: workers on this machine, started for the run."""
POLL_S = 1.0
"""Seconds between two looks at which workers there are."""
CONNECT_S = 30
"""Seconds in which a scheduler must answer."""
QUIET = {
    "distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "500 ms",
    "distributed.admin.system-monitor.interval": "5 s", "distributed.admin.system-monitor.gil.enabled": False,
}  # fmt: skip
"""Settings of local workers: Dask's watch over itself takes 8 % of a core, which the sessions are to have."""
END_S = 1.0
"""Seconds that workers get to end their children before the client leaves; they end anyway."""


class Means(NamedTuple):
    """How much of the cluster a run uses.

    Parameters
    ----------
    per_worker : int
        Tasks at the same time on each worker; of local workers, their number.
    memory : Memory or None
        Memory of each worker as the user states it, or of all local workers together; else as found.

    Examples
    --------
    >>> Means(1, None).per_worker
    1
    """

    per_worker: int
    memory: Memory | None


@contextlib.contextmanager
def connect(
    address: str, bids: Path, out: Path, means: Means, *, say: Callable[[str], None]
) -> Iterator[DaskCluster]:
    """Connect to a scheduler for the `with` block.

    Parameters
    ----------
    address : str
        Such as ``tcp://10.0.0.1:8786``, the path of a scheduler file, or ``local``.
    bids, out : Path
        Data set and derivatives folder that workers must see.
    means : Means
        Tasks at the same time, and memory.
    say : callable
        Takes notes.

    Yields
    ------
    DaskCluster
        Workers.

    Raises
    ------
    MissingPackageError
        PACKAGE: Dask is not installed.
    ClusterError
        CLUSTER: the scheduler does not answer.

    Examples
    --------
    >>> with connect("tcp://10.0.0.1:8786", bids, out, Means(1, None), say=print) as cluster:  # doctest: +SKIP
    ...     answers = dict(cluster.run(tasks))
    """
    require("dask", "distributed", extra="cluster")
    from qsmcmb.distributed.fitness import expected_of_workers

    with contextlib.ExitStack() as stack:
        if address == LOCAL:
            client = stack.enter_context(_local_client(means.per_worker))
            means = means._replace(per_worker=1)
        else:
            client = stack.enter_context(_client(address))
        expected = stack.enter_context(expected_of_workers(bids, out))
        cluster = DaskCluster(client, expected, means, is_local=address == LOCAL, say=say)
        stack.callback(cluster.close)
        yield cluster


@contextlib.contextmanager
def _local_client(n_workers: int) -> Iterator[Any]:
    """Start workers on this machine, on its own network address alone and without Dask's web page."""
    import multiprocessing
    import os
    import warnings

    import dask.config
    from distributed import Client, LocalCluster

    threads = max(1, (os.cpu_count() or 1) // n_workers)
    with dask.config.set(QUIET), warnings.catch_warnings():
        # Of a second run on this machine: Dask takes another port for a page that nobody opens.
        warnings.filterwarnings("ignore", message="Port \\d+ is already in use")
        started = LocalCluster(
            n_workers=n_workers, threads_per_worker=threads, processes=True, memory_limit=0, host="127.0.0.1",
            dashboard_address=None, silence_logs=logging.CRITICAL,
        )  # fmt: skip
    with started, Client(started) as client:
        try:
            yield client
        except BaseException:
            # At a signal nobody waits for a worker's own way out, which takes seconds on a busy machine.
            for worker in multiprocessing.active_children():
                worker.kill()
            raise


@contextlib.contextmanager
def _client(address: str) -> Iterator[Any]:
    from distributed import Client

    place = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        client = Client(**place, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ClusterError(
            "CLUSTER", address, field="scheduler", found=str(error) or type(error).__name__, expected="an answer",
            fix="start `dask scheduler` there, or correct --scheduler",
        ) from error  # fmt: skip
    with client:
        yield client


class DaskCluster:
    """Workers of a Dask scheduler, as a study uses them.

    Parameters
    ----------
    client : distributed.Client
        Connection to the scheduler.
    expected : str
        What workers must have and see, by `expected_of_workers`.
    means : Means
        Tasks at the same time, and memory.
    is_local : bool
        Whether the workers share this machine's memory.
    say : callable
        Takes notes.

    Examples
    --------
    >>> DaskCluster(client, expected, Means(1, None), is_local=True, say=print)  # doctest: +SKIP
    """

    def __init__(
        self, client: Any, expected: str, means: Means, *, is_local: bool, say: Callable[[str], None]
    ) -> None:  # fmt: skip
        from qsmcmb.distributed.workforce import Workforce

        self.name = f"qsmcmb-{secrets.token_hex(6)}"
        self._client = client
        self._events: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._workforce = Workforce(self._submit, expected, means, is_local=is_local, say=say)
        client.subscribe_topic(self.name, lambda event: self._events.put(tuple(event[1])))

    def run(self, tasks: Sequence[TextTask], report: Report | None = None) -> Generator[tuple[int, Answer]]:
        """Do tasks on the workers.

        Parameters
        ----------
        tasks : sequence of TextTask
            Tasks that do not depend on each other.
        report : callable, optional
            Gets the reports of all tasks.

        Yields
        ------
        tuple of (int, str or Died or Lost or TooLarge)
            Number of a task and its answer, as they come.

        Raises
        ------
        ClusterError
            CLUSTER: no worker can do the work.

        Examples
        --------
        >>> dict(cluster.run([TextTask("sub-01", function, "{}")]))  # doctest: +SKIP
        """
        placement = self._workforce.begin(tasks)
        futures: dict[str, Any] = {}
        looked = 0.0
        try:
            while not placement.done:
                if time.monotonic() - looked > POLL_S:
                    there = self._client.nthreads()
                    yield from self._workforce.look(there)
                    self._cancel(
                        [futures.pop(label) for label in list(futures) if _worker_of(label) not in there]
                    )
                    looked = time.monotonic()
                yield from placement.too_large()
                for number, address in placement.give_out():
                    label = f"{number} {address}"
                    task = tasks[number]
                    futures[label] = self._submit("run_in_child", task.function, task.text, address, label)
                with contextlib.suppress(queue.Empty):
                    kind, *values = self._events.get(timeout=POLL_S)
                    if kind == "report" and report:
                        report(*values)
                    elif kind == "answer":
                        futures.pop(values[0], None)
                        yield from self._answer(*values)
                    elif kind == "error":
                        futures.pop(values[0], None)
                        yield from self._workforce.give_up(*values)
        finally:
            self._cancel(list(futures.values()))
            if futures:
                self._end_children()

    def _answer(self, label: str, text: str | None, exit_code: int | None) -> Iterator[tuple[int, Answer]]:
        number, address = label.split(" ")[0], _worker_of(label)
        if not number.isdecimal():
            self._workforce.take_in(address, str(text))
        elif self._workforce.finish(int(number), address):
            yield int(number), Died(exit_code) if text is None else text

    def _submit(self, what: str, function: Callable[..., str], text: str, address: str, label: str) -> Any:
        """Give a worker a task; what Dask itself says of it becomes an event."""
        from qsmcmb.distributed import children

        future = self._client.submit(
            getattr(children, what), function, text, run=self.name, label=label,
            threads=self._workforce.threads_of(address), workers=[address], allow_other_workers=False, pure=False,
            key=f"{self.name}-{label}-{secrets.token_hex(4)}",
        )  # fmt: skip
        future.add_done_callback(lambda done: self._heard(label, done))
        return future

    def _cancel(self, futures: Sequence[Any]) -> None:
        """Tell the scheduler that nobody waits for these: it would do them again where their worker comes back."""
        if futures:
            self._client.cancel(list(futures), force=True)

    def _heard(self, label: str, done: Any) -> None:
        if done.status == "error":
            self._events.put(("error", label, repr(done.exception())))

    def _end_children(self) -> None:
        """End the children of this run on all workers; do not wait long for a worker that does not answer."""
        from qsmcmb.distributed.children import end_children

        def end() -> None:
            with contextlib.suppress(Exception):
                self._client.run(end_children, self.name, on_error="ignore")

        ending = threading.Thread(target=end, daemon=True)
        ending.start()
        ending.join(END_S)

    def close(self) -> None:
        """End the children of this run.

        Examples
        --------
        >>> cluster.close()  # doctest: +SKIP
        """
        self._end_children()
        self._client.unsubscribe_topic(self.name)


def _worker_of(label: str) -> str:
    """Return the address in a label."""
    return label.split(" ", 1)[1]
