"""Order and times of a subject's sessions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from qsmcmb.change.times import (
    YEAR_DAYS,
    ZONES_APART,
    are_half_shifted,
    comparable_times,
    have_mixed_zones,
)
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.bids import LAST_SHIFTED_YEAR, TIME_FORM
from qsmcmb.io.entities import natural_key
from qsmcmb.io.results import SessionResults

__all__ = ("OrderedSessions", "order_sessions")


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
    mixed = have_mixed_zones(times)
    clock = comparable_times(times)
    warnings: tuple[str, ...] = ()
    if mixed:
        warnings = (
            f"{subject}: acq_time states a time zone in some sessions and none in others; intervals may be off by "
            "up to 26 hours. Write all with a zone, or all without",
        )
    half_shifted = are_half_shifted(times)
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
        f"into {subject}_sessions.tsv of the data set (session_id, acq_time as {TIME_FORM}), and run again",
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
            expected=f"date and time as {TIME_FORM}", fix="run the session again",
        ) from error  # fmt: skip
