"""Each call of Python that writes results fails once, or is the last of a killed process; the next run mends it.

Unlike the system calls of `test_injection`, these fail in this process, and the scan is computed once for all.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from qsmcmb.errors import QsmcmbError
from qsmcmb.pipeline.config import read_config
from qsmcmb.study import manifest, scan
from qsmcmb.study.options import Outcome, StudyOptions
from qsmcmb.study.pages import compare_and_report
from qsmcmb.study.sessions import run_study
from tests.scenes.studies import Study, make_study

CALLS = (
    (os, "open"),
    (os, "fsync"),
    (os, "replace"),
    (os, "chmod"),
    (os, "mkdir"),
    (os, "unlink"),
    (io, "open"),
)
"""Functions by which results come to the disk."""
N_SHORT = 6
"""Calls that the short test takes, at equal distances."""


class Ran(NamedTuple):
    """Outcomes of sessions, whether a page failed, and all that was said."""

    outcomes: list[Outcome]
    page_failed: bool
    said: list[str]


class Disk:
    """Counts calls on a folder; the N-th fails."""

    def __init__(self, out: Path) -> None:
        self.out, self.count, self.failing = str(out), 0, 0
        self.failed, self.kills = "", False

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call that fails at its turn."""

        def counted(*arguments: Any, **options: Any) -> Any:
            inside = any(str(a).startswith(self.out) for a in arguments[:2])
            if isinstance(arguments[0], int) or inside:
                self.count += 1
                if self.count == self.failing:
                    self.failed = f"{name}{arguments}"
                    if self.kills:
                        self.die(name, arguments[0])
                    number = (errno.EIO, errno.ENOSPC)[self.count % 2]
                    raise OSError(number, os.strerror(number), *map(str, arguments[:1] if inside else ()))
            return call(*arguments, **options)

        return counted

    def die(self, name: str, where: Any) -> None:
        """End this process as SIGKILL does, in the middle of what a file that is now synchronised holds."""
        if name == "fsync" and os.fstat(where).st_size:
            os.ftruncate(where, os.fstat(where).st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)


def run(study: Study) -> Ran:
    """Run the study in this process."""
    manifest._checksum.cache_clear()
    said: list[str] = []
    options = StudyOptions(config=read_config(study.config), points=study.points)
    outcomes = run_study(study.bids, study.out, options, say=said.append)
    failures = {"01": {o.name: o.error for o in outcomes if o.error}}
    failed = compare_and_report(study.out, ["01"], say=said.append, failures=failures, only_stale=True)
    return Ran(outcomes, failed, said)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Study, Disk, dict[str, bytes], int]]:
    """Return a study of one session, the disk under it, its results, and the number of calls of a run."""
    study = make_study(tmp_path_factory.mktemp("study"))
    shutil.rmtree(study.bids / "sub-01/ses-2")
    study.points.write_text("x_mm\ty_mm\tz_mm\n")
    disk = Disk(study.out)
    results: list[Any] = []
    compute = scan.run_scan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "run_scan", lambda *a, **k: results[0] if results else compute(*a, **k))
        keep = scan.write_scan
        patch.setattr(
            scan, "write_scan", lambda place, found, **k: (results.append(found), keep(place, found, **k))[1]
        )
        run(study)
        for module, name in CALLS:
            patch.setattr(module, name, disk.around(name, getattr(module, name)))
        patch.setattr(builtins, "open", io.open)
        shutil.rmtree(study.out)
        disk.count = 0
        ran = run(study)
        assert not ran.page_failed
        yield study, disk, study.results(), disk.count


def check(study: Study, disk: Disk, expected: dict[str, bytes], failing: int) -> None:
    """Run with a call that fails, then without."""
    shutil.rmtree(study.out, ignore_errors=True)
    disk.count, disk.failing, disk.failed = 0, failing, ""
    try:
        ran = run(study)
    except (OSError, QsmcmbError) as error:
        # The command says this one, with its code.
        ran = Ran([], True, [f"ERROR {error}"])
    finally:
        disk.failing = 0
    told = f"call {failing}, {disk.failed}: {ran}"
    errors = [o.error for o in ran.outcomes if o.error] + [
        line for line in ran.said if line.startswith("ERROR")
    ]
    assert not any("BUG" in error for error in errors), told
    assert bool(errors) == (ran.page_failed or any(o.exit_code for o in ran.outcomes)), told
    found = {n: c for n, c in study.results().items() if "/.tmp-" not in f"/{n}"}
    assert errors or found == expected, told
    assert all(n.endswith(".html") or content == expected.get(n) for n, content in found.items()), told
    again = run(study)
    assert not again.page_failed, f"{again.said} after {told}"
    assert study.results() == expected, told


def test_some_calls_fail(disk: tuple[Study, Disk, dict[str, bytes], int]) -> None:
    study, under, expected, n_calls = disk
    assert n_calls > 150
    for failing in range(n_calls // (2 * N_SHORT), n_calls, n_calls // N_SHORT):
        check(study, under, expected, failing)


def check_kill(study: Study, disk: Disk, expected: dict[str, bytes], last: int) -> None:
    """Run in a child that is killed at a call, then here."""
    shutil.rmtree(study.out, ignore_errors=True)
    disk.count, disk.failing, disk.kills = 0, last, True
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            run(study)
        os._exit(1)
    disk.failing, disk.kills = 0, False
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status), f"call {last}: not killed, status {status}"
    found = {n: c for n, c in study.results().items() if "/.tmp-" not in f"/{n}"}
    assert found.items() <= expected.items(), f"call {last}"
    again = run(study)
    assert not again.page_failed
    assert study.results() == expected, f"call {last}"
    assert not list(study.out.rglob(".tmp-*")), f"call {last}"


def test_some_calls_are_the_last(disk: tuple[Study, Disk, dict[str, bytes], int]) -> None:
    study, under, expected, n_calls = disk
    for last in range(n_calls // (2 * N_SHORT), n_calls, n_calls // N_SHORT):
        check_kill(study, under, expected, last)


@pytest.mark.soak
def test_fifty_calls_are_the_last(disk: tuple[Study, Disk, dict[str, bytes], int]) -> None:
    study, under, expected, n_calls = disk
    for last in random.Random(87001).sample(range(1, n_calls + 1), 50):
        check_kill(study, under, expected, last)


@pytest.mark.soak
def test_each_call_fails(disk: tuple[Study, Disk, dict[str, bytes], int]) -> None:
    study, under, expected, n_calls = disk
    for failing in range(1, n_calls + 1):
        check(study, under, expected, failing)
