"""A study on a real scheduler with two workers: the same tree as here, whatever breaks; and a run ended by a signal."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from qsmcmb.cli.main import run_command
from tests.scenes.cluster import PATIENCE_S, ROOT, Processes
from tests.scenes.studies import Study, make_study

COMMAND = [sys.executable, "-c", "from qsmcmb.cli.main import main; main()"]
Start = Callable[..., "subprocess.Popen[str]"]
MAX_SECONDS = 5.0
"""Time in which a run ends at a signal; the processor may be busy with other tests."""


def results(study: Study) -> dict[str, bytes]:
    """Return the results; the data set's own folder, which an error and a link name, is taken out."""
    return {n: b.replace(str(study.bids.parent).encode(), b"") for n, b in study.results().items()}


def truncate_an_input(study: Study) -> None:
    path = study.bids / "sub-01/ses-2/anat/sub-01_ses-2_echo-2_part-phase_MEGRE.nii.gz"
    path.write_bytes(path.read_bytes()[:-200])


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return a study of one broken session and a good one that has run on this machine."""
    study = make_study(tmp_path_factory.mktemp("here"))
    truncate_an_input(study)
    assert study.run() == 1
    return study


@pytest.fixture
def start() -> Iterator[Start]:
    """Return what starts a run in a group of its own; whatever is left of it ends with the test."""
    runs: list[subprocess.Popen[str]] = []

    def begin(study: Study, *more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *study.arguments(*more)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            start_new_session=True, cwd=ROOT,
        )  # fmt: skip
        runs.append(process)
        return process

    yield begin
    for process in runs:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(process: subprocess.Popen[str], study: Study, pattern: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not any(study.out.glob(pattern)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)


def kill_worker_with_a_session(processes: Processes) -> None:
    """Kill the process of a worker whose child has computed most."""
    nannies = [psutil.Process(process.pid) for process in processes.started[1:]]
    children = {}
    for worker in (child for nanny in nannies for child in nanny.children()):
        for child in worker.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                children[worker] = max(children.get(worker, 0.0), sum(child.cpu_times()[:2]))
    max(children, key=lambda worker: children[worker]).kill()


def test_same_tree_as_here_with_a_killed_worker_and_a_broken_session(
    processes: Processes, here: Study, tmp_path: Path, start: Start
) -> None:
    study = make_study(tmp_path)
    truncate_an_input(study)
    process = start(study, "--scheduler", str(processes.file))
    until(process, study, ".qsmcmb/intermediates/*_ses-1/fieldmap.npz")
    kill_worker_with_a_session(processes)
    said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 1, said
    assert "is lost; what it did is done again elsewhere" in said
    assert "1 of 2 sessions done" in said
    assert said.count("ERROR GZ-TRUNC") == 1
    assert "s left" in said
    assert results(study) == results(here)
    assert not list(study.out.rglob(".tmp-*"))
    assert study.run() == 1, "a run on this machine finds everything current but the broken session"


def test_local_workers_end_at_ctrl_c_and_the_run_says_how_to_resume(tmp_path: Path, start: Start) -> None:
    study = make_study(tmp_path)
    process = start(study, "--scheduler", "local", "--nprocs", "2")
    until(process, study, ".qsmcmb/intermediates/*/mask.npz")
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 4, "two workers with a child each"
    sent = time.monotonic()
    # A terminal sends the signal to all processes of its foreground.
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 130, said
    assert time.monotonic() - sent < MAX_SECONDS
    assert not psutil.wait_procs(children, timeout=MAX_SECONDS)[1]
    assert f"To resume: qsmcmb run {study.bids} {study.out} participant --points" in said
    assert "Traceback" not in said
    assert not (study.out / ".qsmcmb/lock").exists()


def test_without_dask_the_error_has_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run_command(study.arguments("--scheduler", "tcp://127.0.0.1:1")) == 69
    assert (
        'Fix: pip install "qsmcmb[cluster]", or in the source folder: pip install ".[cluster]"'
        in capsys.readouterr().err
    )
