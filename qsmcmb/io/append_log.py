"""Logs of JSON lines that only grow: a line is on disk before its writer goes on, and a torn last line is dropped."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.atomic import write_failure
from qsmcmb.io.reading import read_regular

__all__ = ("LogLines", "append_line", "read_lines")


class LogLines(NamedTuple):
    """Lines of a log.

    Parameters
    ----------
    records : list of dict
        One JSON object for each whole line.
    torn_bytes : int
        Bytes after the last whole line: what a process that was killed had begun to write.

    Examples
    --------
    >>> LogLines([], 0).torn_bytes
    0
    """

    records: list[dict[str, Any]]
    torn_bytes: int


def read_lines(path: Path) -> LogLines:
    """Read a log.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    LogLines
        Its whole lines; none where there is no file.

    Raises
    ------
    InvalidInputError
        JSON: a line before the last one is no JSON object.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.jsonl"
    ...     append_line(path, {"verdict": "accept"})
    ...     _ = path.write_bytes(path.read_bytes() + b'{"verd')
    ...     read_lines(path)
    LogLines(records=[{'verdict': 'accept'}], torn_bytes=6)
    """
    try:
        content = read_regular(path)
    except FileNotFoundError:
        return LogLines([], 0)
    *whole, torn = content.split(b"\n")
    return LogLines([_record(path, n, line) for n, line in enumerate(whole, start=1)], len(torn))


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise InvalidInputError(
            "JSON", path, field=f"line {number}", found=repr(line[:40])[1:], expected="a JSON object",
            fix="restore the file from a backup, or remove the line",
        )  # fmt: skip
    return record


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Append one line and wait until it is on disk; what a killed process had begun to write is cut off before.

    Parameters
    ----------
    path : Path
        The file; created where it is not there. Its folder exists.
    record : mapping
        What JSON can hold.

    Raises
    ------
    StorageError
        DISK or IO: the line is not in the file.
    OutputError
        OUT: the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     append_line(Path(folder) / "a.jsonl", {"comment": "=1+1"})
    ...     (Path(folder) / "a.jsonl").read_text()
    '{"comment": "=1+1"}\\n'
    """
    line = json.dumps(record, ensure_ascii=True, allow_nan=False).encode() + b"\n"
    try:
        _append(path, line)
    except OSError as error:
        raise write_failure(error, path, needed=len(line)) from error


def _append(path: Path, line: bytes) -> None:
    """Write a line after the last whole one; on failure the file is as it was."""
    is_new = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    try:
        end = _end_of_whole_lines(handle)
        os.ftruncate(handle, end)
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(handle, line[written:], end + written)
            os.fsync(handle)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, end)
            raise
    finally:
        os.close(handle)
    if is_new:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _end_of_whole_lines(handle: int) -> int:
    """Return the position after the last line break of a file."""
    end, step = os.fstat(handle).st_size, 65536
    while end:
        start = max(0, end - step)
        found = os.pread(handle, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
