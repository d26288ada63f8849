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


SHAPE = (22, 23, 24)
"""Voxels of a tiny session."""


def make_study(root: Path) -> Study:
    """Write a data set of one participant with two sessions; nothing has run."""
    study = _describe(root)
    study.points.write_text("x_mm\ty_mm\tz_mm\n10\t11\t12\n")
    for session in ("1", "2"):
        write_scan(study.bids, folder=f"ses-{session}/anat", shape=SHAPE)
    return study


def make_copies(root: Path, n_participants: int, shape: tuple[int, int, int] = SHAPE) -> Study:
    """Write a data set of participants 01, 02 and so on, each with a copy of the same scan; nothing has run."""
    study = _describe(root)
    write_scan(study.bids, shape=shape)
    point = "\t".join(str(n // 2) for n in shape)
    rows = [f"{number:02d}\t{point}" for number in range(1, n_participants + 1)]
    study.points.write_text("\n".join(["participant_id\tx_mm\ty_mm\tz_mm", *rows, ""]))
    for number in range(2, n_participants + 1):
        for path in sorted((study.bids / "sub-01" / "anat").iterdir()):
            target = (
                study.bids / f"sub-{number:02d}" / "anat" / path.name.replace("sub-01", f"sub-{number:02d}")
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return study


def _describe(root: Path) -> Study:
    """Write all but scans and points: the methods are fast ones."""
    study = Study(root / "bids", root / "out", root / "fast.toml", root / "points.tsv")
    study.bids.mkdir(parents=True)
    (study.bids / "dataset_description.json").write_text('{"Name": "tiny", "BIDSVersion": "1.10.0"}')
    study.config.write_text(FAST)
    return study
