"""Nothing that is read is ever written: what a command will write, held against all that it reads, before it starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from qsmcmb.errors import InvalidInputError, OverwriteError
from qsmcmb.io.metadata import read_sidecar, sidecar_path

__all__ = ("PathUse", "check_overwriting")

SAME_JSON = (".nii", ".nii.gz", ".NII", ".NII.GZ", ".tsv")
"""Endings of files whose JSON has the same name."""
FIX = "give the result a name, in a folder, that no input has"


class PathUse(NamedTuple):
    """A path that a command reads or writes.

    Parameters
    ----------
    option : str
        Option or argument that names it.
    path : Path
        The path as the user gave it.
    kind : {"file", "image", "table", "folder", "bids", "results"}
        What it is: an image and a table have a JSON file beside them, a folder counts with all that is in it, a BIDS
        data set without `derivatives/NAME`. Of results a command reads what is there and may add what is not.
    adds : bool, optional
        Whether only names that are free are written.

    Examples
    --------
    >>> PathUse("-o", Path("chi.nii.gz"), "image").files
    (PosixPath('chi.nii.gz'), PosixPath('chi.json'))
    """

    option: str
    path: Path
    kind: str
    adds: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """The file and the JSON beside it; a folder itself."""
        if self.kind in ("image", "table"):
            return self.path, json_beside(self.path)
        return (self.path,)

    @property
    def is_whole(self) -> bool:
        """Whether all that is in it counts."""
        return self.kind in ("folder", "bids", "results")


def json_beside(path: Path) -> Path:
    """Return the path of the JSON file of an image or a table."""
    return path.with_suffix(".json") if path.suffix == ".tsv" else sidecar_path(path)


def check_overwriting(reads: Sequence[PathUse], writes: Sequence[PathUse]) -> None:
    """Raise where something that will be written is read as well, is written twice, or belongs to another file.

    Links are followed, and two names of one file (hard links) are one.

    Parameters
    ----------
    reads, writes : sequence of PathUse
        What a command reads and what it writes.

    Raises
    ------
    OverwriteError
        OVERWRITE, with both options.

    Examples
    --------
    >>> image = PathUse("MAG", Path("m1.nii.gz"), "image")
    >>> check_overwriting([image], [PathUse("-o", Path("r2star.nii.gz"), "image")])
    >>> check_overwriting([image], [PathUse("-o", Path("m1.nii"), "image")])
    Traceback (most recent call last):
    qsmcmb.errors.OverwriteError: ERROR OVERWRITE m1.json: -o = m1.nii, and MAG reads m1.nii.gz; expected ...
    """
    for output in writes:
        for other in reads:
            _check_pair(output, other, "reads")
    for index, output in enumerate(writes):
        for other in writes[:index]:
            if not (output.is_whole or other.is_whole):
                _check_pair(output, other, "writes")
        if output.kind in ("image", "table"):
            _check_json_owner(output)


def _check_pair(output: PathUse, other: PathUse, does: str) -> None:
    """Raise where a path is written by one option and named by another one, too."""
    shared = _shared(output, other)
    if shared is None:
        return
    if other.kind == "bids" and shared == output.path:
        raise OverwriteError(
            "OVERWRITE", shared, field=output.option, found=f"a folder inside the data set {other.path}",
            expected=f"a folder outside, or {other.path / 'derivatives'}/NAME", fix="choose such a folder",
        )  # fmt: skip
    raise OverwriteError(
        "OVERWRITE", shared, field=output.option, found=f"{output.path}, and {other.option} {does} {other.path}",
        expected="results beside the inputs, never in their place", fix=FIX,
    )  # fmt: skip


def _shared(output: PathUse, other: PathUse) -> Path | None:
    """Return a path that both have; None where there is none."""
    if not (output.is_whole or other.is_whole):
        return next((a for a in output.files for b in other.files if _is_same(a, b)), None)
    written, read = _real(output.path), _real(other.path)
    if other.is_whole and _lies_in(written, read):
        within = written.relative_to(read).parts
        derivatives = (
            other.kind == "bids" and output.is_whole and len(within) == 2 and within[0] == "derivatives"
        )
        return None if derivatives or (output.adds and other.kind == "results") else output.path
    if output.is_whole and not output.adds and _lies_in(read, written):
        return other.path
    return None


def _is_same(one: Path, two: Path) -> bool:
    """Say whether two paths lead to one file, links and hard links followed."""
    if _real(one) == _real(two):
        return True
    try:
        return os.path.samefile(one, two)
    except OSError:
        return False


def _lies_in(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _real(path: Path) -> Path:
    """Return a path with its links followed, as far as it exists."""
    return Path(os.path.realpath(path))


def _check_json_owner(output: PathUse) -> None:
    """Raise where the JSON beside an output is that of another image or table, or none of ours."""
    record = json_beside(output.path)
    stem = record.name.removesuffix(".json")
    others = [record.with_name(stem + ending) for ending in SAME_JSON]
    owner = next((p for p in others if p.exists() and not _is_same(p, output.path)), None)
    if owner is not None:
        found = f"{output.path}, whose JSON file would be that of {owner.name}, too"
    elif record.exists() and not _is_ours(record):
        found = f"{output.path}, beside a {record.name} that qsmcmb has not written"
    else:
        return
    raise OverwriteError(
        "OVERWRITE", record, field=output.option, found=found, expected="a JSON file of its own",
        fix="give the result another name",
    )  # fmt: skip


def _is_ours(path: Path) -> bool:
    """Say whether a JSON file says that qsmcmb has written it."""
    try:
        makers = read_sidecar(path).get("GeneratedBy")
    except (InvalidInputError, OSError):
        return False
    names = (
        [maker.get("Name") for maker in makers if isinstance(maker, dict)] if isinstance(makers, list) else []
    )
    return "qsmcmb" in names
