"""A scheduler and two workers as processes of their own, as a cluster has them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240.0
"""Time that a busy machine may take to start a process."""


class Processes:
    """The scheduler and its workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.started: list[subprocess.Popen[bytes]] = []
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                    "--scheduler-file", str(self.file))  # fmt: skip
        end = time.monotonic() + PATIENCE_S
        while not self.file.exists():
            assert self.started[0].poll() is None, self.log("scheduler")
            assert time.monotonic() < end
            time.sleep(0.05)

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        # A worker of its own group of processes, so that the end of the tests reaches the nanny's children.
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
        }
        name = f"{words[0]}-{len(self.started)}"
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *words], stdout=log, stderr=log, env=environment,
                start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def worker(self, *more: str) -> subprocess.Popen[bytes]:
        """Start a worker of one thread, with a nanny that starts it again."""
        return self._start("worker", "--scheduler-file", str(self.file), "--host", "127.0.0.1", "--nthreads", "1",
                           "--nworkers", "1", "--no-dashboard", "--memory-limit", "4GiB",
                           "--local-directory", str(self.folder), *more)  # fmt: skip

    def log(self, name: str) -> str:
        """Return what processes of a kind have said."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob(f"{name}*.log")))

    def end(self) -> None:
        """End all, each with the processes that it has started."""
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
