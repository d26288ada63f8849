"""Agreement between two readers: Cohen's kappa of their verdicts, and the intraclass correlation of their counts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from qsmcmb.reviewing.study_review import ReviewedScan
from qsmcmb.study.review_decisions import Judged, gather
from qsmcmb.typing import FloatArray

__all__ = ["AGREEMENT_COLUMNS", "agreement_rows", "cohen_kappa", "intraclass_correlation"]

AGREEMENT_COLUMNS = ("readers", "candidates", "agreed", "kappa", "scans", "icc_of_count")
"""Columns of the table of agreement."""


def cohen_kappa(one: Sequence[str], other: Sequence[str]) -> float | None:
    """Return Cohen's kappa of two readers' categories.

    Parameters
    ----------
    one, other : sequence of str
        Category of each candidate.

    Returns
    -------
    float or None
        1 for full agreement, 0 for that of chance; None without candidates, or where both use one category alone.

    References
    ----------
    Cohen J. A coefficient of agreement for nominal scales. Educ Psychol Meas 1960;20:37-46.
    doi:10.1177/001316446002000104

    Examples
    --------
    >>> cohen_kappa(["definite", "rejected"], ["definite", "rejected"])
    1.0
    """
    if not one:
        return None
    seen = np.mean([a == b for a, b in zip(one, other, strict=True)])
    chance = sum(np.mean([a == c for a in one]) * np.mean([b == c for b in other]) for c in {*one, *other})
    return None if np.isclose(chance, 1.0) else float((seen - chance) / (1 - chance))


def intraclass_correlation(values: FloatArray) -> float | None:
    """Return the intraclass correlation of single readings, two-way random, absolute agreement: ICC(2,1).

    Parameters
    ----------
    values : ndarray of shape (n_scans, n_readers)
        Reading of each scan by each reader.

    Returns
    -------
    float or None
        1 where all readers agree; None for fewer than two scans, or where all values are the same.

    Notes
    -----
    With the mean squares of scans (R), readers (C) and error (E), for n scans and k readers::

        ICC = (R - E) / (R + (k - 1) E + k (C - E) / n)

    References
    ----------
    Shrout PE, Fleiss JL. Intraclass correlations: uses in assessing rater reliability. Psychol Bull 1979;86:420-428.
    doi:10.1037/0033-2909.86.2.420

    Examples
    --------
    >>> judges = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    >>> round(intraclass_correlation(judges), 2)
    0.29
    """
    n, k = values.shape
    if n < 2 or k < 2:
        return None
    mean = values.mean()
    by_scan, by_reader = values.mean(axis=1), values.mean(axis=0)
    rows = k * np.sum((by_scan - mean) ** 2) / (n - 1)
    columns = n * np.sum((by_reader - mean) ** 2) / (k - 1)
    rest = values - by_scan[:, None] - by_reader[None] + mean
    error = np.sum(rest**2) / ((n - 1) * (k - 1))
    below = rows + (k - 1) * error + k * (columns - error) / n
    return None if below <= 0 else float((rows - error) / below)


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
    kappa = cohen_kappa([a for a, _ in pairs], [b for _, b in pairs])
    icc = intraclass_correlation(np.array(counts, dtype=float).reshape(-1, 2))
    agreed = sum(a == b for a, b in pairs)
    return [f"{one}, {other}", str(len(pairs)), str(agreed), _shown(kappa), str(len(read)), _shown(icc)]


def _counts(judged: Judged, reader: str) -> bool:
    """Say whether a reader counts a candidate as a microbleed."""
    return reader in judged.verdicts and judged.verdicts[reader].verdict == "accept"


def _shown(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
