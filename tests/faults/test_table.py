"""Each fault ends in its code and its exit; nothing is written under a final name, and no input is touched."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from qsmcmb.cli.main import run_command
from tests.faults.spoil import sound
from tests.faults.table import FAULTS


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound(tmp_path_factory.mktemp("faults") / "bids")


@pytest.fixture
def bids(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "bids"))


def state(folder: Path) -> dict[str, object]:
    """Return every file below a folder with its content and its time; of what is none, what it is."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        content = (
            hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_file()
            else os.readlink(path)
            if path.is_symlink()
            else ""
        )
        found[str(path.relative_to(folder))] = (mode, content, path.lstat().st_mtime_ns)
    return found


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.exit_code])
def test_what_is_refused(name: str, bids: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fault = FAULTS[name]
    fault.change(bids)
    before = state(bids)
    assert (
        run_command(["run", str(bids), str(tmp_path / "out"), "participant", *fault.arguments(bids)])
        == fault.exit_code
    )
    said = capsys.readouterr().err
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("ERROR ")]
    assert line.startswith(f"ERROR {fault.code} ")
    assert "; expected " in line
    assert ". Fix: " in line
    assert fault.said in line
    assert state(bids) == before
    if fault.exit_code == 2:
        return
    results = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    # The page of a subject without results shows the error.
    assert not [p for p in results if p.suffix in (".gz", ".tsv")]
    assert not [p for p in results if p.name.startswith(".tmp-") or p.name == "lock"]


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if not fault.exit_code])
def test_what_is_read(name: str, bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fault = FAULTS[name]
    fault.change(bids)
    before = state(bids)
    assert run_command(["check", str(bids), "--deep"]) == 0
    captured = capsys.readouterr()
    assert fault.said in captured.out
    assert "ERROR" not in captured.out + captured.err
    assert state(bids) == before
