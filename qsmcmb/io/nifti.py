"""NIfTI in through strict gates, and out atomically.

nibabel returns wrong data without a warning from damaged gzip streams and repairs or ignores bad headers; so
the stream is read to its end first (all damage shows there, and the checksum comes free) and the header is
checked before nibabel sees it.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.atomic import atomic_write
from qsmcmb.io.frame import find_frame
from qsmcmb.io.nifti_header import check_layout, check_scaling, check_voxels, fail, read_header
from qsmcmb.typing import AnyArray, FloatArray

__all__ = (
    "Volume",
    "read_volume",
    "read_volume_header",
    "save_volume",
    "sha256_of",
)

FETCH = "git annex get"
"""Command that fetches the data behind a link or a pointer of git-annex."""
START_BYTES = 4096
"""Bytes that are read of a file for its header: a header has 348 or 540."""


class Volume(NamedTuple):
    """Image data as stored, its scaling still apart: real values are `data * slope + inter`.

    Parameters
    ----------
    path : Path
        The file.
    data : ndarray of shape (x, y, z) or (x, y, z, n)
        Stored values.
    slope : float
        Factor of the header, not 0.
    inter : float
        Offset of the header, in the unit of the values.
    affine : ndarray of shape (4, 4)
        Voxel indices to scanner RAS+ mm.
    sha256 : str
        Checksum of the file, 64 hexadecimal digits.
    warnings : tuple of str
        What the gates noticed and let pass.
    oriented : bool
        Whether the header states an orientation.
    frame : str, optional
        Form and code that the affine comes from, e.g. ``"sform (scanner)"``.
    is_template : bool, optional
        Whether the affine leads into a template's coordinates.

    Examples
    --------
    >>> file = {"path": Path("a.nii"), "sha256": "", "affine": np.eye(4), "oriented": True, "warnings": ()}
    >>> volume = Volume(data=np.array([[[1, 2]]]), slope=0.5, inter=1.0, **file)
    >>> volume.values().tolist()
    [[[1.5, 2.0]]]
    """

    path: Path
    data: AnyArray
    slope: float
    inter: float
    affine: FloatArray
    sha256: str
    warnings: tuple[str, ...]
    oriented: bool
    frame: str = ""
    is_template: bool = False

    def values(self) -> FloatArray:
        """Return the scaled values.

        Returns
        -------
        ndarray of shape (x, y, z) or (x, y, z, n), float32
            `data * slope + inter`, in C order.

        Examples
        --------
        >>> file = {"path": Path("a.nii"), "sha256": "", "affine": np.eye(4), "oriented": True, "warnings": ()}
        >>> volume = Volume(data=np.array([[[1, 2]]]), slope=2.0, inter=0.0, **file)
        >>> volume.values().tolist()
        [[[2.0, 4.0]]]
        """
        scaled = self.data.astype(np.float32)
        if (self.slope, self.inter) != (1.0, 0.0):
            scaled = scaled * np.float32(self.slope) + np.float32(self.inter)
        return np.ascontiguousarray(scaled)

    def value_range(self) -> tuple[float, float]:
        """Return the least and the largest scaled value that is finite; 0 and 0 where none is.

        Returns
        -------
        tuple of float
            Ends of `values()`.

        Examples
        --------
        >>> file = {"path": Path("a.nii"), "sha256": "", "affine": np.eye(4), "oriented": True, "warnings": ()}
        >>> Volume(data=np.array([[[1, 2]]]), slope=-2.0, inter=0.0, **file).value_range()
        (-4.0, -2.0)
        """
        stored = self.data if self.data.dtype.kind != "f" else self.data[np.isfinite(self.data)]
        if not stored.size:
            return 0.0, 0.0
        one, two = (float(v) * self.slope + self.inter for v in (stored.min(), stored.max()))
        return min(one, two), max(one, two)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file as it lies on disk.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as stream:
    ...     sha256_of(Path(stream.name))[:8]
    'e3b0c442'
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_bytes(path: Path) -> tuple[bytes, str]:
    """Return the decompressed content of a .nii or .nii.gz and the sha256 of the file.

    Raises
    ------
    InvalidInputError
        EMPTY, GZ-TRUNC, GZ-CRC, GZ-TRAIL, NAME or FILE.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        if path.is_symlink() and not path.exists():
            raise fail(
                "FILE", path, "link", f"it leads to nothing: {path.readlink()}", expected="a readable file",
                fix=f"run `{FETCH}`, or copy the file itself",
            ) from error  # fmt: skip
        raise fail(
            "FILE", path, "file", error.strerror or error, expected="a readable file", fix="check the path"
        ) from error
    zipped = _is_zipped(path, raw)
    digest = hashlib.sha256(raw).hexdigest()
    return (_gunzip(path, raw) if zipped else raw), digest


def _is_zipped(path: Path, raw: bytes) -> bool:
    """Return whether a file is compressed, by its first bytes, on which its name must agree."""
    again = "copy the file again from its source"
    if not raw:
        raise fail("EMPTY", path, "size", "0 bytes", expected="a NIfTI image", fix=again)
    if raw.startswith(b"version https://git-lfs"):
        raise fail(
            "EMPTY", path, "content", "a git-LFS pointer", expected="a NIfTI image", fix="run `git lfs pull`"
        )
    if raw.startswith(b"/annex/objects/"):
        raise fail(
            "EMPTY", path, "content", "a git-annex pointer", expected="a NIfTI image", fix=f"run `{FETCH}`"
        )
    zipped = raw[:2] == b"\x1f\x8b"
    if zipped != (path.suffix.lower() == ".gz"):
        found = "gzip data" if zipped else "data that is not gzip"
        name = path.name + ".gz" if zipped else path.stem
        raise fail(
            "NAME", path, "content", found, expected=f"what {path.suffix} says", fix=f"rename it to {name}"
        )
    return zipped


def _gunzip(path: Path, raw: bytes) -> bytes:
    """Return the decompressed content of a gzip stream that is whole."""
    again = "copy the file again from its source"
    parts: list[bytes] = []
    rest = raw
    while rest:
        if parts and rest[:2] != b"\x1f\x8b":
            if not rest.strip(b"\0"):
                break
            raise fail("GZ-TRAIL", path, "bytes after the gzip stream", len(rest), expected="none", fix=again)
        stream = zlib.decompressobj(wbits=31)
        try:
            parts.append(stream.decompress(rest))
        except zlib.error as error:
            raise fail(
                "GZ-CRC", path, "gzip stream", error, expected="an intact stream", fix=again
            ) from error
        if not stream.eof:
            raise fail(
                "GZ-TRUNC",
                path,
                "gzip stream",
                f"ends at byte {len(raw)}",
                expected="its end mark",
                fix=again,
            )
        rest = stream.unused_data
    content = parts[0] if len(parts) == 1 else b"".join(parts)
    if content[:2] == b"\x1f\x8b":
        raise fail(
            "NAME", path, "content", "gzip data within gzip data", expected="an image that is compressed once",
            fix="decompress it once: gunzip, then rename it back to .nii.gz",
        )  # fmt: skip
    return content


def read_volume(path: str | Path) -> Volume:
    """Read a NIfTI image through all gates.

    Parameters
    ----------
    path : path
        `.nii` or `.nii.gz`.

    Returns
    -------
    Volume
        3D or 4D data with its scaling apart, and the affine in mm.

    Raises
    ------
    InvalidInputError
        With the code of the gate: FILE, HEADER, GZ-TRUNC, GZ-CRC, GZ-TRAIL, EMPTY, NAME, DIM, DIM-MIN, VOX, UNITS,
        ORIENT, FRAME, SCL or DTYPE.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_volume(Path(folder) / "a.nii.gz", np.zeros((8, 8, 8)), np.eye(4))
    ...     read_volume(Path(folder) / "a.nii.gz").data.dtype
    dtype('<f4')
    """
    path = Path(path)
    content, digest = _read_bytes(path)
    return _volume(path, content, len(content), digest)


def read_volume_header(path: str | Path) -> Volume:
    """Read the header of a NIfTI image through all gates but those that need every byte.

    Parameters
    ----------
    path : path
        `.nii` or `.nii.gz`.

    Returns
    -------
    Volume
        Its data are zeros of the image's shape that take no memory; its checksum is empty.

    Raises
    ------
    InvalidInputError
        With the code of the gate, as `read_volume`; GZ-CRC and GZ-TRAIL are not looked for.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_volume(Path(folder) / "a.nii.gz", np.zeros((8, 8, 8)), np.eye(4))
    ...     read_volume_header(Path(folder) / "a.nii.gz").data.shape
    (8, 8, 8)
    """
    path = Path(path)
    try:
        start, size = _read_start(path)
        return _volume(path, start, size, digest="")
    except (InvalidInputError, OSError, zlib.error, struct.error):
        # The size of compressed data stands in the last bytes, which a damaged file has wrong: all of it must be read.
        volume = read_volume(path)
        return volume._replace(data=_zeros(volume.data.shape, volume.data.dtype), sha256="")


def _read_start(path: Path) -> tuple[bytes, int]:
    """Return the first bytes of an image, decompressed, and the size that all of it has."""
    with path.open("rb") as stream:
        raw = stream.read(START_BYTES)
        if not _is_zipped(path, raw):
            return raw, path.stat().st_size
        stream.seek(-4, 2)
        (size,) = struct.unpack("<I", stream.read(4))
    return zlib.decompressobj(wbits=31).decompress(raw, START_BYTES), size


def _volume(path: Path, content: bytes, size: int, digest: str) -> Volume:
    """Return the volume of a decompressed file of a size; its data are zeros where only its start is there."""
    header = read_header(path, content)
    layout = check_layout(path, header, size)
    warnings: list[str] = []
    scale = check_voxels(path, header, warnings)
    slope, inter = check_scaling(path, header)
    frame = find_frame(path, header, scale=scale, shape=layout.shape)
    if len(content) < size:
        data = _zeros(layout.shape, layout.dtype)
    else:
        flat = np.frombuffer(content, layout.dtype, count=int(np.prod(layout.shape)), offset=layout.start)
        data = flat.reshape(layout.shape, order="F")
    return Volume(
        path=path, data=data, slope=slope, inter=inter, affine=frame.affine,
        sha256=digest, warnings=(*warnings, *frame.notes), oriented=bool(frame.name), frame=frame.name,
        is_template=frame.is_template,
    )  # fmt: skip


def _zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> AnyArray:
    """Return zeros of a shape in the memory of one."""
    return np.broadcast_to(np.zeros((), dtype), shape)


def save_volume(path: str | Path, volume: AnyArray, affine: FloatArray) -> None:
    """Write a 3D or 4D image atomically, float32, int32 or uint8, gzipped without a timestamp.

    Parameters
    ----------
    path : path
        Final name, `.nii` or `.nii.gz`.
    volume : ndarray of shape (x, y, z) or (x, y, z, n)
        Booleans become uint8, other integers int32, the rest float32.
    affine : ndarray of shape (4, 4)
        Voxel indices to scanner RAS+ mm.

    Raises
    ------
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_volume(Path(folder) / "mask.nii.gz", np.ones((8, 8, 8), bool), np.eye(4))
    ...     read_volume(Path(folder) / "mask.nii.gz").data.dtype
    dtype('uint8')
    """
    import nibabel

    kind = {"b": np.uint8, "i": np.int32, "u": np.int32}.get(volume.dtype.kind, np.float32)
    image = nibabel.Nifti1Image(np.asarray(volume, dtype=kind), affine)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm")
    content = image.to_bytes()
    path = Path(path)
    atomic_write(path, gzip.compress(content, compresslevel=1, mtime=0) if path.suffix == ".gz" else content)
