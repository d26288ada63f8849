"""Images and tables of the results, each with its JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qsmcmb.errors import OutputError
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.metadata import sidecar_path
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.place import Place
from qsmcmb.io.result_records import provenance_record
from qsmcmb.io.tables import write_json, write_tsv
from qsmcmb.model import Grid, Provenance
from qsmcmb.typing import AnyArray

__all__ = ("check_image_name", "write_image", "write_single", "write_table")


def write_image(
    place: Place,
    ending: str,
    data: AnyArray,
    grid: Grid,
    *,
    record: Mapping[str, Any],
    provenance: Provenance,
) -> Path:
    """Write an image, then its JSON with provenance.

    Parameters
    ----------
    place : Place
        Folder and prefix of the session.
    ending : str
        End of the name without extension, e.g. ``"Chimap"``.
    data : ndarray of shape (x, y, z) or (x, y, z, n)
        The image, in the unit that `record` states.
    grid : Grid
        Geometry.
    record : mapping
        Keys of the JSON: unit, method, reference ...
    provenance : Provenance
        Goes into the JSON, too.

    Returns
    -------
    Path
        The image's file.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place, record = Place(Path(folder)), {"Units": "ppm"}
    ...     path = write_image(place, "Chimap", np.zeros(grid.shape), grid, record=record, provenance=Provenance())
    ...     sorted(p.name for p in Path(folder).iterdir())
    ['Chimap.json', 'Chimap.nii.gz']
    """
    path = place.path(f"{ending}.nii.gz")
    save_volume(path, data, grid.affine)
    write_json(place.path(f"{ending}.json"), {**record, **provenance_record(provenance)})
    return path


def check_image_name(path: Path) -> None:
    """Raise unless an image can be written under this name.

    Parameters
    ----------
    path : Path
        Name that the user chose; its folder is created.

    Raises
    ------
    OutputError
        OUT: the folder cannot be written, or the name is no NIfTI name.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check_image_name(Path(folder) / "chi.nii.gz")
    """
    if not path.name.removesuffix(".gz").endswith(".nii"):
        raise OutputError(
            "OUT", path, field="name", found=path.name, expected="a name ending in .nii or .nii.gz",
            fix=f"write {path.name}.nii.gz",
        )  # fmt: skip
    make_folder(path.parent)


def write_single(path: Path, data: AnyArray, grid: Grid, record: Mapping[str, Any]) -> None:
    """Write an image under a name that the user chose, and its JSON beside it.

    Parameters
    ----------
    path : Path
        Name of the image, ending in .nii or .nii.gz.
    data : ndarray of shape (x, y, z) or (x, y, z, n)
        The image, in the unit that `record` states.
    grid : Grid
        Geometry.
    record : mapping
        Keys of the JSON.

    Raises
    ------
    OutputError
        OUT: the folder cannot be written, or the name is no NIfTI name.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_single(Path(folder) / "chi.nii", np.zeros(grid.shape), grid, {"Units": "ppm"})
    ...     sorted(p.name for p in Path(folder).iterdir())
    ['chi.json', 'chi.nii']
    """
    check_image_name(path)
    save_volume(path, data, grid.affine)
    write_json(sidecar_path(path), record)


def write_table(
    place: Place,
    ending: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    columns: Mapping[str, Any],
    provenance: Provenance,
    warnings: Sequence[str] = (),
) -> Path:
    """Write a table, then the JSON that describes its columns, with provenance.

    Parameters
    ----------
    place : Place
        Folder and prefix of the session.
    ending : str
        End of the name without extension, e.g. ``"desc-cmb_lesions"``.
    rows : sequence of mapping
        Column to value, for each row; columns that a row lacks become n/a.
    columns : mapping
        Column, in the table's order, to its description.
    provenance : Provenance
        Goes into the JSON, too.
    warnings : sequence of str, optional
        What the user must know of the numbers; goes into the JSON where there is any.

    Returns
    -------
    Path
        The table's file.

    Examples
    --------
    >>> import tempfile
    >>> columns = {"x_mm": {"Description": "Centre", "Units": "mm"}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_table(Place(Path(folder)), "points", [{"x_mm": 1.5}], columns=columns, provenance=Provenance())
    ...     path.read_text().split()
    ['x_mm', '1.5']
    """
    path = place.path(f"{ending}.tsv")
    write_tsv(path, rows, list(columns))
    said = {"Warnings": list(warnings)} if warnings else {}
    write_json(place.path(f"{ending}.json"), {**columns, **said, **provenance_record(provenance)})
    return path
