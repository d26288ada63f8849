"""Files appear whole or not at all: temporary name in the same folder, fsync, replace, fsync the folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from qsmcmb.errors import OutputError


def atomic_write(path: Path, content: bytes) -> None:
    """Write `content` under `path`, replacing what is there only once the new file is safe on disk."""
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
    """Create a folder and prove that it can be written, before any computation."""
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
