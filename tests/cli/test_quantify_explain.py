"""`quantify --explain` prints the command that makes the same number, every option that matters included."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import nibabel as nib
import numpy as np
from typer.testing import CliRunner

from qsmcmb.cli.main import app
from tests.scenes.lesion_signal import TE_S, VOXELS, cropped_balls


def write_scan(folder: Path) -> list[str]:
    scene = cropped_balls(np.array([[6.0, 0.3, -0.4, 0.2, 1.1]]))
    phase, magnitude = folder / "ph.nii.gz", folder / "mag.nii.gz"
    # A scanner with integers and a falling phase.
    stored = np.round(-np.angle(scene.signal) * 4096 / np.pi)
    for path, volume in ((phase, stored), (magnitude, 1000 * np.abs(scene.signal))):
        nib.save(nib.Nifti1Image(np.moveaxis(volume, 0, -1).astype(np.float32), np.eye(4)), path)
    mask = folder / "mask.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((VOXELS,) * 3, np.uint8), np.eye(4)), mask)
    (folder / "points.tsv").write_text(f"x_mm\ty_mm\tz_mm\n{VOXELS / 2}\t{VOXELS / 2}\t{VOXELS / 2}\n")
    te = ",".join(f"{1000 * t:g}" for t in TE_S) + "ms"
    return [
        "quantify", "--phase", str(phase), "--mag", str(magnitude), "--te", te, "--b0", "3",
        "--points", str(folder / "points.tsv"), "--mask", str(mask), "--phase-range", "-4096", "4096",
        "--phase-sign", "-1", "--b0-dir", "0.6", "0.0", "0.8", "-o", str(folder / "one.tsv"),
    ]  # fmt: skip


def test_the_printed_command_makes_the_same_number(tmp_path: Path) -> None:
    words = write_scan(tmp_path)
    made = CliRunner().invoke(app, [*words, "--explain", str(tmp_path / "why")])
    assert made.exit_code == 0, made.output
    record = json.loads(next((tmp_path / "why").glob("*.json")).read_text())
    again = shlex.split(record["command"])
    assert again[:2] == ["qsmcmb", "quantify"]
    first = (tmp_path / "one.tsv").read_text()
    (tmp_path / "one.tsv").unlink()
    assert CliRunner().invoke(app, again[1:]).exit_code == 0
    assert (tmp_path / "one.tsv").read_text() == first
