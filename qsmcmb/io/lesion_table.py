"""Rows of the lesion table: a lesion written as a row, and read from one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qsmcmb.io.records import ColumnDescription
from qsmcmb.io.tables import read_tsv
from qsmcmb.lesion import LESION_COLUMNS, Column, Microbleed
from qsmcmb.model import Estimate
from qsmcmb.units import PPM_MM3

__all__ = ("Cell", "LesionRow", "column_sidecar", "lesion_from_row", "lesion_row", "read_lesions")

Cell = str | float | None
"""Value of a cell of a table; None where unknown."""
LesionRow = dict[str, Cell]
"""Value of each column of `qsmcmb.lesion.LESION_COLUMNS`, in their order."""


def lesion_row(lesion: Microbleed) -> LesionRow:
    """Return a lesion as a row of the lesion table.

    Parameters
    ----------
    lesion : Microbleed
        The candidate.

    Returns
    -------
    dict
        Value of each column, in their order; None where unknown.

    Examples
    --------
    >>> row = lesion_row(Microbleed(1, (1.0, 2.0, 3.0)))
    >>> row["x_mm"], row["total_chi_ppm_mm3"]
    (1.0, None)
    """
    x, y, z = lesion.position_mm
    total = lesion.total_chi_ppm_mm3
    given = {
        "x_mm": x,
        "y_mm": y,
        "z_mm": z,
        "total_chi_ppm_mm3": total.value if total else None,
        "total_chi_sd_ppm_mm3": _known(total.sd) if total else None,
        "total_chi_low_ppm_mm3": _known(total.low) if total else None,
        "total_chi_high_ppm_mm3": _known(total.high) if total else None,
        "flags": ";".join(lesion.flags) or None,
    }
    return {name: given[name] if name in given else getattr(lesion, name) for name in LESION_COLUMNS}


def lesion_from_row(row: Mapping[str, Cell]) -> Microbleed:
    """Return the lesion that a row of the lesion table describes.

    Parameters
    ----------
    row : mapping of str to str or float or None
        Value of each column, or its text; None where unknown. Columns that a table of an older release lacks are
        unknown.

    Returns
    -------
    Microbleed
        The lesion, with its 95 % interval as in the row.

    Examples
    --------
    >>> lesion = Microbleed(1, (1.0, 2.0, 3.0), flags=("poor-fit",))
    >>> lesion_from_row(lesion_row(lesion)) == lesion
    True
    """
    known: dict[str, Any] = {
        name: float(cell) if column.is_number else cell
        for name, column in LESION_COLUMNS.items()
        if (cell := row.get(name)) is not None
    }
    total, sd, low, high = (
        known.pop(f"total_chi{part}_ppm_mm3", None) for part in ("", "_sd", "_low", "_high")
    )
    if total is not None:
        # Of filtered phase the number alone is known.
        interval = None if sd is None else (low, high)
        known["total_chi_ppm_mm3"] = Estimate(total, math.nan if sd is None else sd, PPM_MM3, interval)
    position = tuple(known.pop(axis) for axis in ("x_mm", "y_mm", "z_mm"))
    flags = tuple(known.pop("flags", "").split(";")) if known.get("flags") else ()
    return Microbleed(**{**known, "label": int(known["label"]), "position_mm": position, "flags": flags})


def read_lesions(path: Path) -> list[Microbleed]:
    """Read the lesion table of a scan.

    Parameters
    ----------
    path : Path
        The table.

    Returns
    -------
    list of Microbleed
        Its lesions, in the table's order.

    Raises
    ------
    InvalidInputError
        TSV: the table is missing or damaged.

    Examples
    --------
    >>> import tempfile
    >>> from qsmcmb.io.tables import write_tsv
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "desc-cmb_lesions.tsv"
    ...     write_tsv(path, [lesion_row(Microbleed(1, (1.0, 2.0, 3.0), side="left"))], list(LESION_COLUMNS))
    ...     read_lesions(path)[0].side
    'left'
    """
    return [lesion_from_row(row) for row in read_tsv(path)]


def column_sidecar(columns: Mapping[str, Column] = LESION_COLUMNS) -> dict[str, ColumnDescription]:
    """Return the JSON record that describes each column with its unit.

    Parameters
    ----------
    columns : mapping of str to Column, optional
        Columns of the table by name; those of the lesion table by default.

    Returns
    -------
    dict
        Description, Units and Levels of each column, as BIDS wants them.

    Examples
    --------
    >>> column_sidecar()["total_chi_ppm_mm3"]["Units"]
    'ppm mm3'
    """
    out: dict[str, ColumnDescription] = {}
    for name, column in columns.items():
        out[name] = {"Description": column.description}
        if column.unit:
            out[name]["Units"] = column.unit
        if column.levels:
            out[name]["Levels"] = {level: level for level in column.levels}
    return out


def _known(value: float) -> float | None:
    """Return a number, or None where it is not one."""
    return None if math.isnan(value) else value
