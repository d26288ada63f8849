"""Files that appear whole or not at all: temporary name in the same folder, fsync, replace, fsync the folder."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

from qsmcmb.errors import OutputError, StorageError

__all__ = (
    "atomic_write",
    "make_folder",
    "write_failure",
)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk, a quota or a file-size limit that is used up."""
FAILED = (errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO)
"""Errors of a disk that fails or is gone."""


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
    StorageError
        DISK: it is full; IO: it fails. What was there before stays.
    OutputError
        OUT: the folder is not there or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     atomic_write(Path(folder) / "a.txt", b"all of it")
    ...     (Path(folder) / "a.txt").read_bytes()
    b'all of it'
    """
    try:
        _write(path, content)
    except OSError as error:
        raise write_failure(error, path, needed=len(content)) from error


def _write(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then give it its own."""
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


def write_failure(error: OSError, path: Path, *, needed: int | None = None) -> OutputError | StorageError:
    """Return what a failure of the system while writing means: a full disk, a failing one, or a place that is closed.

    Parameters
    ----------
    error : OSError
        What the system says.
    path : Path
        File or folder that was to be written.
    needed : int, optional
        Bytes that it needs.

    Returns
    -------
    OutputError or StorageError
        DISK or IO, both with exit code 74, or OUT with exit code 73.

    Examples
    --------
    >>> full = OSError(errno.ENOSPC, "No space left on device")
    >>> write_failure(full, Path("chi.nii.gz"), needed=4_000_000).exit_code
    74
    """
    said = error.strerror or str(error)
    if error.errno in FULL:
        need = f"{needed / 1e6:.3g} MB for this file" if needed is not None else "room for this file"
        return StorageError(
            "DISK", path, field="room", found=f"{said}; {_free(path)} are free", expected=need,
            fix="free space on this disk or raise the quota, then run the same command again",
        )  # fmt: skip
    if error.errno in FAILED:
        return StorageError(
            "IO",
            path,
            field="disk",
            found=said,
            expected="a disk that works",
            fix="check the disk or its mount",
        )
    return OutputError(
        "OUT", path, field="file", found=said, expected="a place that can be written",
        fix="choose another output folder or change its permissions",
    )  # fmt: skip


def _free(path: Path) -> str:
    """Return the free space of the disk that holds a path, in words."""
    try:
        return f"{shutil.disk_usage(path.parent).free / 1e6:.3g} MB"
    except OSError:
        return "unknown"


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
    StorageError
        DISK or IO: the disk is full, or fails.

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
        if error.errno in (*FULL, *FAILED):
            raise write_failure(error, path) from error
        raise OutputError(
            "OUT", path, field="folder", found=error.strerror or error, expected="a folder that can be written",
            fix="choose another output folder or change its permissions",
        ) from error  # fmt: skip
    return path
