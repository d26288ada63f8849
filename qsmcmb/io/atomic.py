"""Files that appear whole or not at all: temporary name in the same folder, fsync, replace, fsync the folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from qsmcmb.errors import OutputError

__all__ = (
    "atomic_write",
    "make_folder",
)


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file, replacing what is there only once the new one is safe on disk.

    Parameters
    ----------
    path : Path
        Final name; its folder exists.
    content : bytes
        The whole file.

    Raises
    ------
    OSError
        The file cannot be written; what was there before stays.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     atomic_write(Path(folder) / "a.txt", b"all of it")
    ...     (Path(folder) / "a.txt").read_bytes()
    b'all of it'
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def make_folder(path: Path) -> Path:
    """Create a folder and prove that it can be written, before any computation.

    Parameters
    ----------
    path : Path
        The folder; its parents are created, too.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    OutputError
        OUT: it cannot be created or written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     make_folder(Path(folder) / "out" / "logs").is_dir()
    True
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise OutputError(
            "OUT", path, field="folder", found=error.strerror or error, expected="a folder that can be written",
            fix="choose another output folder or change its permissions",
        ) from error  # fmt: skip
    return path
