"""No output is an input, an output folder is empty or ours, and it has one owner: for every command that there is."""

from __future__ import annotations

import ast
import contextlib
import inspect
import itertools
import json
import os
import socket
import subprocess
import sys
import time
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import typer

from qsmcmb.cli import files
from qsmcmb.cli.files import Reads, Writes, marks_of, paths_in_use
from qsmcmb.cli.main import app, run_command
from qsmcmb.errors import LockedError, OverwriteError
from qsmcmb.io.lock import MAX_SILENCE_S, _process_start, hold_lock
from qsmcmb.io.own_folder import hold_folder
from qsmcmb.io.tables import write_json

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
CLI = Path(files.__file__).parent


def pairs() -> Iterator[tuple[str, str, str]]:
    """Yield each command with an argument that is read and one that is written."""
    for name, command in COMMANDS.items():
        marks = marks_of(command.callback)
        for read, written in itertools.product(marks, marks):
            if isinstance(marks[read], Reads) and isinstance(marks[written], Writes):
                yield name, read, written


def folders() -> Iterator[tuple[str, str]]:
    """Yield each command with an argument that is a folder of its own."""
    for name, command in COMMANDS.items():
        for argument, mark in marks_of(command.callback).items():
            if isinstance(mark, Writes) and mark.made_by:
                yield name, argument


def value_of(mark: Reads | Writes, path: Path) -> Any:
    """Return an argument's value that names a path."""
    kinds = {
        files.named_folders: [f"masks={path}"],
        files.mask_of_reference: str(path),
        files.recipe_file: str(path),
    }
    return kinds.get(mark.paths, path if mark.paths is files.with_truth else [path])


def hold(command: str, values: dict[str, Any]) -> None:
    with paths_in_use(COMMANDS[command], values):
        pass


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_that_names_a_file_is_marked(name: str) -> None:
    function = inspect.unwrap(COMMANDS[name].callback)
    hints = typing.get_type_hints(function, include_extras=True)
    named = {argument for argument, hint in hints.items() if "Path" in str(hint) and argument != "return"}
    assert named <= set(marks_of(function))
    for mark in marks_of(function).values():
        if isinstance(mark, Writes) and mark.kind == "folder":
            assert mark.adds or mark.made_by


def test_no_command_makes_a_path_of_a_text_behind_the_marks() -> None:
    for path in CLI.glob("*.py"):
        made = [
            node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Path"
            and not isinstance(node.args[0], ast.Constant)
        ]  # fmt: skip
        allowed = {"files.py", "main.py", "stage.py", "run.py", "import_.py"}
        assert not made or path.name in allowed, path.name


@pytest.mark.parametrize(("command", "read", "written"), list(pairs()))
def test_an_output_that_is_an_input_is_refused(command: str, read: str, written: str, tmp_path: Path) -> None:
    marks = marks_of(COMMANDS[command].callback)
    name = "a.toml" if marks[read].paths is files.recipe_file else "a.nii.gz"
    whole = marks[written].kind == "folder" or marks[read].kind in ("folder", "bids", "results")
    path = tmp_path / name
    path.mkdir() if whole else path.write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    for target in (path, link / name):
        values = {read: value_of(marks[read], path), written: value_of(marks[written], target)}
        if marks[written].adds and marks[read].kind == "results":
            hold(command, values)
            continue
        with pytest.raises(OverwriteError) as caught:
            hold(command, values)
        assert (caught.value.code, caught.value.exit_code) == ("OVERWRITE", 2)
    assert whole or path.read_text() == "precious"


@pytest.fixture
def echoes(tmp_path: Path) -> list[Path]:
    """Return three magnitudes."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"m{i}.nii.gz" for i in (1, 2, 3)]
    for i, path in enumerate(paths):
        data = np.exp(-0.2 * i) * (100 + rng.random((9, 10, 11)))
        nibabel.save(nibabel.Nifti1Image(data.astype(np.float32), np.eye(4)), path)
    return paths


def r2star(echoes: list[Path], out: Path) -> int:
    return run_command(["r2star", *map(str, echoes), "--te", "4,8,12ms", "-o", str(out)])


@pytest.mark.parametrize("name", ["m1.nii.gz", "m1.nii", "hard.nii.gz", "soft.nii.gz", "folder/m2.nii.gz"])
def test_names_of_one_file_are_one(
    echoes: list[Path], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.link(echoes[1], tmp_path / "hard.nii.gz")
    (tmp_path / "soft.nii.gz").symlink_to(echoes[2])
    (tmp_path / "folder").symlink_to(tmp_path)
    before = {p: p.read_bytes() for p in echoes}
    assert r2star(echoes, tmp_path / name) == 2
    assert "ERROR OVERWRITE" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in echoes} == before
    assert not list(tmp_path.glob("*.json"))


def test_a_json_file_of_another_image_or_of_the_user_stays(echoes: list[Path], tmp_path: Path) -> None:
    other, json_of_user = tmp_path / "raw.nii", tmp_path / "mine.json"
    other.write_bytes(b"another image")
    json_of_user.write_text('{"EchoTime": 0.004}')
    assert r2star(echoes, tmp_path / "raw.nii.gz") == 2
    assert r2star(echoes, tmp_path / "mine.nii.gz") == 2
    assert json_of_user.read_text() == '{"EchoTime": 0.004}'
    # A result of our own is made anew.
    assert r2star(echoes, tmp_path / "r2star.nii.gz") == 0
    assert r2star(echoes, tmp_path / "r2star.nii.gz") == 0
    # Two results of one command with one name.
    twice = ["background", str(echoes[0]), "--mask", str(echoes[1]), "-o", str(tmp_path / "a.nii")]
    assert run_command([*twice, "--out-mask", str(tmp_path / "a.nii.gz")]) == 2


@pytest.mark.parametrize(("command", "argument"), list(folders()))
def test_a_foreign_folder_is_refused(command: str, argument: str, tmp_path: Path) -> None:
    mark = marks_of(COMMANDS[command].callback)[argument]
    assert isinstance(mark, Writes)
    data_set, files_of_user = tmp_path / "bids", tmp_path / "files"
    for folder in (data_set, files_of_user):
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
    description = {"Name": "raw", "BIDSVersion": "1.8.0", "DatasetType": "raw"}
    (data_set / "dataset_description.json").write_text(json.dumps(description))
    for folder in (data_set, files_of_user):
        before = {p.name: p.read_bytes() for p in folder.iterdir()}
        with pytest.raises(OverwriteError) as caught:
            hold(command, {argument: value_of(mark, folder)})
        assert (caught.value.code, caught.value.exit_code) == ("OUT-FOREIGN", 2)
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


@pytest.mark.parametrize(("command", "argument"), list(folders()))
def test_a_folder_has_one_owner(command: str, argument: str, tmp_path: Path) -> None:
    mark = marks_of(COMMANDS[command].callback)[argument]
    assert isinstance(mark, Writes)
    out = tmp_path / "out"
    with hold_folder(out, mark.made_by, say=print):
        (out / "result").write_text("")
        with pytest.raises(
            LockedError, match=r"held = by a run of .* on .* \(process \d+\), since 20"
        ) as caught:
            hold(command, {argument: value_of(mark, out)})
        assert (caught.value.code, caught.value.exit_code) == ("LOCKED", 75)
    assert not (out / ".qsmcmb/lock").exists()


def test_what_was_not_used_is_gone(tmp_path: Path) -> None:
    with contextlib.suppress(ValueError), hold_folder(tmp_path / "a/b", "run", say=print):
        raise ValueError
    assert not list(tmp_path.iterdir())


def test_our_own_folders_are_known(tmp_path: Path) -> None:
    run, recon, adopted = (tmp_path / name for name in ("run", "recon", "adopted"))
    for folder in (run, recon, adopted):
        folder.mkdir()
    write_json(run / "dataset_description.json", {"Name": "old", "DatasetType": "derivative"})
    write_json(recon / "Chimap.json", {"Units": "ppm"})
    (adopted / "dataset_description.json").write_text('{"Name": "theirs"}')
    said: list[str] = []
    for folder, command in ((run, "run"), (recon, "recon")):
        for _ in range(2):
            with hold_folder(folder, command, say=said.append):
                pass
    with pytest.raises(OverwriteError, match="results of `qsmcmb run`"), hold_folder(run, "recon", say=print):
        pass
    assert not said
    with hold_folder(adopted, "run", adopt=True, say=said.append):
        write_json(adopted / "dataset_description.json", {"DatasetType": "derivative"})
    assert (adopted / ".qsmcmb/taken-over/dataset_description.json").read_text() == '{"Name": "theirs"}'
    assert "is taken over" in said[0]
    with hold_folder(adopted, "run", say=said.append):
        pass


def test_a_folder_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    for folder in (raw, out):
        folder.mkdir()
    write_json(out / "dataset_description.json", {"DatasetType": "derivative"})
    (out / "sub-01").symlink_to(raw)
    with pytest.raises(OverwriteError, match="PATH") as caught, hold_folder(out, "run", say=print):
        pass
    assert caught.value.exit_code == 2
    assert not list(raw.iterdir())


def record(**changes: Any) -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    start = {"user": "anna", "host": socket.gethostname(), "pid": 2**22 + 1, "process_start": None,
             "boot": boot.read_text().strip() if boot.exists() else None, "since": "2026-11-29T10:00:00+00:00",
             "held_by_system": True}  # fmt: skip
    return json.dumps({**start, **changes})


@pytest.mark.parametrize(
    ("content", "silent_s", "why"),
    [
        (record(), 0, "its process has ended"),
        (record(held_by_system=False), 0, "its process has ended"),
        (record(boot="another"), 0, "has been restarted"),
        (record(host="node7"), MAX_SILENCE_S + 60, "no sign of life for 11 minutes"),
        ('{"user": "an', 0, "its record is damaged"),
        (record(host="node7"), 0, ""),
        (record(host="node7"), MAX_SILENCE_S - 60, ""),
        (record(pid=os.getpid(), held_by_system=False, process_start=_process_start(os.getpid())), 0, ""),
    ],
)
def test_who_has_ended_is_followed_and_who_has_not_is_left_alone(
    content: str, silent_s: float, why: str, tmp_path: Path
) -> None:
    lock, said = tmp_path / "lock", []
    lock.write_text(content)
    os.utime(lock, (time.time() - silent_s,) * 2)
    if not why:
        with (
            pytest.raises(LockedError, match=r"anna on .*since 2026-11-29 10:00:00 UTC"),
            hold_lock(lock, say=print),
        ):
            pass
        assert lock.read_text() == content
        return
    with hold_lock(lock, say=said.append):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert why in said[0]
    assert not lock.exists()


def test_a_killed_run_leaves_no_lock_that_holds(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom qsmcmb.io.lock import hold_lock\n"
        "with hold_lock(Path(sys.argv[1]), say=print):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"process {other.pid}"), hold_lock(lock, say=print):
            pass
        other.kill()
        other.wait()
        said: list[str] = []
        with hold_lock(lock, say=said.append):
            pass
    assert "takes over" in said[0]
