"""Records of the quality JSON of a scan, with their keys and the types of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from qsmcmb.io.records import ProvenanceRecord

__all__ = (
    "Finding", "MeasureRecord", "QualityFile", "QualityRecord", "StageRecord", "limit_words", "number_words",
    "quality_findings",
)  # fmt: skip


class MeasureRecord(TypedDict):
    """One number of a stage.

    Attributes
    ----------
    Name, Description, Unit : str
        What it is; the unit is empty for a ratio or a count.
    Value : float or None
        The number; None where the scan has none.
    Good, Usable : list of float or None
        Least and largest value that are good, and that are not bad; None for no limit.
    Verdict : str
        good, look, bad or n/a.

    Examples
    --------
    >>> record = MeasureRecord(
    ...     Name="mask_ml",
    ...     Description="Volume",
    ...     Value=50.0,
    ...     Unit="ml",
    ...     Good=[150, None],
    ...     Usable=[1, None],
    ...     Verdict="look",
    ... )
    >>> record["Verdict"]
    'look'
    """

    Name: str
    Description: str
    Value: float | None
    Unit: str
    Good: list[float | None]
    Usable: list[float | None]
    Verdict: str


class StageRecord(TypedDict):
    """Numbers of one stage.

    Attributes
    ----------
    Verdict : str
        The worst of its numbers.
    Measures : list of MeasureRecord
        The numbers.
    FallBacks : list of str
        What was done instead where the stage could not do its work.

    Examples
    --------
    >>> StageRecord(Verdict="good", Measures=[], FallBacks=[])["Verdict"]
    'good'
    """

    Verdict: str
    Measures: list[MeasureRecord]
    FallBacks: list[str]


class QualityRecord(TypedDict):
    """Quality of a scan: the quality JSON, provenance aside.

    Attributes
    ----------
    Verdict : str
        The worst of the stages.
    Stages : dict
        Record by stage, in the order in which they run.
    SNR : list of float
        Signal-to-noise ratio of the magnitude, median over the brain, by echo.
    EchoResidual : list of float
        SD of the wrapped difference between phase and echo fit, rad, by echo; empty for fewer than three echoes.

    Examples
    --------
    >>> QualityRecord(Verdict="good", Stages={}, SNR=[50.0], EchoResidual=[])["SNR"]
    [50.0]
    """

    Verdict: str
    Stages: dict[str, StageRecord]
    SNR: list[float]
    EchoResidual: list[float]


class QualityFile(QualityRecord, ProvenanceRecord):
    """Quality of a scan with warnings and provenance: the quality JSON.

    Attributes
    ----------
    Warnings : list of str
        Messages to the user.

    Examples
    --------
    >>> QualityFile.__required_keys__ >= {"Verdict", "Stages", "Warnings", "Sources"}
    True
    """

    Warnings: list[str]


class Finding(NamedTuple):
    """Something about a scan that is not good.

    Parameters
    ----------
    verdict : str
        ``"bad"`` or ``"look"``.
    text : str
        The number with its limits, or what was done instead, in words.

    Examples
    --------
    >>> Finding("look", "one magnitude for all echoes").verdict
    'look'
    """

    verdict: str
    text: str


def quality_findings(record: Mapping[str, Any]) -> list[Finding]:
    """Return what is not good about a scan, the bad first: the one wording of pages and messages.

    Parameters
    ----------
    record : mapping
        The quality record of a scan, as read from its JSON.

    Returns
    -------
    list of Finding
        Numbers with the limits within which they are good, and what was done instead; empty where all is good.

    Examples
    --------
    >>> number = {"Description": "Volume of the brain mask", "Value": 3200.0, "Unit": "ml", "Good": [150, 2100]}
    >>> stage = {"Measures": [{**number, "Verdict": "bad"}], "FallBacks": ["one magnitude"]}
    >>> [f"{found.text}: {found.verdict}" for found in quality_findings({"Stages": {"mask": stage}})]
    ['Volume of the brain mask 3200 ml (good: 150 to 2100): bad', 'one magnitude: look']
    """
    found: list[Finding] = []
    for stage in record.get("Stages", {}).values():
        found += [
            Finding(m["Verdict"], f"{m['Description']} {number_words(m)} (good: {limit_words(m['Good'])})")
            for m in stage["Measures"]
            if m["Verdict"] in ("bad", "look")
        ]
        found += [Finding("look", text) for text in stage["FallBacks"]]
    return sorted(found, key=lambda finding: finding.verdict)


def number_words(measure: Mapping[str, Any]) -> str:
    """Return a number of a stage with its unit.

    Parameters
    ----------
    measure : mapping
        Record of the number; its value is known.

    Returns
    -------
    str
        Three significant digits, whole numbers with all of theirs.

    Examples
    --------
    >>> number_words({"Value": 0.12345, "Unit": ""}), number_words({"Value": 1312.4, "Unit": "ml"})
    ('0.123', '1312 ml')
    """
    value = measure["Value"]
    shown = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{shown} {measure['Unit']}".strip()


def limit_words(limits: Sequence[float | None]) -> str:
    """Return two limits in words.

    Parameters
    ----------
    limits : sequence of float or None
        Least and largest value; None for no limit.

    Returns
    -------
    str
        Empty where there is none.

    Examples
    --------
    >>> limit_words([None, 0.2]), limit_words([15, None]), limit_words([5.0, 80.0])
    ('at most 0.2', 'at least 15', '5 to 80')
    """
    low, high = limits
    if low is None:
        return "" if high is None else f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
