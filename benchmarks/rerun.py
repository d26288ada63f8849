"""Cost of running a finished study again, beside that of the first run.

Copies of one simulated session are run with the default methods, then the same command is given again. Processor time
counts, that of all processes together, so that other work on the machine does not:

    python benchmarks/rerun.py --sessions 20
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from qsmcmb.io.bids_writer import write_raw_dataset, write_raw_scan
from qsmcmb.phantoms.build import build_phantom
from qsmcmb.phantoms.recipe import LesionRecipe, read_recipe

LIMIT = 0.02
"""Largest ratio of the processor time of the rerun to that of the first run."""
COMMAND = [sys.executable, "-c", "from qsmcmb.cli.main import main; main()"]


def write_copies(bids: Path, n_sessions: int, voxel_mm: float) -> None:
    """Write copies of a small head as participants of a data set."""
    recipe = read_recipe("smallhead")
    protocols = tuple(p for p in recipe.sessions if p.label == "3T")
    lesions = LesionRecipe(microbleeds=2, range_ppm_mm3=(10.0, 30.0))
    (session,) = build_phantom(
        replace(recipe, voxel_mm=voxel_mm, lesions=lesions, sessions=protocols, checksum="")
    )
    write_raw_dataset(bids, "copies of one head")
    for number in range(1, n_sessions + 1):
        write_raw_scan(bids, session.scan, f"{number:02d}", "1")


def processor_seconds(arguments: list[str]) -> float:
    """Run a command; return the processor time of all its processes, s."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*COMMAND, *arguments], check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Print the times as JSON; return 1 where the rerun costs too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--voxel-mm", type=float, default=2.0)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        bids, out = folder / "bids", folder / "out"
        write_copies(bids, given.sessions, given.voxel_mm)
        arguments = ["run", str(bids), str(out), "participant"]
        first, again = processor_seconds(arguments), processor_seconds(arguments)
    finally:
        shutil.rmtree(folder)
    print(
        json.dumps(
            {"sessions": given.sessions, "first_s": first, "again_s": again, "ratio": again / first}, indent=1
        )
    )
    return int(again > LIMIT * first)


if __name__ == "__main__":
    sys.exit(main())
