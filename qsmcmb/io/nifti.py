"""NIfTI in through strict gates, and out atomically.

nibabel returns wrong data without a warning from damaged gzip streams and repairs or ignores bad headers; so
the stream is read to its end first (all damage shows there, and the checksum comes free) and the header is
checked before nibabel sees it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.atomic import atomic_write
from qsmcmb.typing import AnyArray, FloatArray

__all__ = (
    "Volume",
    "read_volume",
    "save_volume",
    "sha256_of",
)

MIN_VOXELS = 8
"""Least number of voxels along an axis: fewer are no 3D acquisition that a dipole can be inverted on."""
SCALE_TO_MM = {1: 1e3, 2: 1.0, 3: 1e-3}
"""Factor to mm for each length code of NIfTI's xyzt_units: metre, millimetre, micrometre."""
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
"""Types of stored data that are read: real numbers whose digits float32 holds in practice."""


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


def _fail(code: str, path: Path, field: str, found: object, *, expected: str, fix: str) -> InvalidInputError:
    """Return the error of a gate."""
    return InvalidInputError(code, path, field=field, found=found, expected=expected, fix=fix)


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
        raise _fail(
            "FILE", path, "file", error.strerror or error, expected="a readable file", fix="check the path"
        ) from error
    again = "copy the file again from its source"
    if not raw:
        raise _fail("EMPTY", path, "size", "0 bytes", expected="a NIfTI image", fix=again)
    if raw.startswith(b"version https://git-lfs"):
        raise _fail(
            "EMPTY", path, "content", "a git-LFS pointer", expected="a NIfTI image", fix="run `git lfs pull`"
        )
    zipped = raw[:2] == b"\x1f\x8b"
    if zipped != (path.suffix == ".gz"):
        found = "gzip data" if zipped else "data that is not gzip"
        name = path.name + ".gz" if zipped else path.name.removesuffix(".gz")
        raise _fail(
            "NAME", path, "content", found, expected=f"what {path.suffix} says", fix=f"rename it to {name}"
        )
    digest = hashlib.sha256(raw).hexdigest()
    return (_gunzip(path, raw) if zipped else raw), digest


def _gunzip(path: Path, raw: bytes) -> bytes:
    """Return the decompressed content of a gzip stream that is whole."""
    again = "copy the file again from its source"
    parts: list[bytes] = []
    rest = raw
    while rest:
        if parts and rest[:2] != b"\x1f\x8b":
            if not rest.strip(b"\0"):
                break
            raise _fail(
                "GZ-TRAIL", path, "bytes after the gzip stream", len(rest), expected="none", fix=again
            )
        stream = zlib.decompressobj(wbits=31)
        try:
            parts.append(stream.decompress(rest))
        except zlib.error as error:
            raise _fail(
                "GZ-CRC", path, "gzip stream", error, expected="an intact stream", fix=again
            ) from error
        if not stream.eof:
            raise _fail(
                "GZ-TRUNC",
                path,
                "gzip stream",
                f"ends at byte {len(raw)}",
                expected="its end mark",
                fix=again,
            )
        rest = stream.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


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
        ORIENT, SCL or DTYPE.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_volume(Path(folder) / "a.nii.gz", np.zeros((8, 8, 8)), np.eye(4))
    ...     read_volume(Path(folder) / "a.nii.gz").data.dtype
    dtype('<f4')
    """
    import nibabel

    path = Path(path)
    content, digest = _read_bytes(path)
    try:
        header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(content), check=False)
    except Exception as error:
        raise _fail(
            "HEADER", path, "header", error, expected="a NIfTI-1 header", fix="convert the image to NIfTI-1"
        ) from error
    shape = _check_dims(path, header, len(content))
    warnings: list[str] = []
    scale = _check_voxels(path, header, warnings)
    slope, inter = _check_scaling(path, header)
    affine, oriented = _affine(path, header, scale)
    dtype = header.get_data_dtype()
    start = int(header["vox_offset"]) or 352
    flat = np.frombuffer(content, dtype=dtype, count=int(np.prod(shape)), offset=start)
    data = flat.reshape(shape, order="F")
    return Volume(
        path=path, data=data, slope=slope, inter=inter, affine=affine, sha256=digest, warnings=tuple(warnings),
        oriented=oriented,
    )  # fmt: skip


def _check_dims(path: Path, header: Any, size: int) -> tuple[int, ...]:
    """Return the shape that the header states, 3D or 4D, if the file holds as much."""
    dim = [int(d) for d in header["dim"]]
    legal = "dim[0] of 3 or 4 and positive dims that fit the file"
    fix = "convert the image again from its source"
    if not 3 <= dim[0] <= 7 or any(d < 1 for d in dim[1 : dim[0] + 1]):
        raise _fail("DIM", path, "dim", dim, expected=legal, fix=fix)
    shape = tuple(dim[1 : dim[0] + 1])
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 4:
        raise _fail("DIM", path, "dim", dim, expected=legal, fix="split the image into 3D volumes")
    if min(shape[:3]) < MIN_VOXELS:
        raise _fail(
            "DIM-MIN", path, "dim", shape, expected=f"at least {MIN_VOXELS} voxels along each axis",
            fix="give a 3D acquisition",
        )  # fmt: skip
    code = int(header["datatype"])
    try:
        dtype = header.get_data_dtype()
    except Exception:
        dtype = None
    if dtype is None or dtype.name not in DTYPES:
        hint = "split it into real and imaginary parts" if code in (32, 1792) else "convert it to float32"
        raise _fail(
            "DTYPE", path, "datatype", dtype if dtype is not None else code,
            expected=f"one of {', '.join(DTYPES)}", fix=hint,
        )  # fmt: skip
    needed = (int(header["vox_offset"]) or 352) + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if needed > size:
        raise _fail(
            "DIM", path, "dim", f"{shape} ({needed} bytes)", expected=f"no more than the {size} bytes there are",
            fix="copy the file again from its source",
        )  # fmt: skip
    return shape


def _check_voxels(path: Path, header: Any, warnings: list[str]) -> float:
    """Return the factor from the header's length unit to mm."""
    pixdim = np.asarray(header["pixdim"][1:4], dtype=float)
    if not np.all(np.isfinite(pixdim)) or np.any(pixdim <= 0):
        raise _fail(
            "VOX", path, "pixdim", pixdim.tolist(), expected="positive, finite voxel sizes",
            fix="correct the header's pixdim",
        )  # fmt: skip
    unit = int(header["xyzt_units"]) & 7
    if unit not in SCALE_TO_MM:
        if pixdim.min() < 0.05 or pixdim.max() > 20:
            raise _fail(
                "UNITS", path, "xyzt_units", f"unknown, with pixdim {pixdim.tolist()}",
                expected="a length unit, or voxel sizes plausible in mm", fix="set xyzt_units in the header",
            )  # fmt: skip
        warnings.append(f"{path.name}: length unit not stated, taken as mm")
        return 1.0
    size = pixdim * SCALE_TO_MM[unit]
    if size.min() < 0.05 or size.max() > 20:
        raise _fail(
            "UNITS", path, "pixdim", f"{size.tolist()} mm", expected="voxels of 0.05 to 20 mm",
            fix="correct xyzt_units or pixdim",
        )  # fmt: skip
    return SCALE_TO_MM[unit]


def _check_scaling(path: Path, header: Any) -> tuple[float, float]:
    """Return slope and intercept of the header; slope 0 means that there is no scaling."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if not (np.isfinite(slope) and np.isfinite(inter)):
        raise _fail(
            "SCL", path, "scl_slope, scl_inter", (slope, inter), expected="finite numbers",
            fix="correct the header",
        )  # fmt: skip
    return (1.0, 0.0) if slope == 0 else (slope, inter)


def _affine(path: Path, header: Any, scale: float) -> tuple[FloatArray, bool]:
    """Return the affine in mm (sform before qform) and whether the header states one."""
    if int(header["sform_code"]) > 0:
        affine = np.array(header.get_sform(), dtype=np.float64)
    elif int(header["qform_code"]) > 0:
        affine = np.array(header.get_qform(), dtype=np.float64)
    else:
        return np.array(header.get_base_affine(), dtype=np.float64), False
    affine[:3] *= scale
    size = np.linalg.norm(affine[:3, :3], axis=0)
    if (
        not np.all(np.isfinite(affine))
        or np.any(size < 1e-6)
        or abs(np.linalg.det(affine[:3, :3] / size)) < 0.05
    ):
        raise _fail(
            "ORIENT", path, "sform or qform", affine[:3].round(4).tolist(), expected="an invertible affine",
            fix="correct the header, or pass --b0-dir",
        )  # fmt: skip
    return affine, True


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
