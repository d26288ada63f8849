"""Points of one scan out of a reader's list."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qsmcmb.io.point_list import PointList, PointRow, read_point_list, refuse_points
from qsmcmb.typing import FloatArray

__all__ = ("Points", "check_points_known", "read_points", "select_points")


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
    of_every_session : bool, optional
        Whether a point names no session, though the scan has one.

    Examples
    --------
    >>> Points(np.zeros((1, 3)), ("microbleed",)).kinds
    ('microbleed',)
    """

    points_mm: FloatArray
    kinds: tuple[str | None, ...]
    notes: tuple[str, ...] = ()
    of_every_session: bool = False


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
            raise refuse_points(
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
    of_every_session = session is not None and any(row.session is None for row in mine)
    return Points(points, tuple(row.kind for row in mine), notes, of_every_session)


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
                raise refuse_points(
                    found.path, "participant_id", "nothing", f"one of: {', '.join(sorted(measured))}",
                    "add the column participant_id, or choose one participant with --participant-label",
                )  # fmt: skip
            continue
        fits = [s for p, s in known if p == row.participant]
        if not fits or (row.session is not None and row.session not in fits):
            names = sorted(
                {_label(p, s) for p, s in known if p in (row.participant, *(() if fits else (p,)))}
            )
            raise refuse_points(
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
