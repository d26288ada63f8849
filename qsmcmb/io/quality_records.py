"""Records of the quality JSON of a scan, with their keys and the types of their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from qsmcmb.io.records import ProvenanceRecord

__all__ = ("MeasureRecord", "QualityFile", "QualityRecord", "StageRecord", "bad_numbers")


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


def bad_numbers(record: Mapping[str, Any]) -> list[str]:
    """Return the numbers of a scan's quality that are bad, each with its limits, in words.

    Parameters
    ----------
    record : mapping
        The quality record of a scan, as read from its JSON.

    Returns
    -------
    list of str
        One for each; empty where none is bad.

    Examples
    --------
    >>> number = {"Name": "mask_ml", "Value": 3200.0, "Unit": "ml", "Usable": [1, 3000], "Verdict": "bad"}
    >>> bad_numbers({"Stages": {"mask": {"Measures": [number]}}})
    ['mask_ml 3200 ml (at least 1, at most 3000)']
    """
    measures = [m for stage in record.get("Stages", {}).values() for m in stage["Measures"]]
    return [
        f"{m['Name']} {m['Value']:.4g}{' ' if m['Unit'] else ''}{m['Unit']} ({_limits(m['Usable'])})"
        for m in measures
        if m["Verdict"] == "bad"
    ]


def _limits(usable: list[float | None]) -> str:
    """Return least and largest usable value in words."""
    ends = zip(("at least", "at most"), usable, strict=True)
    return ", ".join(f"{word} {value:g}" for word, value in ends if value is not None)
