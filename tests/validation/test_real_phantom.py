"""A real phantom: its line against the truth, its tables and page, and truth tables that are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.tables import read_tsv, write_tsv
from qsmcmb.phantoms.recipe import Recipe
from qsmcmb.validation.phantom_dataset import truth_folder, write_phantom
from qsmcmb.validation.real_phantom import fit_line, measure_phantom


def test_a_line_is_found_with_its_limit_of_detection(rng: np.random.Generator) -> None:
    truth = np.geomspace(1, 50, 40)
    line = fit_line(truth, 0.9 * truth + 0.2 + 0.01 * truth * rng.standard_normal(40))
    assert line.slope == pytest.approx(0.9, abs=4 * line.slope_sd)
    assert line.limit_of_detection_ppm_mm3 == pytest.approx(3.3 * 0.01 / 0.9, rel=0.4)


def test_a_real_phantom_is_measured_against_its_truth(tmp_path: Path, tiny_recipe: Recipe) -> None:
    bids = tmp_path / "bids"
    write_phantom(dataclasses.replace(tiny_recipe, sessions=tiny_recipe.sessions[:1]), bids)
    truth = truth_folder(bids) / "lesions.tsv"
    code = run_command(["validate", str(tmp_path / "out"), "--bids", str(bids), "--truth", str(truth)])
    assert code in (0, 1)
    claims = {row["quantity"]: row["passed"] for row in read_tsv(tmp_path / "out/claims.tsv")}
    assert claims["slope"] == "yes"
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
