"""Work that is done on other machines: what a study asks of a cluster, and the answers that no session gives itself.

The study knows no scheduler. `qsmcmb.distributed` keeps what this module asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple, Protocol

from qsmcmb.errors import EXIT_MEMORY, InvalidInputError
from qsmcmb.study.resources import Memory, lacking
from qsmcmb.study.workers import Died
from qsmcmb.typing import Report

__all__ = ["Answer", "Cluster", "Lost", "TextTask", "TooLarge", "failure_of"]


class TextTask(NamedTuple):
    """A task whose argument and result are text: nothing else travels.

    Parameters
    ----------
    name : str
        Session or subject.
    function : callable
        Function of a module; takes the text, and `report`; returns text.
    text : str
        Its argument.
    need_bytes : int, optional
        Most memory that it will hold.

    Examples
    --------
    >>> TextTask("sub-01", print, "{}").need_bytes
    0
    """

    name: str
    function: Callable[..., str]
    text: str
    need_bytes: int = 0


class Lost(NamedTuple):
    """Answer to a task whose workers were lost, each time that it was tried.

    Parameters
    ----------
    tries : int
        Number of workers.
    last : str
        Address of the last one.

    Examples
    --------
    >>> Lost(3, "tcp://10.0.0.7:41234").tries
    3
    """

    tries: int
    last: str


class TooLarge(NamedTuple):
    """Answer to a task that fits into no worker.

    Parameters
    ----------
    need_bytes : int
        Memory that it needs.
    largest : Memory
        Memory of the largest worker.

    Examples
    --------
    >>> TooLarge(2**33, Memory(2**32, "memory of a worker")).largest.text
    '4.0 GB (memory of a worker)'
    """

    need_bytes: int
    largest: Memory


Answer = str | Died | Lost | TooLarge
"""Text of the task's result, or why there is none."""


class Cluster(Protocol):
    """Workers on other machines, or other processes of this one."""

    def run(self, tasks: Sequence[TextTask], report: Report | None = None) -> Generator[tuple[int, Answer]]:
        """Do tasks; yield the number of each with its answer, as they come.

        Parameters
        ----------
        tasks : sequence of TextTask
            Tasks that do not depend on each other.
        report : callable, optional
            Gets the reports of all tasks.

        Yields
        ------
        tuple of (int, str or Died or Lost or TooLarge)
            Whoever stops early ends the tasks that run.

        Examples
        --------
        >>> cluster.run(tasks)  # doctest: +SKIP
        """


def failure_of(name: str, answer: Lost | TooLarge) -> tuple[int, str]:
    """Return exit code and message of a task that no worker has done.

    Parameters
    ----------
    name : str
        Session or subject.
    answer : Lost or TooLarge
        What became of it.

    Returns
    -------
    tuple of (int, str)
        71, as memory is the commonest cause, and the line for the user.

    Examples
    --------
    >>> failure_of("sub-01", Lost(3, "tcp://10.0.0.7:41234"))[1][:45]
    'ERROR LOST sub-01: worker = lost 3 times, las'
    """
    if isinstance(answer, TooLarge):
        return EXIT_MEMORY, str(lacking(name, answer.need_bytes, answer.largest))
    error = InvalidInputError(
        "LOST", name, field="worker", found=f"lost {answer.tries} times, last {answer.last}",
        expected="a worker that lives until this is done",
        fix="see why in the worker's log, most often its memory or its time limit; then the same command again",
    )  # fmt: skip
    return EXIT_MEMORY, str(error)
