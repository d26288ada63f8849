"""Files in: regular ones alone, opened without waiting, and texts of a size that a text has."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from qsmcmb.errors import InvalidInputError

__all__ = ("open_regular", "read_failure", "read_regular")

MAX_TEXT_BYTES = 2**26
"""Largest text that is read (JSON, tables, configuration), bytes: a thousand times what a table of lesions has."""
KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}  # fmt: skip
"""Names of what is no regular file."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; links are followed.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    file
        Its bytes, from the first one.

    Raises
    ------
    InvalidInputError
        FILE: it is a pipe, a device or a folder, which could wait for ever or never end.
    OSError
        It cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as stream, open_regular(Path(stream.name)) as again:
    ...     again.read()
    b''
    """
    # A device may act when it is opened: what the name leads to is looked at before, and once more behind the handle.
    _check(path, path.stat().st_mode)
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check(path, os.fstat(handle).st_mode)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path, *, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Return the content of a regular file of a size that is expected.

    Parameters
    ----------
    path : Path
        The file.
    max_bytes : int, optional
        Largest size, bytes.

    Returns
    -------
    bytes
        All of it.

    Raises
    ------
    InvalidInputError
        FILE: it is no regular file, or too large for its kind.
    OSError
        It cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as stream:
    ...     read_regular(Path(stream.name))
    b''
    """
    with open_regular(path) as stream:
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise InvalidInputError(
            "FILE", path, field="size", found=f"more than {max_bytes // 2**20} MiB", expected="a text file",
            fix="check the path: this is another kind of file",
        )  # fmt: skip
    return content


def read_failure(error: OSError, path: Path) -> InvalidInputError:
    """Return what a failure of the system while reading means.

    Parameters
    ----------
    error : OSError
        What the system says.
    path : Path
        File that was to be read.

    Returns
    -------
    InvalidInputError
        FILE.

    Examples
    --------
    >>> str(read_failure(PermissionError(13, "Permission denied"), Path("chi.json")))[:54]
    'ERROR FILE chi.json: file = Permission denied; expecte'
    """
    return InvalidInputError(
        "FILE", path, field="file", found=error.strerror or error, expected="a readable file",
        fix="check the path and its permissions",
    )  # fmt: skip


def _check(path: Path, mode: int) -> None:
    """Raise unless a mode is that of a regular file."""
    if not stat.S_ISREG(mode):
        raise InvalidInputError(
            "FILE", path, field="file", found=KINDS.get(stat.S_IFMT(mode), "none"), expected="a regular file",
            fix="give the file itself",
        )  # fmt: skip
