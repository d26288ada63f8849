"""Each call of Python that writes results fails once, or is the last of a killed process; the next run mends it.

Unlike the system calls of `test_injection`, these fail in Python, and the scan is computed once for all. Each run is
that of a child of a process that computes nothing, which no worker of the tests is: the threads of OpenMP do not
survive a fork.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import pickle
import random
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from qsmcmb.errors import QsmcmbError
from qsmcmb.pipeline.config import read_config
from qsmcmb.reporting import figures, subject_page  # noqa: F401 (each child would load them anew)
from qsmcmb.study import longitudinal, scan  # noqa: F401
from qsmcmb.study.options import Outcome, StudyOptions
from qsmcmb.study.pages import compare_and_report
from qsmcmb.study.sessions import run_study
from tests.faults.trials import try_each
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
N_SHORT = 2
"""Calls that the short test takes, at equal distances."""


class Ran(NamedTuple):
    """Outcomes of sessions, whether a page failed, all that was said, and the call that has failed."""

    outcomes: list[Outcome]
    page_failed: bool
    said: list[str]
    failed: str = ""


class Disk:
    """Counts calls on a folder; the N-th fails."""

    def __init__(self, out: Path) -> None:
        self.out, self.count, self.failing = str(out), 0, 0
        self.failed, self.kills = "", False

    def around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call that fails at its turn."""

        def counted(*arguments: Any, **options: Any) -> Any:
            inside = any(str(a).startswith(self.out) for a in arguments[:2])
            # A stream that is opened on a number is the file before, or a pipe of another process.
            if inside or (isinstance(arguments[0], int) and name != "open"):
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
        if name == "fsync" and stat.S_ISREG(os.fstat(where).st_mode):
            os.ftruncate(where, os.fstat(where).st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)


class Scene(NamedTuple):
    """A study, the disk under it, its results, and the number of calls of a run."""

    study: Study
    disk: Disk
    expected: dict[str, bytes]
    n_calls: int


def run(study: Study) -> Ran:
    """Run the study in this process."""
    said: list[str] = []
    options = StudyOptions(config=read_config(study.config), points=study.points)
    outcomes = run_study(study.bids, study.out, options, say=said.append)
    failures = {"01": {o.name: o.error for o in outcomes if o.error}}
    failed = compare_and_report(study.out, ["01"], say=said.append, failures=failures, only_stale=True)
    return Ran(outcomes, failed, said)


def in_child(action: Callable[[], Any], answer: Path) -> Any:
    """Return what a call gives in a child of this process; None where the child is killed."""
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            answer.write_bytes(pickle.dumps(action()))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return None
    return pickle.loads(answer.read_bytes())


def in_new_process(task: Callable[[Path], None], folder: Path) -> None:
    """Run a task in a process that has computed nothing."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(task, folder).result()


@contextlib.contextmanager
def made_scene(folder: Path) -> Iterator[Scene]:
    """Return a study of one session that has run."""
    study = make_study(folder)
    shutil.rmtree(study.bids / "sub-01/ses-2")
    study.points.write_text("x_mm\ty_mm\tz_mm\n")
    disk, answer = Disk(study.out), study.bids.parent / "answer"
    found: list[Any] = []

    def whole() -> tuple[Any, int]:
        compute = scan.run_scan
        scan.run_scan = lambda *a, **k: found.append(compute(*a, **k)) or found[0]  # type: ignore[func-returns-value]
        run(study)
        return found[0]

    result = in_child(whole, answer)
    shutil.rmtree(study.out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "run_scan", lambda *_, **__: result)
        for module, name in CALLS:
            patch.setattr(module, name, disk.around(name, getattr(module, name)))
        patch.setattr(builtins, "open", io.open)
        ran, n_calls = in_child(lambda: (run(study), disk.count), answer)
        assert not ran.page_failed
        yield Scene(study, disk, study.results(), n_calls)


def attempt(scene: Scene, failing: int) -> Ran | None:
    """Run with a call that fails, into an empty folder; return None where it has ended the process."""
    shutil.rmtree(scene.study.out, ignore_errors=True)
    disk = scene.disk
    disk.count, disk.failing = 0, failing

    def action() -> Ran:
        try:
            return run(scene.study)._replace(failed=disk.failed)
        except (OSError, QsmcmbError) as error:
            # The command says this one, with its code.
            return Ran([], True, [f"ERROR {error}"], disk.failed)

    found: Ran | None = in_child(action, scene.study.bids.parent / "answer")
    disk.failing = 0
    return found


def check_next_run(scene: Scene, told: str) -> None:
    """Run without a failure."""
    again = in_child(lambda: run(scene.study), scene.study.bids.parent / "answer")
    assert not again.page_failed, f"{again.said} after {told}"
    assert scene.study.results() == scene.expected, told
    assert not list(scene.study.out.rglob(".tmp-*")), told


def check(scene: Scene, failing: int) -> None:
    """Run with a call that fails, then without."""
    ran = attempt(scene, failing)
    assert ran is not None
    told = f"call {failing}, {ran.failed}: {ran}"
    errors = [o.error for o in ran.outcomes if o.error]
    errors += [line for line in ran.said if line.startswith("ERROR")]
    assert not any("BUG" in error for error in errors), told
    assert bool(errors) == (ran.page_failed or any(o.exit_code for o in ran.outcomes)), told
    found = {n: c for n, c in scene.study.results().items() if "/.tmp-" not in f"/{n}"}
    assert errors or found == scene.expected, told
    assert all(n.endswith(".html") or c == scene.expected.get(n) for n, c in found.items()), told
    check_next_run(scene, told)


def check_kill(scene: Scene, last: int) -> None:
    """Run in a process that is killed at a call, then in another."""
    scene.disk.kills = True
    assert attempt(scene, last) is None
    scene.disk.kills = False
    found = {n: c for n, c in scene.study.results().items() if "/.tmp-" not in f"/{n}"}
    assert found.items() <= scene.expected.items(), f"call {last}"
    check_next_run(scene, f"killed at call {last}")


def some(n_calls: int) -> range:
    """Return numbers of calls at equal distances."""
    return range(n_calls // (2 * N_SHORT), n_calls, n_calls // N_SHORT)


def some_calls(folder: Path) -> None:
    with made_scene(folder) as scene:
        assert scene.n_calls > 150
        for number in some(scene.n_calls):
            check(scene, number)
        for number in some(scene.n_calls):
            check_kill(scene, number)


def each_call(folder: Path) -> None:
    with made_scene(folder) as scene:
        try_each(range(1, scene.n_calls + 1), lambda number: check(scene, number))


def fifty_calls(folder: Path) -> None:
    with made_scene(folder) as scene:
        chosen = random.Random(87001).sample(range(1, scene.n_calls + 1), 50)
        try_each(chosen, lambda number: check_kill(scene, number))


def test_some_calls_fail_or_are_the_last(tmp_path: Path) -> None:
    in_new_process(some_calls, tmp_path)


@pytest.mark.soak
def test_each_call_fails(tmp_path: Path) -> None:
    in_new_process(each_call, tmp_path)


@pytest.mark.soak
def test_fifty_calls_are_the_last(tmp_path: Path) -> None:
    in_new_process(fifty_calls, tmp_path)
