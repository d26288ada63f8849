"""Runs: small phantoms through the estimator, tables kept, pages written, exit codes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.errors import ConfigError, InvalidInputError
from qsmcmb.io.tables import read_tsv, write_tsv
from qsmcmb.model import GreScan, Grid
from qsmcmb.phantoms.recipe import LesionRecipe, Protocol, Recipe
from qsmcmb.reporting.validation_page import write_validation_page
from qsmcmb.validation.experiments import FULL, QUICK, Experiment, all_experiments
from qsmcmb.validation.phantom_dataset import truth_folder, write_phantom
from qsmcmb.validation.real_phantom import fit_line, measure_phantom, phantom_claims
from qsmcmb.validation.runner import planned_steps, run_experiment
from qsmcmb.validation.selftest import _dipole_claim, _unwrapping_claim
from qsmcmb.validation.validate import choose, validate
from qsmcmb.validation.visible import bright_region, dark_region, volume_at_equal_te

LESIONS = LesionRecipe(
    microbleeds=3,
    distribution="series",
    range_ppm_mm3=(4.0, 16.0),
    two_balls=0.0,
    apart_mm=10.0,
    jitter_mm=0.5,
)
SESSIONS = (
    Protocol("3T", 3.0, (0.006, 0.014, 0.022), 150.0),
    Protocol("7T", 7.0, (0.004, 0.008, 0.012), 150.0),
)
RECIPE = Recipe("tiny", "Tiny", "spheres", 5, "tiny", 1.0, (56.0, 56.0, 48.0), LESIONS, SESSIONS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("validation")
    validate(out, [Experiment("fields", "tiny", (RECIPE,))])
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


def test_a_session_that_is_there_is_not_run_again(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = Experiment("fields", "tiny", (RECIPE,))
    monkeypatch.setattr("qsmcmb.validation.runner.measure_session", lambda *_, **__: pytest.fail("run again"))
    assert len(run_experiment(experiment, made)) == 6
    other = dataclasses.replace(RECIPE, seed=6)
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


def test_regions_are_found_and_measured() -> None:
    grid = Grid.isotropic((32, 32, 32), 1.0)
    xyz = np.indices(grid.shape) - 16.0
    ball = (xyz**2).sum(axis=0) <= 4
    image = np.where(ball, 10.0, 100.0)
    found = dark_region(image, grid, np.array([1.0, 0.0, 0.0]))
    assert found.volume_mm3 == ball.sum()
    assert found.seen
    assert found.across_mm == pytest.approx(2 * np.sqrt(13 / np.pi))
    slices = Grid(grid.shape, (1.0, 1.0, 5.0))
    spot = np.full(grid.shape, 100.0)
    spot[16, 16, 16] = 10.0
    one = dark_region(spot, slices, slices.to_world(np.array([16.0, 16.0, 16.0])))
    assert one.volume_mm3 == 5
    assert not one.seen
    chi = bright_region(np.where(ball, 0.5, 0.1), grid, np.zeros(3), above=0.1)
    assert chi.mean == pytest.approx(0.4)
    assert dark_region(image, grid, np.array([11.0, 0.0, 0.0])).volume_mm3 == 0
    large = (xyz**2).sum(axis=0) <= 9**2
    blood = np.where(large, 10.0, 100.0)
    assert dark_region(blood, grid, np.zeros(3)).volume_mm3 == 0
    assert dark_region(blood, grid, np.zeros(3), further_mm=6.0).volume_mm3 == large.sum()
    assert not dark_region(image, grid, np.array([90.0, 0.0, 0.0])).seen


def test_volumes_are_compared_at_one_echo_time() -> None:
    grid = Grid.isotropic((32, 32, 32), 1.0)
    distance2 = ((np.indices(grid.shape) - 16.0) ** 2).sum(axis=0)
    balls = [distance2 <= n for n in (1, 4, 9)]
    magnitude = np.where(balls, 10.0, 100.0).astype(np.float32)
    scan = GreScan(np.zeros_like(magnitude), magnitude, (0.008, 0.018, 0.028), 3.0, grid)
    assert volume_at_equal_te(scan, np.zeros(3)) == balls[1].sum()
    assert np.isnan(volume_at_equal_te(dataclasses.replace(scan, te_s=(0.005, 0.016, 0.022)), np.zeros(3)))


def test_formulas_of_the_selftest_hold() -> None:
    assert _dipole_claim().passed
    assert _unwrapping_claim().passed


def test_a_line_is_found_with_its_limit_of_detection(rng: np.random.Generator) -> None:
    truth = np.geomspace(1, 50, 40)
    line = fit_line(truth, 0.9 * truth + 0.2 + 0.01 * truth * rng.standard_normal(40))
    assert line.slope == pytest.approx(0.9, abs=4 * line.slope_sd)
    assert line.limit_of_detection_ppm_mm3 == pytest.approx(3.3 * 0.01 / 0.9, rel=0.4)


def test_a_real_phantom_is_measured_against_its_truth(tmp_path: Path) -> None:
    bids = tmp_path / "bids"
    write_phantom(dataclasses.replace(RECIPE, sessions=SESSIONS[:1]), bids)
    truth = truth_folder(bids) / "lesions.tsv"
    claims = phantom_claims(measure_phantom(bids, truth))
    assert {c.quantity: c.passed for c in claims}["slope"]
    code = run_command(["validate", str(tmp_path / "out"), "--bids", str(bids), "--truth", str(truth)])
    assert code in (0, 1)
    assert "phantom" in (tmp_path / "out" / "index.html").read_text()
    write_tsv(tmp_path / "bad.tsv", [{"x_mm": 1.0}], ["x_mm"])
    with pytest.raises(InvalidInputError, match="no y_mm, z_mm, S_ppm_mm3"):
        measure_phantom(bids, tmp_path / "bad.tsv")
    rows = [{"x_mm": 1.0, "y_mm": 1.0, "z_mm": 1.0, "S_ppm_mm3": 2.0, "participant_id": "sub-other"}]
    write_tsv(tmp_path / "other.tsv", rows, list(rows[0]))
    with pytest.raises(InvalidInputError, match="no row for any scan"):
        measure_phantom(bids, tmp_path / "other.tsv")


def test_validate_refuses_half_a_phantom(tmp_path: Path) -> None:
    assert run_command(["validate", str(tmp_path), "--bids", str(tmp_path)]) == 2
