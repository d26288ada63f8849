"""The burden of each scan as a row of a table with its interval drawn in it: a forest plot that is text as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from qsmcmb.io.entities import natural_key
from qsmcmb.reporting.burden_axis import BurdenAxis, field_name, field_style
from qsmcmb.reporting.page import interval_words, show

__all__ = ["ForestRow", "ForestTable", "burden_of", "burden_words", "forest_table", "session_name"]

WIDTH, INSET = 360.0, 8.0
"""Width of the drawing of a row and the margin within it, pixels."""
ENTITIES = {"acquisition": "acq", "reconstruction": "rec", "run": "run"}
"""Columns that tell scans of one session apart, with the entity that each is."""


class ForestRow(NamedTuple):
    """One scan of the table; lengths are pixels of its drawing.

    Parameters
    ----------
    subject, session : str
        Names.
    field : str
        Field strength in words.
    shape : str
        Shape of its marker.
    burden : str
        Burden with its interval.
    at : float
        Where the burden lies.
    ends : tuple of float or None
        Where its interval begins and ends.
    is_cut : bool
        Whether the interval goes on beyond the drawing.
    is_first : bool
        Whether it is the first of its subject.
    cells : list of str
        Further columns.

    Examples
    --------
    >>> ForestRow("sub-1", "ses-1", "3 T", "square", "4", 20.0, None, False, True, []).subject
    'sub-1'
    """

    subject: str
    session: str
    field: str
    shape: str
    burden: str
    at: float
    ends: tuple[float, float] | None
    is_cut: bool
    is_first: bool
    cells: list[str]


class ForestTable(NamedTuple):
    """All that the table needs.

    Parameters
    ----------
    rows : list of ForestRow
        Scans, those of a subject together, the subject with the largest burden first.
    ticks : list of tuple
        Where each named burden lies, and its name.
    fields : list of tuple
        Field strengths: marker, name and number of scans.
    width : float
        Width of the drawings, pixels.
    is_log : bool
        Whether the axis is logarithmic above 1 ppm mm3.

    Examples
    --------
    >>> forest_table([]).rows
    []
    """

    rows: list[ForestRow]
    ticks: list[tuple[float, str]]
    fields: list[tuple[str, str, int]]
    width: float
    is_log: bool


def forest_table(burdens: Sequence[Mapping[str, Any]]) -> ForestTable:
    """Return the rows of all scans with their drawings.

    Parameters
    ----------
    burdens : sequence of mapping
        Rows of the table of burdens.

    Returns
    -------
    ForestTable
        Rows, axis and legend.

    Examples
    --------
    >>> row = {"participant_id": "sub-1", "session_id": "ses-1", "burden_ppm_mm3": 4.0, "b0_tesla": 3.0}
    >>> table = forest_table([row])
    >>> table.rows[0].field, table.fields
    ('3 T', [('square', '3 T', 1)])
    """
    ends = [_interval(row) for row in burdens]
    axis = BurdenAxis.of((burden_of(row) for row in burdens), (end[1] for end in ends if end))
    subjects: dict[str, list[Mapping[str, Any]]] = {}
    for row in burdens:
        subjects.setdefault(str(row["participant_id"]), []).append(row)
    order = sorted(
        subjects, key=lambda name: (-median(burden_of(r) for r in subjects[name]), natural_key(name))
    )
    names = Counter(field_name(row.get("b0_tesla")) for row in burdens)
    return ForestTable(
        [_row(row, axis, is_first=n == 0) for name in order for n, row in enumerate(subjects[name])],
        [(_pixels(axis, tick), f"{tick:g}") for tick in axis.ticks],
        [(field_style(name).shape, name, names[name]) for name in sorted(names, key=natural_key)],
        WIDTH,
        axis.is_log,
    )


def session_name(row: Mapping[str, Any]) -> str:
    """Return the name of a scan within its subject.

    Parameters
    ----------
    row : mapping
        Row that begins with the names of a scan.

    Returns
    -------
    str
        Session, acquisition, reconstruction and run, those that it has.

    Examples
    --------
    >>> session_name({"session_id": "ses-1", "run": "2"}), session_name({})
    ('ses-1, run-2', 'n/a')
    """
    parts = [f"{entity}-{row[name]}" for name, entity in ENTITIES.items() if row.get(name)]
    return ", ".join([*([str(row["session_id"])] if row.get("session_id") else []), *parts]) or "n/a"


def burden_words(row: Mapping[str, Any]) -> str:
    """Return a burden with its 95 % interval.

    Parameters
    ----------
    row : mapping
        Row of the table of burdens.

    Returns
    -------
    str
        Numbers without their unit.

    Examples
    --------
    >>> burden_words({"burden_ppm_mm3": 48.0, "burden_low_ppm_mm3": 45.1, "burden_high_ppm_mm3": 51.0})
    '48.0 (45.1 to 51.0)'
    """
    return interval_words(row.get("burden_ppm_mm3"), *(_interval(row) or (None, None)))


def burden_of(row: Mapping[str, Any]) -> float:
    """Return the burden of a row as a number.

    Parameters
    ----------
    row : mapping
        Row of the table of burdens.

    Returns
    -------
    float
        Burden, ppm mm3; 0 without one.

    Examples
    --------
    >>> burden_of({"burden_ppm_mm3": None})
    0.0
    """
    return float(row.get("burden_ppm_mm3") or 0.0)


def _interval(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the interval of a burden; None where the record has none."""
    low, high = (row.get(f"burden_{end}_ppm_mm3") for end in ("low", "high"))
    return None if low is None or high is None else (float(low), float(high))


def _pixels(axis: BurdenAxis, burden: float) -> float:
    return round(INSET + (WIDTH - 2 * INSET) * axis.position(burden), 1)


def _row(row: Mapping[str, Any], axis: BurdenAxis, *, is_first: bool) -> ForestRow:
    """Return a scan's row."""
    interval, field, name = _interval(row), field_name(row.get("b0_tesla")), str(row["participant_id"])
    warnings = row.get("n_warnings")
    return ForestRow(
        subject=name,
        session=session_name(row),
        field=field,
        shape=field_style(field).shape,
        burden=burden_words(row),
        at=_pixels(axis, burden_of(row)),
        ends=(_pixels(axis, interval[0]), _pixels(axis, interval[1])) if interval else None,
        is_cut=bool(interval and interval[1] > axis.top),
        is_first=is_first,
        cells=[
            show(row.get("years"), 2), show(row.get("n_definite")), show(row.get("n_possible")),
            show(row.get("detection_limit_median_ppm_mm3")), show(warnings), str(row.get("pattern") or "n/a"),
        ],
    )  # fmt: skip
