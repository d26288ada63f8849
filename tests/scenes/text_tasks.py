"""Tasks for workers of a cluster, from text to text: some end well, some end their process or their worker."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from qsmcmb.typing import Report


def shout(text: str, report: Report | None = None) -> str:
    """Return the text in capitals."""
    if report:
        report(text, "mask", 0.0)
    return text.upper()


def end_itself(text: str, report: Report | None = None) -> str:
    """Kill the process that does the task."""
    os.kill(os.getpid(), signal.SIGKILL)
    return text


def end_its_worker(text: str, report: Report | None = None) -> str:
    """Kill the worker of the process that does the task."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
    return text


def end_its_worker_once(text: str, report: Report | None = None) -> str:
    """Kill the worker where a file is not there yet."""
    mark = Path(text)
    if not mark.exists():
        mark.touch()
        return end_its_worker(text)
    return "at last"


def wait_long(text: str, report: Report | None = None) -> str:
    """Write the number of the process into a file and do nothing for a long time."""
    Path(text).write_text(str(os.getpid()))
    time.sleep(600)
    return text
