"""The same lesion in all sessions: its position in each, its course, and pictures side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.tables import read_tsv
from qsmcmb.lesion import Microbleed
from qsmcmb.reporting.page import show

__all__ = ["CHANGED", "Course", "number_lesions", "read_courses"]

SNAP_MM = 3.0
"""Distance up to which a position that was carried over from another session is taken for a lesion's own, mm."""
MATCH_MM = 10.0
"""The same for a lesion with the total susceptibility of the longitudinal table: a registration may be mm off."""
CHANGED = ("incident", "resolved", "increased", "decreased")
"""Statuses of a lesion that has changed."""


@dataclass
class Course:
    """One lesion over the sessions.

    Parameters
    ----------
    number : str
        Number of the lesion in the longitudinal table.
    points_mm : dict of str to ndarray, optional
        Position by session, scanner RAS+ mm of each.
    totals : dict of str to str, optional
        Total susceptibility with its SD by session, as text.
    labels : dict of str to str, optional
        Label of the lesion in the session's own table by session, as text; empty beside tables of an earlier version.
    changes : list of str, optional
        Each change with its minimum detectable change, as text.

    Examples
    --------
    >>> Course("3").points_mm
    {}
    """

    number: str
    points_mm: dict[str, Any] = field(default_factory=dict)
    totals: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def has_changed(self) -> bool:
        """Whether it is new, gone, grown or shrunk between any two sessions."""
        return any(f": {status}" in change for change in self.changes for status in CHANGED)

    changes: list[str] = field(default_factory=list)


def read_courses(table: Path, entities: str, lesions: Mapping[str, Sequence[Microbleed]]) -> list[Course]:
    """Return the lesions of a longitudinal table over the sessions.

    Parameters
    ----------
    table : Path
        Longitudinal table; its JSON beside it holds the transforms between sessions.
    entities : str
        Entities of the scans that it compares, as in their headings; empty for none.
    lesions : mapping of str to sequence of Microbleed
        Lesion table by the heading of each session.

    Returns
    -------
    list of Course
        Lesions in the table's order.

    Raises
    ------
    InvalidInputError
        The table is damaged.

    Examples
    --------
    >>> read_courses(Path("sub-01_desc-cmb_longitudinal.tsv"), "", {})  # doctest: +SKIP
    """
    sidecar = table.with_suffix(".json")
    steps = read_sidecar(sidecar).get("Steps", {}) if sidecar.exists() else {}
    transforms = steps.get("longitudinal", {}).get("transforms", {})
    courses: dict[str, Course] = {}
    for row in read_tsv(table):
        number = str(row.get("lesion"))
        course = courses.setdefault(number, Course(number))
        before, after = str(row.get("baseline_session")), str(row.get("followup_session"))
        names = [", ".join(filter(None, [name, entities])) for name in (before, after)]
        for name, end in zip(names, ("baseline", "followup"), strict=True):
            if row.get(f"{end}_ppm_mm3") is not None:
                total, sd = (_number(row.get(f"{end}{part}_ppm_mm3")) for part in ("", "_sd"))
                course.totals[name] = f"{total} ± {sd}"
        course.changes.append(_change(row, before, after))
        position = [row.get(f"{axis}_mm") for axis in "xyz"]
        if None in position:
            continue
        at = np.array([float(str(p)) for p in position])
        # The table's own position goes before one that was carried over.
        course.points_mm[names[0]] = at
        matrix = transforms.get(f"{before} to {after}", {}).get("matrix")
        if matrix is not None:
            carried = (np.array(matrix) @ [*at, 1.0])[:3]
            rows = lesions.get(names[1], ())
            stated = row.get("followup_ppm_mm3")
            same = [m for m in rows if stated is not None and _has_total(m, float(stated))]
            found = _nearest(carried, same, MATCH_MM) if same else _nearest(carried, rows, SNAP_MM)
            course.points_mm.setdefault(names[1], found)
    path = table.with_name(table.name.replace("_desc-cmb_longitudinal", "_desc-cmb_course"))
    for row in read_tsv(path) if path.exists() else []:
        if str(row["lesion"]) in courses:
            courses[str(row["lesion"])].labels[str(row["session_id"])] = _label(
                row["labels"], row.get("origin")
            )
    return list(courses.values())


def number_lesions(
    courses: Sequence[Course], lesions: Mapping[str, Sequence[Microbleed]]
) -> dict[tuple[str, int], str]:
    """Return the number of each lesion in the longitudinal table by session and label.

    Parameters
    ----------
    courses : sequence of Course
        Lesions over the sessions.
    lesions : mapping of str to sequence of Microbleed
        Lesion table by session.

    Returns
    -------
    dict of (str, int) to str
        Number by session and label; lesions that the table does not hold are missing.

    Examples
    --------
    >>> course = Course("7", points_mm={"ses-1": np.zeros(3)})
    >>> number_lesions([course], {"ses-1": [Microbleed(2, (0.0, 0.0, 0.1))]})
    {('ses-1', 2): '7'}
    """
    numbers: dict[tuple[str, int], str] = {}
    for course in courses:
        for session, at in course.points_mm.items():
            rows = lesions.get(session, ())
            distances = [float(np.linalg.norm(np.array(m.position_mm) - at)) for m in rows]
            if distances and min(distances) < SNAP_MM:
                numbers.setdefault((session, rows[int(np.argmin(distances))].label), course.number)
    return numbers


def _has_total(lesion: Microbleed, total_ppm_mm3: float) -> bool:
    """Return whether a lesion has the number that the longitudinal table took from its row."""
    found = lesion.total_chi_ppm_mm3
    return found is not None and math.isclose(found.value, total_ppm_mm3, rel_tol=1e-4)


def _nearest(at: Any, lesions: Sequence[Microbleed], max_mm: float) -> Any:
    """Return the position of the lesion that a carried position means, or the position itself."""
    positions = np.array([m.position_mm for m in lesions]).reshape(-1, 3)
    distances = np.linalg.norm(positions - at, axis=1)
    return positions[distances.argmin()] if distances.size and distances.min() < max_mm else at


def _change(row: Mapping[str, str | None], before: str, after: str) -> str:
    """Return a change with its unit, percent, limit and the probability of its status."""
    percent, probability = (_number(row.get(name)) for name in ("change_percent", "status_probability"))
    share = "" if percent == "n/a" else f" ({percent} %)"
    return (
        f"{before} to {after}: {row.get('status')} (probability {probability}), change "
        f"{_number(row.get('change_ppm_mm3'))} ppm mm³{share}, minimum detectable change "
        f"{_number(row.get('mdc_ppm_mm3'))} ppm mm³"
    )


def _label(labels: str | None, origin: str | None) -> str:
    """Return the rows of a session's lesion table that are a lesion, in words."""
    words = "no lesion of its table" if labels is None else f"label {labels}"
    return f"{words} (rejected by a reader)" if origin == "rejected" else words


def _number(value: str | None) -> str:
    """Return a cell of the table with three digits."""
    try:
        return show(float(value)) if value is not None else "n/a"
    except ValueError:
        return str(value)
