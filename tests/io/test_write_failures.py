"""A disk that is full, fails or is closed ends in a code of its own, and leaves nothing half-written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from qsmcmb.errors import OutputError, StorageError
from qsmcmb.io.atomic import atomic_write, make_folder


@pytest.mark.parametrize(
    ("number", "code", "exit_code"),
    [
        (errno.ENOSPC, "DISK", 74), (errno.EDQUOT, "DISK", 74), (errno.EFBIG, "DISK", 74), (errno.EIO, "IO", 74),
        (errno.ESTALE, "IO", 74), (errno.EACCES, "OUT", 73), (errno.EROFS, "OUT", 73),
    ],
)  # fmt: skip
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_is_named(
    number: int, code: str, exit_code: int, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    atomic_write(path, b"before")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises((StorageError, OutputError)) as caught:
        atomic_write(path, b"x" * 3_000_000)
    assert (caught.value.code, caught.value.exit_code, caught.value.where) == (code, exit_code, str(path))
    assert code != "DISK" or "3 MB" in caught.value.expected
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_bytes() == b"before"


def test_a_folder_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "mkdir", fail)
    with pytest.raises(StorageError, match="DISK"):
        make_folder(tmp_path / "a")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="OUT"):
        atomic_write(tmp_path / "nowhere" / "a.txt", b"")
