"""Runs: small phantoms through the estimator, tables stay, a page is written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.errors import ConfigError
from qsmcmb.io.tables import read_tsv
from qsmcmb.phantoms.recipe import Recipe
from qsmcmb.reporting.validation_page import write_validation_page
from qsmcmb.validation.experiments import FULL, QUICK, Experiment, all_experiments
from qsmcmb.validation.report import choose, validate
from qsmcmb.validation.run_experiments import planned_steps, run_experiment


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Recipe) -> Path:
    out = tmp_path_factory.mktemp("validation")
    validate(out, [Experiment("fields", "tiny", (tiny_recipe,))])
    return out


def test_a_run_leaves_tables_and_a_page(made: Path) -> None:
    rows = read_tsv(made / "lesions.tsv")
    assert len(rows) == 6
    truth, estimate = (
        np.array([float(r[f"{n}_ppm_mm3"] or "nan") for r in rows]) for n in ("truth", "estimate")
    )
    np.testing.assert_allclose(estimate, truth, rtol=0.1)
    record = json.loads((made / "validation.json").read_text())
    assert record["lesions"] == {"fields": 6}
    page = write_validation_page(made).read_text()
    assert f"{record['passed']} of {record['claims']} limits met" in page
    assert "Errors by size" in page


def test_a_session_that_is_there_is_not_run_again(
    made: Path, monkeypatch: pytest.MonkeyPatch, tiny_recipe: Recipe
) -> None:
    experiment = Experiment("fields", "tiny", (tiny_recipe,))
    monkeypatch.setattr(
        "qsmcmb.validation.run_experiments.measure_session", lambda *_, **__: pytest.fail("run again")
    )
    assert len(run_experiment(experiment, made)) == 6
    other = dataclasses.replace(tiny_recipe, seed=6)
    with pytest.raises(pytest.fail.Exception, match="run again"):
        run_experiment(Experiment("fields", "tiny", (other,)), made)


def test_experiments_are_large_where_full_and_known_by_name() -> None:
    fields = all_experiments(FULL)[0]
    lesions = sum(r.lesions.microbleeds + r.lesions.calcifications for r in fields.recipes)
    assert len(fields.recipes) >= 10
    assert lesions >= 200
    assert len({r.seed for r in fields.recipes}) == len(fields.recipes)
    assert len(planned_steps(all_experiments(QUICK))) < 80
    with pytest.raises(ConfigError, match="expected one of: fields, te"):
        choose(["feilds"])
