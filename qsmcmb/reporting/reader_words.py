"""Verdicts and comments of readers on the lesions of a scan, as its last review was applied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.io.results import SessionResults
from qsmcmb.lesion import Microbleed

__all__ = ("read_reader_words",)

REVIEW = "desc-cmb_review"
SAME_POINT_MM = 3.0
"""Largest distance, mm, of a lesion from the point that a reader judged: the fit may have moved it."""


def read_reader_words(session: SessionResults, lesions: Sequence[Microbleed]) -> dict[int, str]:
    """Return reader, verdict and comment of each lesion that was reviewed.

    Parameters
    ----------
    session : SessionResults
        Results of the scan.
    lesions : sequence of Microbleed
        Rows of its lesion table.

    Returns
    -------
    dict of int to str
        Words by label; empty for a scan without a review.

    Raises
    ------
    InvalidInputError
        The record of the review is damaged.

    Examples
    --------
    >>> read_reader_words(session, [])  # doctest: +SKIP
    {}
    """
    if not lesions or not session.place.path(f"{REVIEW}.json").exists():
        return {}
    positions = np.array([lesion.position_mm for lesion in lesions])
    words: dict[int, str] = {}
    for decision in session.record(REVIEW).get("Decisions", []):
        judgement = decision["judgement"]
        at = np.array(judgement.get("moved_to_mm") or decision["position_mm"])
        distances = np.linalg.norm(positions - at, axis=1)
        nearest = int(distances.argmin())
        if distances[nearest] <= SAME_POINT_MM:
            said = judgement.get("comment")
            words[lesions[nearest].label] = f"{decision['reader']}, {judgement['verdict']}" + (
                f": {said}" if said else ""
            )
    return words
