"""The quality of a scan as rows of a page: one pure function of the quality record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from qsmcmb.reporting.page import show, unit_words

__all__ = ["QualityRow", "quality_line", "quality_rows"]


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
                value = f"{show(measure['Value'])} {unit_words(measure['Unit'])}".strip()
                rows.append(
                    QualityRow(
                        stage, measure["Description"], value, _words(measure["Good"]), measure["Verdict"]
                    )
                )
        rows += [QualityRow(stage, text, "", "", "look") for text in found["FallBacks"]]
    return rows


def quality_line(rows: Sequence[QualityRow]) -> str:
    """Return what is not good about a scan, the bad first.

    Parameters
    ----------
    rows : sequence of QualityRow
        Rows of the table.

    Returns
    -------
    str
        Numbers with their limits, and what was done instead; empty where all is good.

    Examples
    --------
    >>> row = QualityRow("load", "SNR", "9", "at least 15", "look")
    >>> quality_line([row, QualityRow("load", "one magnitude", "", "", "look")])
    'SNR 9 (good: at least 15), look; one magnitude, look'
    """
    found = sorted((row for row in rows if row.verdict in ("bad", "look")), key=lambda row: row.verdict)
    return "; ".join(
        f"{row.what} {row.value} (good: {row.limits}), {row.verdict}"
        if row.value
        else f"{row.what}, {row.verdict}"
        for row in found
    )


def _words(limits: list[float | None]) -> str:
    """Return two limits in words.

    Examples
    --------
    >>> _words([None, 0.2]), _words([5.0, 80.0])
    ('at most 0.2', '5 to 80')
    """
    low, high = limits
    if low is None:
        return "" if high is None else f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
