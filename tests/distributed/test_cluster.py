"""Tasks on a real scheduler and two workers: those that end well, and those that end their process or their worker."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from qsmcmb.distributed import fitness
from qsmcmb.distributed.cluster import DaskCluster, Means, connect
from qsmcmb.errors import ClusterError
from qsmcmb.study.cluster import Answer, Lost, TextTask, TooLarge
from qsmcmb.study.workers import Died
from tests.scenes import text_tasks
from tests.scenes.cluster import PATIENCE_S, Processes

ALONE_S = 5.0
"""Time in which children end when nobody wants them."""


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cluster(processes: Processes, tmp_path: Path, said: list[str]) -> Iterator[DaskCluster]:
    (tmp_path / "bids").mkdir()
    (tmp_path / "bids" / "participants.tsv").touch()
    with connect(
        str(processes.file), tmp_path / "bids", tmp_path / "out", Means(1, None), say=said.append
    ) as connected:
        yield connected


def task(function: Callable[..., str], text: str, need_bytes: int = 0) -> TextTask:
    return TextTask(text, function, text, need_bytes)


def test_the_rest_is_done_whatever_a_process_or_worker_dies_of(
    cluster: DaskCluster, tmp_path: Path, said: list[str]
) -> None:
    reports: list[tuple[str, str, float]] = []
    tasks = [
        task(text_tasks.shout, "a"),
        task(text_tasks.end_itself, "b"),
        task(text_tasks.end_its_worker, "c"),
        task(text_tasks.end_its_worker_once, str(tmp_path / "mark")),
        task(text_tasks.shout, "e", 2**50),
        *(task(text_tasks.shout, f"good {n}") for n in range(6)),
    ]
    answers: dict[int, Answer] = {}
    for number, answer in cluster.run(tasks, lambda *values: reports.append(values)):
        assert number not in answers
        answers[number] = answer
    assert [answers[n] for n in (0, 1, 3)] == ["A", Died(-9), "at last"]
    lost, large = answers[2], answers[4]
    assert isinstance(lost, Lost)
    assert lost.tries == 3
    assert isinstance(large, TooLarge)
    assert large.largest.source == "memory of a worker"
    assert large.largest.limit_bytes == 4 * 2**30
    assert [answers[n] for n in range(5, 11)] == [f"GOOD {n}" for n in range(6)]
    assert ("good 3", "mask", 0.0) in reports
    assert any("is lost" in text for text in said)


def pid_in(path: Path) -> int:
    end = time.monotonic() + PATIENCE_S
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return int(path.read_text())


def gone(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return not psutil.wait_procs([psutil.Process(pid)], timeout=ALONE_S)[1]
    return True


def test_whoever_stops_early_ends_the_children(cluster: DaskCluster, tmp_path: Path) -> None:
    running = cluster.run([task(text_tasks.wait_long, str(tmp_path / "pid")), task(text_tasks.shout, "a")])
    assert next(running) == (1, "A")
    pid = pid_in(tmp_path / "pid")
    began = time.monotonic()
    running.close()
    assert time.monotonic() - began < ALONE_S
    assert gone(pid)


CLIENT = """
import sys
from pathlib import Path
from qsmcmb.distributed.cluster import Means, connect
from qsmcmb.study.cluster import TextTask
from tests.scenes.text_tasks import wait_long
folder = Path(sys.argv[2])
with connect(sys.argv[1], folder, folder / "out", Means(1, None), say=print) as cluster:
    list(cluster.run([TextTask("a", wait_long, str(folder / "pid"))]))
"""


def test_children_end_when_the_client_is_killed(processes: Processes, tmp_path: Path) -> None:
    client = subprocess.Popen([sys.executable, "-c", CLIENT, str(processes.file), str(tmp_path)])
    pid = pid_in(tmp_path / "pid")
    client.kill()
    client.wait()
    assert gone(pid)


@pytest.mark.parametrize(
    ("name", "value", "said_of_it"),
    [("source of qsmcmb", "0" * 16, "source of qsmcmb = "), ("numba", "0.1", "numba = ")],
)
def test_a_worker_with_another_version_is_named(
    cluster: DaskCluster, name: str, value: str, said_of_it: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = json.loads(cluster._workforce._expected)
    expected["code"][name] = value
    monkeypatch.setattr(cluster._workforce, "_expected", json.dumps(expected))
    with pytest.raises(
        ClusterError, match=rf"ERROR CLUSTER worker tcp://127.0.0.1:\d+: {said_of_it}.*{value}"
    ):
        list(cluster.run([task(text_tasks.shout, "a")]))


def test_a_worker_that_does_not_see_the_files_is_named(tmp_path: Path) -> None:
    bids, out = tmp_path / "bids", tmp_path / "out"
    (bids / "sub-01").mkdir(parents=True)
    with fitness.expected_of_workers(bids, out) as text:
        here = json.loads(fitness.describe_machine(text))
        assert here["problem"] == []
        assert here["host"]
        for key in ("bids", "out"):
            expected = {**json.loads(text), key: str(tmp_path / "elsewhere")}
            problem = json.loads(fitness.describe_machine(json.dumps(expected)))["problem"]
            assert problem[0] == f"{key.upper()} {tmp_path / 'elsewhere'}"
            assert "file system that they share" in problem[-1]
        (bids / "sub-02").mkdir()
        assert "sub-02" in json.loads(fitness.describe_machine(text))["problem"][1]
    assert not list(out.rglob("*seen*"))
    assert os.listdir(out) == [".qsmcmb"]


def test_a_scheduler_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qsmcmb.distributed import cluster as module

    monkeypatch.setattr(module, "CONNECT_S", 1)
    with (
        pytest.raises(
            ClusterError, match=r"ERROR CLUSTER tcp://127.0.0.1:1: scheduler = .*dask scheduler"
        ) as error,
        connect("tcp://127.0.0.1:1", tmp_path, tmp_path, Means(1, None), say=print),
    ):
        pass
    assert error.value.exit_code == 69
