"""Two points on one lesion: both rows say so, the burden counts one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from qsmcmb.model import Microbleed

SAME_LESION_MM = 2.0
"""Fits whose centres end closer than this are fits of one lesion: more than a fit moves, less than two lesions need."""
FLAG = "same-lesion"


def duplicate_groups(lesions: Sequence[Microbleed]) -> list[list[int]]:
    """Return the indices of lesions that are one, in the order of their first; single lesions are left out.

    Examples
    --------
    >>> from qsmcmb.model import Estimate
    >>> total = Estimate(2.0, 0.1, "ppm mm3")
    >>> places = [(0.0, 0.0, 0.0), (9.0, 0.0, 0.0), (0.5, 0.0, 0.0)]
    >>> duplicate_groups([Microbleed(i, p, total_chi_ppm_mm3=total) for i, p in enumerate(places)])
    [[0, 2]]
    """
    measured = [i for i, m in enumerate(lesions) if m.total_chi_ppm_mm3 is not None]
    groups: list[list[int]] = []
    for i in measured:
        position = np.array(lesions[i].position_mm)
        for group in groups:
            if any(np.linalg.norm(position - lesions[j].position_mm) < SAME_LESION_MM for j in group):
                group.append(i)
                break
        else:
            groups.append([i])
    return [g for g in groups if len(g) > 1]


def flag_duplicates(lesions: Sequence[Microbleed]) -> tuple[Microbleed, ...]:
    """Return the lesions with every row that shares its lesion with another flagged."""
    out = list(lesions)
    for group in duplicate_groups(lesions):
        for i in group:
            if FLAG not in out[i].flags:
                out[i] = dataclasses.replace(out[i], flags=(*out[i].flags, FLAG))
    return tuple(out)


def without_duplicates(lesions: Sequence[Microbleed]) -> list[Microbleed]:
    """Return the lesions without repetitions: of each group the row with the smallest SD."""
    again: set[int] = set()
    for group in duplicate_groups(lesions):
        kept = min(group, key=lambda i: _sd(lesions[i]))
        again |= set(group) - {kept}
    return [m for i, m in enumerate(lesions) if i not in again]


def _sd(lesion: Microbleed) -> float:
    return lesion.total_chi_ppm_mm3.sd if lesion.total_chi_ppm_mm3 else float("inf")
