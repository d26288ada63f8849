"""The answer at a glance on the page of a subject: what has changed, or what one visit shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from qsmcmb.change.flags import REJECTED_AT_BASELINE, REJECTED_AT_FOLLOWUP
from qsmcmb.reporting.page import counted

__all__ = ("STATUS_WORDS", "CourseLine", "course_line", "summary_lines", "verdict_lines")

STATUS_WORDS = {
    "incident": "new", "increased": "grown", "decreased": "shrunk", "resolved": "gone", "stable": "stable",
    "not_evaluable": "not evaluable",
}  # fmt: skip
"""Short word for each status, in the order in which they are counted."""


class CourseLine(NamedTuple):
    """Line that says how some sessions differ.

    Parameters
    ----------
    text : str
        The line.
    sessions : tuple of str
        Names of the sessions that it speaks of.

    Examples
    --------
    >>> CourseLine("2 visits, 1.5 years: 1 new", ("ses-1", "ses-2")).sessions
    ('ses-1', 'ses-2')
    """

    text: str
    sessions: tuple[str, ...]


def course_line(
    sessions: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, str | None]], entities: str = ""
) -> CourseLine | None:
    """Return what a table of change says: its last session against the first, and against the one before.

    Parameters
    ----------
    sessions : sequence of mapping
        `name` and `burden` of each session.
    rows : sequence of mapping
        Rows of the table.
    entities : str, optional
        Entities of the scans that it compares, as in their headings; empty for none.

    Returns
    -------
    CourseLine or None
        The line; None for a table without rows.

    Examples
    --------
    >>> sessions = [{"name": "ses-1", "burden": "31 (29 to 33)"}, {"name": "ses-2", "burden": "48 (45 to 51)"}]
    >>> row = {"status": "incident", "baseline_session": "ses-1", "followup_session": "ses-2", "interval_years": "1.5"}
    >>> course_line(sessions, [row]).text
    '2 visits, 1.5 years: 1 new; burden 31 (29 to 33) to 48 (45 to 51) ppm mm³ (95 %)'
    """
    pairs = list(dict.fromkeys(_pair(row) for row in rows))
    if not pairs:
        return None
    befores, afters = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    first = next((pair[0] for pair in pairs if pair[0] not in afters), pairs[0][0])
    last = next((pair[1] for pair in reversed(pairs) if pair[1] not in befores), pairs[-1][1])
    years = next(filter(None, (_years(row) for row in rows if _pair(row) == (first, last))), None)
    shown = [pair for pair in pairs if pair[1] == last]
    counts = [_counts([row for row in rows if _pair(row) == pair]) for pair in shown]
    if len(pairs) > 1:
        counts = [f"{a} to {b}: {words}" for (a, b), words in zip(shown, counts, strict=True)]
    names = {name: ", ".join(filter(None, [name, entities])) for pair in pairs for name in pair}
    burdens = {session["name"]: session["burden"] for session in sessions}
    ends = [burdens.get(names[name], "n/a") for name in (first, last)]
    head = f"{len(names)} visits, {years or 'time between them unknown'}"
    text = "; ".join([*counts, f"burden {ends[0]} to {ends[1]} ppm mm³ (95 %)"])
    return CourseLine(f"{entities + ', ' if entities else ''}{head}: {text}", tuple(names.values()))


def summary_lines(sessions: Sequence[Mapping[str, Any]], courses: Sequence[CourseLine]) -> list[str]:
    """Return one line for each set of scans that were compared, and one for each other scan.

    Parameters
    ----------
    sessions : sequence of mapping
        `name`, `burden`, `n_definite` and `n_possible` of each session.
    courses : sequence of CourseLine
        What has changed.

    Returns
    -------
    list of str
        Lines without a full stop.

    Examples
    --------
    >>> session = {"name": "ses-1", "burden": "31 (29 to 33)", "n_definite": 3, "n_possible": 0}
    >>> summary_lines([session], [])
    ['1 visit: 3 definite and 0 possible microbleeds; burden 31 (29 to 33) ppm mm³ (95 %)']
    """
    compared = {name for course in courses for name in course.sessions}
    single = [
        f"{'1 visit' if len(sessions) == 1 else session['name']}: {session['n_definite']} definite and "
        f"{session['n_possible']} possible microbleeds; burden {session['burden']} ppm mm³ (95 %)"
        for session in sessions
        if session["name"] not in compared
    ]
    return [*(course.text for course in courses), *single]


def verdict_lines(rows: Sequence[Mapping[str, str | None]]) -> list[str]:
    """Return a line for each lesion that a reader has rejected at one of two visits, and what that does to its change.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of the table of change.

    Returns
    -------
    list of str
        Lines, in the order of the rows.

    Examples
    --------
    >>> row = {"lesion": "3", "status": "not_evaluable", "flags": "rejected-in-followup"}
    >>> verdict_lines([{**row, "baseline_session": "ses-1", "followup_session": "ses-2"}])[0]
    'Lesion 3: rejected at ses-2 by a reader, present at ses-1: not counted as gone; the burden of ses-2 lacks it...'
    """
    lines = []
    for row in rows:
        flags, (before, after) = (row.get("flags") or "").split(";"), _pair(row)
        if REJECTED_AT_BASELINE in flags:
            rejected, held, word = before, after, "new"
        elif REJECTED_AT_FOLLOWUP in flags:
            rejected, held, word = after, before, "gone"
        else:
            continue
        start = f"Lesion {row.get('lesion')}: rejected at {rejected} by a reader, present at {held}: "
        if row.get("status") in ("incident", "resolved"):
            lines.append(
                f"{start}{word}, as the rejected candidate measures nothing. The verdict alone would not count."
            )
        else:
            lines.append(
                f"{start}not counted as {word}; the burden of {rejected} lacks it. Give it one verdict at all visits."
            )
    return lines


def _pair(row: Mapping[str, str | None]) -> tuple[str, str]:
    """Return the two sessions of a row."""
    return str(row.get("baseline_session")), str(row.get("followup_session"))


def _years(row: Mapping[str, str | None]) -> str:
    """Return the interval of a row in words; empty where it is unknown."""
    years = row.get("interval_years")
    return counted(float(years), "year") if years is not None else ""


def _counts(rows: Sequence[Mapping[str, str | None]]) -> str:
    """Return how many rows have each status."""
    found = Counter(str(row.get("status")) for row in rows)
    order = [*STATUS_WORDS, *sorted(found.keys() - STATUS_WORDS.keys())]
    return ", ".join(
        f"{found[status]} {STATUS_WORDS.get(status, status)}" for status in order if found[status]
    )
