"""The quality of a scan as rows of a page: one pure function of the quality record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from qsmcmb.io.quality_records import limit_words, number_words
from qsmcmb.reporting.page import unit_words

__all__ = ["QualityRow", "quality_rows"]


class QualityRow(NamedTuple):
    """One row of the table: a number of a stage, or what the stage did instead.

    Parameters
    ----------
    stage : str
        Name of the stage.
    what : str
        What the number is, or what was done.
    value : str
        The number with its unit; empty for what was done.
    limits : str
        Where it is good.
    verdict : str
        Word of the verdict: good, look, bad or n/a.

    Examples
    --------
    >>> QualityRow("mask", "Volume of the brain mask", "1300 ml", "150 to 2100", "good").verdict
    'good'
    """

    stage: str
    what: str
    value: str
    limits: str
    verdict: str


def quality_rows(record: Mapping[str, Any]) -> list[QualityRow]:
    """Return the rows of a quality record.

    Parameters
    ----------
    record : mapping
        Quality JSON of a scan.

    Returns
    -------
    list of QualityRow
        Numbers that the scan has and what was done instead, by stage in the order in which they run.

    Examples
    --------
    >>> measure = {"Description": "SNR", "Value": 9.0, "Unit": "", "Good": [15, None], "Verdict": "look"}
    >>> rows = quality_rows({"Stages": {"load": {"Measures": [measure], "FallBacks": ["one magnitude"]}}})
    >>> [(row.value, row.limits, row.verdict) for row in rows]
    [('9', 'at least 15', 'look'), ('', '', 'look')]
    """
    rows = []
    for stage, found in record["Stages"].items():
        for measure in found["Measures"]:
            if measure["Value"] is not None:
                value, limits = unit_words(number_words(measure)), limit_words(measure["Good"])
                rows.append(QualityRow(stage, measure["Description"], value, limits, measure["Verdict"]))
        rows += [QualityRow(stage, text, "", "", "look") for text in found["FallBacks"]]
    return rows
