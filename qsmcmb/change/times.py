"""Times of scans that were written with time zones or without, true or shifted for privacy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from qsmcmb.io.bids import is_shifted

__all__ = ("YEAR_DAYS", "ZONES_APART", "are_half_shifted", "comparable_times", "have_mixed_zones")

YEAR_DAYS = 365.25
"""Mean length of a year, days."""
ZONES_APART = timedelta(hours=26)
"""Largest difference of two clocks on earth (UTC-12 and UTC+14)."""


def have_mixed_zones(times: Mapping[str, datetime]) -> bool:
    """Say whether some times state a zone and others none.

    Parameters
    ----------
    times : mapping of str to datetime
        Time by scan.

    Returns
    -------
    bool
        Whether differences of these times may be off by `ZONES_APART`.

    Examples
    --------
    >>> have_mixed_zones({"1": datetime(2021, 1, 1), "2": datetime(2021, 1, 2, tzinfo=UTC)})
    True
    """
    return len({time.tzinfo is None for time in times.values()}) > 1


def are_half_shifted(times: Mapping[str, datetime]) -> bool:
    """Say whether some times are shifted and others true: then no interval of them means anything.

    Parameters
    ----------
    times : mapping of str to datetime
        Time by scan.

    Returns
    -------
    bool
        Whether both kinds are there.

    Examples
    --------
    >>> are_half_shifted({"1": datetime(1905, 1, 10), "2": datetime(2021, 1, 1)})
    True
    """
    return len({is_shifted(time) for time in times.values()}) > 1


def comparable_times(times: Mapping[str, datetime]) -> dict[str, datetime]:
    """Return times that can be compared: in UTC where each states its zone, else as the clocks on the wall showed them.

    Parameters
    ----------
    times : mapping of str to datetime
        Time by scan, each with a zone or without.

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
