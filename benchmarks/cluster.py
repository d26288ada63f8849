"""What a run on Dask costs beside the same run with `--nprocs`: wall time and processor time of both, in turn.

    python benchmarks/cluster.py WORK [--sessions 20] [--size 64] [--repeats 1] [--processes 2]
    python benchmarks/cluster.py WORK --plan 500       what the machine does that starts the run, for so many sessions

The sessions are one smooth scan of the tests at another size, copied: one participant each. Loops are compiled before,
by a run of one session. Where the machine does other work, too, processor time is the number to compare.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.scenes.bids_scans import write_scan
from tests.scenes.studies import FAST


def make_data(work: Path, n_sessions: int, size: int) -> Path:
    """Write the data set: participants 01, 02 and so on, one session each."""
    bids = work / "bids"
    write_scan(bids, folder="anat", shape=(size, size + 8, size - 16))
    (bids / "dataset_description.json").write_text('{"Name": "copies", "BIDSVersion": "1.10.0"}')
    for number in range(2, n_sessions + 1):
        for path in sorted((bids / "sub-01" / "anat").iterdir()):
            target = bids / f"sub-{number:02d}" / "anat" / path.name.replace("sub-01", f"sub-{number:02d}")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    (work / "fast.toml").write_text(FAST)
    (work / "points.tsv").write_text("x_mm\ty_mm\tz_mm\n20\t22\t15\n")
    return bids


def run(work: Path, *more: str) -> tuple[float, float, dict[str, bytes]]:
    """Run the study anew; return wall and processor time (s), and the results."""
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)
    command = [
        sys.executable, "-c", "from qsmcmb.cli.main import main; main()", "run", str(work / "bids"), str(out),
        "participant", "--points", str(work / "points.tsv"), "--config-file", str(work / "fast.toml"), *more,
    ]  # fmt: skip
    began, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - began, os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    files = {p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file()}
    return (
        wall,
        processor,
        {n: p.read_bytes() for n, p in files.items() if not n.startswith((".qsmcmb/", "logs/"))},
    )


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
    """Compare the two."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--processes", default="2")
    parser.add_argument("--plan", type=int)
    given = parser.parse_args()
    if given.plan:
        plan(make_data(given.work, given.plan, 24), given.work / "out")
        return
    if not (given.work / "bids").exists():
        make_data(given.work, given.sessions, given.size)
    run(given.work, "--participant-label", "01")
    for _ in range(given.repeats):
        seconds = []
        found = []
        for more in ((), ("--scheduler", "local")):
            wall, processor, files = run(given.work, "--nprocs", given.processes, *more)
            print(
                f"{' '.join(more) or 'no scheduler':18s} {wall:7.1f} s wall, {processor:7.1f} s of the processor",
                flush=True,
            )
            seconds.append((wall, processor))
            found.append(files)
        (wall, processor), (wall_dask, processor_dask) = seconds
        same = "the same bytes" if found[0] == found[1] else "OTHER BYTES"
        more_wall, more_processor = wall_dask / wall - 1, processor_dask / processor - 1
        print(
            f"overhead {more_wall:+.1%} wall, {more_processor:+.1%} processor; {same} in {len(found[0])} files",
            flush=True,
        )


if __name__ == "__main__":
    main()
