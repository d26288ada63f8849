"""What a rerun of a finished study costs, beside its first run: wall time and processor time.

    python benchmarks/rerun.py WORK [--sessions 20] [--shape 22 23 24] [--processes 1] [--repeats 3] [--package FOLDER]

Loops are compiled before, by a run of one session. A rerun of one session is timed, too: what a rerun of all costs
more is the cost of the sessions, the rest is that of the start. `--package` runs another copy of qsmcmb. Where the
machine does other work, too, processor time is the number to compare.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from pathlib import Path

from study_runs import Ran, add_arguments, run, study_of


def main() -> None:
    """Time both."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parser.add_argument("--processes", default="1")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--package", type=Path)
    given = parser.parse_args()
    study = study_of(given)
    one = ("--participant-label", "01")

    def timed(*more: str) -> Ran:
        ran = run(study, "--nprocs", given.processes, *more, package=given.package)
        assert ran.code == 0, ran.said
        return ran

    for more in (one, ()):
        shutil.rmtree(study.out, ignore_errors=True)
        first = timed(*more)
    print(f"first run: {first.wall_s:.1f} s wall, {first.processor_s:.1f} s of the processor")
    again = [timed() for _ in range(given.repeats)]
    alone = [timed(*one) for _ in range(given.repeats)]
    for name in ("wall_s", "processor_s"):
        all_s, one_s = (statistics.median(getattr(ran, name) for ran in runs) for runs in (again, alone))
        each_s = (all_s - one_s) / max(1, given.sessions - 1)
        print(
            f"rerun, {name.removesuffix('_s')}: {all_s:.2f} s, {all_s / getattr(first, name):.2%} of the first; "
            f"of one session {one_s:.2f} s, each more {1e3 * each_s:.1f} ms"
        )


if __name__ == "__main__":
    main()
