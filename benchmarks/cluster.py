"""What a run on Dask costs beside the same run with `--nprocs`, and what a lost worker and a broken session do to it.

    python benchmarks/cluster.py WORK [--sessions 20] [--shape 22 23 24] [--repeats 1] [--processes 2]
    python benchmarks/cluster.py WORK --faults         one session broken, one worker killed
    python benchmarks/cluster.py WORK --plan 500       what the machine does that starts the run, for so many sessions

The sessions are one smooth scan of the tests, copied: one participant each. Loops are compiled before, by a run of one
session. Where the machine does other work, too, processor time is the number to compare.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

import psutil
from study_runs import Ran, add_arguments, run, start, study_of

from tests.scenes.studies import Study, make_copies

BROKEN = "07"
"""Participant whose session is broken."""
N_BEFORE = 3
"""Sessions that are done when a worker is killed."""


def run_anew(study: Study, *more: str) -> Ran:
    """Run the study into an empty folder."""
    shutil.rmtree(study.out, ignore_errors=True)
    ran = run(study, *more)
    assert ran.code == 0, ran.said
    return ran


def compare(study: Study, processes: str, repeats: int) -> None:
    """Print the cost of both kinds of run, in turn."""
    run_anew(study, "--participant-label", "01")
    for _ in range(repeats):
        runs, found = [], []
        for more in ((), ("--scheduler", "local")):
            ran = run_anew(study, "--nprocs", processes, *more)
            print(f"{' '.join(more) or 'no scheduler':18s} {ran.wall_s:7.1f} s wall, {ran.processor_s:7.1f} s of the "
                  "processor", flush=True)  # fmt: skip
            runs.append(ran)
            found.append(study.results())
        same = "the same bytes" if found[0] == found[1] else "OTHER BYTES"
        here, dask = runs
        print(f"overhead {dask.wall_s / here.wall_s - 1:+.1%} wall, {dask.processor_s / here.processor_s - 1:+.1%} "
              f"processor; {same} in {len(found[0])} files", flush=True)  # fmt: skip


def break_and_kill(study: Study, processes: str) -> None:
    """Run with one broken session, kill a worker that has one; print what is left of the study."""
    image = next((study.bids / f"sub-{BROKEN}/anat").glob("*echo-2_part-phase*.nii.gz"))
    whole = image.read_bytes()
    shutil.rmtree(study.out, ignore_errors=True)
    try:
        image.write_bytes(whole[:-200])
        process = start(study, "--nprocs", processes, "--scheduler", "local")
        while len(list((study.out / ".qsmcmb/manifest").glob("*.json"))) < N_BEFORE:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        busiest_worker(process.pid).kill()
        said = process.communicate()[1]
    finally:
        image.write_bytes(whole)
    lines = ("ERROR", "note: worker", "sessions done", "To resume", "Traceback")
    print("\n".join(line for line in said.splitlines() if any(word in line for word in lines)))
    done = len(list(study.out.glob("sub-*/anat/*_desc-cmb_burden.json")))
    left = len(list(study.out.rglob(".tmp-*")))
    print(f"exit {process.returncode}; {done} sessions with results; {left} temporary files")


def busiest_worker(run_pid: int) -> psutil.Process:
    """Return the worker of a run whose child has computed most."""
    workers = [child for child in psutil.Process(run_pid).children() if child.children()]
    return max(workers, key=lambda worker: max(sum(c.cpu_times()[:2]) for c in worker.children()))


def plan(bids: Path, out: Path) -> None:
    """Print the processor time that a session costs before it is given out: listed, its header read, its text made."""
    from qsmcmb.pipeline.config import make_config
    from qsmcmb.study.jobs import session_task
    from qsmcmb.study.options import StudyOptions
    from qsmcmb.study.request import Request
    from qsmcmb.study.sessions import plan_study

    options = StudyOptions(make_config(), detect=True)
    began = time.process_time()
    sessions = plan_study(bids, out, options)
    listed = time.process_time()
    tasks = [session_task(Request(bids, options, None), out, session) for session in sessions]
    made = time.process_time()
    print(f"{len(tasks)} sessions: listed in {1e3 * (listed - began) / len(tasks):.2f} ms each, "
          f"task made in {1e3 * (made - listed) / len(tasks):.2f} ms, {len(tasks[0].text)} characters")  # fmt: skip


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--processes", default="2")
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--plan", type=int)
    given = parser.parse_args()
    if given.plan:
        study = make_copies(given.work, given.plan, (12, 13, 14))
        plan(study.bids, study.out)
    elif given.faults:
        break_and_kill(study_of(given), given.processes)
    else:
        compare(study_of(given), given.processes, given.repeats)


if __name__ == "__main__":
    main()
