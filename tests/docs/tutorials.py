"""Runs the tutorials: `python -m tests.docs.tutorials` writes their outputs and figures anew, in about three minutes.

A page's blocks run in order, in one folder for all pages: lines of `qsmcmb` in the shell's blocks, and Python. A block
`text` holds what the block before it prints. A command that has run in the folder is not run again.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np

import qsmcmb as qc
from qsmcmb.cli.main import run_command
from qsmcmb.model import Grid
from qsmcmb.units import GAMMA_MHZ_PER_T
from tests.scenes.dicom_files import write_volume

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
FIGURES = FOLDER / "figures"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TE_MS = (5.0, 12.0, 19.0)
SLICES, ROWS, COLUMNS = 30, 48, 44


@dataclass
class Workshop:
    """A folder in which pages run, and the commands that have run there."""

    folder: Path
    done: set[str] = field(default_factory=set)

    def run(self, page: Path) -> list[tuple[str, str]]:
        """Run a page; return, for each of its blocks `text`, what it holds and what was printed before it."""
        printed, outputs = "", []
        names = {"__name__": "__main__"}
        with contextlib.chdir(self.folder):
            for number, (language, text) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8"))):
                if language == "text":
                    outputs.append((text, printed))
                    continue
                caught = io.StringIO()
                with contextlib.redirect_stdout(caught):
                    if language == "python":
                        exec(compile(text, f"{page.name}, block {number}", "exec"), names)
                    elif not language:
                        self._shell(text)
                printed = "".join(f"{line.rstrip()}\n" for line in caught.getvalue().splitlines())
        return outputs

    def _shell(self, text: str) -> None:
        for line in text.splitlines():
            program, _, arguments = line.partition(" ")
            if program != "qsmcmb" or line in self.done:
                continue
            code = run_command(arguments.split())
            assert code == 0, f"{line}: exit {code}"
            self.done.add(line)


@contextlib.contextmanager
def workshop(folder: Path) -> Iterator[Workshop]:
    """Give a folder with the DICOM files of the last page; figures are drawn without a screen."""
    write_dicom(folder / "dicom")
    before = matplotlib.get_backend()
    matplotlib.use("Agg")
    try:
        yield Workshop(folder)
    finally:
        matplotlib.use(before)


def write_dicom(folder: Path) -> None:
    """Write what a scanner exports: magnitude and phase of a ball of water with a source of 6 ppm mm3 in it."""
    grid = Grid((COLUMNS, ROWS, SLICES), (1.5, 1.5, 2.0), (0.0, 0.0, 1.0))
    x, y, z = np.meshgrid(
        1.5 * (np.arange(COLUMNS) - 20),
        1.5 * (np.arange(ROWS) - 24),
        2.0 * (np.arange(SLICES) - 14),
        indexing="ij",
    )
    r_mm = np.sqrt(x**2 + y**2 + z**2)
    source = np.zeros(grid.shape, np.float32)
    source[20, 24, 14] = 6 / grid.voxel_volume_mm3
    turns = 2j * np.pi * GAMMA_MHZ_PER_T * 2.894 * qc.forward_field(source, grid)
    noise = np.random.default_rng(3).normal(0, 8, (2, len(TE_MS), *grid.shape))
    for number, te_ms in enumerate(TE_MS):
        signal = 900 * np.exp((turns - 15) * te_ms / 1000) * (r_mm < 25) * (r_mm > 1.4)
        signal = (signal + noise[0, number] + 1j * noise[1, number]).T
        common = {
            "EchoTime": te_ms,
            "EchoNumbers": number + 1,
            "ImagingFrequency": 123.22,
            "PatientName": "Phantom",
        }
        write_volume(folder / f"magnitude-{number + 1}", np.abs(signal).round(), SeriesNumber=2, **common)
        stored = np.clip(np.round(2048 + np.angle(signal) / np.pi * 2048), 0, 4095)
        write_volume(
            folder / f"phase-{number + 1}", stored, SeriesNumber=3, SeriesInstanceUID="1.2.826.0.1.3680043.8.498.4",
            ImageType=["ORIGINAL", "PRIMARY", "P", "ND"], RescaleSlope=2.0, RescaleIntercept=-4096.0, **common,
        )  # fmt: skip


def figures_of(page: Path) -> list[str]:
    """Return the names of the figures that a page shows."""
    return re.findall(
        r"^!\[[^\]]+\]\(figures/([\w-]+\.png)\)$", page.read_text(encoding="utf-8"), re.MULTILINE
    )


def main() -> None:
    """Run every page, and write what it prints and draws."""
    FIGURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, workshop(Path(folder)) as made:
        for page in PAGES:
            printed = iter([after for _, after in made.run(page)])
            text = page.read_text(encoding="utf-8")
            page.write_text(
                BLOCK.sub(lambda b: f"```text\n{next(printed)}```" if b[1] == "text" else b[0], text),  # noqa: B023
                encoding="utf-8",
            )
            for name in figures_of(page):
                shutil.copyfile(Path(folder) / name, FIGURES / name)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
