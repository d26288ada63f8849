"""Times of a subject's scans as years since the first."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from qsmcmb.change.times import YEAR_DAYS, ZONES_APART, are_half_shifted, comparable_times, have_mixed_zones

__all__ = ("acquisition_time", "add_years")


def acquisition_time(record: Mapping[str, Any]) -> datetime | None:
    """Return when a scan was taken.

    Parameters
    ----------
    record : mapping
        Burden record of the scan.

    Returns
    -------
    datetime or None
        None where nobody states it.

    Examples
    --------
    >>> acquisition_time({"AcquisitionTime": "2021-03-01T10:00:00"})
    datetime.datetime(2021, 3, 1, 10, 0)
    """
    time = record.get("AcquisitionTime")
    return datetime.fromisoformat(time) if time else None


def add_years(scans: Sequence[dict[str, Any]]) -> list[str]:
    """Replace the time of each scan by the years since the first; n/a where a time is missing or the order unknown.

    Parameters
    ----------
    scans : sequence of dict
        Rows of all scans of one subject, with `participant_id`, and `years` that holds the time or None.

    Returns
    -------
    list of str
        Messages on times that cannot be compared.

    Examples
    --------
    >>> rows = [{"participant_id": "sub-1", "years": datetime(2020 + n, 7, 1)} for n in range(2)]
    >>> add_years(rows), [round(row["years"], 2) for row in rows]
    ([], [0.0, 1.0])
    """
    messages = []
    times = {str(n): row["years"] for n, row in enumerate(scans) if row["years"]}
    clock = comparable_times(times)
    if have_mixed_zones(times):
        gaps = [late - early for early, late in itertools.pairwise(sorted(set(clock.values())))]
        is_ordered = all(gap > ZONES_APART for gap in gaps)
        so = "years may be off by 26 hours" if is_ordered else "their order is not known, no years are given"
        messages.append(
            f"{scans[0]['participant_id']}: acq_time states a time zone in some scans and none in others; {so}"
        )
        clock = clock if is_ordered else {}
    if are_half_shifted(times):
        messages.append(
            f"{scans[0]['participant_id']}: acq_time is shifted in some scans and true in others; no years are given"
        )
        clock = {}
    years = {n: (time - min(clock.values())) / timedelta(days=YEAR_DAYS) for n, time in clock.items()}
    for n, row in enumerate(scans):
        row["years"] = years.get(str(n)) if len(years) == len(scans) else None
    return messages
