"""Agreement between two readers: Cohen's kappa of their verdicts, and the intraclass correlation of their counts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from qsmcmb.cohorts.agreement import intraclass_correlation, weighted_kappa
from qsmcmb.reviewing.reviewed_scan import ReviewedScan
from qsmcmb.study.review_decisions import Judged, gather

__all__ = ["AGREEMENT_COLUMNS", "agreement_rows"]

AGREEMENT_COLUMNS = ("readers", "candidates", "agreed", "kappa", "scans", "icc_of_count")
"""Columns of the table of agreement."""
CATEGORIES = ("definite", "possible", "rejected", "unsure")
"""Categories of verdicts."""


def agreement_rows(scans: Sequence[ReviewedScan]) -> list[list[str]]:
    """Return a row for each pair of readers.

    Parameters
    ----------
    scans : sequence of ReviewedScan
        Scans with their logs.

    Returns
    -------
    list of list of str
        Cells by `AGREEMENT_COLUMNS`: candidates that both have judged, how many they agree on, kappa, scans that both
        have read, and the ICC of the number of microbleeds.

    Examples
    --------
    >>> agreement_rows([])
    []
    """
    judged = [gather(reviewed.events()) for reviewed in scans]
    readers = sorted({reader for of_scan in judged for j in of_scan for reader in j.verdicts})
    return [_row(one, other, judged) for one, other in itertools.combinations(readers, 2)]


def _row(one: str, other: str, judged: Sequence[Sequence[Judged]]) -> list[str]:
    """Return the row of two readers."""
    both = [j for of_scan in judged for j in of_scan if one in j.verdicts and other in j.verdicts]
    pairs = [(j.verdicts[one].category, j.verdicts[other].category) for j in both]
    read = [s for s in judged if any(one in j.verdicts for j in s) and any(other in j.verdicts for j in s)]
    counts = [[sum(_counts(j, reader) for j in of_scan) for reader in (one, other)] for of_scan in read]
    codes = [[CATEGORIES.index(pair[n]) for pair in pairs] for n in (0, 1)]
    kappa = weighted_kappa(*codes, quantity="category", group=f"{one}, {other}")
    values = np.array(counts, dtype=float).reshape(-1, 2)
    icc = intraclass_correlation(values, quantity="number of microbleeds", group=f"{one}, {other}")
    agreed = sum(a == b for a, b in pairs)
    return [
        f"{one}, {other}",
        str(len(pairs)),
        str(agreed),
        _shown(kappa.estimate),
        str(len(read)),
        _shown(icc.estimate),
    ]


def _counts(judged: Judged, reader: str) -> bool:
    """Say whether a reader counts a candidate as a microbleed."""
    return reader in judged.verdicts and judged.verdicts[reader].verdict == "accept"


def _shown(value: float) -> str:
    return "n/a" if np.isnan(value) else f"{value:.3f}"
