"""Every method of every family on phantoms with a known truth: accuracy, seconds over the FFT floor, memory.

    python benchmarks/leaderboard.py [--phantom S L head dev] [--family F...] [--method M...] [--threads N]

Each method runs in its own process and leaves one JSON under WORK/results; a method that has one is not run again
(--force does), so that an interrupted run goes on. Then docs/evidence/leaderboard.md and, in the folder beside it,
its plots and results.json are written from all results at hand and, where there is none, from what results.json held
before (--pages does that alone). With --untimed scores and memory are renewed and speed is kept as it was. The bench
phantom and the dev heads come from ../shared; a phantom whose source is not there is skipped with a message.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from leaderboard_cases import NAMES, ROOT, Case, MissingError, methods_of, prepare

LONGEST_S = 3600


def main() -> int:
    """Run what is missing and write the pages; 1 where a method failed."""
    options = _arguments()
    if options.one:
        return _child(options)
    failed = []
    if not options.pages:
        for phantom in options.phantom:
            try:
                cases = prepare(phantom, options.work)
            except MissingError as error:
                print(f"skipped: {error}")
                continue
            for case in cases:
                failed += _run_case(case, options)
    from leaderboard_page import write_pages

    write_pages(options.work / "results", options.docs, note=options.note)
    for name in failed:
        print(f"FAILED {name}")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    from leaderboard_run import FAMILIES

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--phantom", nargs="+", choices=NAMES, default=["S"], help="S and L are the bench's")
    parser.add_argument("--family", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--method", nargs="+", default=[], help="keys of methods; all by default")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--work", type=Path, default=Path("benchmark-data") / "leaderboard")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "evidence", help="where the pages go")
    parser.add_argument(
        "--untimed", action="store_true", help="call each method once and keep no seconds: beside other work"
    )
    parser.add_argument("--force", action="store_true", help="run again what has a result")
    parser.add_argument("--pages", action="store_true", help="write the pages from the results at hand alone")
    parser.add_argument("--note", default="", help="what a reader must know of this run, on the page")
    parser.add_argument("--one", nargs=3, metavar=("CASE", "FAMILY", "METHOD"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.work = options.work.resolve()
    return options


def result_path(work: Path, case: str, family: str, method: str) -> Path:
    """Return where the record of a run lies."""
    return work / "results" / case / f"{family}-{method}.json"


def _run_case(case: Case, options: argparse.Namespace) -> list[str]:
    failed = []
    for family in options.family:
        for method in methods_of(family):
            if options.method and method not in options.method:
                continue
            path = result_path(options.work, case.folder.name, family, method)
            if path.exists() and not options.force:
                continue
            if not _spawn([str(case.folder), family, method], options):
                failed.append(f"{case.folder.name} {family} {method}")
                continue
            print(_line(json.loads(path.read_text())), flush=True)
    return failed


def _spawn(one: list[str], options: argparse.Namespace) -> bool:
    threads = str(options.threads)
    environment = {
        **os.environ, "QSMCMB_THREADS": threads, "NUMBA_NUM_THREADS": threads, "OMP_NUM_THREADS": threads,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    command = [sys.executable, __file__, "--work", str(options.work), "--threads", threads, "--one", *one]
    command += ["--untimed"] if options.untimed else []
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        print(f"{' '.join(one[1:])}: stopped after {LONGEST_S} s")
        return False
    if done.returncode:
        print(done.stdout[-500:], done.stderr[-2000:])
    return done.returncode == 0


def _child(options: argparse.Namespace) -> int:
    from leaderboard_run import run_method, write_record

    folder, family, method = options.one
    case = Case(Path(folder))
    record, plane = run_method(case, family, method, options.threads, timed=not options.untimed)
    path = result_path(options.work, case.folder.name, family, method)
    write_record(path, record, plane)
    return 0


def _line(record: dict[str, Any]) -> str:
    scores = ", ".join(f"{k} {v:.3g}" for k, v in record["scores"].items() if v is not None)
    cost = f"{record['volumes']:.1f} volumes"
    if record["seconds"] is not None:
        pairs = record["seconds"] / record["pair_s"][record["grid"]]
        cost = f"{record['seconds']:.2f} s = {pairs:.0f} pairs, {cost}"
    return f"{record['case']} {record['family']} {record['method']}: {cost}; {scores}"


if __name__ == "__main__":
    sys.exit(main())
