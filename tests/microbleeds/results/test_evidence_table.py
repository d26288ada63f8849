"""The evidence table has a row per lesion, described columns, and the probabilities."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from qsmcmb.io.lesion_table import column_sidecar
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.results.evidence import Evidence
from qsmcmb.microbleeds.results.evidence_table import (
    EVIDENCE_TABLE_COLUMNS,
    evidence_records,
    evidence_row,
    size_class,
)
from qsmcmb.microbleeds.results.explanation import explain_lesion
from qsmcmb.microbleeds.results.mimics import read_classifier
from qsmcmb.microbleeds.results.table import MicrobleedTable
from qsmcmb.reporting.explain_page import evidence_lines

EVIDENCE = Evidence(signal_ppm_mm3=4.0, signal_sd_ppm_mm3=0.3, map_peak_ppm=0.5, diameter_mm=6.0)
LESION = Microbleed(2, (1.0, 2.0, 3.0))


def test_a_row_has_every_column_in_order() -> None:
    row = evidence_row(LESION, EVIDENCE, read_classifier())
    assert list(row) == list(EVIDENCE_TABLE_COLUMNS)
    assert (row["label"], row["kind"], row["signal_ppm_mm3"], row["size_class"]) == (
        2,
        "microbleed",
        4.0,
        "macro",
    )
    assert sum(
        float(v) for k, v in row.items() if k.startswith("p_") and k != "p_before_fit" and v
    ) == pytest.approx(1)
    assert all(column_sidecar(EVIDENCE_TABLE_COLUMNS)[name]["Description"] for name in row)
    assert set(EVIDENCE_TABLE_COLUMNS) >= {f.name for f in fields(Evidence)}


def test_what_is_unknown_is_empty() -> None:
    row = evidence_row(LESION, None, read_classifier())
    assert {k for k, v in row.items() if v is not None} == {"label", "kind", "certainty"}
    infinite = replace(EVIDENCE, field_sd_ppm_mm3=float("inf"))
    assert evidence_row(LESION, infinite, None)["field_sd_ppm_mm3"] is None
    assert evidence_row(LESION, EVIDENCE, None)["p_microbleed"] is None


def test_the_table_holds_the_evidence() -> None:
    table = MicrobleedTable((LESION,), evidence=(EVIDENCE,))
    assert table.evidence_rows() == [evidence_row(LESION, EVIDENCE, read_classifier())]


@pytest.mark.parametrize(
    ("diameter", "expected"),
    [(None, None), (0.0, None), (5.7, "micro"), (5.8, "macro"), (10.0, "macro"), (10.1, "above 10 mm")],
)
def test_size_class(diameter: float | None, expected: str | None) -> None:
    assert size_class(diameter) == expected


def test_the_explanation_shows_the_evidence() -> None:
    record = explain_lesion(LESION, None, evidence=EVIDENCE).record
    assert record["evidence"] == evidence_records(EVIDENCE)
    lines = dict(evidence_lines(record))
    assert lines["Total susceptibility of one dark ball in the signal within 6 mm"] == "4 ppm mm³"
    assert "n/a" not in lines.values()
