"""Scores by shape: known tables give known figures, relative to the absolute susceptibility; mixes of shapes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qsmcmb.errors import ConfigError
from qsmcmb.io.tables import read_tsv
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.results.table import MicrobleedTable
from qsmcmb.model import Estimate, GreScan
from qsmcmb.phantoms.recipe import IRREGULAR_SHAPES, Recipe, read_recipe
from qsmcmb.reporting.validation_page import write_validation_page
from qsmcmb.typing import FloatArray, Report
from qsmcmb.validation.acceptance_criteria import ResultRow, total_cv
from qsmcmb.validation.accuracy_criteria import accuracy_claims
from qsmcmb.validation.experiments import FULL, QUICK, SHAPED, Experiment, all_experiments
from qsmcmb.validation.report import choose, validate
from qsmcmb.validation.shape_criteria import shape_claims, shape_table

RowMaker = Callable[..., ResultRow]
SESSIONS = {"15T": 0.99, "3T": 1.0, "7T": 1.01}


def test_errors_are_relative_to_the_absolute_susceptibility(lesion: RowMaker) -> None:
    # A total of 10 beside an absolute one of 20, off by 1: 5 %.
    rows = [lesion("3T", 1, 10.0, 11.0, shape="mixed", truth_abs_ppm_mm3=20.0)]
    mixed = next(r for r in shape_table({"fields": rows}) if r["shape"] == "mixed")
    assert mixed["median_error_percent"] == pytest.approx(5.0)
    assert mixed["bias_percent"] == pytest.approx(5.0)
    assert mixed["coverage_percent"] == 0
    many = [lesion(s, 1, 10.0, 10 * f, shape="mixed", truth_abs_ppm_mm3=20.0) for s, f in SESSIONS.items()]
    assert float(total_cv(many)[0]) == pytest.approx(0.005)


def test_a_lesion_without_a_number_errs_by_all_of_it(lesion: RowMaker) -> None:
    rows = [lesion("3T", n, 10.0, 10.0 if n else np.nan, shape="tube") for n in range(4)]
    tube = next(r for r in shape_table({"te": rows}) if r["shape"] == "tube")
    assert (tube["measurements"], tube["measured"]) == (4, 3)
    assert tube["p95_error_percent"] == pytest.approx(85.0)
    assert tube["bias_percent"] == 0


def test_the_table_has_a_row_for_each_shape_and_for_all_irregular_ones(lesion: RowMaker) -> None:
    shapes = ("sphere", *IRREGULAR_SHAPES)
    rows = [lesion(s, n, 8.0, 8.0 * f, shape=x) for s, f in SESSIONS.items() for n, x in enumerate(shapes)]
    table = {r["shape"]: r for r in shape_table({"fields": rows, "water": rows})}
    assert set(table) == {"regular", "irregular", *shapes}
    assert {r["experiment"] for r in table.values()} == {"fields"}
    assert table["irregular"]["measurements"] == 3 * len(IRREGULAR_SHAPES)
    assert table["irregular"]["median_cv_percent"] == pytest.approx(1.0)


def test_goals_of_irregular_shapes_do_not_touch_those_of_regular_ones(lesion: RowMaker) -> None:
    regular = [lesion(s, n, 8.0, 8.0 * f) for s, f in SESSIONS.items() for n in range(3)]
    poor = [lesion(s, n, 8.0, 5.0, shape="shell") for s in SESSIONS for n in range(3, 6)]
    assert shape_claims({"fields": regular}) == []
    both, alone = (accuracy_claims({"fields": rows}) for rows in ([*regular, *poor], regular))
    assert repr(both) == repr(alone)
    assert accuracy_claims({"fields": poor, "te": poor}) == []
    claims = shape_claims({"fields": [*regular, *poor]})
    assert [c.passed for c in claims] == [False, False, False, False, True]
    assert [c.high for c in claims] == [3, 12, 1, 97, 2.5]


def test_mixes_of_shapes_keep_seeds_and_sizes() -> None:
    for size in (FULL, QUICK):
        regular, mixed, irregular = (all_experiments(size, s) for s in ("regular", "all", "irregular"))
        assert all_experiments(size) == mixed
        for plain, some, whole in zip(regular, mixed, irregular, strict=True):
            assert (plain == some == whole) == (plain.name not in SHAPED)
            for a, b, c in zip(plain.recipes, some.recipes, whole.recipes, strict=True):
                assert a == dataclasses.replace(b, lesions=a.lesions)
                assert a.lesions.irregular == 0
                if plain.name in SHAPED:
                    count = b.lesions.microbleeds + b.lesions.calcifications
                    assert a.lesions == dataclasses.replace(b.lesions, irregular=0.0)
                    assert round(b.lesions.irregular * b.lesions.microbleeds) >= count / 3
                    assert (c.lesions.microbleeds, c.lesions.calcifications, c.lesions.irregular) == (
                        count,
                        0,
                        1,
                    )
    with pytest.raises(ConfigError, match="shapes 'round'; expected one of: all, regular, irregular"):
        choose(shapes="round")


def test_the_irregular_small_head_holds_each_shape() -> None:
    from qsmcmb.phantoms.build import lesions_of

    lesions = lesions_of(read_recipe("irregular_smallhead"))
    assert {m.shape for m in lesions} == set(IRREGULAR_SHAPES)
    half = [m.form != "" for m in lesions_of(read_recipe("irregular_head"))]
    assert (sum(half), len(half)) == (10, 20)


def two_ppm_mm3(scan: GreScan, points_mm: FloatArray, *, report: Report, **_: Any) -> MicrobleedTable:
    """Return 2 ppm mm3 for each point: how well irregular lesions are fitted has tests of its own."""
    report(scan.name, "quantify", 0.1)
    total = Estimate(2.0, 0.1, "ppm mm3")
    points = [(float(x), float(y), float(z)) for x, y, z in points_mm]
    return MicrobleedTable(
        tuple(Microbleed(i, point, total_chi_ppm_mm3=total) for i, point in enumerate(points, 1))
    )


def test_a_run_leaves_a_table_by_shape(
    tmp_path: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qsmcmb.validation.simulate_and_measure.quantify", two_ppm_mm3)
    some = dataclasses.replace(tiny_recipe.lesions, irregular=1.0, irregular_shapes=("tube", "mixed"))
    recipe = dataclasses.replace(tiny_recipe, lesions=some, sessions=tiny_recipe.sessions[:1])
    result = validate(tmp_path, [Experiment("fields", "tiny", (recipe,))])
    assert np.isnan(next(c.here for c in result.claims if c.quantity.startswith("CV over")))
    rows = read_tsv(tmp_path / "lesions.tsv")
    assert {r["shape"] for r in rows} == {"tube", "mixed"}
    for row in rows:
        total, absolute = float(row["truth_ppm_mm3"] or "nan"), float(row["truth_abs_ppm_mm3"] or "nan")
        assert (absolute > 1.2 * total) == (row["shape"] == "mixed")
    table = read_tsv(tmp_path / "shapes.tsv")
    assert {r["shape"] for r in table} == {"irregular", "tube", "mixed"}
    assert sum("irregular" in c.quantity for c in result.claims) == 4
    assert "Errors by shape" in write_validation_page(tmp_path).read_text()
