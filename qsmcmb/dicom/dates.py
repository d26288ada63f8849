"""Dates of imported scans: shifted for each participant, so that order and intervals stay and the day is not known."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

__all__: tuple[str, ...] = ()

LEAST_SHIFT_DAYS = 43_830
"""120 years: what is scanned before 2046 lies in 1925 or earlier, which BIDS takes as shifted."""
RANDOM_DAYS = 7_305
"""Days among which the rest of the shift is drawn: 20 years."""


def date_time_of(values: Mapping[str, Any]) -> str:
    """Return when a scan was acquired by its header, ISO 8601; empty where it is not stated, or is no date."""
    stamp = str(values.get("AcquisitionDateTime") or "")
    if not stamp:
        date = values.get("AcquisitionDate") or values.get("StudyDate") or ""
        stamp = f"{date}{values.get('AcquisitionTime') or values.get('StudyTime') or ''}"
    digits = re.match(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)", stamp)
    try:
        return (
            datetime.fromisoformat("{}-{}-{}T{}:{}:{}".format(*digits.groups())).isoformat() if digits else ""
        )
    except ValueError:
        # What is left of a date that was blanked.
        return ""


def shift_dates(acquired: Mapping[str, str]) -> dict[str, str]:
    """Return times of acquisition, by stem, each participant's shifted by whole days of its own; times of day stay.

    The shift is drawn anew each time and written nowhere: nobody can undo it, and a visit that is imported later has
    another one.
    """
    shifts: dict[str, timedelta] = {}
    shifted = {}
    for stem, when in acquired.items():
        participant = stem.partition("/")[0]
        if participant not in shifts:
            shifts[participant] = timedelta(days=LEAST_SHIFT_DAYS + secrets.randbelow(RANDOM_DAYS))
        shifted[stem] = (datetime.fromisoformat(when) - shifts[participant]).isoformat() if when else ""
    return shifted
