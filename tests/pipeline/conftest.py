"""One small phantom, run once from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsmcmb.cli.main import run_command


@pytest.fixture(scope="session")
def spheres(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sphere phantom (`bids`, `bids-truth`) and its derivatives (`out`)."""
    folder = tmp_path_factory.mktemp("spheres")
    assert run_command(["phantom", "sphere", str(folder / "bids")]) == 0
    points = folder / "bids-truth" / "points.tsv"
    code = run_command(
        ["run", str(folder / "bids"), str(folder / "out"), "participant", "--points", str(points)]
    )
    assert code == 0
    return folder
