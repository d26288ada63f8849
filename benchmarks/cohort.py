"""Processor time of `qsmcmb cohort` on made-up studies: 200 and 2000 subjects of three sessions.

python benchmarks/cohort.py
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from qsmcmb.study.cohort import write_cohort
from tests.scenes.cohorts import write_cohort_study

SUBJECTS = (200, 2000)


def main() -> None:
    """Print the seconds of each study."""
    for subjects in SUBJECTS:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            table = write_cohort_study(out, subjects=subjects)
            start = time.process_time()
            write_cohort(out, Path(folder) / "c", participants=table, arm="group", adjust=["age"])
            print(f"{subjects} subjects, 3 sessions: {time.process_time() - start:.1f} s")


if __name__ == "__main__":
    main()
