"""Which task goes where: by number, by memory, and never beside one that has lost a worker."""

from __future__ import annotations

from qsmcmb.distributed.placement import MAX_TRIES, Placement, WorkerRoom
from qsmcmb.study.cluster import Lost, TextTask, TooLarge, failure_of
from qsmcmb.study.resources import Memory


def placement(needs: list[int], **rooms: tuple[int, str, int]) -> Placement:
    """Return tasks with these needs, and workers of so many slots in a pool of so much memory."""
    made = Placement([TextTask(str(n), str, "", need) for n, need in enumerate(needs)])
    for address, (slots, pool, size) in rooms.items():
        made.add(WorkerRoom(address, slots, pool, Memory(size, "memory of a worker")))
    return made


def test_workers_get_no_more_than_they_do_at_once() -> None:
    made = placement([1] * 5, a=(2, "a", 10), b=(1, "b", 10))
    given = list(made.give_out())
    assert sorted(address for _, address in given) == ["a", "a", "b"]
    assert list(made.give_out()) == []
    assert made.finish(*given[0])
    assert len(list(made.give_out())) == 1
    assert not made.finish(*given[0]), "a second answer does not count"


def test_memory_of_a_pool_is_shared() -> None:
    made = placement([4, 4, 3], a=(1, "host", 8), b=(1, "host", 8), c=(1, "host", 8))
    assert [number for number, _ in made.give_out()] == [0, 1]


def test_a_task_goes_where_it_fits_and_a_smaller_one_may_pass_it() -> None:
    made = placement([9, 2], small=(1, "small", 4), large=(1, "large", 10))
    assert dict(made.give_out()) == {0: "large", 1: "small"}
    made = placement([9, 2], large=(2, "large", 10))
    assert dict(made.give_out()) == {0: "large"}


def test_what_fits_nowhere_is_not_begun() -> None:
    made = placement([5, 11], a=(1, "a", 4), b=(1, "b", 10))
    assert list(made.too_large()) == [(1, TooLarge(11, Memory(10, "memory of a worker")))]
    assert dict(made.give_out()) == {0: "b"}


def test_nothing_is_too_large_before_a_worker_is_there() -> None:
    assert list(placement([2**60]).too_large()) == []


def test_who_loses_a_worker_is_alone_and_the_innocent_one_gets_through() -> None:
    made = placement([1, 1, 1], a=(3, "a", 10), b=(3, "b", 10))
    first = dict(made.give_out())
    assert list(made.lose(first[0])) == []
    waiting = [n for n, address in first.items() if address == first[0]]
    (other,) = made.rooms
    for number, address in first.items():
        made.finish(number, address)
    seen = []
    for _ in waiting:
        ((number, address),) = made.give_out()
        assert address == other
        seen.append(number)
        assert made.finish(number, address)
    assert seen == waiting
    assert made.done


def test_who_ends_its_worker_each_time_is_given_up() -> None:
    made = placement([1])
    for n in range(MAX_TRIES):
        made.add(WorkerRoom(str(n), 1, str(n), Memory(10, "memory of a worker")))
        assert list(made.give_out()) == [(0, str(n))]
        lost = list(made.lose(str(n)))
    assert lost == [(0, Lost(MAX_TRIES, str(MAX_TRIES - 1)))]
    code, text = failure_of("sub-01", lost[0][1])
    assert (code, text.startswith("ERROR LOST sub-01: worker = lost")) == (71, True)
    assert made.done
