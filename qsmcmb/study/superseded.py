"""Results that are no longer current are moved aside; what killed writes have left is swept."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from qsmcmb.io.place import Place
from qsmcmb.study.manifest import FOLDER
from qsmcmb.study.steps import SCAN_STEPS

__all__ = ["move_aside", "result_files", "sweep"]

EXTENSIONS = (".nii.gz", ".json", ".tsv", ".npz")
"""Endings of results."""
TEMPORARY = ".tmp-"
"""Beginning of the name of a file that is being written."""


def result_files(place: Place) -> list[Path]:
    """Return the results of a scan that are there, whichever run or version has written them.

    Parameters
    ----------
    place : Place
        Folder and prefix.

    Returns
    -------
    list of Path
        Files.

    Examples
    --------
    >>> result_files(Place(Path("nowhere"), "sub-01"))
    []
    """
    names = [f"{made}{extension}" for step in SCAN_STEPS for made in step.makes for extension in EXTENSIONS]
    return [path for path in map(place.path, names) if path.exists()]


def move_aside(out: Path, paths: Iterable[Path], name: str) -> Path | None:
    """Move results to OUT/.qsmcmb/superseded, so that nothing shows them as current.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    paths : iterable of Path
        Files in it.
    name : str
        Scan or subject that they belong to.

    Returns
    -------
    Path or None
        Folder where they lie now; None where there was nothing to move.

    Examples
    --------
    >>> move_aside(Path("out"), [], "sub-01")
    """
    there = [path for path in paths if path.exists()]
    if not there:
        return None
    parent = out / FOLDER / "superseded" / name
    number = 1 + max((int(p.name) for p in parent.glob("*") if p.name.isdecimal()), default=0)
    target = parent / str(number)
    # The burden record goes first: without it the scan does not count as finished.
    for path in sorted(there, key=lambda p: not p.name.endswith("_desc-cmb_burden.json")):
        moved = target / path.relative_to(out)
        moved.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, moved)
    return target


def sweep(out: Path, work: Path | None = None) -> int:
    """Remove what killed writes have left: files under temporary names. Whoever calls this owns OUT.

    Parameters
    ----------
    out : Path
        Derivatives folder.
    work : Path, optional
        Folder of intermediate results, where it lies outside.

    Returns
    -------
    int
        Number of files removed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "sub-01").mkdir()
    ...     (Path(folder) / "sub-01" / ".tmp-x1").touch()
    ...     sweep(Path(folder))
    1
    """
    ours = [out / FOLDER, out / "logs", *out.glob("sub-*")]
    if work is not None:
        ours.append(work)
    left = [*out.glob(f"{TEMPORARY}*"), *(p for folder in ours for p in folder.rglob(f"{TEMPORARY}*"))]
    for path in left:
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    return len(left)
