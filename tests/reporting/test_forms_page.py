"""Printable forms: the numbers of the tables, both patterns, nothing from elsewhere, no diagnosis."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qsmcmb.anatomy.rating_forms import bombs_form, form_columns, mars_form
from qsmcmb.io.derivatives import write_table
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults
from qsmcmb.io.tables import write_json
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.results.burden import summarise_burden
from qsmcmb.model import Estimate, Provenance
from qsmcmb.reporting.forms_page import has_forms, write_forms_page

DISEASES = re.compile(r"amyloid|angiopath|hypertens|alzheimer|arterioloscler|\bCAA\b", re.IGNORECASE)
TOTAL = Estimate(2.0, 0.1, "ppm mm3")


def lesion(label: int, **known: Any) -> Microbleed:
    usual = {
        "side": "right", "territory": "deep", "mars_region": "thalamus", "bombs_region": "thalamus",
        "certainty": "definite", "bombs_certainty": "certain", "diameter_mm": 3.0,
    }  # fmt: skip
    return Microbleed(label, (0.0, 0.0, 20.0 * label), total_chi_ppm_mm3=TOTAL, **{**usual, **known})


def written(folder: Path, lesions: list[Microbleed]) -> SessionResults:
    place = Place(folder)
    for scale, form in (("mars", mars_form(lesions)), ("bombs", bombs_form(lesions))):
        write_table(
            place, f"desc-{scale}_form", form.rows, columns=form_columns(scale), provenance=Provenance(),
            warnings=form.notes,
        )  # fmt: skip
    write_json(place.path("desc-cmb_burden.json"), dict(summarise_burden(lesions)))
    return SessionResults(place, "", "")


@pytest.fixture
def page(tmp_path: Path, parse: Callable[[str], Any]) -> Callable[[list[Microbleed]], Any]:
    """Return what writes the page of some lesions and reads it."""

    def of(lesions: list[Microbleed]) -> Any:
        path = write_forms_page(
            tmp_path / "forms.html", [written(tmp_path, lesions)], title="sub-01", back="sub-01.html"
        )
        assert path is not None
        html = path.read_text(encoding="utf-8")
        assert "@media print" in html
        assert not re.search(r'(src|href)="(?!sub-01\.html)', html)
        assert not DISEASES.search(html)
        return parse(html)

    return of


def rows_named(found: Any, region: str) -> list[list[str]]:
    return [row for row in found.rows if len(row) > 2 and row[1] == region]


def test_cells_are_those_of_the_published_forms(page: Callable[..., Any]) -> None:
    found = page(
        [
            lesion(1),
            lesion(2, side="left", certainty="possible", bombs_certainty="uncertain", diameter_mm=6.0),
        ]
    )
    mars, bombs = rows_named(found, "thalamus")
    assert mars == ["deep", "thalamus", "1", "", "", "1", "2"]
    assert bombs == ["deep", "thalamus", "1", "", "", "", "", "", "", "1", "2"]
    assert rows_named(found, "unassigned") == []


def test_what_has_no_cell_gets_a_column_or_a_row_and_a_note(page: Callable[..., Any]) -> None:
    found = page([lesion(1, side="midline", mars_region=None, bombs_region=None, diameter_mm=12.0)])
    mars, bombs = rows_named(found, "unassigned")
    assert mars == ["deep", "unassigned", "", "", "1", "", "", "1"]
    assert bombs[-1] == "1"
    assert "1 microbleed on the midline" in found.text
    assert "larger than 10 mm" in found.text


def test_both_patterns_are_printed(page: Callable[..., Any]) -> None:
    text = page([lesion(1, territory="lobar", mars_region="frontal")]).text
    assert "strictly lobar (cerebellum ignored); strictly lobar (cerebellum by depth)" in text
    assert "Class of the number: 1." in text


def test_a_scan_of_an_earlier_version_has_no_page(tmp_path: Path) -> None:
    session = SessionResults(Place(tmp_path), "", "")
    assert not has_forms(session)
    assert write_forms_page(tmp_path / "forms.html", [session], title="x", back="report.html") is None
