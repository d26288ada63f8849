"""Memory is estimated before the start and held against the limit of container and machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsmcmb.errors import ConfigError
from qsmcmb.study.resources import Memory, estimate_bytes, fitting, memory_limit, parse_size
from qsmcmb.study.workers import Died, Task, run_tasks
from tests.scenes.studies import Study, make_study


def machine(root: Path, *, total_kb: int = 16_000_000, group: str = "0::/") -> Path:
    """Return the root of a machine with so much memory, in a control group."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal:       {total_kb} kB\nMemFree: 1 kB\n")
    (root / "proc/self/cgroup").write_text(group + "\n")
    return root


def limit(root: Path, folder: str, name: str, text: str) -> None:
    """Write the limit of a control group."""
    (root / "sys/fs/cgroup" / folder).mkdir(parents=True, exist_ok=True)
    (root / "sys/fs/cgroup" / folder / name).write_text(text + "\n")


def test_without_a_container_the_machine_is_the_limit(tmp_path: Path) -> None:
    found = memory_limit(root=machine(tmp_path))
    assert found == Memory(16_000_000 * 1024, "memory of the machine")


@pytest.mark.parametrize(
    ("group", "folder", "name", "text", "expected"),
    [
        ("0::/", ".", "memory.max", "4294967296", 2**32),
        ("0::/job/7", "job", "memory.max", "4294967296", 2**32),
        ("0::/job/7", "job/7", "memory.max", "max", 16_000_000 * 1024),
        ("5:cpu:/\n4:memory:/docker/1", "memory/docker/1", "memory.limit_in_bytes", "4294967296", 2**32),
        ("4:memory:/docker/1", "memory", "memory.limit_in_bytes", "4294967296", 2**32),
        ("4:memory:/", "memory", "memory.limit_in_bytes", "9223372036854771712", 16_000_000 * 1024),
    ],
    ids=["v2", "v2 of the group above", "v2 none", "v1", "v1 inside the container", "v1 none"],
)
def test_the_least_limit_counts(
    tmp_path: Path, group: str, folder: str, name: str, text: str, expected: int
) -> None:
    root = machine(tmp_path, group=group)
    limit(root, folder, name, text)
    assert memory_limit(root=root).limit_bytes == expected


def test_the_users_word_counts_first() -> None:
    assert memory_limit(parse_size("100T")).text == "102400.0 GB (--mem)"


@pytest.mark.parametrize("text", ["", "8X", "-8G", "0", "G", "1e9"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a size such as 8G"):
        parse_size(text)


def test_sessions_fit_by_the_largest_of_them() -> None:
    memory = Memory(10, "--mem")
    assert fitting([4, 4, 4], 4, memory) == 2
    assert fitting([9, 1, 1], 3, memory) == 2
    assert fitting([11], 2, memory) == 1
    assert estimate_bytes(10**6, 3) < estimate_bytes(10**6, 5) < estimate_bytes(2 * 10**6, 5)


def test_a_session_that_does_not_fit_is_not_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = make_study(tmp_path)
    assert study.run("--mem", "100M") == 71
    said = capsys.readouterr().err
    assert "ERROR MEM sub-01/ses-1: memory = 0.1 GB (--mem); expected about 0." in said
    assert "--mem" in said.partition("Fix:")[2]
    assert "ERROR MEM" in (study.out / "sub-01.html").read_text()
    assert study.run("--mem", "much") == 2


def test_fewer_run_at_the_same_time_where_memory_is_short(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study.run("--force", "report", "--nprocs", "2", "--mem", "500M") == 0
    assert "note: " not in capsys.readouterr().err, "nothing is computed, so that nothing need fit"
    assert study.run("--force", "load", "--nprocs", "2", "--mem", "500M") == 0
    assert "note: 1 at a time, not 2: more sessions do not fit into 0.5 GB (--mem)" in capsys.readouterr().err


def square(number: int, report: object = None) -> int:
    """Return the square; a worker that gets 3 dies."""
    import os
    import signal

    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_a_worker_that_dies_takes_its_own_task_alone() -> None:
    found = dict(run_tasks([Task(square, n) for n in (1, 2, 3, 4, 5)], n_processes=2))
    assert found == {0: 1, 1: 4, 2: Died(-9), 3: 16, 4: 25}
