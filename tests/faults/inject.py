"""Runs a command in a process whose system calls fail at will: strace makes the N-th call of a name return an error.

The processes are forked from a server that has imported everything, so that each takes a second or two.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CALLS = (
    "openat",
    "write",
    "pwrite64",
    "ftruncate",
    "fsync",
    "rename",
    "chmod",
    "mkdir",
    "unlink",
    "rmdir",
    "flock",
)
"""System calls by which results come to the disk."""
PRELOAD = [
    f"qsmcmb.{name}"
    for name in (
        "cli.main", "cli.swi", "cli.run", "cli.console", "pipeline.subject", "pipeline.outputs", "study.sessions",
        "study.pages", "study.longitudinal", "reporting.subject_page", "reporting.figures", "reporting.group_page",
        "susceptibility_weighting.swi", "background_removal.pdf", "dipole_inversion.tkd",
    )
]  # fmt: skip
PATIENCE_S = 600.0
"""Time that a busy machine may take where loops are compiled first, s."""
LINE = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<rest>.*)$")


class Call(NamedTuple):
    """A call of a run: its name, its number among those of its thread, and what it was."""

    name: str
    number: int
    text: str

    def failing(self, error: str) -> str:
        """Return the option of strace that makes it fail."""
        return f"inject={self.name}:error={error}:when={self.number}"


class Ended(NamedTuple):
    """Exit code of a run and all that it said."""

    code: int
    said: str


def why_not() -> str:
    """Return why nothing can be injected here; empty where it can."""
    if not shutil.which("strace"):
        return "strace is not installed: no system call is made to fail"
    found = subprocess.run(
        ["strace", "-qq", "-e", "trace=none", "true"], capture_output=True, text=True, check=False
    )
    return "" if found.returncode == 0 else f"strace may not trace here: {found.stderr.strip()}"


def run(arguments: list[str], folder: Path, *, inject: str = "", traced: bool = True) -> Ended:
    """Run a command of qsmcmb in a process of its own, with a call that fails; strace follows its workers."""
    said, log = folder / "said.txt", folder / "calls.txt"
    log.unlink(missing_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    process = context.Process(target=_command, args=(arguments, said, traced))
    process.start()
    with _traced(process.pid, log, inject) if traced else contextlib.nullcontext():
        process.join(PATIENCE_S)
        late = process.is_alive()
        if late:
            process.kill()
            process.join()
    assert not late, f"no end after {PATIENCE_S} s: {said.read_text()}"
    assert process.exitcode is not None
    return Ended(process.exitcode, said.read_text())


@contextlib.contextmanager
def _traced(pid: int | None, log: Path, inject: str) -> Iterator[None]:
    """Trace a process, and let it have ended when the context does."""
    options = [
        "-f",
        "-y",
        "-qq",
        "-s",
        "8",
        "-o",
        str(log),
        "-p",
        str(pid),
        "-e",
        "trace=" + ",".join(CALLS),
    ]
    if inject:
        options += ["-e", inject]
    with subprocess.Popen(["strace", *options], stderr=subprocess.DEVNULL) as tracer:
        yield
        with contextlib.suppress(subprocess.TimeoutExpired):
            tracer.wait(10)
        tracer.kill()


def _command(arguments: list[str], said: Path, traced: bool) -> None:
    """Wait for the tracer, then run the command."""
    with said.open("w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    end = time.monotonic() + 30
    while traced and "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
        assert time.monotonic() < end, "no tracer came"
        time.sleep(0.005)
    from qsmcmb.cli.main import run_command

    code = run_command(arguments)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(code)


def strays(place: Path, log: Path) -> list[str]:
    """Return the calls outside a folder that failed, too: strace lets the N-th call of each thread fail."""
    made = [line for line in log.read_text(errors="replace").splitlines() if line.endswith("(INJECTED)")]
    return [line for line in made if not _inside(place).search(line)]


def _inside(place: Path) -> re.Pattern[str]:
    """Return what finds a folder, or what lies in it, in a line of strace."""
    return re.compile(r'["<]' + re.escape(str(place)) + r'[/">]')


def calls_on(place: Path, log: Path) -> list[Call]:
    """Return the calls of a run that concern a folder and what lies in it, in the order in which they came."""
    counts: Counter[tuple[str, str]] = Counter()
    found = []
    inside = _inside(place)
    for line in log.read_text(errors="replace").splitlines():
        match = LINE.match(line)
        if not match:
            continue
        pid, name, rest = match["pid"], match["name"], match["rest"]
        counts[pid, name] += 1
        if inside.search(rest):
            found.append(Call(name, counts[pid, name], f"{name}({rest}"))
    return found
