"""Forms of MARS and BOMBS: nothing is lost, totals add up, the rows are those of the published forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsmcmb.anatomy.rating_forms import (
    BOMBS_SIZES,
    CERTAINTIES,
    FORM_SIDES,
    UNASSIGNED,
    RatingForm,
    bombs_form,
    form_columns,
    mars_form,
)
from qsmcmb.anatomy.regions import BOMBS_REGIONS, MARS_REGIONS, TERRITORIES
from qsmcmb.lesion import Microbleed

LESIONS = st.lists(
    st.builds(
        Microbleed,
        label=st.integers(1, 99),
        position_mm=st.just((0.0, 0.0, 0.0)),
        certainty=st.sampled_from(CERTAINTIES["mars"]),
        bombs_certainty=st.sampled_from(CERTAINTIES["bombs"]),
        side=st.sampled_from([None, "left", "right", "midline"]),
        territory=st.sampled_from([None, *TERRITORIES]),
        mars_region=st.sampled_from([None, "elsewhere", *MARS_REGIONS]),
        bombs_region=st.sampled_from([None, "elsewhere", *BOMBS_REGIONS]),
        diameter_mm=st.sampled_from([None, 0.0, 4.99, 5.0, 10.0, 10.01]),
    ),
    max_size=12,
)


def number_columns(form: RatingForm) -> list[str]:
    return [name for name in form.rows[0] if name not in ("territory", "region", "size")]


@given(LESIONS)
def test_each_microbleed_stands_in_one_cell_and_totals_add_up(lesions: list[Microbleed]) -> None:
    for scale, form in (("mars", mars_form(lesions)), ("bombs", bombs_form(lesions))):
        assert list(form.rows[0]) == list(form_columns(scale))
        cells = [r for r in form.rows if r["region"] != "total"]
        assert sum(int(r["total"]) for r in cells) == len(lesions)
        for row in form.rows:
            parts = [row[f"{c}_{s}"] for c in CERTAINTIES[scale] for s in FORM_SIDES]
            assert sum(map(int, parts)) == row["total"]
        for row in [r for r in form.rows if r["region"] == "total"]:
            inside = [
                r
                for r in cells
                if row["territory"] in (r["territory"], "all") and r.get("size") == row.get("size")
            ]
            for column in number_columns(form):
                assert row[column] == sum(int(r[column]) for r in inside)


@given(LESIONS)
def test_counts_are_those_of_the_table(lesions: list[Microbleed]) -> None:
    mars, bombs = mars_form(lesions), bombs_form(lesions)
    for certainty in CERTAINTIES["mars"]:
        assert sum(int(mars.rows[-1][f"{certainty}_{s}"]) for s in FORM_SIDES) == sum(
            m.certainty == certainty for m in lesions
        )
    for region in MARS_REGIONS:
        (row,) = [r for r in mars.rows if r["region"] == region]
        assert row["total"] == sum(m.mars_region == region for m in lesions)
    for side in ("left", "right", "midline"):
        found = sum(int(r[f"{c}_{side}"]) for r in bombs.rows[-4:] for c in CERTAINTIES["bombs"])
        assert found == sum(m.side == side for m in lesions)


def test_sizes_are_those_of_the_scale() -> None:
    sizes = {4.99: "<5 mm", 5.0: "5-10 mm", 9.99: "5-10 mm", 10.01: ">10 mm", None: "unknown"}
    for diameter, size in sizes.items():
        form = bombs_form([Microbleed(1, (0.0, 0.0, 0.0), bombs_region="thalamus", diameter_mm=diameter)])
        (row,) = [r for r in form.rows if r["region"] == "thalamus" and r["total"]]
        assert row["size"] == size
    assert {r["size"] for r in form.rows} == set(BOMBS_SIZES)


def test_rows_are_those_of_the_published_forms() -> None:
    mars = [r["region"] for r in mars_form([]).rows if r["region"] not in ("total", UNASSIGNED)]
    assert mars == list(MARS_REGIONS)
    bombs = [r["region"] for r in bombs_form([]).rows if r["region"] not in ("total", UNASSIGNED)]
    assert list(dict.fromkeys(bombs)) == list(BOMBS_REGIONS)
    assert mars_form([]).notes == bombs_form([]).notes == ()


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"side": "midline"}, "1 microbleed on the midline"),
        ({"side": None}, "1 microbleed of unknown side"),
        ({"mars_region": None}, "1 microbleed of unknown region"),
        ({"mars_region": None, "territory": None}, "1 microbleed of unknown territory"),
        ({}, "1 microbleed without a number"),
    ],
)
def test_what_the_published_form_has_no_cell_for_is_said(known: dict[str, str | None], said: str) -> None:
    usual = {"side": "left", "territory": "deep", "mars_region": "thalamus"}
    notes = mars_form([Microbleed(1, (0.0, 0.0, 0.0), **{**usual, **known})]).notes  # type: ignore[arg-type]
    assert any(note.startswith(said) for note in notes)
