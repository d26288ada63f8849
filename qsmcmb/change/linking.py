"""Which lesions of a subject's sessions are one: matched over all sessions at once.

Lesions lie in the mid-space of the sessions. A group holds at most one lesion of each session, and its cost is the sum
over its pairs of

    d^2 / s^2 - g^2,     s^2 = e_i^2 + e_j^2 + p_i^2 + p_j^2

with distance d, errors e of the registration and p of the position, all per axis, and gate g. Of all ways to group the
lesions the one of least total cost is taken, an integer program with a variable x for each pair that may belong
together; x_ij + x_jk - x_ik <= 1 makes pairs groups. Two lesions that differ in sign are never one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from qsmcmb.typing import FloatArray

__all__ = ("GATE_SD", "LocatedLesion", "link_lesions", "position_sd_mm")

GATE_SD = 3.4
"""Distance, in SDs, from which two lesions are rather different ones: 99 % of one lesion's positions are nearer."""
REACH = 2.0
"""Distance, in gates, up to which two lesions of one group may lie: each is near to a third."""
FIT_SD_MM = 0.25
"""Error of a strong lesion's fitted position in real tissue, mm per axis."""
NOISE_SD_MM = 1.5
"""Error of the position of a lesion whose total susceptibility is as large as its SD, mm per axis."""
MAX_NOISE_SD_MM = 1.0
"""Largest error of a position by noise, mm per axis: further off a fit does not go."""
SIZE_SD = 0.08
"""Error of the position by growth on one side, as a fraction of the visible diameter, per axis."""


class LocatedLesion(NamedTuple):
    """A lesion as the matching sees it.

    Parameters
    ----------
    session : int
        Number of the session.
    position_mm : ndarray of shape (3,)
        Position in mid-space, mm.
    total_ppm_mm3 : float
        Total susceptibility, ppm mm3; its sign counts.
    sd_mm : float
        Error of the position in mid-space, mm per axis: registration and fit.

    Examples
    --------
    >>> LocatedLesion(0, np.zeros(3), 4.0, 0.4).sd_mm
    0.4
    """

    session: int
    position_mm: FloatArray
    total_ppm_mm3: float
    sd_mm: float


def position_sd_mm(
    total_ppm_mm3: float, total_sd_ppm_mm3: float, *, diameter_mm: float, registration_mm: float
) -> float:
    """Return the error of a lesion's position in mid-space.

    Parameters
    ----------
    total_ppm_mm3, total_sd_ppm_mm3 : float
        Total susceptibility and its SD, ppm mm3.
    diameter_mm : float
        Visible diameter, mm; 0 where unknown.
    registration_mm : float
        Error of the session's registration, mm (rms of the distance).

    Returns
    -------
    float
        SD per axis, mm.

    Examples
    --------
    >>> round(position_sd_mm(4.0, 0.2, diameter_mm=4.0, registration_mm=0.5), 2)
    0.5
    """
    noise = min(NOISE_SD_MM * total_sd_ppm_mm3 / max(abs(total_ppm_mm3), 1e-9), MAX_NOISE_SD_MM)
    parts = (FIT_SD_MM, noise, SIZE_SD * diameter_mm, registration_mm / 3**0.5)
    return float(np.sqrt(np.sum(np.square(parts))))


def link_lesions(lesions: Sequence[LocatedLesion], *, gate_sd: float = GATE_SD) -> list[list[int]]:
    """Group the lesions of all sessions of a subject.

    Parameters
    ----------
    lesions : sequence of LocatedLesion
        Lesions of all sessions.
    gate_sd : float, optional
        Distance, in SDs, from which two lesions are rather different ones.

    Returns
    -------
    list of list of int
        Groups, each at most one lesion of a session; every lesion is in one group. Sorted by their first lesion.

    Notes
    -----
    The minimum is that of all groupings, solved exactly. Groups that share no pair within reach are solved apart.

    References
    ----------
    Groetschel M, Wakabayashi Y. A cutting plane algorithm for a clustering problem. Math Program 1989;45:59-96.
    doi:10.1007/BF01589097

    Examples
    --------
    >>> points = [(0, 0.0), (0, 5.0), (1, 0.3), (1, 5.2), (2, 4.9)]
    >>> link_lesions([LocatedLesion(s, np.array([x, 0.0, 0.0]), 2.0, 0.4) for s, x in points])
    [[0, 2], [1, 3, 4]]
    """
    pairs, costs = _pairs(lesions, gate_sd)
    n = len(lesions)
    if not pairs:
        return [[i] for i in range(n)]
    ends = np.array(pairs)
    graph = coo_matrix((np.ones(len(pairs)), (ends[:, 0], ends[:, 1])), shape=(n, n))
    part = connected_components(graph, directed=False)[1]
    joined: list[tuple[int, int]] = []
    for label in np.unique(part[ends[:, 0]]):
        own = np.flatnonzero(part[ends[:, 0]] == label)
        joined += _solve([pairs[k] for k in own], costs[own])
    group = list(range(n))
    for i, j in joined:
        a, b = group[i], group[j]
        group = [min(a, b) if g in (a, b) else g for g in group]
    return [[i for i in range(n) if group[i] == g] for g in sorted(set(group))]


def attach_lesions(
    groups: Sequence[Sequence[LocatedLesion]], lesions: Sequence[LocatedLesion], *, gate_sd: float = GATE_SD
) -> dict[int, int]:
    """Find the group that each of some further lesions belongs to; the groups stay as they are.

    Parameters
    ----------
    groups : sequence of sequence of LocatedLesion
        Lesions of each group.
    lesions : sequence of LocatedLesion
        Further lesions.
    gate_sd : float, optional
        Distance, in SDs, from which two lesions are rather different ones.

    Returns
    -------
    dict of int to int
        Number of the group by number of the lesion, nearest pairs first: a group takes at most one lesion of a session
        that it lacks.

    Examples
    --------
    >>> group = [LocatedLesion(0, np.zeros(3), 4.0, 0.4)]
    >>> attach_lesions([group], [LocatedLesion(1, np.array([x, 0.0, 0.0]), 4.0, 0.4) for x in (0.8, 0.2, 9.0)])
    {1: 0}
    """
    members = [m for group in groups for m in group]
    of_group = [g for g, group in enumerate(groups) for _ in group]
    pairs, costs = _pairs([*members, *lesions], gate_sd)
    holds = [{m.session for m in group} for group in groups]
    found: dict[int, int] = {}
    for k in np.argsort(costs, kind="stable"):
        i, j = pairs[k][0], pairs[k][1] - len(members)
        if costs[k] >= 0 or i >= len(members) or j < 0 or j in found:
            continue
        session, group = lesions[j].session, of_group[i]
        if session not in holds[group]:
            found[j] = group
            holds[group].add(session)
    return found


def _pairs(lesions: Sequence[LocatedLesion], gate_sd: float) -> tuple[list[tuple[int, int]], FloatArray]:
    """Return the pairs that may belong together, and the cost of each."""
    if len(lesions) < 2:
        return [], np.zeros(0)
    session = np.array([m.session for m in lesions])
    points = np.array([m.position_mm for m in lesions])
    sign = np.sign([m.total_ppm_mm3 for m in lesions])
    variance = np.array([m.sd_mm for m in lesions]) ** 2
    squared = ((points[:, None] - points[None]) ** 2).sum(axis=-1) / (variance[:, None] + variance[None])
    may = (session[:, None] != session[None]) & (sign[:, None] * sign[None] >= 0)
    may &= squared <= (REACH * gate_sd) ** 2
    found = [(int(i), int(j)) for i, j in np.argwhere(np.triu(may, 1))]
    return found, np.array([squared[i, j] - gate_sd**2 for i, j in found])


def _solve(pairs: Sequence[tuple[int, int]], costs: FloatArray) -> list[tuple[int, int]]:
    """Return the pairs of the grouping of least cost."""
    number = {pair: k for k, pair in enumerate(pairs)}
    near: dict[int, set[int]] = {}
    for i, j in pairs:
        near.setdefault(i, set()).add(j)
        near.setdefault(j, set()).add(i)
    rows: list[tuple[int, int, int | None]] = []
    for middle, others in near.items():
        for a, b in itertools.combinations(sorted(others), 2):
            one, two = number[_ordered(a, middle)], number[_ordered(b, middle)]
            # A pair that may not be joined is none: then one of the other two at most.
            rows.append((one, two, number.get((a, b))))
    if not rows:
        return [pair for pair, cost in zip(pairs, costs, strict=True) if cost < 0]
    line, column, value = [], [], []
    for r, (one, two, third) in enumerate(rows):
        for k, v in ((one, 1.0), (two, 1.0), *(((third, -1.0),) if third is not None else ())):
            line.append(r)
            column.append(k)
            value.append(v)
    matrix = coo_matrix((value, (line, column)), shape=(len(rows), len(pairs))).tocsr()
    found = milp(
        costs, integrality=np.ones(len(pairs)), bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix, -np.inf, 1.0),
    )  # fmt: skip
    return [pair for pair, x in zip(pairs, found.x, strict=True) if x > 0.5]


def _ordered(i: int, j: int) -> tuple[int, int]:
    """Return two numbers, the smaller first."""
    return (i, j) if i < j else (j, i)
