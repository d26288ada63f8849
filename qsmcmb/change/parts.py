"""Lesions that are one in one session and two in another: a split or a merger, compared by the sum of the parts.

Two lesions b and c of one session are parts of a lesion a of another where they lie within its body, where their common
centre, weighted by their totals, is that of a, and where their sum explains a's total better than either part alone:

    |M_a - M_b - M_c| / s  <  min(|M_a - M_b|, |M_a - M_c|) / s.

The parts may differ in sign: a fit of one large void may be that of a positive and a negative source. Then their common
centre says nothing, and both must lie within the body.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.change.linking import GATE_SD, LocatedLesion

__all__ = ("Body", "join_parts")

LEAST_REACH_MM = 5.0
"""Distance up to which two lesions may be parts of a small one, mm: closer ones a detector hardly tells apart."""
RELATIVE_SD = 0.05
"""Error of a sum of parts, as a fraction of the whole: each part's fit takes the other for background."""
MAX_Z = 3.0
"""Largest difference of a sum from the whole, in SDs."""


class Body(NamedTuple):
    """A lesion with its size.

    Parameters
    ----------
    located : LocatedLesion
        Session, position and total.
    total_sd_ppm_mm3 : float
        SD of the total, ppm mm3.
    diameter_mm : float
        Visible diameter, mm; 0 where unknown.

    Examples
    --------
    >>> Body(LocatedLesion(0, np.zeros(3), 4.0, 0.4), 0.1, 3.0).diameter_mm
    3.0
    """

    located: LocatedLesion
    total_sd_ppm_mm3: float
    diameter_mm: float


def join_parts(bodies: Sequence[Body], groups: Sequence[Sequence[int]]) -> list[list[int]]:
    """Join groups whose lesions are parts of one lesion in another session.

    Parameters
    ----------
    bodies : sequence of Body
        Lesions of all sessions.
    groups : sequence of sequence of int
        Groups as `link_lesions` returns them.

    Returns
    -------
    list of list of int
        Groups; one may hold two lesions or more of a session.

    Examples
    --------
    >>> def body(session, x, total):
    ...     return Body(LocatedLesion(session, np.array([x, 0.0, 0.0]), total, 0.4), 0.1, 4.0)
    >>> join_parts([body(0, 0.0, 6.0), body(1, -2.0, 3.1), body(1, 2.0, 2.9)], [[0], [1], [2]])
    [[0, 1, 2]]
    """
    group = {i: g for g, members in enumerate(groups) for i in members}
    found: list[tuple[float, int, int, int]] = []
    for b, c in itertools.combinations(range(len(bodies)), 2):
        if bodies[b].located.session != bodies[c].located.session or group[b] == group[c]:
            continue
        for a in range(len(bodies)):
            z = _misfit(bodies, a, b, c)
            if z is not None and _may_join(bodies, groups, group, (a, b, c)):
                found.append((z, a, b, c))
    for _, *three in sorted(found):
        joined = {group[i] for i in three}
        group = {i: min(joined) if g in joined else g for i, g in group.items()}
    return [sorted(i for i in group if group[i] == g) for g in sorted(set(group.values()))]


def _misfit(bodies: Sequence[Body], a: int, b: int, c: int) -> float | None:
    """Return how far the sum of b and c is from a, in SDs; None where they are no parts of it."""
    whole, one, two = bodies[a], bodies[b], bodies[c]
    if whole.located.session == one.located.session:
        return None
    reach = max(whole.diameter_mm, LEAST_REACH_MM)
    centres = [np.asarray(x.located.position_mm) for x in (whole, one, two)]
    apart = [float(np.linalg.norm(p - q)) for p, q in itertools.combinations(centres, 2)]
    if max(apart) > reach:
        return None
    totals = [x.located.total_ppm_mm3 for x in (whole, one, two)]
    total = totals[1] + totals[2]
    if total * totals[0] <= 0:
        return None
    near = max(GATE_SD * np.hypot(whole.located.sd_mm, one.located.sd_mm), whole.diameter_mm / 2)
    centre = (totals[1] * centres[1] + totals[2] * centres[2]) / total
    # Of parts of both signs the common centre is anywhere: both must lie in the body.
    off = float(np.linalg.norm(centre - centres[0])) if totals[1] * totals[2] > 0 else max(apart[:2])
    if off > near:
        return None
    sd = float(
        np.sqrt(sum(x.total_sd_ppm_mm3**2 for x in (whole, one, two)) + (RELATIVE_SD * totals[0]) ** 2)
    )
    z = abs(totals[0] - total) / sd
    alone = min(abs(totals[0] - totals[1]), abs(totals[0] - totals[2])) / sd
    return z if z < min(alone, MAX_Z) else None


def _may_join(
    bodies: Sequence[Body],
    groups: Sequence[Sequence[int]],
    group: dict[int, int],
    three: tuple[int, int, int],
) -> bool:
    """Say whether the whole is matched with one of the parts or none, and the other part with nothing beside it."""
    a, b, c = three
    session_a, session_b = bodies[a].located.session, bodies[b].located.session
    sessions = {g: {bodies[i].located.session for i in groups[g]} for g in {group[a], group[b], group[c]}}
    if group[a] in (group[b], group[c]):
        other = group[c] if group[a] == group[b] else group[b]
        return session_a not in sessions[other]
    return session_b not in sessions[group[a]] and not any(
        session_a in sessions[g] for g in (group[b], group[c])
    )
