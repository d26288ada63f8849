"""Arguments that name files: a mark on each says whether it is read or written, and all are held against each other."""

from __future__ import annotations

import contextlib
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qsmcmb.io.overwriting import PathUse, check_overwriting

__all__ = ("Reads", "Writes", "marks_of", "paths_in_use")


def _as_paths(value: Any) -> list[Path]:
    """Return the paths of an argument's value: none, one or several."""
    return [Path(v) for v in (value if isinstance(value, list | tuple) else [value])]


def mask_of_reference(value: str) -> list[Path]:
    """Return the mask that `--reference` names; none where it is a word."""
    from qsmcmb.pipeline.reference import REFERENCES

    return [] if value.lower() in REFERENCES else [Path(value)]


def named_folders(values: Sequence[str]) -> list[Path]:
    """Return the folders of NAME=FOLDER."""
    return [Path(folder) for _, equals, folder in (v.partition("=") for v in values) if equals]


def recipe_file(value: str) -> list[Path]:
    """Return the file of a recipe; none where it is a name."""
    return [Path(value)] if value.endswith(".toml") else []


def with_truth(value: Path) -> list[Path]:
    """Return the folder of a phantom and that of its truth."""
    from qsmcmb.validation.phantom_dataset import truth_folder

    return [Path(value), truth_folder(Path(value))]


@dataclass(frozen=True)
class Reads:
    """Mark of an argument that names what is read.

    Parameters
    ----------
    kind : {"file", "image", "folder", "bids", "results"}
        What it is, as in `PathUse`.
    paths : callable, optional
        Returns the paths of the argument's value.

    Examples
    --------
    >>> Reads("image").paths(["a.nii", "b.nii"])
    [PosixPath('a.nii'), PosixPath('b.nii')]
    """

    kind: str
    paths: Callable[[Any], list[Path]] = field(default_factory=lambda: _as_paths)


@dataclass(frozen=True)
class Writes:
    """Mark of an argument that names what is written.

    Parameters
    ----------
    kind : {"file", "image", "table", "folder"}
        What it is, as in `PathUse`.
    paths : callable, optional
        Returns the paths of the argument's value.
    adds : bool, optional
        Whether only names that are free are written.
    made_by : str, optional
        Command that a folder belongs to: it is refused where it is another's, and locked while the command runs.
    updates : bool, optional
        Whether the folder is there already: results are read and written.

    Examples
    --------
    >>> Writes("image").kind
    'image'
    """

    kind: str
    paths: Callable[[Any], list[Path]] = field(default_factory=lambda: _as_paths)
    adds: bool = False
    made_by: str = ""
    updates: bool = False


Mark = Reads | Writes
DRY_RUN, ADOPT = "dry_run", "adopt_output"
"""Names of the arguments by which a command writes nothing, and takes over a foreign folder."""


def marks_of(function: Callable[..., Any]) -> dict[str, Mark]:
    """Return the marks of a command's arguments.

    Parameters
    ----------
    function : callable
        Function of the command.

    Returns
    -------
    dict
        Name of each marked argument to its mark.

    Examples
    --------
    >>> from typing import Annotated
    >>> def command(image: Annotated[Path, Reads("image")], echo: int) -> None: ...
    >>> marks_of(command)["image"].kind
    'image'
    """
    hints = typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    found = {}
    for name, hint in hints.items():
        mark = next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Reads | Writes)), None)
        if mark is not None:
            found[name] = mark
    return found


@contextlib.contextmanager
def paths_in_use(command: Any, values: Mapping[str, Any]) -> Iterator[None]:
    """Check what a command reads and writes, and hold its output folders for the `with` block.

    Parameters
    ----------
    command : click.Command
        The command; its function's arguments carry the marks.
    values : mapping
        Name of each argument to its value.

    Yields
    ------
    None
        While the folders are held.

    Raises
    ------
    OverwriteError
        An output is an input, or a folder is foreign: nothing has been read or written.
    LockedError
        Another run works on an output folder.

    Examples
    --------
    >>> import typer
    >>> from qsmcmb.cli.main import app
    >>> command = typer.main.get_command(app).commands["methods"]
    >>> with paths_in_use(command, {"family": "invert"}):
    ...     pass
    """
    from qsmcmb.cli.console import say
    from qsmcmb.io.own_folder import check_ours, hold_folder

    named = [
        (_option(command, name), mark, values.get(name)) for name, mark in marks_of(command.callback).items()
    ]
    given = [(option, mark, mark.paths(value)) for option, mark, value in named if value]
    uses = {
        kind: [
            PathUse(option, path, _kind(mark, path), getattr(mark, "adds", False))
            for option, mark, paths in given if isinstance(mark, kind) for path in paths
        ]
        for kind in (Reads, Writes)
    }  # fmt: skip
    check_overwriting(uses[Reads], uses[Writes])
    adopt = bool(values.get(ADOPT))
    folders = [
        (path, mark.made_by, mark.updates) for _, mark, paths in given if isinstance(mark, Writes) and mark.made_by
        for path in paths if path.is_dir() or not mark.updates
    ]  # fmt: skip
    for path, made_by, updates in folders:
        check_ours(path, made_by, adopt=adopt, updates=updates)
    with contextlib.ExitStack() as stack:
        for path, made_by, _ in [] if values.get(DRY_RUN) else folders:
            stack.enter_context(hold_folder(path, made_by, adopt=adopt, say=say))
        yield


def _kind(mark: Mark, path: Path) -> str:
    """Return what a path is: where an image may be given, a folder with one of each scan may be, too."""
    return (
        "folder"
        if isinstance(mark, Reads) and mark.kind in ("file", "image") and path.is_dir()
        else mark.kind
    )


def _option(command: Any, name: str) -> str:
    """Return how the user knows an argument."""
    parameter = next(p for p in command.params if p.name == name)
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    return str(parameter.opts[0])
