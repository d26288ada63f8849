"""Duplicates: two points on one lesion. Both rows are flagged, the burden counts one.

A point joins the first group of which one fitted centre lies within 2 mm of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from qsmcmb.lesion import LocatedSource

__all__ = ["MAX_SAME_FIT_MM", "duplicate_groups", "without_duplicates"]

MAX_SAME_FIT_MM = 2.0
"""Largest distance, mm, of the centres of two fits of one lesion: a fit moves less, two lesions lie further apart."""

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
        Indices of each group, groups in the order of their first; single lesions are left out.

    Examples
    --------
    >>> from qsmcmb.lesion import Microbleed
    >>> from qsmcmb.model import Estimate
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
    """Return the lesions without duplicates: of each group the one with the smallest SD.

    Parameters
    ----------
    lesions : sequence of LocatedSource
        Fitted centre and total susceptibility.

    Returns
    -------
    list of LocatedSource
        One per lesion, in the order given.

    Examples
    --------
    >>> from qsmcmb.lesion import Microbleed
    >>> from qsmcmb.model import Estimate
    >>> sds = (0.2, 0.1)
    >>> points = [Microbleed(i, (0.0, 0.0, 0.5 * i), total_chi_ppm_mm3=Estimate(2.0, sd, "ppm mm3"))
    ...           for i, sd in enumerate(sds)]
    >>> [lesion.label for lesion in without_duplicates(points)]
    [1]
    """
    repeated: set[int] = set()
    for group in duplicate_groups(lesions):
        best = min(group, key=lambda i: _sd(lesions[i]))
        repeated |= set(group) - {best}
    return [m for i, m in enumerate(lesions) if i not in repeated]


def _sd(lesion: LocatedSource) -> float:
    """Return the SD of a lesion's total susceptibility, ppm mm3; infinite without a number."""
    return lesion.total_chi_ppm_mm3.sd if lesion.total_chi_ppm_mm3 else float("inf")
