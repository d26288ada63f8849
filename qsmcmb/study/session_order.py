"""Order and times of a subject's sessions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.bids import LAST_SHIFTED_YEAR
from qsmcmb.io.entities import natural_key
from qsmcmb.io.results import SessionResults

__all__ = ("OrderedSessions", "comparable_times", "order_sessions")

YEAR_DAYS = 365.25
"""Mean length of a year, days."""
ZONES_APART = timedelta(hours=26)
"""Largest difference of two clocks on earth (UTC-12 and UTC+14)."""


class OrderedSessions(NamedTuple):
    """Sessions in order.

    Parameters
    ----------
    sessions : list of SessionResults
        Sessions, the earliest first; by label where the times do not say.
    years : list of float or None
        Time since the first, years; None where the times do not say.
    warnings : tuple of str
        Messages to the user.

    Examples
    --------
    >>> OrderedSessions([], None, ()).years is None
    True
    """

    sessions: list[SessionResults]
    years: list[float] | None
    warnings: tuple[str, ...]


def order_sessions(sessions: Sequence[SessionResults]) -> OrderedSessions:
    """Return the sessions by acquisition time; without times by label, and a warning.

    Parameters
    ----------
    sessions : sequence of SessionResults
        Scans of a participant, one of each session.

    Returns
    -------
    OrderedSessions
        Sessions in order, with times where all have one of its own.

    Raises
    ------
    InvalidInputError
        RESULT: a time that is none.

    Examples
    --------
    >>> order_sessions([]).sessions
    []
    """
    subject = f"sub-{sessions[0].participant}" if sessions else ""
    stated = {s.session: _time_of(s) for s in sessions}
    times = {name: time for name, time in stated.items() if time is not None}
    mixed = len({time.tzinfo is None for time in times.values()}) > 1
    clock = comparable_times(times)
    warnings: tuple[str, ...] = ()
    if mixed:
        warnings = (
            f"{subject}: acq_time states a time zone in some sessions and none in others; intervals may be off by "
            "up to 26 hours. Write all with a zone, or all without",
        )
    half_shifted = len({time.year <= LAST_SHIFTED_YEAR for time in clock.values()}) > 1
    if half_shifted:
        warnings += (
            f"{subject}: acq_time is shifted (up to {LAST_SHIFTED_YEAR}) in some sessions and true in others. Write "
            "all shifted by the same days, or all true",
        )
    gaps = [late - early for early, late in itertools.pairwise(sorted(clock.values()))]
    certain = (
        len(clock) == len(sessions)
        and not half_shifted
        and all(gap > (ZONES_APART if mixed else timedelta(0)) for gap in gaps)
    )
    if certain:
        ordered = sorted(sessions, key=lambda s: clock[s.session])
        first = clock[ordered[0].session] if ordered else None
        years = [(clock[s.session] - first).total_seconds() / 86400 / YEAR_DAYS for s in ordered if first]
        return OrderedSessions(ordered, years, warnings)
    warnings += (
        f"{subject}: no acq_time of its own for every session in sessions.tsv or scans.tsv; sessions are in the order "
        "of their labels, nothing is called new, gone, grown or shrunk, and no change a year is given. Write the times "
        f"into {subject}_sessions.tsv of the data set (session_id, acq_time), and run again",
    )
    return OrderedSessions(sorted(sessions, key=lambda s: natural_key(s.session)), None, warnings)


def _time_of(session: SessionResults) -> datetime | None:
    """Return when a session was acquired; None where its record does not say."""
    stated = session.record("desc-cmb_burden").get("AcquisitionTime")
    if not stated:
        return None
    try:
        return datetime.fromisoformat(stated)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            "RESULT", session.place.path("desc-cmb_burden.json"), field="AcquisitionTime", found=repr(stated),
            expected="date and time as 2020-05-04T10:00:00", fix="run the session again",
        ) from error  # fmt: skip


def comparable_times(times: dict[str, datetime]) -> dict[str, datetime]:
    """Return times that can be compared: in UTC where each states its zone, else as the clocks on the wall showed them.

    Parameters
    ----------
    times : dict of str to datetime
        Time by session, each with a zone or without.

    Returns
    -------
    dict of str to datetime
        The same without zones.

    Examples
    --------
    >>> early, late = datetime(2021, 1, 1, 10), datetime(2021, 1, 2, 9, tzinfo=UTC)
    >>> [time.isoformat() for time in comparable_times({"1": early, "2": late}).values()]
    ['2021-01-01T10:00:00', '2021-01-02T09:00:00']
    """
    if all(time.tzinfo for time in times.values()):
        times = {session: time.astimezone(UTC) for session, time in times.items()}
    return {session: time.replace(tzinfo=None) for session, time in times.items()}
