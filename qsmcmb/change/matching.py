"""Lesions of two sessions of one subject: which is which, and which changes exceed what errors explain."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypedDict

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import erfc

from qsmcmb.io.records import ColumnDescription
from qsmcmb.lesion import Microbleed
from qsmcmb.model import Estimate
from qsmcmb.typing import FloatArray

__all__ = (
    "COLUMNS",
    "Change",
    "ChangeRow",
    "Lookup",
    "SessionLesions",
    "compare_sessions",
    "match_points",
    "without_order",
)

MAX_MATCH_DISTANCE_MM = 5.0
"""Largest distance of a lesion's positions in two registered sessions, mm: registration and fit err by less, and
lesions further apart are different ones.
"""
NORMAL_QUANTILE = 1.96
"""Quantile of the normal distribution that leaves 2.5 % above it: limits of change hold in 95 % of stable lesions."""

ORDER_UNKNOWN = "session-order-unknown"
"""Flag of a change between sessions without dates, which are taken in the order of their labels."""

COLUMNS: dict[str, ColumnDescription] = {
    "lesion": {"Description": "Number of the lesion, the same in all sessions of the subject"},
    "status": {
        "Description": "What the change means",
        "Levels": {
            "stable": "change within its detection limit",
            "incident": "not in the baseline, and the follow-up exceeds what the baseline allows there",
            "resolved": "not in the follow-up, and the baseline exceeds what the follow-up allows there",
            "increased": "change above its detection limit",
            "decreased": "change below the negative of its detection limit",
            "not_evaluable": "one session does not show the position, or nobody knows which session came first",
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
"""Columns of the longitudinal table, in order, with their descriptions."""

Lookup = Callable[[FloatArray], Estimate | None]
"""Function from a position (the session's own scanner mm) at which a session has no lesion to the total
susceptibility that it allows there; None where it cannot say.
"""


class SessionLesions(NamedTuple):
    """A session as the matching sees it.

    Parameters
    ----------
    session : str
        Label of the session.
    lesions : sequence of Microbleed
        Lesions in the session's scanner mm.
    lookup : callable
        Total susceptibility that the session allows at a position without a lesion, or None.

    Examples
    --------
    >>> SessionLesions("1", [], lambda position_mm: None).lesions
    []
    """

    session: str
    lesions: Sequence[Microbleed]
    lookup: Lookup


class ChangeRow(TypedDict, total=False):
    """A row of the longitudinal table, without the sessions; what is unknown is missing.

    Attributes
    ----------
    lesion : int
        Number of the lesion, the same in all sessions of the subject.
    status : str
        ``stable``, ``incident``, ``resolved``, ``increased``, ``decreased`` or ``not_evaluable``.
    x_mm : float
        Centre, scanner RAS+ of the baseline session, mm.
    y_mm : float
        Centre, scanner RAS+ of the baseline session, mm.
    z_mm : float
        Centre, scanner RAS+ of the baseline session, mm.
    baseline_ppm_mm3 : float
        Total susceptibility at baseline, ppm mm3.
    baseline_sd_ppm_mm3 : float
        Its standard deviation, ppm mm3.
    followup_ppm_mm3 : float
        Total susceptibility at follow-up, ppm mm3.
    followup_sd_ppm_mm3 : float
        Its standard deviation, ppm mm3.
    change_ppm_mm3 : float
        Follow-up minus baseline, ppm mm3.
    change_sd_ppm_mm3 : float
        Its standard deviation, ppm mm3.
    change_percent : float
        Change over the baseline, %.
    mdc_ppm_mm3 : float
        Minimum detectable change, ppm mm3.
    p_value : float or None
        Two-sided p value of no change.
    flags : str or None
        What to know before the row is used, separated by semicolons.

    Examples
    --------
    >>> ChangeRow(lesion=1, status="stable")["status"]
    'stable'
    """

    lesion: int
    status: str
    x_mm: float
    y_mm: float
    z_mm: float
    baseline_ppm_mm3: float
    baseline_sd_ppm_mm3: float
    followup_ppm_mm3: float
    followup_sd_ppm_mm3: float
    change_ppm_mm3: float
    change_sd_ppm_mm3: float
    change_percent: float
    mdc_ppm_mm3: float
    p_value: float | None
    flags: str | None


@dataclass(frozen=True)
class Change:
    """One lesion over two sessions.

    Parameters
    ----------
    lesion : int
        Number of the lesion, the same in all sessions of the subject.
    status : str
        ``stable``, ``incident``, ``resolved``, ``increased``, ``decreased`` or ``not_evaluable``.
    position_mm : tuple of float
        Centre, scanner RAS+ of the baseline session, mm.
    baseline : Estimate or None
        Total susceptibility at baseline, ppm mm3; None where it says nothing.
    followup : Estimate or None
        Total susceptibility at follow-up, ppm mm3; None where it says nothing.
    followup_label : int, optional
        Label of the lesion in the follow-up session; None where it has none there.
    flags : tuple of str, optional
        What to know before the row is used.

    Examples
    --------
    >>> before, after = Estimate(4.0, 0.3, "ppm mm3"), Estimate(5.0, 0.4, "ppm mm3")
    >>> change = Change(lesion=1, status="stable", position_mm=(0.0, 0.0, 0.0), baseline=before, followup=after)
    >>> str(change.difference)
    '1 +- 0.5 ppm mm3'
    """

    lesion: int
    status: str
    position_mm: tuple[float, float, float]
    baseline: Estimate | None
    followup: Estimate | None
    followup_label: int | None = None
    flags: tuple[str, ...] = ()

    @property
    def difference(self) -> Estimate | None:
        """Follow-up minus baseline, ppm mm3, errors taken as independent; None where one of them says nothing."""
        if self.baseline is None or self.followup is None:
            return None
        sd = math.hypot(self.baseline.sd, self.followup.sd)
        if math.isnan(sd):
            return None
        return Estimate(self.followup.value - self.baseline.value, sd, self.baseline.unit)

    def row(self) -> ChangeRow:
        """Return the row of the longitudinal table, without the sessions.

        The minimum detectable change is 1.96 SD of the change.

        Returns
        -------
        ChangeRow
            Column to value; what is unknown is missing.

        Examples
        --------
        >>> before, after = Estimate(4.0, 0.3, "ppm mm3"), Estimate(5.0, 0.4, "ppm mm3")
        >>> change = Change(lesion=1, status="stable", position_mm=(0.0, 0.0, 0.0), baseline=before, followup=after)
        >>> round(change.row()["mdc_ppm_mm3"], 2)
        0.98
        """
        x, y, z = self.position_mm
        row: ChangeRow = {
            "lesion": self.lesion, "status": self.status, "x_mm": x, "y_mm": y, "z_mm": z,
            "flags": ";".join(self.flags) or None,
        }  # fmt: skip
        if self.baseline is not None:
            row["baseline_ppm_mm3"] = self.baseline.value
            if not math.isnan(self.baseline.sd):
                row["baseline_sd_ppm_mm3"] = self.baseline.sd
        if self.followup is not None:
            row["followup_ppm_mm3"] = self.followup.value
            if not math.isnan(self.followup.sd):
                row["followup_sd_ppm_mm3"] = self.followup.sd
        change = self.difference
        if change is not None and self.baseline is not None:
            row["change_ppm_mm3"], row["change_sd_ppm_mm3"] = change.value, change.sd
            row["mdc_ppm_mm3"] = NORMAL_QUANTILE * change.sd
            row["p_value"] = (
                float(erfc(abs(change.value) / change.sd / math.sqrt(2))) if change.sd > 0 else None
            )
            if self.status != "incident" and self.baseline.value != 0:
                row["change_percent"] = 100 * change.value / abs(self.baseline.value)
        return row


def without_order(change: Change) -> Change:
    """Return a change between sessions of unknown order: whether a lesion came or went is not known.

    Parameters
    ----------
    change : Change
        Change in the order that was assumed.

    Returns
    -------
    Change
        Flag `session-order-unknown`; `incident` and `resolved` become `not_evaluable`.

    Examples
    --------
    >>> new = Change(lesion=1, status="incident", position_mm=(0.0, 0.0, 0.0), baseline=None, followup=None)
    >>> without_order(new).status, without_order(new).flags
    ('not_evaluable', ('session-order-unknown',))
    """
    status = "not_evaluable" if change.status in ("incident", "resolved") else change.status
    return replace(change, status=status, flags=(*change.flags, ORDER_UNKNOWN))


def compare_sessions(
    baseline: SessionLesions,
    followup: SessionLesions,
    to_followup: Callable[[FloatArray], FloatArray],
    to_baseline: Callable[[FloatArray], FloatArray],
    *,
    numbers: dict[int, int],
    first_free: int,
    max_distance_mm: float = MAX_MATCH_DISTANCE_MM,
) -> list[Change]:
    """Match the microbleeds of two sessions and judge each change against its own limit.

    A change counts where it exceeds 1.96 times its own SD; a lesion that one session lacks is compared with what that
    session allows at its position.

    Parameters
    ----------
    baseline : SessionLesions
        Earlier session.
    followup : SessionLesions
        Later session.
    to_followup : callable
        Map points (n, 3) from the baseline's scanner mm to the follow-up's.
    to_baseline : callable
        Map points (n, 3) from the follow-up's scanner mm to the baseline's.
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

    Examples
    --------
    >>> total = Estimate(4.0, 0.2, "ppm mm3")
    >>> lesion = Microbleed(label=1, position_mm=(0.0, 0.0, 0.0), certainty="definite", total_chi_ppm_mm3=total)
    >>> before, after = (SessionLesions(name, [lesion], lambda position_mm: None) for name in ("1", "2"))
    >>> [c.status for c in compare_sessions(before, after, lambda p: p, lambda p: p, numbers={}, first_free=1)]
    ['stable']
    """
    before, after = _counted(baseline.lesions), _counted(followup.lesions)
    before_mm = to_followup(_positions(before))
    pairs = match_points(before_mm, _positions(after), max_distance_mm)
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
            changes.append(_lost(number, lesion, followup.lookup(before_mm[i])))
    taken = set(partner.values())
    after_mm = to_baseline(_positions(after))
    for j, lesion in enumerate(after):
        if j not in taken and _certain(lesion):
            changes.append(_new(first_free, lesion, after_mm[j], baseline.lookup(after_mm[j])))
            first_free += 1
    return sorted(changes, key=lambda c: c.lesion)


def match_points(a: FloatArray, b: FloatArray, max_distance_mm: float) -> list[tuple[int, int]]:
    """Return the pairs of points of least total distance, none further apart than a limit.

    Parameters
    ----------
    a : ndarray of shape (n, 3)
        Points, mm.
    b : ndarray of shape (m, 3)
        Points, mm, in the same coordinates.
    max_distance_mm : float
        Largest distance of a pair, mm.

    Returns
    -------
    list of tuple of int
        Index in `a` and index in `b`.

    References
    ----------
    Crouse DF. On implementing 2D rectangular assignment algorithms. IEEE Trans Aerosp Electron Syst 2016;52:1679-1696.
    doi:10.1109/TAES.2016.140952

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
    """Return the microbleeds that were measured and not rejected."""
    return [
        m for m in lesions
        if m.kind == "microbleed" and m.certainty != "rejected" and m.total_chi_ppm_mm3 is not None
    ]  # fmt: skip


def _certain(lesion: Microbleed) -> bool:
    """Say whether a lesion is definite or a reader's."""
    return lesion.certainty == "definite" or lesion.source == "reader"


def _positions(lesions: Sequence[Microbleed]) -> FloatArray:
    """Return the positions of lesions, (n, 3), mm."""
    return np.array([m.position_mm for m in lesions], dtype=float).reshape(-1, 3)


def _both(number: int, before: Microbleed, after: Microbleed) -> Change:
    """Return the change of a lesion that both sessions hold."""
    flags = tuple(dict.fromkeys((*before.flags, *after.flags)))
    change = Change(
        lesion=number,
        status="stable",
        position_mm=before.position_mm,
        baseline=before.total_chi_ppm_mm3,
        followup=after.total_chi_ppm_mm3,
        followup_label=after.label,
        flags=flags,
    )
    difference = change.difference
    if difference is None:
        return replace(change, status="not_evaluable")
    if abs(difference.value) <= NORMAL_QUANTILE * difference.sd:
        return change
    status = "increased" if difference.value > 0 else "decreased"
    return replace(change, status=status)


def _lost(number: int, before: Microbleed, there: Estimate | None) -> Change:
    """Return the change of a lesion that the follow-up lacks."""
    flags = (*before.flags, "not-detected-in-followup")
    change = Change(
        lesion=number,
        status="not_evaluable",
        position_mm=before.position_mm,
        baseline=before.total_chi_ppm_mm3,
        followup=there,
        followup_label=None,
        flags=flags,
    )
    difference = change.difference
    if difference is None:
        return change
    gone = difference.value < -NORMAL_QUANTILE * difference.sd
    return replace(change, status="resolved" if gone else "stable")


def _new(number: int, after: Microbleed, position_mm: FloatArray, there: Estimate | None) -> Change:
    """Return the change of a lesion that the baseline lacks."""
    position = (float(position_mm[0]), float(position_mm[1]), float(position_mm[2]))
    flags = (*after.flags, "not-detected-in-baseline")
    change = Change(
        lesion=number,
        status="not_evaluable",
        position_mm=position,
        baseline=there,
        followup=after.total_chi_ppm_mm3,
        followup_label=after.label,
        flags=flags,
    )
    difference = change.difference
    if difference is None:
        return change
    new = difference.value > NORMAL_QUANTILE * difference.sd
    return replace(change, status="incident" if new else "stable")
