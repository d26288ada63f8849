"""A study of two tiny sessions: its files, and how it is run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from qsmcmb.cli.main import run_command
from tests.scenes.bids_scans import write_scan

FAST = """
[mask]
method = "magnitude"
open_mm = 0.0
close_mm = 0.0
[background]
method = "pdf"
[invert]
method = "tkd"
"""


class Study(NamedTuple):
    """Data set, its derivatives, and the arguments of the run."""

    bids: Path
    out: Path
    config: Path
    points: Path

    def arguments(self, *more: str) -> list[str]:
        """Return the arguments of `qsmcmb`."""
        given = ["--points", str(self.points), "--config-file", str(self.config)]
        return ["run", str(self.bids), str(self.out), "participant", *given, *more]

    def run(self, *more: str) -> int:
        """Run the command; return its exit code."""
        return run_command(self.arguments(*more))

    def copy(self, folder: Path) -> Study:
        """Return the same study in another folder, as if it had run there."""
        shutil.copytree(self.bids.parent, folder / "study")
        root = folder / "study"
        return Study(root / "bids", root / "out", root / "fast.toml", root / "points.tsv")

    def results(self) -> dict[str, bytes]:
        """Return every file that is under the guarantee of the same bytes."""
        files = (p for p in self.out.rglob("*") if p.is_file())
        named = {p.relative_to(self.out).as_posix(): p for p in files}
        return {n: p.read_bytes() for n, p in named.items() if not n.startswith((".qsmcmb/", "logs/"))}


def make_study(root: Path) -> Study:
    """Write a data set of one participant with two sessions; nothing has run."""
    study = Study(root / "bids", root / "out", root / "fast.toml", root / "points.tsv")
    for session in ("1", "2"):
        write_scan(study.bids, folder=f"ses-{session}/anat", shape=(22, 23, 24))
    (study.bids / "dataset_description.json").write_text('{"Name": "tiny", "BIDSVersion": "1.10.0"}')
    study.config.write_text(FAST)
    study.points.write_text("x_mm\ty_mm\tz_mm\n10\t11\t12\n")
    return study
