"""Lists of lesions that a reader gives: tables with TSV, CSV or semicolons, and point lists of 3D Slicer."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.markups import read_fcsv, read_markups
from qsmcmb.lesion import read_kind
from qsmcmb.typing import FloatArray

__all__ = (
    "PointList",
    "PointRow",
    "Points",
    "check_points_known",
    "read_point_list",
    "read_points",
    "select_points",
)

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


class Points(NamedTuple):
    """Points of one scan that a reader gives.

    Parameters
    ----------
    points_mm : ndarray of shape (n, 3)
        Scanner RAS+, mm.
    kinds : tuple of str or None
        Kind of each, e.g. ``microbleed``; None where not stated.
    notes : tuple of str, optional
        What was changed or noticed on reading.

    Examples
    --------
    >>> Points(np.zeros((1, 3)), ("microbleed",)).kinds
    ('microbleed',)
    """

    points_mm: FloatArray
    kinds: tuple[str | None, ...]
    notes: tuple[str, ...] = ()


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


def read_points(path: Path, *, participant: str | None = None, session: str | None = None) -> Points:
    """Read the points of one scan.

    Parameters
    ----------
    path : Path
        Table with x_mm, y_mm, z_mm and, optionally, participant_id, session_id, kind; or a list of 3D Slicer.
    participant : str, optional
        Label of the scan without `sub-`; rows that name another one are left out.
    session : str, optional
        Label of the scan without `ses-`; rows that name another one are left out.

    Returns
    -------
    Points
        The scan's points, in the table's order.

    Raises
    ------
    InvalidInputError
        POINTS for a list that cannot be read, or that names several scans where none is asked for.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.csv").write_text("x_mm;y_mm;z_mm;kind\\n1,5;2;3;CMB\\n")
    ...     points = read_points(Path(folder) / "a.csv")
    >>> points.points_mm.tolist(), points.kinds
    ([[1.5, 2.0, 3.0]], ('microbleed',))
    """
    found = read_point_list(path)
    if participant is None:
        named = sorted({_scan_name(row) for row in found.rows if row.participant or row.session})
        if len(named) > 1:
            raise _refuse(
                path, "participant_id, session_id", ", ".join(named), "points of one scan",
                "give a list of this scan alone, or use `qsmcmb run`",
            )  # fmt: skip
    return select_points(found, participant, session)


def select_points(found: PointList, participant: str | None, session: str | None) -> Points:
    """Return the points of one scan.

    Parameters
    ----------
    found : PointList
        Points of all scans.
    participant, session : str or None
        Labels of the scan; None for any.

    Returns
    -------
    Points
        Its points; a note where there is none.

    Examples
    --------
    >>> select_points(PointList(Path("a.tsv"), (PointRow((1.0, 2.0, 3.0)),), ()), "01", None).points_mm.tolist()
    [[1.0, 2.0, 3.0]]
    """
    mine = [
        row
        for row in found.rows
        if (participant is None or row.participant in (None, participant))
        and (session is None or row.session in (None, session))
    ]
    notes = found.notes if mine else (*found.notes, f"{found.path.name}: no point of this scan in the list")
    points = np.array([row.position_mm for row in mine], dtype=float).reshape(-1, 3)
    return Points(points, tuple(row.kind for row in mine), notes)


def check_points_known(
    found: PointList, known: Sequence[tuple[str, str | None]], measured: Collection[str]
) -> None:
    """Raise where a list names a participant or session that the data set lacks, or leaves open whose points it has.

    Parameters
    ----------
    found : PointList
        Points of all scans.
    known : sequence of (str, str or None)
        Participant and session of each folder of the data set.
    measured : collection of str
        Participants whose scans are measured.

    Raises
    ------
    InvalidInputError
        POINTS, with the labels that there are.

    Examples
    --------
    >>> rows = (PointRow((1.0, 2.0, 3.0), participant="01"),)
    >>> check_points_known(PointList(Path("a.tsv"), rows, ()), [("01", None)], ["01"])
    """
    for row in found.rows:
        if row.participant is None:
            if len(measured) > 1:
                raise _refuse(
                    found.path, "participant_id", "nothing", f"one of: {', '.join(sorted(measured))}",
                    "add the column participant_id, or choose one participant with --participant-label",
                )  # fmt: skip
            continue
        fits = [s for p, s in known if p == row.participant]
        if not fits or (row.session is not None and row.session not in fits):
            names = sorted(
                {_label(p, s) for p, s in known if p in (row.participant, *(() if fits else (p,)))}
            )
            raise _refuse(
                found.path, "participant_id, session_id", _scan_name(row), f"one of: {', '.join(names)}",
                f"correct the labels{_hint(row, known)}; n/a stands for every session",
            )  # fmt: skip


def _label(participant: str | None, session: str | None) -> str:
    return "/".join(
        [*([f"sub-{participant}"] if participant else []), *([f"ses-{session}"] if session else [])]
    )


def _scan_name(row: PointRow) -> str:
    return _label(row.participant, row.session) or "any scan"


def _hint(row: PointRow, known: Sequence[tuple[str, str | None]]) -> str:
    """Return a label that differs in leading zeros or case alone, which spreadsheets change."""

    def plain(label: str | None) -> str:
        return (label or "").lstrip("0").lower()

    alike = [
        _label(p, s)
        for p, s in known
        if plain(p) == plain(row.participant) and (row.session is None or plain(s) == plain(row.session))
    ]
    return f", perhaps to {alike[0]}" if alike else ""


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
        raise _refuse(path, "file", "no line", "a header line, then one line per lesion", "write the columns")
    first = lines[0][1]
    separator = next((s for s in "\t;," if s in first), None)
    header = [_plain_name(cell) for cell in _split(first, separator)]
    twice = [name for name, n in Counter(header).items() if n > 1 and name]
    if twice:
        raise _refuse(
            path, "columns", f"{twice[0]} twice", "each column once", "remove or rename one of them"
        )
    rows = []
    for n, line in lines[1:]:
        cells = _split(line, separator)
        if len(cells) < len(header) or any(cells[len(header) :]):
            raise _refuse(
                path, f"line {n}", f"{len(cells)} cells", f"{len(header)} as in the header",
                "correct the line; in a CSV with decimal commas, separate the columns by semicolons",
            )  # fmt: skip
        rows.append((n, dict(zip(header, cells, strict=False))))
    return header, rows


def _decode(path: Path) -> str:
    """Return the text of a file, UTF-8, or UTF-16 where its mark says so."""
    try:
        raw = path.read_bytes()
        return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _refuse(path, "file", error, "a table in UTF-8", "save the table as text in UTF-8") from error


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
            raise _refuse(
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
    raise _refuse(
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
        raise _refuse(
            path, f"line {line}, {column}", cell or "nothing", "a number in mm", "correct the table"
        )
    return value


def _refuse(path: Path, field: str, found: object, expected: str, fix: str) -> InvalidInputError:
    return InvalidInputError("POINTS", path, field=field, found=found, expected=expected, fix=fix)
