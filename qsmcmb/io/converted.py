"""Images of a converter, read as stored, and written with their integers kept and a scale of their own."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.nifti import Volume, sha256_of
from qsmcmb.typing import AnyArray, FloatArray

__all__: tuple[str, ...] = ()


def read_converted(path: Path) -> Volume:
    """Return what a converter wrote, of any number of slices: the gates of `read_volume` come when it is used.

    Raises
    ------
    InvalidInputError
        CONVERT: it cannot be read.
    """
    import nibabel

    try:
        image: Any = nibabel.load(path)
        stored = np.asarray(image.dataobj.get_unscaled())
        slope, inter = float(image.dataobj.slope), float(image.dataobj.inter)
    except Exception as error:
        raise InvalidInputError(
            "CONVERT", path, field="image", found=error, expected="a NIfTI image from dcm2niix",
            fix="report the scanner and its software, and convert the folder by hand",
        ) from error  # fmt: skip
    return Volume(
        path=path, data=stored, slope=slope, inter=inter, affine=np.asarray(image.affine, dtype=np.float64),
        sha256=sha256_of(path), warnings=(), oriented=True,
    )  # fmt: skip


def stored_image_bytes(stored: AnyArray, affine: FloatArray, *, slope: float, inter: float) -> bytes:
    """Return a gzipped NIfTI image whose voxels are stored as they are: values are `stored * slope + inter`."""
    import nibabel

    image = nibabel.Nifti1Image(stored, affine)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm")
    content = bytearray(image.to_bytes())
    # nibabel writes no scale beside data that it takes as already scaled: bytes 112 and 116 of the header.
    content[112:120] = np.array([slope, inter], "<f4").tobytes()
    return gzip.compress(bytes(content), compresslevel=1, mtime=0)
