"""A run that is killed, interrupted or fails in part: the rest is done, and the same command ends as if nothing was."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.scenes.studies import Study, make_study

COMMAND = [sys.executable, "-c", "from qsmcmb.cli.main import main; main()"]
MAX_SECONDS = 5.0
"""Time in which a run ends at a signal."""
N_KILLS = int(os.environ.get("SOAK_KILLS", "100"))
"""Kills of the long test."""
PATIENCE_S = 300.0
"""Time that a busy machine may take for a tiny session."""


@pytest.fixture
def fresh(tmp_path: Path) -> Study:
    """Return a study that has not run."""
    return make_study(tmp_path)


class Run:
    """A run as a process of its own."""

    def __init__(self, study: Study, *more: str, before: Callable[[], None] | None = None) -> None:
        self.study = study
        self.errors = study.bids.parent / f"errors-{time.monotonic_ns()}.txt"
        with self.errors.open("w") as stream:
            self.process = subprocess.Popen(
                [*COMMAND, *study.arguments(*more)], stderr=stream, stdout=stream, preexec_fn=before
            )

    def until(self, pattern: str) -> list[psutil.Process]:
        """Wait until a file of OUT is there; return the processes of the run."""
        end = time.monotonic() + PATIENCE_S
        while not any(self.study.out.glob(pattern)):
            assert self.process.poll() is None, f"ended before {pattern} was there: {self.errors.read_text()}"
            assert time.monotonic() < end
            time.sleep(0.002)
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        return self.process.wait(PATIENCE_S)

    @property
    def said(self) -> str:
        return self.errors.read_text()


@pytest.fixture
def start(fresh: Study) -> Iterator[Callable[..., Run]]:
    """Return what starts a run; whatever is left of it ends with the test."""
    runs: list[Run] = []

    def begin(*more: str, study: Study = fresh, before: Callable[[], None] | None = None) -> Run:
        runs.append(Run(study, *more, before=before))
        return runs[-1]

    yield begin
    for run in runs:
        run.process.kill()
        run.process.wait()


def events(study: Study) -> list[dict[str, Any]]:
    """Return the events of the last run's log."""
    last = sorted((study.out / "logs").glob("*.jsonl"))[-1]
    return [json.loads(line) for line in last.read_text().splitlines()]


def results(study: Study) -> dict[str, bytes]:
    """Return the results but the description, whose link names the study's folder."""
    return {n: b for n, b in study.results().items() if n != "dataset_description.json"}


def gone(processes: list[psutil.Process], seconds: float = MAX_SECONDS) -> bool:
    """Whether processes end in a time."""
    return not psutil.wait_procs(processes, timeout=seconds)[1]


AIMS = (
    ".qsmcmb/intermediates/*ses-1/fieldmap.npz",
    "sub-01/ses-1/anat/*_Chimap.nii.gz",
    ".qsmcmb/manifest/sub-01_ses-1.json",
    "sub-01/ses-2/anat/*_desc-cmb_burden.json",
    "sub-01/*_longitudinal.tsv",
)
"""Files at whose appearance the run is killed, in the order in which they come."""


def test_after_five_kills_the_same_command_ends_in_the_same_bytes(
    finished: Study, fresh: Study, start: Callable[..., Run]
) -> None:
    for aim in AIMS:
        run = start()
        processes = run.until(aim)
        run.process.send_signal(signal.SIGKILL)
        assert run.end() == -signal.SIGKILL
        assert gone(processes), "workers end with the run"
    last = start()
    assert last.end() == 0
    assert results(fresh) == results(finished)
    assert not list(fresh.out.rglob(".tmp-*"))
    assert not list(fresh.out.glob(".qsmcmb/intermediates/*"))
    done = {e["name"]: e for e in events(fresh) if e["event"] == "session"}
    assert all(e["unchanged"] for e in done.values()), "both were done when the last kill came"


def test_what_a_kill_after_the_last_result_has_left_is_swept(finished: Study, tmp_path: Path) -> None:
    """The manifest is written, the intermediate results are not yet removed."""
    study = finished.copy(tmp_path)
    left = study.out / ".qsmcmb" / "intermediates" / "sub-01_ses-1"
    left.mkdir(parents=True)
    (left / "mask.npz").write_bytes(b"")
    assert study.run() == 0
    assert not left.exists()


@pytest.mark.soak
def test_after_many_kills_at_random_times_the_bytes_are_the_same(finished: Study, tmp_path: Path) -> None:
    rng, kills, n_studies = random.Random(8301), 0, 0
    began = time.monotonic()
    assert Run(make_study(tmp_path / "whole")).end() == 0
    # A busy machine takes several times longer; each time of a whole run is met alike.
    whole_s = time.monotonic() - began
    while kills < N_KILLS:
        n_studies += 1
        study, patience_s = make_study(tmp_path / str(n_studies)), whole_s
        while True:
            run = Run(study)
            try:
                code = run.process.wait(rng.uniform(0.1, patience_s))
                break
            except subprocess.TimeoutExpired:
                run.process.kill()
                run.process.wait()
                kills += 1
                # A machine that has become busier must not keep a study from its end.
                patience_s *= 1.1
        assert code == 0, run.said
        assert results(study) == results(finished)
        assert not list(study.out.rglob(".tmp-*"))


def test_steps_that_were_done_are_not_repeated(fresh: Study, start: Callable[..., Run]) -> None:
    run = start("--session-label", "1")
    run.until(".qsmcmb/intermediates/*/fieldmap.npz")
    run.process.kill()
    run.end()
    assert start("--session-label", "1").end() == 0
    (session,) = [e for e in events(fresh) if e["event"] == "session"]
    assert session["recalled"][:2] == ["mask", "fieldmap"]
    assert "unwrap" not in session["seconds"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_its_workers_and_says_how_to_resume(
    fresh: Study, start: Callable[..., Run], number: int, code: int
) -> None:
    run = start("--nprocs", "2")
    processes = run.until(".qsmcmb/intermediates/*/mask.npz")
    assert len(processes) >= 2
    sent = time.monotonic()
    run.process.send_signal(number)
    assert run.process.wait(PATIENCE_S) == code
    assert time.monotonic() - sent < MAX_SECONDS
    assert gone(processes)
    assert f"To resume: qsmcmb run {fresh.bids} {fresh.out} participant --points" in run.said
    assert "Traceback" not in run.said
    assert not (fresh.out / ".qsmcmb/lock").exists()


def test_a_killed_worker_takes_no_other_session_with_it(fresh: Study, start: Callable[..., Run]) -> None:
    run = start("--nprocs", "2")
    run.until(".qsmcmb/intermediates/*_ses-2/mask.npz")
    held = {
        p.pid: p.cmdline()
        for p in psutil.Process(run.process.pid).children()
        if "spawn_main" in str(p.cmdline())
    }
    victim = max(held)
    os.kill(victim, signal.SIGKILL)
    assert run.end() == 1
    assert "1 of 2 sessions done" in run.said
    assert "ERROR MEM sub-01/ses-" in run.said
    assert "process = ended by signal 9 (SIGKILL)" in run.said
    (error,) = [e["error"] for e in events(fresh) if e["event"] == "session" and e["exit_code"]]
    assert error.split(" (details")[0] in (fresh.out / "sub-01.html").read_text()
    assert start().end() == 0, "the same command does the rest"


def test_the_number_of_processes_changes_no_byte(
    finished: Study, fresh: Study, start: Callable[..., Run]
) -> None:
    assert start("--nprocs", "2").end() == 0
    assert results(fresh) == results(finished)


def truncate_an_input(study: Study) -> None:
    path = study.bids / "sub-01/ses-2/anat/sub-01_ses-2_echo-2_part-phase_MEGRE.nii.gz"
    path.write_bytes(path.read_bytes()[:-200])


def test_results_of_a_session_that_fails_are_moved_aside(study: Study) -> None:
    truncate_an_input(study)
    assert study.run() == 1
    assert not list((study.out / "sub-01/ses-2/anat").iterdir())
    aside = study.out / ".qsmcmb/superseded"
    assert (aside / "sub-01_ses-2/1/sub-01/ses-2/anat/sub-01_ses-2_Chimap.nii.gz").is_file()
    assert (aside / "sub-01/1/sub-01/sub-01_desc-cmb_longitudinal.tsv").is_file()
    page = (study.out / "sub-01.html").read_text()
    assert "<h2>sub-01/ses-2: no results</h2>" in page
    assert "ERROR GZ-TRUNC" in page
    assert "<h2>ses-1</h2>" in page
    assert "<h2>ses-2</h2>" not in page


def test_a_subject_without_any_result_has_a_page(fresh: Study) -> None:
    truncate_an_input(fresh)
    assert fresh.run("--session-label", "2") == 65
    assert "ERROR GZ-TRUNC" in (fresh.out / "sub-01.html").read_text()


@pytest.mark.parametrize("ending", ["desc-cmb_burden.json", "desc-cmb_lesions.tsv", "Chimap.nii.gz"])
def test_a_damaged_result_of_another_session_stops_nothing(
    study: Study, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = study.out / f"sub-01/ses-1/anat/sub-01_ses-1_{ending}"
    damaged.write_bytes(damaged.read_bytes()[: len(damaged.read_bytes()) // 2])
    assert study.run("--session-label", "2") == 1
    said = capsys.readouterr().err
    assert "1 of 1 sessions done" in said
    assert f"ERROR RESULT {damaged}: sha256 = " in said
    page = (study.out / "sub-01.html").read_text()
    assert "run ses-1 again" in page
    assert "<h2>ses-1</h2>" not in page
    assert "<h2>ses-2</h2>" in page


def test_a_fault_leaves_a_crash_file(fresh: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    from qsmcmb.pipeline.config import read_config
    from qsmcmb.study import scan
    from qsmcmb.study.options import StudyOptions
    from qsmcmb.study.sessions import run_study

    monkeypatch.setattr(scan, "run_scan", lambda *_, **__: 1 / 0)
    options = StudyOptions(config=read_config(fresh.config), points=fresh.points, sessions=("1",))
    (outcome,) = run_study(fresh.bids, fresh.out, options)
    assert outcome.exit_code == 70
    assert outcome.error.startswith(
        "ERROR BUG sub-01/ses-1: exception = ZeroDivisionError: division by zero; expected"
    )
    (crash,) = (fresh.out / "logs").glob("crash-sub-01_ses-1-*.json")
    assert str(crash) in outcome.error
    record = json.loads(crash.read_text())
    assert record["traceback"][-1] == "ZeroDivisionError: division by zero"
    assert any(name.endswith("echo-1_part-phase_MEGRE.nii.gz") for name in record["inputs"])
    assert "numba" in record["software"]
    assert "method" in str(record["options"])


def test_a_full_disk_has_its_exit_code(fresh: Study, start: Callable[..., Run]) -> None:
    """A limit of file sizes is met in the middle of an image, as the end of a disk is."""
    run = start(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)))
    assert run.end() == 74
    assert "ERROR DISK" in run.said
    assert not list(fresh.out.rglob("*_Chimap.nii.gz"))
    assert not list(fresh.out.rglob(".tmp-*"))
    assert start().end() == 0
