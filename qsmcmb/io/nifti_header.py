"""The header of a NIfTI image held against itself and against the file, before anything believes it.

nibabel repairs or ignores a header that contradicts itself, and then returns wrong data without a warning.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError

__all__ = (
    "Layout",
    "check_layout",
    "check_scaling",
    "check_voxels",
    "fail",
    "read_header",
    "stated_size",
)

MIN_VOXELS = 8
"""Least number of voxels along an axis: fewer are no 3D acquisition that a dipole can be inverted on."""
SCALE_TO_MM = {1: 1e3, 2: 1.0, 3: 1e-3}
"""Factor to mm for each length code of NIfTI's xyzt_units: metre, millimetre, micrometre."""
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
"""Types of stored data that are read: real numbers whose digits float32 holds in practice."""
HEADER_BYTES = {348: 1, 540: 2}
"""Size of the header by which NIfTI-1 and NIfTI-2 are told apart."""
SINGLE_FILE = (b"n+1", b"n+2")
"""Beginning of the magic of images whose header and data are one file."""
FIRST_DATA_BYTE = {348: 352, 540: 544}
"""Least data offset, by the size of the header: header and the flag of extensions."""
MAX_OFFSET = 2**31
"""Bytes before the data that no header and no extension fills."""
MAX_SLOPE = 1e15
"""Largest slope or offset, and one over the least slope: beyond it single precision soon ends."""
AGAIN = "convert the image again from its source"


class Layout(NamedTuple):
    """Arrangement of the data in the file: shape, type of the numbers, and the byte where they start.

    Parameters
    ----------
    shape : tuple of int
        Voxels, and volumes where there are several.
    dtype : numpy.dtype
        Type of the stored numbers.
    start : int
        First byte of the data.

    Examples
    --------
    >>> Layout((8, 8, 8), np.dtype("<f4"), 352).start
    352
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int


def fail(code: str, path: Path, field: str, found: object, *, expected: str, fix: str) -> InvalidInputError:
    """Return the error of a gate.

    Parameters
    ----------
    code : str
        Short fixed code.
    path : Path
        File at fault.
    field : str
        Field of its header.
    found : object
        What was found; shown as text.
    expected : str
        What was expected.
    fix : str
        What to do, in the imperative.

    Returns
    -------
    InvalidInputError
        The error.

    Examples
    --------
    >>> fail("DIM", Path("a.nii"), "dim", 0, expected="positive dims", fix="correct the header").code
    'DIM'
    """
    return InvalidInputError(code, path, field=field, found=found, expected=expected, fix=fix)


def read_header(path: Path, content: bytes) -> Any:
    """Return the NIfTI-1 or NIfTI-2 header of a single file.

    Parameters
    ----------
    path : Path
        The file, for messages.
    content : bytes
        All of it.

    Returns
    -------
    nibabel.Nifti1Header or nibabel.Nifti2Header
        The header, not repaired.

    Raises
    ------
    InvalidInputError
        HEADER: size, magic or data offset are those of no NIfTI image in one file.

    Examples
    --------
    >>> import nibabel
    >>> image = nibabel.Nifti1Image(np.zeros((8, 8, 8), np.uint8), np.eye(4))
    >>> int(read_header(Path("a.nii"), image.to_bytes())["bitpix"])
    8
    """
    import nibabel

    sizes = (
        {order: struct.unpack(order + "i", content[:4])[0] for order in "<>"} if len(content) > 348 else {}
    )
    order = next((o for o, size in sizes.items() if size in HEADER_BYTES), None)
    if order is None or len(content) < FIRST_DATA_BYTE[sizes[order]]:
        raise fail(
            "HEADER", path, "sizeof_hdr", sizes.get("<", f"a file of {len(content)} bytes"),
            expected="348 (NIfTI-1) or 540 (NIfTI-2)", fix="convert the image to NIfTI",
        )  # fmt: skip
    size = sizes[order]
    kind = nibabel.Nifti1Header if size == 348 else nibabel.Nifti2Header
    header = kind(content[:size], endianness=order, check=False)
    magic = bytes(header["magic"].item())[:3]
    if magic not in SINGLE_FILE or (magic == b"n+2") != (size == 540):
        pair = "; header and data seem to be two files" if magic in (b"ni1", b"ni2") else ""
        raise fail(
            "HEADER", path, "magic", f"{magic!r}{pair}", expected="n+1 or n+2: a NIfTI image in one file",
            fix="convert the image to NIfTI in one file (.nii or .nii.gz)",
        )  # fmt: skip
    _check_offset(path, header, FIRST_DATA_BYTE[size])
    return header


def _check_offset(path: Path, header: Any, least: int) -> None:
    """Raise unless the data start behind the header, at a whole byte; 0 stands for the least offset."""
    offset = float(header["vox_offset"])
    if offset != 0 and not (least <= offset < MAX_OFFSET and offset == np.rint(offset)):
        raise fail(
            "HEADER",
            path,
            "vox_offset",
            offset,
            expected=f"a whole number of bytes, {least} or more",
            fix=AGAIN,
        )


def check_layout(path: Path, header: Any, size: int) -> Layout:
    """Return shape, type and place of the data, if header and file agree on them.

    Parameters
    ----------
    path : Path
        The file, for messages.
    header : nibabel.Nifti1Header or nibabel.Nifti2Header
        Its header.
    size : int
        Bytes that the decompressed file has.

    Returns
    -------
    Layout
        3D or 4D.

    Raises
    ------
    InvalidInputError
        DIM, DIM-MIN, DTYPE, or HEADER where datatype, bitpix, dims and the file's size contradict each other.

    Examples
    --------
    >>> import nibabel
    >>> image = nibabel.Nifti1Image(np.zeros((8, 8, 8), np.uint8), np.eye(4))
    >>> check_layout(Path("a.nii"), image.header, 352 + 512).shape
    (8, 8, 8)
    """
    layout = stated_layout(path, header)
    shape, dtype, start = layout
    n_voxels = int(np.prod(shape, dtype=object))
    needed = start + n_voxels * dtype.itemsize
    if needed != size:
        # More voxels than bytes: no type would fit, so the dims are at fault.
        code = "DIM" if n_voxels > size else "HEADER"
        has = (
            f"the {size} bytes that the file has"
            if size < needed
            else f"the {size} bytes or more that the file has"
        )
        raise fail(
            code, path, "dim, datatype, vox_offset", f"{shape} of {dtype.name} from byte {start}: {needed} bytes",
            expected=has, fix="copy the file again from its source, as it may be cut; else convert the image again",
        )  # fmt: skip
    return layout


def stated_size(path: Path, header: Any) -> int:
    """Return the bytes that an image has by its header.

    Parameters
    ----------
    path : Path
        The file, for messages.
    header : nibabel.Nifti1Header or nibabel.Nifti2Header
        Its header.

    Returns
    -------
    int
        Bytes of header and data.

    Raises
    ------
    InvalidInputError
        DIM, DIM-MIN, DTYPE, or HEADER where datatype and bitpix contradict each other.

    Examples
    --------
    >>> import nibabel
    >>> stated_size(Path("a.nii"), nibabel.Nifti1Image(np.zeros((8, 8, 8), np.uint8), np.eye(4)).header)
    864
    """
    layout = stated_layout(path, header)
    return layout.start + int(np.prod(layout.shape, dtype=object)) * layout.dtype.itemsize


def stated_layout(path: Path, header: Any) -> Layout:
    """Return shape, type and place of the data as the header states them."""
    shape = _shape(path, header)
    dtype = _dtype(path, header)
    if int(header["bitpix"]) != 8 * dtype.itemsize:
        raise fail(
            "HEADER", path, "bitpix", f"{int(header['bitpix'])} with datatype {dtype.name}",
            expected=f"{8 * dtype.itemsize} bits, as the datatype says", fix=AGAIN,
        )  # fmt: skip
    start = int(header["vox_offset"]) or FIRST_DATA_BYTE[int(header["sizeof_hdr"])]
    return Layout(shape, dtype, start)


def _shape(path: Path, header: Any) -> tuple[int, ...]:
    """Return the shape that the header states, 3D or 4D."""
    dim = [int(d) for d in header["dim"]]
    legal = "dim[0] of 3 or 4 and positive dims that fit the file"
    if not 3 <= dim[0] <= 7 or any(d < 1 for d in dim[1 : dim[0] + 1]):
        raise fail("DIM", path, "dim", dim, expected=legal, fix=AGAIN)
    shape = tuple(dim[1 : dim[0] + 1])
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 4:
        raise fail("DIM", path, "dim", dim, expected=legal, fix="split the image into 3D volumes")
    if min(shape[:3]) < MIN_VOXELS:
        raise fail(
            "DIM-MIN", path, "dim", shape, expected=f"at least {MIN_VOXELS} voxels along each axis",
            fix="give a 3D acquisition",
        )  # fmt: skip
    return shape


def _dtype(path: Path, header: Any) -> np.dtype[Any]:
    """Return the type of the stored numbers, if it is one that is read."""
    code = int(header["datatype"])
    try:
        dtype = header.get_data_dtype()
    except Exception:
        dtype = None
    if dtype is None or dtype.name not in DTYPES:
        hint = "split it into real and imaginary parts" if code in (32, 1792) else "convert it to float32"
        raise fail(
            "DTYPE", path, "datatype", dtype if dtype is not None else code,
            expected=f"one of {', '.join(DTYPES)}", fix=hint,
        )  # fmt: skip
    return np.dtype(dtype)


def check_voxels(path: Path, header: Any, warnings: list[str]) -> float:
    """Return the factor from the header's length unit to mm.

    Parameters
    ----------
    path : Path
        The file, for messages.
    header : nibabel.Nifti1Header or nibabel.Nifti2Header
        Its header.
    warnings : list of str
        Gets a message where the unit is not stated.

    Returns
    -------
    float
        Factor, 1 for mm.

    Raises
    ------
    InvalidInputError
        VOX or UNITS.

    Examples
    --------
    >>> import nibabel
    >>> header = nibabel.Nifti1Header()
    >>> header.set_xyzt_units("mm")
    >>> check_voxels(Path("a.nii"), header, [])
    1.0
    """
    pixdim = np.asarray(header["pixdim"][1:4], dtype=float)
    if not np.all(np.isfinite(pixdim)) or np.any(pixdim <= 0):
        raise fail(
            "VOX", path, "pixdim", pixdim.tolist(), expected="positive, finite voxel sizes",
            fix="correct the header's pixdim",
        )  # fmt: skip
    unit = int(header["xyzt_units"]) & 7
    if unit not in SCALE_TO_MM:
        if pixdim.min() < 0.05 or pixdim.max() > 20:
            raise fail(
                "UNITS", path, "xyzt_units", f"unknown, with pixdim {pixdim.tolist()}",
                expected="a length unit, or voxel sizes plausible in mm", fix="set xyzt_units in the header",
            )  # fmt: skip
        warnings.append(f"{path.name}: length unit not stated, taken as mm")
        return 1.0
    size = pixdim * SCALE_TO_MM[unit]
    if size.min() < 0.05 or size.max() > 20:
        raise fail(
            "UNITS", path, "pixdim", f"{size.tolist()} mm", expected="voxels of 0.05 to 20 mm",
            fix="correct xyzt_units or pixdim",
        )  # fmt: skip
    return SCALE_TO_MM[unit]


def check_scaling(path: Path, header: Any) -> tuple[float, float]:
    """Return slope and intercept of the header; slope 0 means that there is no scaling.

    Parameters
    ----------
    path : Path
        The file, for messages.
    header : nibabel.Nifti1Header or nibabel.Nifti2Header
        Its header.

    Returns
    -------
    tuple of float
        Factor and offset of the stored numbers.

    Raises
    ------
    InvalidInputError
        SCL: not finite, or of a size that no image has.

    Examples
    --------
    >>> import nibabel
    >>> header = nibabel.Nifti1Header()
    >>> header["scl_slope"] = 0
    >>> header["scl_inter"] = 0
    >>> check_scaling(Path("a.nii"), header)
    (1.0, 0.0)
    """
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    is_scale = slope == 0 or 1 / MAX_SLOPE < abs(slope) < MAX_SLOPE
    if not (is_scale and abs(inter) < MAX_SLOPE):
        raise fail(
            "SCL", path, "scl_slope, scl_inter", (slope, inter),
            expected=f"numbers of {1 / MAX_SLOPE:g} to {MAX_SLOPE:g} in size",
            fix="correct the header",
        )  # fmt: skip
    return (1.0, 0.0) if slope == 0 else (slope, inter)
