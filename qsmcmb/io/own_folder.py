"""An output folder is empty or ours, and has one owner while a command writes into it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from qsmcmb.errors import InvalidInputError, OverwriteError
from qsmcmb.io.atomic import atomic_write, make_folder
from qsmcmb.io.lock import hold_lock
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.reading import read_regular
from qsmcmb.version import version

__all__ = ("check_within", "hold_folder")

STATE = ".qsmcmb"
"""Folder of an output folder that holds what is not a result: mark, lock, what was there before."""
MARK = "made-by.json"
"""File in it that says which command the folder belongs to."""
NO_CONTENT = {STATE, ".DS_Store", "Thumbs.db", "desktop.ini", "lost+found", ".snapshot"}
"""Names that a folder may have and still count as empty: the file system's own."""
DESCRIPTION = "dataset_description.json"
RECORDS = {
    "recon": ("Chimap.json", "desc-brain_mask.json", "desc-cmb_burden.json"),
    "demo": ("demo.json",),
    "validate": ("validation.json", "claims.tsv"),
    "selftest": ("certificate.json",),
    "phantom": ("recipe.json",),
    "explain": ("lesion-1.json",),
}
"""Files by which the folder of a command is known that an earlier version wrote, without a mark."""
UNMARKED = ("phantom",)
"""Commands whose folders keep no mark once they are whole: a raw BIDS data set has no place for one."""


@contextlib.contextmanager
def hold_folder(
    out: Path, made_by: str, *, adopt: bool = False, say: Callable[[str], None]
) -> Iterator[None]:
    """Hold an output folder for the `with` block; it is created, and removed again where nothing was written.

    Parameters
    ----------
    out : Path
        The folder.
    made_by : str
        Command that it belongs to.
    adopt : bool, optional
        Take over a folder that belongs to nobody or to another command.
    say : callable
        Takes notes.

    Yields
    ------
    None
        While the folder is held.

    Raises
    ------
    OverwriteError
        OUT-FOREIGN: there is something in it that this command has not written. PATH: a folder in it, at any depth, is
        a link that leads elsewhere.
    OutputError
        OUT: it cannot be created or written.
    LockedError
        LOCKED: another run works on it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with hold_folder(Path(folder) / "out", "recon", say=print):
    ...         _ = (Path(folder) / "out" / "report.html").write_text("")
    ...     sorted(p.name for p in (Path(folder) / "out").iterdir())
    ['.qsmcmb', 'report.html']
    """
    foreign = check_ours(out, made_by, adopt=adopt)
    check_within(out, _linked_folders(out))
    made = [p for p in (out, *out.parents) if not p.exists()]
    state = out / STATE
    check_within(out, [state])
    make_folder(out)
    try:
        make_folder(state)
        with hold_lock(state / "lock", say=say):
            if foreign:
                _keep_description(out, state)
                say(f"note: {out} is taken over; its description is kept in {state}")
            _write_mark(state / MARK, made_by)
            try:
                yield
                if made_by in UNMARKED:
                    (state / MARK).unlink(missing_ok=True)
            finally:
                if _is_empty(out):
                    (state / MARK).unlink(missing_ok=True)
    finally:
        # What is not empty stays.
        for folder in (state, *made):
            with contextlib.suppress(OSError):
                folder.rmdir()


def check_ours(out: Path, made_by: str, *, adopt: bool = False, updates: bool = False) -> bool:
    """Raise unless a folder is missing, empty, or a command's own; `updates`: it has to be there already.

    Returns
    -------
    bool
        Whether it is foreign, and taken over.

    Raises
    ------
    OverwriteError
        OUT-FOREIGN.
    """
    if not out.is_dir() or _is_empty(out) or _belongs_to(out, made_by):
        return False
    if adopt:
        return True
    names = sorted(p.name for p in _entries(out) if p.name not in NO_CONTENT)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    adoption = ", or take this one over with --adopt-output" if made_by in ("run", "recon") else ""
    fix = (
        f"name the folder that `qsmcmb {made_by}` has written"
        if updates
        else f"choose another folder{adoption}"
    )
    raise OverwriteError(
        "OUT-FOREIGN", out, field="folder", found=f"{_whose(out)}, with {', '.join(names[:3])}{more}",
        expected=f"an empty folder, or one that `qsmcmb {made_by}` has written",
        fix=fix,
    )  # fmt: skip


def check_within(out: Path, folders: Iterable[Path]) -> None:
    """Raise where a folder below the output folder is a link that leads out of it.

    Parameters
    ----------
    out : Path
        The output folder; it may be a link itself.
    folders : iterable of Path
        Folders below it that will be written, whether they exist or not.

    Raises
    ------
    OverwriteError
        PATH.

    Examples
    --------
    >>> check_within(Path("out"), [Path("out/sub-01/anat")])
    """
    root = os.path.realpath(out)
    for folder in folders:
        target = os.path.realpath(folder)
        if target != root and not target.startswith(root.rstrip(os.sep) + os.sep):
            raise OverwriteError(
                "PATH", folder, field="link", found=f"it leads to {target}", expected=f"a folder in {root}",
                fix="remove the link: results would be written where it leads",
            )  # fmt: skip


def _linked_folders(out: Path) -> Iterator[Path]:
    """Yield the folders at any depth that are links; links are not followed."""
    for folder, names, _ in os.walk(out):
        yield from (path for name in names if (path := Path(folder, name)).is_symlink())


def _entries(out: Path) -> list[Path]:
    return list(out.iterdir()) if out.is_dir() else []


def _is_empty(out: Path) -> bool:
    """Say whether a folder holds nothing of anybody."""
    return all(p.name in NO_CONTENT or p.name.startswith((".nfs", ".tmp-")) for p in _entries(out))


def _belongs_to(out: Path, made_by: str) -> bool:
    """Say whether a folder is a command's own, by its mark or, of an earlier version, by its records."""
    mark = _record(out / STATE / MARK)
    if mark:
        return mark.get("Command") == made_by
    description = _record(out / DESCRIPTION)
    if made_by == "run":
        return description.get("DatasetType") == "derivative" and _by_us(description)
    if made_by == "phantom" and description:
        return str(description.get("Name", "")).startswith("qsmcmb phantom ")
    names = RECORDS.get(made_by, ())
    tables = any((out / n).is_file() for n in names if n.endswith(".tsv"))
    return not description and (tables or any(_by_us(_record(out / n)) for n in names if n.endswith(".json")))


def _record(path: Path) -> dict[str, Any]:
    """Return a JSON file; nothing where there is none that can be read."""
    try:
        return read_sidecar(path) if path.is_file() else {}
    except (InvalidInputError, OSError):
        return {}


def _by_us(record: dict[str, Any]) -> bool:
    makers = record.get("GeneratedBy")
    return isinstance(makers, list) and any(isinstance(m, dict) and m.get("Name") == "qsmcmb" for m in makers)


def _whose(out: Path) -> str:
    """Return what a folder is, for a message."""
    mark = _record(out / STATE / MARK)
    if mark:
        return f"results of `qsmcmb {mark.get('Command')}`"
    if (out / DESCRIPTION).exists():
        return f"the data set {str(_record(out / DESCRIPTION).get('Name', 'without a name'))!r}"
    return "files that are not of this command"


def _write_mark(path: Path, made_by: str) -> None:
    """Write the mark where it is not there yet."""
    if _record(path).get("Command") != made_by:
        text = json.dumps(
            {"Command": made_by, "GeneratedBy": [{"Name": "qsmcmb", "Version": version()}]}, indent=2
        )
        atomic_write(path, (text + "\n").encode())


def _keep_description(out: Path, state: Path) -> None:
    """Copy what a run replaces in a data set that it takes over."""
    for name in (DESCRIPTION, ".bidsignore"):
        if (out / name).is_file():
            folder = make_folder(state / "taken-over")
            atomic_write(folder / name, read_regular(out / name))
