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
from qsmcmb.io.image_bytes import START_BYTES, Content, read_image_bytes, read_image_start
from qsmcmb.io.nifti_header import check_layout, check_scaling, check_voxels, read_header, stated_size
from qsmcmb.io.reading import open_regular
from qsmcmb.typing import AnyArray, FloatArray

__all__ = (
    "Volume",
    "read_volume",
    "read_volume_header",
    "save_volume",
    "sha256_of",
)


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
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        while chunk := stream.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


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
    content, size, digest = read_image_bytes(path, lambda start: stated_size(path, read_header(path, start)))
    return _volume(path, content, size, digest)


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
        start, size = read_image_start(path)
        return _volume(path, start, size, digest="")
    except (InvalidInputError, OSError, zlib.error, struct.error):
        # The size of compressed data stands in the last bytes, which a damaged file has wrong: all of it must be read.
        volume = read_volume(path)
        return volume._replace(data=_zeros(volume.data.shape, volume.data.dtype), sha256="")


def _volume(path: Path, content: Content, size: int, digest: str) -> Volume:
    """Return the volume of a decompressed file of a size; its data are zeros where only its start is there."""
    header = read_header(path, bytes(content[:START_BYTES]))
    layout = check_layout(path, header, size)
    warnings: list[str] = []
    # A signalling NaN is refused as every NaN is; NumPy would warn of it as well.
    with np.errstate(invalid="ignore"):
        scale = check_voxels(path, header, warnings)
        slope, inter = check_scaling(path, header)
        frame = find_frame(path, header, scale=scale, shape=layout.shape)
    if len(content) < size:
        data = _zeros(layout.shape, layout.dtype)
    else:
        flat = np.frombuffer(content, layout.dtype, count=int(np.prod(layout.shape)), offset=layout.start)
        flat.flags.writeable = False
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
