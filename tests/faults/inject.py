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
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
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
    """A call of a run: its name, its number among those of its thread, what it was, and whether a worker made it."""

    name: str
    number: int
    text: str
    is_workers: bool

    def failing(self, error: str) -> list[str]:
        """Return the options of strace that make it fail: the command's own without one of its workers' calls."""
        inject = f"inject={self.name}:error={error}:when={self.number}"
        return ["-e", inject, *(["-f"] if self.is_workers else [])]


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


def run(arguments: list[str], folder: Path, *, tracing: Sequence[str] | None = ("-f",)) -> Ended:
    """Run a command of qsmcmb in a process of its own, under strace with options: by default workers are traced."""
    said, log = folder / "said.txt", folder / "calls.txt"
    log.unlink(missing_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    here, there = context.Pipe()
    process = context.Process(target=_command, args=(arguments, said, there))
    process.start()
    assert process.pid is not None
    # Calls until here are those of imports, and not always as many.
    assert here.poll(PATIENCE_S), "the process does not begin"
    here.recv()
    with contextlib.nullcontext() if tracing is None else _traced(process.pid, log, tracing):
        here.send("traced")
        process.join(PATIENCE_S)
        late = process.is_alive()
        if late:
            process.kill()
            process.join()
    assert not late, f"no end after {PATIENCE_S} s: {said.read_text()}"
    assert process.exitcode is not None
    return Ended(process.exitcode, said.read_text())


@contextlib.contextmanager
def _traced(pid: int, log: Path, tracing: Sequence[str]) -> Iterator[None]:
    """Trace a process, from the start of the context until the process has ended."""
    options = [
        *tracing,
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
    with subprocess.Popen(["strace", *options], stderr=subprocess.DEVNULL) as tracer:
        end = time.monotonic() + 30
        while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
            assert time.monotonic() < end, "no tracer came"
            time.sleep(0.005)
        yield
        with contextlib.suppress(subprocess.TimeoutExpired):
            tracer.wait(10)
        tracer.kill()


def _command(arguments: list[str], said: Path, there: Connection) -> None:
    """Say that all is imported, wait for the tracer, then run the command."""
    with said.open("w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    from qsmcmb.cli.main import run_command

    there.send("ready")
    there.recv()
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
    inside, own = _inside(place), ""
    for line in log.read_text(errors="replace").splitlines():
        match = LINE.match(line)
        if not match:
            continue
        pid, name, rest = match["pid"], match["name"], match["rest"]
        counts[pid, name] += 1
        own = own or pid
        if inside.search(rest):
            found.append(Call(name, counts[pid, name], f"{name}({rest}", pid != own))
    return found
