"""Lesions of two sessions of one subject: which is which, and which changes exceed what errors explain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from qsmcmb.change.records import NORMAL_QUANTILE, Change
from qsmcmb.lesion import Microbleed
from qsmcmb.model import Estimate
from qsmcmb.typing import FloatArray

__all__ = ("Lookup", "SessionLesions", "compare_sessions", "match_points")

MAX_MATCH_DISTANCE_MM = 5.0
"""Largest distance of a lesion's positions in two registered sessions, mm: registration and fit err by less, and
lesions further apart are different ones.
"""
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
