"""The workers that a run has found: each is asked once what it is, and takes part when it fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qsmcmb.distributed.fitness import Description, describe_machine, read_description
from qsmcmb.distributed.placement import Placement, WorkerRoom
from qsmcmb.errors import ClusterError
from qsmcmb.study.cluster import Lost, TextTask
from qsmcmb.study.resources import Memory

if TYPE_CHECKING:
    from qsmcmb.distributed.cluster import Means

__all__ = ("Workforce",)

Submit = Callable[[str, Callable[..., str], str, str, str], Any]
"""Gives a worker a task: name of the worker's function, function, text, address, label."""


class Workforce:
    """Workers that are there, that are asked, that fit and that do not.

    Parameters
    ----------
    submit : callable
        Gives a worker a task.
    expected : str
        What workers must have and see.
    means : Means
        Tasks at the same time on each, and memory.
    is_local : bool
        Whether all are on this machine and share its memory.
    say : callable
        Takes notes.

    Examples
    --------
    >>> Workforce(submit, expected, means, is_local=False, say=print).begin([]).done  # doctest: +SKIP
    True
    """

    def __init__(
        self, submit: Submit, expected: str, means: Means, *, is_local: bool, say: Callable[[str], None]
    ) -> None:
        self._submit, self._expected, self._means, self._is_local = submit, expected, means, is_local
        self._say = say
        self._said: set[str] = set()
        self._threads: dict[str, int] = {}
        self._asked: dict[str, Any] = {}
        self._known: dict[str, Description] = {}
        self._unfit: dict[str, ClusterError] = {}
        self._placement = Placement([])

    def begin(self, tasks: Sequence[TextTask]) -> Placement:
        """Return the placement of tasks on the workers that are known to fit.

        Parameters
        ----------
        tasks : sequence of TextTask
            The tasks.

        Returns
        -------
        Placement
            To give them out.

        Examples
        --------
        >>> workforce.begin(tasks)  # doctest: +SKIP
        """
        self._placement = Placement(tasks)
        for address in self._known:
            self._add(address)
        return self._placement

    def threads_of(self, address: str) -> int:
        """Return the threads of each task on a worker.

        Parameters
        ----------
        address : str
            The worker.

        Returns
        -------
        int
            Threads, >= 1.

        Examples
        --------
        >>> workforce.threads_of(address)  # doctest: +SKIP
        """
        return max(1, self._threads.get(address, 1) // self._means.per_worker)

    def look(self, threads: Mapping[str, int]) -> Iterator[tuple[int, Lost]]:
        """Ask workers that are new, and take those that are gone out of use.

        Parameters
        ----------
        threads : mapping of str to int
            Threads of each worker that is there, by address.

        Yields
        ------
        tuple of (int, Lost)
            Tasks that are given up.

        Raises
        ------
        ClusterError
            CLUSTER: workers are there, and none fits.

        Examples
        --------
        >>> workforce.look(threads)  # doctest: +SKIP
        """
        for address in [a for a in self._threads if a not in threads]:
            for held in (self._threads, self._asked, self._known, self._unfit):
                held.pop(address, None)
            if self._placement.rooms.get(address) is not None:
                self._tell(f"note: worker {address} is lost; what it did is done again elsewhere")
            yield from self._placement.lose(address)
        for address in [a for a in threads if a not in self._threads]:
            self._threads[address] = threads[address]
            self._asked[address] = self._submit(
                "describe_worker", describe_machine, self._expected, address, f"describe {address}"
            )
        if not threads:
            self._tell("note: no worker is there; waiting for the first one")
        elif not self._placement.rooms and len(self._unfit) == len(threads):
            raise next(iter(self._unfit.values()))

    def take_in(self, address: str, text: str) -> None:
        """Take a worker into use that has answered, or say why not.

        Parameters
        ----------
        address : str
            The worker.
        text : str
            Its description.

        Examples
        --------
        >>> workforce.take_in(address, text)  # doctest: +SKIP
        """
        if self._asked.pop(address, None) is None:
            return
        found = read_description(text)
        if found.problem:
            field, what, expected, fix = found.problem
            self._refuse(address, field=field, found=what, expected=expected, fix=fix)
            return
        self._known[address] = found
        self._add(address)
        self._note_threads(found.host)

    def _refuse(self, address: str, *, field: str, found: str, expected: str, fix: str) -> None:
        error = ClusterError(
            "CLUSTER", f"worker {address}", field=field, found=found, expected=expected, fix=fix
        )
        self._unfit[address] = error
        self._tell(f"WARNING worker {address} is left out: {field} = {found}; expected {expected}")

    def finish(self, number: int, address: str) -> bool:
        """Take a task that is done off its worker.

        Parameters
        ----------
        number : int
            The task.
        address : str
            Its worker.

        Returns
        -------
        bool
            Whether the worker had it.

        Examples
        --------
        >>> workforce.finish(number, address)  # doctest: +SKIP
        """
        return self._placement.finish(number, address)

    def give_up(self, label: str, error: str) -> Iterator[tuple[int, Lost]]:
        """Hear that Dask could not do a task.

        Parameters
        ----------
        label : str
            Number of the task, or "describe", and the worker.
        error : str
            What Dask says.

        Yields
        ------
        tuple of (int, Lost)
            The task, where it is given up.

        Examples
        --------
        >>> workforce.give_up(label, error)  # doctest: +SKIP
        """
        number, address = label.split(" ", 1)
        if number.isdecimal():
            self._tell(f"note: worker {address} has failed: {error}")
            yield from self._placement.fail(int(number), address)
        elif self._asked.pop(address, None) is not None:
            fix = 'pip install "qsmcmb[cluster]" there, the same version'
            self._refuse(address, field="qsmcmb", found=error, expected="the same installation", fix=fix)

    def _add(self, address: str) -> None:
        """Give a worker room: memory of its own, or that of its machine."""
        found, means = self._known[address], self._means
        if means.memory and self._is_local:
            pool, memory = found.host, means.memory
        elif means.memory:
            pool, memory = address, means.memory
        elif found.own_memory:
            pool, memory = address, Memory(found.memory_bytes, "memory of a worker")
        else:
            pool, memory = found.host, Memory(found.memory_bytes, f"memory of {found.host}")
        slots = min(means.per_worker, self._threads[address])
        self._placement.add(WorkerRoom(address, slots, pool, memory))

    def _note_threads(self, host: str) -> None:
        """Say where a machine's cores are cut into workers of one thread."""
        single = Counter(known.host for a, known in self._known.items() if self._threads[a] == 1)
        if self._is_local or single[host] < 2:
            return
        self._tell(
            f"note: {host} has several workers of one thread each: a session there runs on one core, and they divide "
            "the memory. Few workers with many threads are faster per session: processes=1 in dask-jobqueue, "
            "--nworkers 1 --nthreads N of `dask worker`"
        )

    def _tell(self, text: str) -> None:
        """Say something once."""
        if text not in self._said:
            self._said.add(text)
            self._say(text)
