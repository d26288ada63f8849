"""Lesions of two sessions of one subject: which is which, and what has changed beyond doubt."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import erfc

from qsmcmb.model import Estimate, Microbleed
from qsmcmb.typing import FloatArray

SAME_LESION_MM = 5.0
COVERAGE = 1.96

COLUMNS: dict[str, dict[str, Any]] = {
    "lesion": {"Description": "Number of the lesion, the same in all sessions of the subject"},
    "status": {
        "Description": "What the change says",
        "Levels": {
            "stable": "change within its detection limit",
            "incident": "not in the baseline, and the follow-up exceeds what the baseline allows there",
            "resolved": "not in the follow-up, and the baseline exceeds what the follow-up allows there",
            "increased": "change above its detection limit",
            "decreased": "change below the negative of its detection limit",
            "not_evaluable": "one session does not show the place",
        },
    },
    "baseline_session": {"Description": "Earlier session"},
    "followup_session": {"Description": "Later session"},
    "interval_years": {"Description": "Time between the sessions", "Units": "year"},
    "x_mm": {"Description": "Centre, scanner RAS+ of the baseline session", "Units": "mm"},
    "y_mm": {"Description": "Centre, scanner RAS+ of the baseline session", "Units": "mm"},
    "z_mm": {"Description": "Centre, scanner RAS+ of the baseline session", "Units": "mm"},
    "baseline_ppm_mm3": {"Description": "Total susceptibility at baseline", "Units": "ppm mm3"},
    "baseline_sd_ppm_mm3": {"Description": "Its standard deviation", "Units": "ppm mm3"},
    "followup_ppm_mm3": {"Description": "Total susceptibility at follow-up", "Units": "ppm mm3"},
    "followup_sd_ppm_mm3": {"Description": "Its standard deviation", "Units": "ppm mm3"},
    "change_ppm_mm3": {"Description": "Follow-up minus baseline", "Units": "ppm mm3"},
    "change_sd_ppm_mm3": {"Description": "Its standard deviation", "Units": "ppm mm3"},
    "change_percent": {"Description": "Change over the baseline", "Units": "%"},
    "mdc_ppm_mm3": {"Description": "Minimum detectable change, 1.96 SD of the change", "Units": "ppm mm3"},
    "p_value": {"Description": "Two-sided p value of no change"},
    "flags": {"Description": "What to know before using the row, separated by semicolons"},
}

Lookup = Callable[[FloatArray], Estimate | None]
"""What a session says about a place (its own scanner mm) where it has no lesion; None where it cannot say."""


class SessionLesions(NamedTuple):
    """A session as the matching sees it."""

    session: str
    lesions: Sequence[Microbleed]
    lookup: Lookup


@dataclass(frozen=True)
class Change:
    """One lesion over two sessions."""

    lesion: int
    status: str
    position_mm: tuple[float, float, float]
    baseline: Estimate | None
    followup: Estimate | None
    followup_label: int | None = None
    flags: tuple[str, ...] = ()

    @property
    def difference(self) -> Estimate | None:
        """Follow-up minus baseline."""
        if self.baseline is None or self.followup is None:
            return None
        sd = math.hypot(self.baseline.sd, self.followup.sd)
        return Estimate(self.followup.value - self.baseline.value, sd, self.baseline.unit)

    def row(self) -> dict[str, Any]:
        """Return the row of the longitudinal table, without the sessions."""
        x, y, z = self.position_mm
        row: dict[str, Any] = {
            "lesion": self.lesion, "status": self.status, "x_mm": x, "y_mm": y, "z_mm": z,
            "flags": ";".join(self.flags) or None,
        }  # fmt: skip
        for name, estimate in (("baseline", self.baseline), ("followup", self.followup)):
            if estimate is not None:
                row |= {f"{name}_ppm_mm3": estimate.value, f"{name}_sd_ppm_mm3": estimate.sd}
        change = self.difference
        if change is not None and self.baseline is not None:
            row |= {
                "change_ppm_mm3": change.value, "change_sd_ppm_mm3": change.sd, "mdc_ppm_mm3": COVERAGE * change.sd,
                "p_value": float(erfc(abs(change.value) / change.sd / math.sqrt(2))) if change.sd > 0 else None,
            }  # fmt: skip
            if self.status != "incident" and self.baseline.value != 0:
                row["change_percent"] = 100 * change.value / abs(self.baseline.value)
        return row


def compare_sessions(
    baseline: SessionLesions,
    followup: SessionLesions,
    to_followup: Callable[[FloatArray], FloatArray],
    to_baseline: Callable[[FloatArray], FloatArray],
    *,
    numbers: dict[int, int],
    first_free: int,
    max_distance_mm: float = SAME_LESION_MM,
) -> list[Change]:
    """Match the microbleeds of two sessions and judge each change against its own limit.

    Parameters
    ----------
    baseline, followup : SessionLesions
        Lesions, and what each session says about places without one.
    to_followup, to_baseline : callable
        Map points (n, 3) between the sessions' scanner coordinates.
    numbers : dict
        Subject-wide number of each baseline label, where it has one from earlier sessions.
    first_free : int
        Number of the next new lesion.
    max_distance_mm : float, optional
        Lesions further apart are different ones, mm.

    Returns
    -------
    list of Change
        Sorted by number. A lesion counts when it is definite, or from a reader, in one of the sessions.
    """
    before, after = _counted(baseline.lesions), _counted(followup.lesions)
    where = to_followup(_positions(before))
    pairs = match_points(where, _positions(after), max_distance_mm)
    partner = dict(pairs)
    changes = []
    for i, lesion in enumerate(before):
        other = after[partner[i]] if i in partner else None
        if not (_certain(lesion) or (other and _certain(other))):
            continue
        number = numbers.get(lesion.label)
        if number is None:
            number, first_free = first_free, first_free + 1
        if other:
            changes.append(_both(number, lesion, other))
        else:
            changes.append(_lost(number, lesion, followup.lookup(where[i])))
    taken = set(partner.values())
    places = to_baseline(_positions(after))
    for j, lesion in enumerate(after):
        if j not in taken and _certain(lesion):
            changes.append(_new(first_free, lesion, places[j], baseline.lookup(places[j])))
            first_free += 1
    return sorted(changes, key=lambda c: c.lesion)


def match_points(a: FloatArray, b: FloatArray, max_distance_mm: float) -> list[tuple[int, int]]:
    """Return the pairs (index in a, index in b) of least total distance, none further apart than the limit.

    Examples
    --------
    >>> match_points(np.zeros((1, 3)), np.array([[9.0, 0, 0], [1.0, 0, 0]]), 5.0)
    [(0, 1)]
    """
    if not len(a) or not len(b):
        return []
    distance = np.linalg.norm(a[:, None] - b[None], axis=2)
    # Beyond the limit all pairs cost the same: they never displace a true one.
    rows, columns = linear_sum_assignment(np.minimum(distance, max_distance_mm * 1.001))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if distance[i, j] <= max_distance_mm]


def _counted(lesions: Sequence[Microbleed]) -> list[Microbleed]:
    return [
        m for m in lesions
        if m.kind == "microbleed" and m.certainty != "rejected" and m.total_chi_ppm_mm3 is not None
    ]  # fmt: skip


def _certain(lesion: Microbleed) -> bool:
    return lesion.certainty == "definite" or lesion.source == "reader"


def _positions(lesions: Sequence[Microbleed]) -> FloatArray:
    return np.array([m.position_mm for m in lesions], dtype=float).reshape(-1, 3)


def _both(number: int, before: Microbleed, after: Microbleed) -> Change:
    flags = tuple(dict.fromkeys((*before.flags, *after.flags)))
    change = Change(
        number,
        "stable",
        before.position_mm,
        before.total_chi_ppm_mm3,
        after.total_chi_ppm_mm3,
        after.label,
        flags,
    )
    difference = change.difference
    assert difference is not None
    if abs(difference.value) <= COVERAGE * difference.sd:
        return change
    status = "increased" if difference.value > 0 else "decreased"
    return replace(change, status=status)


def _lost(number: int, before: Microbleed, there: Estimate | None) -> Change:
    flags = (*before.flags, "not-detected-in-followup")
    change = Change(number, "not_evaluable", before.position_mm, before.total_chi_ppm_mm3, there, None, flags)
    difference = change.difference
    if difference is None:
        return change
    gone = difference.value < -COVERAGE * difference.sd
    return replace(change, status="resolved" if gone else "stable")


def _new(number: int, after: Microbleed, place: FloatArray, there: Estimate | None) -> Change:
    position = (float(place[0]), float(place[1]), float(place[2]))
    flags = (*after.flags, "not-detected-in-baseline")
    change = Change(number, "not_evaluable", position, there, after.total_chi_ppm_mm3, after.label, flags)
    difference = change.difference
    if difference is None:
        return change
    new = difference.value > COVERAGE * difference.sd
    return replace(change, status="incident" if new else "stable")
