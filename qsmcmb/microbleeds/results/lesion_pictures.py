"""Arrays that a page shows of each lesion: magnitude around it, data and model of its fit."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.core.boxes import ball_box
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.atomic import atomic_write
from qsmcmb.microbleeds.results.explanation import Explanation, Slices
from qsmcmb.model import GreScan
from qsmcmb.typing import FloatArray

__all__ = ["PICTURES", "LesionPicture", "picture_lesions", "read_pictures", "write_pictures"]

PICTURES = "desc-cmb_pictures"
"""End of the file's name, without extension."""
HALF_EDGE_MM = 13.0
"""Half edge of the box of the magnitude, mm: a little more than the pages show."""


class LesionPicture(NamedTuple):
    """Box of the magnitude around a lesion, and slices of its fit.

    Parameters
    ----------
    magnitude : ndarray of shape (x, y, z), float32
        Magnitude of the longest echo.
    start : tuple of int
        First voxel of the box in the scan.
    slices : Slices or None
        Data, model and weight; None where nothing was fitted.

    Examples
    --------
    >>> LesionPicture(np.ones((3, 3, 3), np.float32), (0, 0, 0), None).magnitude.shape
    (3, 3, 3)
    """

    magnitude: FloatArray
    start: tuple[int, int, int]
    slices: Slices | None


def picture_lesions(explanations: Sequence[Explanation], scan: GreScan) -> dict[int, LesionPicture]:
    """Cut what the pages show of each lesion out of the scan.

    Parameters
    ----------
    explanations : sequence of Explanation
        Explanation of each lesion.
    scan : GreScan
        The scan.

    Returns
    -------
    dict of int to LesionPicture
        Picture by the lesion's label.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> picture_lesions([], scan)
    {}
    """
    pictures = {}
    for record, slices, _ in explanations:
        voxel = scan.grid.to_voxel(np.array(record["position_mm"]))
        box, _distance = ball_box(scan.grid, voxel, HALF_EDGE_MM)
        start = (int(box[0].start), int(box[1].start), int(box[2].start))
        magnitude = np.array(scan.magnitude[-1][box], np.float32)
        pictures[record["label"]] = LesionPicture(magnitude, start, slices)
    return pictures


def write_pictures(path: Path, pictures: Mapping[int, LesionPicture]) -> Path:
    """Write the pictures of a scan's lesions as one file of arrays.

    Parameters
    ----------
    path : Path
        File to write, `*_desc-cmb_pictures.npz`.
    pictures : mapping of int to LesionPicture
        Picture by label.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputError, StorageError
        It cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> picture = LesionPicture(np.ones((3, 3, 3), np.float32), (4, 5, 6), None)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_pictures(Path(folder) / "desc-cmb_pictures.npz", {7: picture})
    ...     read_pictures(path)[7].start
    (4, 5, 6)
    """
    arrays = {}
    for label, picture in pictures.items():
        arrays[f"{label}_magnitude"] = picture.magnitude
        arrays[f"{label}_start"] = np.array(picture.start, np.int32)
        if picture.slices is not None:
            arrays[f"{label}_data"] = picture.slices.data.astype(np.complex64)
            arrays[f"{label}_model"] = picture.slices.model.astype(np.complex64)
            arrays[f"{label}_weight"] = picture.slices.weight.astype(np.float32)
            arrays[f"{label}_extent"] = np.array(picture.slices.extent_mm)
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    atomic_write(path, stream.getvalue())
    return path


def read_pictures(path: Path) -> dict[int, LesionPicture]:
    """Read the pictures of a scan's lesions.

    Parameters
    ----------
    path : Path
        File of `write_pictures`.

    Returns
    -------
    dict of int to LesionPicture
        Picture by label; empty where there is no file, as of results of earlier versions.

    Raises
    ------
    InvalidInputError
        RESULT: the file is damaged.

    Examples
    --------
    >>> read_pictures(Path("nowhere.npz"))
    {}
    """
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            labels = [int(name.partition("_")[0]) for name in arrays.files if name.endswith("_start")]
            return {label: _picture(arrays, label) for label in labels}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidInputError(
            "RESULT", path, field="arrays", found=f"{type(error).__name__}: {error}",
            expected="magnitude and start of each lesion", fix="run the session again",
        ) from error  # fmt: skip


def _picture(arrays: Mapping[str, Any], label: int) -> LesionPicture:
    """Return the picture of one lesion."""
    x, y, z = (int(v) for v in arrays[f"{label}_start"])
    slices = None
    if f"{label}_data" in arrays:
        ends = [float(v) for v in arrays[f"{label}_extent"]]
        slices = Slices(
            data=arrays[f"{label}_data"], model=arrays[f"{label}_model"], weight=arrays[f"{label}_weight"],
            extent_mm=(ends[0], ends[1], ends[2], ends[3]),
        )  # fmt: skip
    return LesionPicture(arrays[f"{label}_magnitude"], (x, y, z), slices)
