"""A study of copies of one smooth scan of the tests, and a run of it as a command of its own, timed."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.scenes.studies import SHAPE, Study, make_copies


class Ran(NamedTuple):
    """Exit code, wall time and processor time (s) of a run with its processes, and what it said."""

    code: int
    wall_s: float
    processor_s: float
    said: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder, the number of sessions and their size."""
    parser.add_argument("work", type=Path)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--shape", type=int, nargs=3, default=SHAPE)


def study_of(given: argparse.Namespace) -> Study:
    """Return the study in the folder, made where it is not there; its results are removed."""
    root = given.work
    if not (root / "bids").exists():
        make_copies(root, given.sessions, tuple(given.shape))
    return Study(root / "bids", root / "out", root / "fast.toml", root / "points.tsv")


def start(study: Study, *more: str, package: Path | None = None) -> subprocess.Popen[str]:
    """Start the run of a study, by this copy of qsmcmb or another one."""
    command = [sys.executable, "-c", "from qsmcmb.cli.main import main; main()", *study.arguments(*more)]
    environment = {**os.environ, "PYTHONPATH": str(package or Path(__file__).parents[1])}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def run(study: Study, *more: str, package: Path | None = None) -> Ran:
    """Run a study; return when it has ended."""
    began, before = time.perf_counter(), os.times()
    said = (process := start(study, *more, package=package)).communicate()[1]
    wall_s, after = time.perf_counter() - began, os.times()
    processor_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Ran(process.returncode, wall_s, processor_s, said)
