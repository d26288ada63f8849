"""Rows of the evidence table (`*_desc-cmb_evidence.tsv`): evidence of each candidate, and probability of each kind."""

from __future__ import annotations

import math
from dataclasses import asdict

from qsmcmb.lesion import Column, Microbleed
from qsmcmb.microbleeds.results.evidence import EVIDENCE_COLUMNS, Evidence
from qsmcmb.microbleeds.results.explanation_records import EvidenceRecord
from qsmcmb.microbleeds.results.mimics import MIMIC_KINDS, Classifier, probabilities_of, read_classifier

__all__ = [
    "EVIDENCE_TABLE_COLUMNS",
    "SIZE_CLASSES",
    "EvidenceRow",
    "evidence_records",
    "evidence_row",
    "size_class",
]

EvidenceRow = dict[str, str | float | None]
"""Value of each column of `EVIDENCE_TABLE_COLUMNS`, in their order; None where unknown."""

SIZE_CLASSES = {"micro": 5.7, "macro": 10.0, "above 10 mm": float("inf")}
"""Class of apparent size by its largest diameter, mm: micro- and macrobleeds are two groups with the cut at 5.7 mm
(Greenberg 2009, doi:10.1161/STROKEAHA.109.548974); above 10 mm it is a macrobleed or a cavernoma."""

EVIDENCE_TABLE_COLUMNS: dict[str, Column] = {
    "label": Column("Number of the candidate in lesion table and label image"),
    "kind": Column("What the candidate is, as in the lesion table", is_number=False),
    "certainty": Column("Certainty as in the lesion table", is_number=False),
    **EVIDENCE_COLUMNS,
    "size_class": Column(
        "Class of the apparent diameter, cut at 5.7 and 10 mm", levels=tuple(SIZE_CLASSES), is_number=False
    ),
    **{f"p_{kind}": Column(f"Probability of the kind {kind}, 0 to 1") for kind in MIMIC_KINDS},
}
"""Columns of the evidence table (`*_desc-cmb_evidence.tsv`) by name, in their order."""


def size_class(diameter_mm: float | None) -> str | None:
    """Return the class of an apparent diameter.

    Parameters
    ----------
    diameter_mm : float or None
        Apparent diameter, mm; 0 where no void is seen.

    Returns
    -------
    str or None
        A key of SIZE_CLASSES; None where no void is seen.

    Examples
    --------
    >>> size_class(3.1), size_class(12.0), size_class(0.0)
    ('micro', 'above 10 mm', None)
    """
    if not diameter_mm:
        return None
    return next(name for name, largest in SIZE_CLASSES.items() if diameter_mm <= largest)


def evidence_row(lesion: Microbleed, evidence: Evidence | None, classifier: Classifier | None) -> EvidenceRow:
    """Return a candidate as a row of the evidence table.

    Parameters
    ----------
    lesion : Microbleed
        Its row of the lesion table.
    evidence : Evidence or None
        Its evidence; None where too little of it lies in the mask.
    classifier : Classifier or None
        Weights of the probabilities.

    Returns
    -------
    dict
        Value of each column, None where unknown.

    Examples
    --------
    >>> row = evidence_row(Microbleed(1, (0.0, 0.0, 0.0)), None, None)
    >>> row["label"], row["signal_ppm_mm3"]
    (1, None)
    """
    row: EvidenceRow = dict.fromkeys(EVIDENCE_TABLE_COLUMNS)
    row |= {"label": lesion.label, "kind": lesion.kind, "certainty": lesion.certainty}
    return row if evidence is None else row | _figures(evidence, classifier)


def evidence_records(evidence: Evidence) -> list[EvidenceRecord]:
    """Return the evidence as records of an explanation, the unknown left out.

    Parameters
    ----------
    evidence : Evidence
        The candidate's.

    Returns
    -------
    list of EvidenceRecord
        Figures and probabilities in the order of the evidence table.

    Examples
    --------
    >>> evidence_records(Evidence(signal_ppm_mm3=2.0, signal_sd_ppm_mm3=0.1))[0]["unit"]
    'ppm mm3'
    """
    values = _figures(evidence, read_classifier())
    return [
        {"name": name, "description": column.description, "unit": column.unit, "value": values[name]}
        for name, column in EVIDENCE_TABLE_COLUMNS.items()
        if values.get(name) is not None
    ]


def _figures(evidence: Evidence, classifier: Classifier | None) -> EvidenceRow:
    """Return the figures of the evidence, what follows of them, and the probabilities."""
    row: EvidenceRow = {**asdict(evidence), "size_class": size_class(evidence.diameter_mm)}
    found = probabilities_of(evidence, classifier)
    if found is not None:
        row |= {f"p_{kind}": value for kind, value in found.by_kind.items()}
    return {name: _finite(value) for name, value in row.items()}


def _finite(value: str | float | None) -> str | float | None:
    """Return a value, or None of a number that is not finite: JSON has no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
