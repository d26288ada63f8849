"""Lists of points as readers keep them: tables with TSV, CSV or semicolons, and point lists of 3D Slicer."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.markups import read_fcsv, read_markups
from qsmcmb.io.reading import read_regular
from qsmcmb.lesion import read_kind

__all__ = ("PointList", "PointRow", "read_point_list")

RAS_COLUMNS = (("x_mm", "y_mm", "z_mm"), ("r", "a", "s"))
"""Columns of scanner RAS+ mm: ours, and those of tables that 3D Slicer exports."""
LPS_COLUMNS = ("l", "p", "s")
"""Columns of LPS mm in tables that 3D Slicer exports."""
MISNAMED = {
    "participant_id": ("participant", "subject", "subject_id", "sub", "patient", "patient_id"),
    "session_id": ("session", "ses", "visit", "visit_id", "timepoint"),
}
"""Names that tables have for a column that counts: left unread, rows of others would be measured."""
UNKNOWN = ("", "n/a", "nan", "na", "none")
"""Cells for a value that is not known, in small letters."""


class PointRow(NamedTuple):
    """One point of a list.

    Parameters
    ----------
    position_mm : tuple of float
        Scanner RAS+, mm.
    kind : str or None, optional
        Kind; None where not stated.
    participant, session : str or None, optional
        Labels without `sub-` and `ses-`; None for any.

    Examples
    --------
    >>> PointRow((1.0, 2.0, 3.0)).kind is None
    True
    """

    position_mm: tuple[float, float, float]
    kind: str | None = None
    participant: str | None = None
    session: str | None = None


class PointList(NamedTuple):
    """Points of a file, those of all scans.

    Parameters
    ----------
    path : Path
        The file.
    rows : tuple of PointRow
        Points in the file's order.
    notes : tuple of str
        What was changed or noticed on reading.

    Examples
    --------
    >>> PointList(Path("a.tsv"), (), ()).rows
    ()
    """

    path: Path
    rows: tuple[PointRow, ...]
    notes: tuple[str, ...]


def read_point_list(path: Path) -> PointList:
    """Read all points of a list, in the format that its name or its first line shows.

    Parameters
    ----------
    path : Path
        TSV, CSV or CSV with semicolons; `.mrk.json`, `.json` or `.fcsv` of 3D Slicer.

    Returns
    -------
    PointList
        Points in scanner RAS+ mm, with their labels and kinds.

    Raises
    ------
    InvalidInputError
        POINTS, TSV or JSON, with line and column.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.csv").write_text("x_mm,y_mm,z_mm\\n1,2,3\\n")
    ...     read_point_list(Path(folder) / "a.csv").rows[0].position_mm
    (1.0, 2.0, 3.0)
    """
    if path.suffix.lower() in (".json", ".fcsv"):
        found = (read_markups if path.suffix.lower() == ".json" else read_fcsv)(path)
        rows = tuple(PointRow(position) for position in found.points_mm)
        return _with_note_if_empty(PointList(path, rows, found.notes))
    header, lines = _read_cells(path)
    names, sign = _coordinates(path, header)
    rows = tuple(_point(path, line, cells, names, sign) for line, cells in lines)
    notes = () if sign > 0 else (f"{path.name}: read as LPS; x and y negated for scanner RAS+",)
    return _with_note_if_empty(PointList(path, rows, notes))


def _with_note_if_empty(found: PointList) -> PointList:
    if found.rows:
        return found
    return found._replace(notes=(*found.notes, f"{found.path.name}: the list has no point"))


def _read_cells(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Return the column names, plain, and each row's line number with its cells by column."""
    text = _decode(path)
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip(" \t;,")]
    lines = [
        (n, line) for n, line in lines if not line.startswith("#") and not line.lower().startswith("sep=")
    ]
    if not lines:
        raise refuse_points(
            path, "file", "no line", "a header line, then one line per lesion", "write the columns"
        )
    first = lines[0][1]
    separator = next((s for s in "\t;," if s in first), None)
    header = [_plain_name(cell) for cell in _split(first, separator)]
    twice = [name for name, n in Counter(header).items() if n > 1 and name]
    if twice:
        raise refuse_points(
            path, "columns", f"{twice[0]} twice", "each column once", "remove or rename one of them"
        )
    rows = []
    for n, line in lines[1:]:
        cells = _split(line, separator)
        if len(cells) < len(header) or any(cells[len(header) :]):
            raise refuse_points(
                path, f"line {n}", f"{len(cells)} cells", f"{len(header)} as in the header",
                "correct the line; in a CSV with decimal commas, separate the columns by semicolons",
            )  # fmt: skip
        rows.append((n, dict(zip(header, cells, strict=False))))
    return header, rows


def _decode(path: Path) -> str:
    """Return the text of a file, UTF-8, or UTF-16 where its mark says so."""
    try:
        raw = read_regular(path)
        return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise refuse_points(
            path, "file", error, "a table in UTF-8", "save the table as text in UTF-8"
        ) from error


def _split(line: str, separator: str | None) -> list[str]:
    cells = line.split() if separator is None else next(csv.reader([line], delimiter=separator))
    return [cell.strip() for cell in cells]


def _plain_name(cell: str) -> str:
    """Return a column's name in small letters, with low lines for spaces and brackets."""
    return re.sub(r"[\s()\[\]]+", "_", cell.strip().lower()).strip("_")


def _coordinates(path: Path, header: Sequence[str]) -> tuple[tuple[str, str, str], float]:
    """Return the columns of the position, and the sign that turns x and y into the scanner's."""
    for needed, others in MISNAMED.items():
        misnamed = [name for name in others if name in header]
        if misnamed and needed not in header:
            raise refuse_points(
                path,
                "columns",
                misnamed[0],
                f"{needed}, as in BIDS",
                f"rename {misnamed[0]} to {needed}, or remove it",
            )
    for names in RAS_COLUMNS:
        if set(names) <= set(header):
            return names, 1.0
    if set(LPS_COLUMNS) <= set(header):
        return LPS_COLUMNS, -1.0
    missing = [name for name in RAS_COLUMNS[0] if name not in header]
    raise refuse_points(
        path, "columns", ", ".join(header), "x_mm, y_mm, z_mm in scanner RAS+ mm",
        f"add {', '.join(missing)}; positions in voxels must be turned into mm by the image's affine first",
    )  # fmt: skip


def _point(
    path: Path, line: int, cells: Mapping[str, str], names: tuple[str, str, str], sign: float
) -> PointRow:
    """Return a row as a point."""
    x, y, z = (_number(path, line, name, cells[name]) for name in names)
    word = _known(cells.get("kind"))
    return PointRow(
        position_mm=(sign * x, sign * y, z),
        kind=None if word is None else read_kind(word, f"{path}, line {line}"),
        participant=_bare(cells.get("participant_id"), "sub-"),
        session=_bare(cells.get("session_id"), "ses-"),
    )


def _known(cell: str | None) -> str | None:
    return None if cell is None or cell.lower() in UNKNOWN else cell


def _bare(cell: str | None, prefix: str) -> str | None:
    known = _known(cell)
    return None if known is None else known.removeprefix(prefix)


def _number(path: Path, line: int, column: str, cell: str) -> float:
    """Return a coordinate, with a point or a comma for the decimals."""
    text = cell.replace("\u2212", "-")
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise refuse_points(
            path, f"line {line}, {column}", cell or "nothing", "a number in mm", "correct the table"
        )
    return value


def refuse_points(path: Path, field: str, found: object, expected: str, fix: str) -> InvalidInputError:
    return InvalidInputError("POINTS", path, field=field, found=found, expected=expected, fix=fix)
