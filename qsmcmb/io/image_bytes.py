"""The bytes of an image file: unpacked whole, checked to the end, and never beyond what its header states."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.nifti_header import fail
from qsmcmb.io.reading import open_regular

__all__ = ("ImageBytes", "read_image_bytes", "read_image_start")

FETCH = "git annex get"
"""Command that fetches the data behind a link or a pointer of git-annex."""
AGAIN = "copy the file again from its source"
START_BYTES = 4096
"""Bytes that are read of a file for its header: a header has 348 or 540."""
CHUNK = 2**20
"""Bytes that are read or unpacked at once."""
GZIP = b"\x1f\x8b"
"""First bytes of a gzip stream."""
MAX_UNSTATED = 2**30
"""Bytes that are unpacked and dropped where the header states no size, to find whether the stream is damaged."""

Content = bytearray | bytes
ImageBytes = tuple[Content, int, str]
"""Bytes of an image, unpacked; the number that the file has; and its sha256."""
StatedSize = Callable[[bytes], int]
"""Function that returns the size which the header at the start of a file states, bytes, or raises."""


def read_image_bytes(path: Path, stated_size: StatedSize) -> ImageBytes:
    """Return the unpacked content of a .nii or .nii.gz.

    Parameters
    ----------
    path : Path
        The file.
    stated_size : callable
        Gives the size that the header states; what it raises is raised where the file is whole.

    Returns
    -------
    content : bytes-like
        At most one byte more than the header states.
    size : int
        Bytes that the content has; of a file that goes on, one more than the header states.
    sha256 : str
        Checksum of the file as it lies on disk.

    Raises
    ------
    InvalidInputError
        EMPTY, GZ-TRUNC, GZ-CRC, GZ-TRAIL, NAME or FILE.
    MemoryError
        The header states more than there is memory for.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.nii").write_bytes(b"abc")
    ...     content, size, _ = read_image_bytes(Path(folder) / "a.nii", lambda start: 3)
    ...     bytes(content), size
    (b'abc', 3)
    """
    with _open(path) as stream:
        raw = stream.read(START_BYTES)
        zipped = is_zipped(path, raw)
        refusal: Exception | None = None
        start = _first_bytes(raw) if zipped else raw
        on_disk = os.fstat(stream.fileno()).st_size
        try:
            stated = stated_size(start)
        except InvalidInputError as error:
            refusal, stated = error, 0
        if not zipped:
            if refusal is not None:
                raise refusal
            # Another size than stated is refused by who compares them: no need to read all of it.
            stream.seek(0)
            whole = stream.read(min(stated + 1, on_disk))
            return whole, on_disk, hashlib.sha256(whole).hexdigest()
        _check_memory(path, min(stated, 1032 * on_disk + START_BYTES))
        stream.seek(0)
        content, size, digest = _Unpacked(path, stream, keep=0 if refusal else stated).read()
    if content[:2] == GZIP or start[:2] == GZIP:
        raise fail(
            "NAME", path, "content", "gzip data within gzip data", expected="an image that is compressed once",
            fix="decompress it once: gunzip, then rename it back to .nii.gz",
        )  # fmt: skip
    if refusal is not None:
        raise refusal
    return content, size, digest


def read_image_start(path: Path) -> tuple[bytes, int]:
    """Return the first bytes of an image, unpacked, and the size that the end of the file states for all of it.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    start : bytes
        At most 4096 bytes.
    size : int
        Size of the unpacked image, bytes, as far as the file says.

    Raises
    ------
    InvalidInputError
        EMPTY, NAME or FILE.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.nii").write_bytes(b"abc")
    ...     read_image_start(Path(folder) / "a.nii")
    (b'abc', 3)
    """
    with _open(path) as stream:
        raw = stream.read(START_BYTES)
        on_disk = os.fstat(stream.fileno()).st_size
        if not is_zipped(path, raw):
            return raw, on_disk
        stream.seek(-4, os.SEEK_END)
        return _first_bytes(raw), int.from_bytes(stream.read(4), "little")


def _open(path: Path) -> BinaryIO:
    """Open an image; what hinders it is named."""
    try:
        return open_regular(path)
    except OSError as error:
        if path.is_symlink() and not path.exists():
            raise fail(
                "FILE", path, "link", f"it leads to nothing: {path.readlink()}", expected="a readable file",
                fix=f"run `{FETCH}`, or copy the file itself",
            ) from error  # fmt: skip
        raise fail(
            "FILE", path, "file", error.strerror or error, expected="a readable file", fix="check the path"
        ) from error


def is_zipped(path: Path, raw: bytes) -> bool:
    """Return whether a file is compressed, by its first bytes, on which its name must agree."""
    if not raw:
        raise fail("EMPTY", path, "size", "0 bytes", expected="a NIfTI image", fix=AGAIN)
    if raw.startswith(b"version https://git-lfs"):
        raise fail(
            "EMPTY", path, "content", "a git-LFS pointer", expected="a NIfTI image", fix="run `git lfs pull`"
        )
    if raw.startswith(b"/annex/objects/"):
        raise fail(
            "EMPTY", path, "content", "a git-annex pointer", expected="a NIfTI image", fix=f"run `{FETCH}`"
        )
    zipped = raw[:2] == GZIP
    if zipped != (path.suffix.lower() == ".gz"):
        found = "gzip data" if zipped else "data that is not gzip"
        name = path.name + ".gz" if zipped else path.stem
        raise fail(
            "NAME", path, "content", found, expected=f"what {path.suffix} says", fix=f"rename it to {name}"
        )
    return zipped


def _first_bytes(raw: bytes) -> bytes:
    """Return the first bytes of a gzip stream, unpacked; none where it is damaged so early."""
    try:
        return zlib.decompressobj(wbits=31).decompress(raw, START_BYTES)
    except zlib.error:
        return b""


def _check_memory(path: Path, needed: int) -> None:
    """Raise where an image does not fit into the memory that is free."""
    have = available_memory()
    if have is not None and needed > have:
        raise MemoryError(f"{path}: the image needs {needed / 1e9:.3g} GB, {have / 1e9:.3g} GB are free")


def available_memory() -> int | None:
    """Return the memory that is free, bytes; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    stated = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    return 1024 * int(stated["MemAvailable"][0]) if "MemAvailable" in stated else None


class _Unpacked:
    """One pass over a gzip stream to its end: what is kept of it, its size and the checksum of the file."""

    def __init__(self, path: Path, stream: BinaryIO, *, keep: int) -> None:
        self._path, self._stream, self._keep = path, stream, keep
        self._digest = hashlib.sha256()
        self._held = bytearray()
        self._size = 0
        self._read_bytes = 0

    def read(self) -> ImageBytes:
        """Return content, size and checksum of a stream that is whole."""
        rest = self._more()
        while rest:
            rest = self._member(rest)
            if self._is_beyond:
                break
            rest = self._behind_member(rest or self._more())
        return self._held, self._size, self._digest.hexdigest()

    @property
    def _is_beyond(self) -> bool:
        """Whether more has been unpacked than is stated: no more of it is needed."""
        return self._size > (self._keep or MAX_UNSTATED)

    def _more(self) -> bytes:
        chunk = self._stream.read(CHUNK)
        self._digest.update(chunk)
        self._read_bytes += len(chunk)
        return chunk

    def _member(self, rest: bytes) -> bytes:
        """Unpack one member; return what has been read behind it."""
        member = zlib.decompressobj(wbits=31)
        while not member.eof and not self._is_beyond:
            try:
                # One byte more than stated shows that there is more.
                out = member.decompress(rest, min(CHUNK, (self._keep or MAX_UNSTATED) + 1 - self._size))
            except zlib.error as error:
                raise fail(
                    "GZ-CRC", self._path, "gzip stream", error, expected="an intact stream", fix=AGAIN
                ) from error
            self._size += len(out)
            if self._keep:
                self._held += out
            rest = member.unconsumed_tail
            if not rest and not member.eof and not out:
                rest = self._more()
                if not rest:
                    raise fail(
                        "GZ-TRUNC", self._path, "gzip stream", f"ends at byte {self._read_bytes}",
                        expected="its end mark", fix=AGAIN,
                    )  # fmt: skip
        return member.unused_data

    def _behind_member(self, rest: bytes) -> bytes:
        """Return the start of the next member, if there is one; zeros behind the last one do no harm."""
        if len(rest) == 1:
            rest += self._more()
        if not rest or rest[:2] == GZIP:
            return rest
        harmless, count = not rest.strip(b"\0"), len(rest)
        while chunk := self._more():
            harmless, count = harmless and not chunk.strip(b"\0"), count + len(chunk)
        if not harmless:
            raise fail(
                "GZ-TRAIL", self._path, "bytes after the gzip stream", count, expected="none", fix=AGAIN
            )
        return b""
