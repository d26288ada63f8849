"""Two points on one lesion: both rows say so, the burden counts one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from qsmcmb.model import LocatedSource

__all__ = ["FLAG", "duplicate_groups", "without_duplicates"]

MAX_SAME_FIT_MM = 2.0
"""Largest distance, mm, of the centres of two fits of one lesion: a fit moves less, two lesions lie further apart."""
FLAG = "same-lesion"
"""Flag of every row that shares its lesion with another."""

S = TypeVar("S", bound=LocatedSource)


def duplicate_groups(lesions: Sequence[LocatedSource]) -> list[list[int]]:
    """Return the groups of points that ended on one lesion.

    Parameters
    ----------
    lesions : sequence of LocatedSource
        Fitted centre and total susceptibility; points without a number are in no group.

    Returns
    -------
    list of list of int
        Indices, in the order of their first; single lesions are left out.

    Examples
    --------
    >>> from qsmcmb.model import Estimate, Microbleed
    >>> total = Estimate(2.0, 0.1, "ppm mm3")
    >>> positions = [(0.0, 0.0, 0.0), (9.0, 0.0, 0.0), (0.5, 0.0, 0.0)]
    >>> duplicate_groups([Microbleed(i, p, total_chi_ppm_mm3=total) for i, p in enumerate(positions)])
    [[0, 2]]
    """
    measured = [i for i, m in enumerate(lesions) if m.total_chi_ppm_mm3 is not None]
    groups: list[list[int]] = []
    for i in measured:
        position = np.array(lesions[i].position_mm)
        for group in groups:
            if any(np.linalg.norm(position - lesions[j].position_mm) < MAX_SAME_FIT_MM for j in group):
                group.append(i)
                break
        else:
            groups.append([i])
    return [g for g in groups if len(g) > 1]


def without_duplicates(lesions: Sequence[S]) -> list[S]:
    """Return the lesions without repetitions: of each group the one with the smallest SD.

    Parameters
    ----------
    lesions : sequence of LocatedSource
        Fitted centre and total susceptibility.

    Returns
    -------
    list of LocatedSource
        In the order given.
    """
    repeated: set[int] = set()
    for group in duplicate_groups(lesions):
        best = min(group, key=lambda i: _sd(lesions[i]))
        repeated |= set(group) - {best}
    return [m for i, m in enumerate(lesions) if i not in repeated]


def _sd(lesion: LocatedSource) -> float:
    return lesion.total_chi_ppm_mm3.sd if lesion.total_chi_ppm_mm3 else float("inf")
