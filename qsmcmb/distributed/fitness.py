"""Whether a worker can do the work of a run: it has the same code and libraries, and sees the same files."""

from __future__ import annotations

import json
import os
import platform
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from qsmcmb.core.software import software_versions
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.reading import read_regular
from qsmcmb.study.manifest import FOLDER
from qsmcmb.study.resources import memory_limit
from qsmcmb.study.source import digest_of_package
from qsmcmb.typing import Report

__all__ = ("Description", "describe_machine", "expected_of_workers", "read_description")

TOKEN = "seen-by-workers"
"""File in OUT/.qsmcmb by which a worker knows that it sees this very folder."""
SHARED = (
    "workers need the data set and the results folder under the same paths: use a file system that they share"
)
"""Fix of a folder that a worker does not see."""


class Description(NamedTuple):
    """Answer of a worker about itself.

    Parameters
    ----------
    host : str
        Name of its machine.
    memory_bytes : int
        Memory that its sessions may use.
    own_memory : bool
        Whether Dask has given it that memory; else it shares it with the other workers of the machine.
    problem : tuple of str
        Field, what was found, what was expected and the fix of the first thing that is wrong; empty where nothing is.

    Examples
    --------
    >>> Description("node7", 2**33, True, ()).host
    'node7'
    """

    host: str
    memory_bytes: int
    own_memory: bool
    problem: tuple[str, ...]


@contextmanager
def expected_of_workers(bids: Path, out: Path) -> Iterator[str]:
    """Write a file into OUT for the `with` block, and say what a worker must have and see.

    Parameters
    ----------
    bids, out : Path
        Data set and derivatives folder.

    Yields
    ------
    str
        JSON text for `describe_machine`.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with expected_of_workers(Path(folder), Path(folder)) as text:
    ...         json.loads(describe_machine(text))["problem"]
    []
    """
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    token, content = out / FOLDER / TOKEN, secrets.token_hex(8)
    token.write_text(content)
    try:
        yield json.dumps({
            "folder": os.getcwd(), "bids": str(bids), "names": _names(bids), "out": str(out), "content": content,
            "code": _code(),
        })  # fmt: skip
    finally:
        token.unlink(missing_ok=True)


def _names(bids: Path) -> str:
    """Return the first names in a data set, so that a folder of the same path is not taken for it."""
    return ", ".join(sorted(p.name for p in bids.iterdir() if not p.name.startswith("."))[:100])


def _code() -> dict[str, str]:
    """Return versions and the hash of the source."""
    return {**software_versions(), "source of qsmcmb": digest_of_package()}


def describe_machine(text: str, report: Report | None = None) -> str:  # noqa: ARG001 (as every task)
    """Compare this machine with what is expected; runs in a child process of a worker.

    Parameters
    ----------
    text : str
        As `expected_of_workers` makes it.
    report : callable, optional
        Not called.

    Returns
    -------
    str
        JSON text for `read_description`.

    Examples
    --------
    >>> describe_machine("{}")
    Traceback (most recent call last):
    KeyError: 'folder'
    """
    expected = json.loads(text)
    if os.path.isdir(expected["folder"]):
        os.chdir(expected["folder"])
    problem = _problem_of_code(expected["code"]) or _problem_of_files(expected)
    memory = memory_limit()
    return json.dumps({"host": platform.node(), "memory_bytes": memory.limit_bytes, "problem": problem})


def _problem_of_code(expected: dict[str, str]) -> tuple[str, ...]:
    found = _code()
    for name, version in expected.items():
        if found.get(name) != version:
            fix = "install the same versions there; results of two versions do not belong into one folder"
            return name, found.get(name, "missing"), version, fix
    return ()


def _problem_of_files(expected: dict[str, str]) -> tuple[str, ...]:
    bids, out = Path(expected["bids"]), Path(expected["out"])
    try:
        names = _names(bids)
    except OSError as error:
        return f"BIDS {bids}", error.strerror or str(error), "the data set", SHARED
    if names != expected["names"]:
        return f"BIDS {bids}", f"a folder with {names or 'nothing'}"[:200], "the data set", SHARED
    token = out / FOLDER / TOKEN
    try:
        same = read_regular(token).decode() == expected["content"]
    except (OSError, InvalidInputError) as error:
        return (
            f"OUT {out}",
            getattr(error, "strerror", None) or str(error),
            "a file that this run has written",
            SHARED,
        )
    if not same:
        return f"OUT {out}", "another file", "the file that this run has written", SHARED
    try:
        with tempfile.TemporaryFile(dir=out / FOLDER):
            pass
    except OSError as error:
        return f"OUT {out}", error.strerror or str(error), "a folder to write into", "let workers write there"
    return ()


def read_description(text: str) -> Description:
    """Return what a worker has said.

    Parameters
    ----------
    text : str
        JSON text of `describe_machine`, with `dask_bytes`.

    Returns
    -------
    Description
        The worker.

    Examples
    --------
    >>> read_description('{"host": "a", "memory_bytes": 8, "problem": [], "dask_bytes": 4}')
    Description(host='a', memory_bytes=4, own_memory=True, problem=())
    """
    record = json.loads(text)
    given = record["dask_bytes"]
    if "died" in record:
        problem = ("first process", "ended", "to start", "see the worker's log")
        return Description("unknown", 0, True, problem)
    own = given is not None and given < record["memory_bytes"]
    return Description(
        record["host"], given if own else record["memory_bytes"], own, tuple(record["problem"])
    )
