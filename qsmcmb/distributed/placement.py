"""Which task goes to which worker: by number, by memory, and away from workers that are lost.

A worker gets no more tasks than it does at once. So a lost worker has interrupted those that it had and no others: one
that was interrupted is alone on its worker from then on, and whoever ends its worker each time is found.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from qsmcmb.study.cluster import Lost, TextTask, TooLarge
from qsmcmb.study.resources import Memory

__all__ = ("MAX_TRIES", "Placement", "WorkerRoom")

MAX_TRIES = 3
"""Workers that a task may lose."""


@dataclass
class WorkerRoom:
    """Room of a worker for tasks.

    Parameters
    ----------
    address : str
        The worker.
    slots : int
        Tasks at the same time.
    pool : str
        Workers of the same pool share their memory: address, or name of the machine.
    memory : Memory
        Memory of the pool.
    tasks : dict of int to int, optional
        Memory of each task that it has, by the task's number.

    Examples
    --------
    >>> WorkerRoom("tcp://a", 1, "tcp://a", Memory(2**33, "memory of a worker")).tasks
    {}
    """

    address: str
    slots: int
    pool: str
    memory: Memory
    tasks: dict[int, int] = field(default_factory=dict)


class Placement:
    """Tasks that wait, and workers with what they have.

    Parameters
    ----------
    tasks : sequence of TextTask
        All tasks.

    Examples
    --------
    >>> placement = Placement([TextTask("sub-01", print, "")])
    >>> placement.add(WorkerRoom("a", 1, "a", Memory(8, "memory of a worker")))
    >>> list(placement.give_out())
    [(0, 'a')]
    """

    def __init__(self, tasks: Sequence[TextTask]) -> None:
        self._needs = [task.need_bytes for task in tasks]
        self._waiting = deque(range(len(tasks)))
        self._losses: dict[int, int] = {}
        self.rooms: dict[str, WorkerRoom] = {}

    @property
    def done(self) -> bool:
        """Whether no task waits and no worker has one."""
        return not self._waiting and not any(room.tasks for room in self.rooms.values())

    def add(self, room: WorkerRoom) -> None:
        """Take a worker into use.

        Parameters
        ----------
        room : WorkerRoom
            The worker.

        Examples
        --------
        >>> placement.add(room)  # doctest: +SKIP
        """
        self.rooms[room.address] = room

    def too_large(self) -> Iterator[tuple[int, TooLarge]]:
        """Take those that fit into no worker off the tasks that wait.

        Yields
        ------
        tuple of (int, TooLarge)
            Number of the task and the largest memory there is.

        Examples
        --------
        >>> placement.too_large()  # doctest: +SKIP
        """
        if not self.rooms:
            return
        largest = max((room.memory for room in self.rooms.values()), key=lambda m: m.limit_bytes)
        for number in [n for n in self._waiting if self._needs[n] > largest.limit_bytes]:
            self._waiting.remove(number)
            yield number, TooLarge(self._needs[number], largest)

    def give_out(self) -> Iterator[tuple[int, str]]:
        """Give tasks that wait to workers that have room.

        Yields
        ------
        tuple of (int, str)
            Number of the task, address of the worker.

        Examples
        --------
        >>> placement.give_out()  # doctest: +SKIP
        """
        for number in list(self._waiting):
            if not any(self._free_slots(room) for room in self.rooms.values()):
                return
            room = self._room_for(number)
            if room is not None:
                self._waiting.remove(number)
                room.tasks[number] = self._needs[number]
                yield number, room.address

    def _free_slots(self, room: WorkerRoom) -> int:
        """Return how many more tasks a worker may have; none beside one that has lost a worker before."""
        if any(number in self._losses for number in room.tasks):
            return 0
        return room.slots - len(room.tasks)

    def _room_for(self, number: int) -> WorkerRoom | None:
        """Return the worker with the fewest tasks that has room."""
        need, alone = self._needs[number], number in self._losses
        free = [
            room for room in self.rooms.values()
            if self._free_slots(room) and not (alone and room.tasks)
            and need + self._used(room.pool) <= room.memory.limit_bytes
        ]  # fmt: skip
        return min(free, key=lambda room: len(room.tasks), default=None)

    def _used(self, pool: str) -> int:
        return sum(sum(room.tasks.values()) for room in self.rooms.values() if room.pool == pool)

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
            Whether the worker had it: a late answer of a lost worker does not count.

        Examples
        --------
        >>> placement.finish(number, address)  # doctest: +SKIP
        """
        room = self.rooms.get(address)
        return room is not None and room.tasks.pop(number, None) is not None

    def lose(self, address: str) -> Iterator[tuple[int, Lost]]:
        """Take a worker out of use; its tasks wait again, unless they have lost too many.

        Parameters
        ----------
        address : str
            The worker.

        Yields
        ------
        tuple of (int, Lost)
            Tasks that are given up.

        Examples
        --------
        >>> placement.lose(address)  # doctest: +SKIP
        """
        room = self.rooms.pop(address, None)
        for number in room.tasks if room else ():
            yield from self._again(number, address)

    def fail(self, number: int, address: str) -> Iterator[tuple[int, Lost]]:
        """Take a task that Dask has given up off its worker, as if the worker were lost.

        Parameters
        ----------
        number : int
            The task.
        address : str
            Its worker.

        Yields
        ------
        tuple of (int, Lost)
            The task, where it is given up.

        Examples
        --------
        >>> placement.fail(number, address)  # doctest: +SKIP
        """
        if self.finish(number, address):
            yield from self._again(number, address)

    def _again(self, number: int, address: str) -> Iterator[tuple[int, Lost]]:
        self._losses[number] = self._losses.get(number, 0) + 1
        if self._losses[number] >= MAX_TRIES:
            yield number, Lost(self._losses[number], address)
        else:
            self._waiting.append(number)
