"""An explanation holds the numbers of the table, one total per echo, and words for every flag."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.crosscheck.map_sum import MapSum
from qsmcmb.microbleeds.fit.echo_totals import totals_per_echo
from qsmcmb.microbleeds.fit.model_comparison import ComparedModel, Comparison
from qsmcmb.microbleeds.fit.refinement import fit_lesion
from qsmcmb.microbleeds.fit.sd_parts import SdParts
from qsmcmb.microbleeds.fit.uncertainty import HIDDEN_TISSUE_SD_FRACTION
from qsmcmb.microbleeds.fit.vein import Vein
from qsmcmb.microbleeds.results.explanation import explain_lesion
from qsmcmb.microbleeds.results.flags import FLAGS
from qsmcmb.microbleeds.results.measurement import FittedLesion, measure_fitted
from qsmcmb.microbleeds.signal.acquisition import KSpaceWindow, SliceProfile
from qsmcmb.microbleeds.signal.patch import ScanFields
from qsmcmb.model import Estimate
from qsmcmb.reporting.explain_interval import PART_WORDS
from qsmcmb.reporting.explain_page import lines_of, write_explanations
from tests.scenes.patches import surroundings, true_source, with_acquisition

TOTAL = 6.0


@pytest.fixture(scope="module")
def fitted() -> FittedLesion:
    patch = surroundings(TOTAL)
    fields = ScanFields(field_hz=patch.field_hz, offset_rad=0 * patch.field_hz, mask=patch.inside)
    fit = fit_lesion(patch, true_source(TOTAL))
    return measure_fitted(patch, fit, fields, patch.grid, vein=None, adjacent_vein=None)


def lesion_of(fitted: FittedLesion) -> Microbleed:
    fit = fitted.fit
    total = Estimate(fit.source.total_chi_ppm_mm3, fit.sd_ppm_mm3, "ppm mm3")
    return Microbleed(3, (1.0, 2.0, 3.0), total_chi_ppm_mm3=total, flags=("near-mask-edge",))


def test_a_point_source_gives_the_same_total_at_every_echo(fitted: FittedLesion) -> None:
    totals = totals_per_echo(fitted.fit.state)
    assert len(totals) == 3
    for total in totals:
        assert total.value == pytest.approx(TOTAL, abs=max(4 * total.sd, 0.1 * TOTAL))
        assert total.sd > 0


def test_record_is_json_with_the_tables_numbers(fitted: FittedLesion) -> None:
    lesion = lesion_of(fitted)
    record, slices, planes = explain_lesion(lesion, fitted, command="qsmcmb quantify ...")
    again = json.loads(json.dumps(record, allow_nan=False))
    assert lesion.total_chi_ppm_mm3 is not None
    assert again["total_chi"]["value"] == pytest.approx(lesion.total_chi_ppm_mm3.value)
    assert again["voxels"]["used"] == int(fitted.fit.patch.inside.sum())
    assert 0 < again["fit"]["cramer_rao_sd"] <= again["fit"]["sd"]
    assert 0 < again["fit"]["psf_and_shape_sd"] < again["fit"]["sd"]
    assert again["fit"]["hidden_tissue_sd"] == pytest.approx(
        HIDDEN_TISSUE_SD_FRACTION * lesion.total_chi_ppm_mm3.value
    )
    assert [r["te_s"] for r in again["per_echo"]] == list(fitted.patch.acquisition.te_s)
    assert again["estimators_agree"] is True
    assert slices is not None
    assert len(planes) == 3
    inside = np.isfinite(slices.weight)
    assert np.abs(slices.data - slices.model)[inside].mean() < 0.05


def test_how_the_scan_sees_is_in_the_record(fitted: FittedLesion) -> None:
    tukey = KSpaceWindow(0.8, 0.5, 0.0)
    model = copy(fitted.fit.state.model)
    model.patch = with_acquisition(
        model.patch, windows=(tukey, tukey, KSpaceWindow()), slice_profile=SliceProfile(2, 0.9)
    )
    fit = fitted.fit._replace(state=replace(fitted.fit.state, model=model))
    record = explain_lesion(lesion_of(fitted), fitted._replace(fit=fit)).record
    words = dict(lines_of(record))["k-space along the image's axes"]
    filtered = "0.8 of it acquired, falling over its last 0.5 to 0"
    assert words.startswith(
        f"{filtered}; {filtered}; slices of 0.9 of their distance; beyond it an extra width of"
    )
    record = explain_lesion(lesion_of(fitted), fitted).record
    assert dict(lines_of(record))["k-space along the image's axes"].startswith("whole, unfiltered; beyond")


def test_pages_and_numbers_are_written(fitted: FittedLesion, tmp_path: Path) -> None:
    unknown = Microbleed(4, (0.0, 0.0, 0.0), flags=("outside-volume",))
    explained = [
        explain_lesion(lesion_of(fitted), fitted, command="qsmcmb x < y"),
        explain_lesion(unknown, None),
    ]
    pages = write_explanations(tmp_path, explained)
    text = pages[0].read_text()
    assert text.count("data:image/png;base64") == 4
    for word in (
        "Cramer-Rao", "signal loss", FLAGS["near-mask-edge"], "qsmcmb x &lt; y", "The source as fitted",
        "Principal lengths", "Models compared", "Of its square",
    ):  # fmt: skip
        assert word in text
    unknown_text = pages[1].read_text()
    assert FLAGS["outside-volume"] in unknown_text
    assert "data:image/png" not in unknown_text
    assert json.loads((tmp_path / "lesion-3.json").read_text())["label"] == 3


def test_the_record_has_every_number_where_it_belongs(fitted: FittedLesion) -> None:
    loss, fit = fitted.signal_loss, fitted.fit
    assert loss is not None
    total = MapSum(
        raw_ppm_mm3=5.0,
        corrected=Estimate(6.1, np.inf, "ppm mm3"),
        response=0.8,
        radius_mm=3.5,
        radii_mm=np.array([2.0, 3.0]),
        growth_ppm_mm3=np.array([4.0, np.nan]),
        response_growth_ppm_mm3=np.array([3.0, 3.5]),
    )
    veins = {
        "vein": Vein(0.5, 0.7, (0.0, 0.6, 0.8), 12.0),
        "adjacent_vein": Vein(0.4, 0.6, (1.0, 0.0, 0.0), 3.0),
    }
    record = explain_lesion(lesion_of(fitted), fitted._replace(**veins), total, command="again").record
    assert record["label"] == 3
    assert record["position_mm"] == [1.0, 2.0, 3.0]
    assert record["command"] == "again"
    assert record["flags"] == [{"flag": "near-mask-edge", "meaning": FLAGS["near-mask-edge"]}]
    assert record["map_sum"] == {
        "raw": 5.0,
        "corrected": {"value": 6.1, "sd": None, "low": None, "high": None},
        "response": 0.8,
        "radius_mm": 3.5,
        "radii_mm": [2.0, 3.0],
        "growth": [4.0, None],
        "response_growth": [3.0, 3.5],
    }
    for name, vein in veins.items():
        assert record[name] == vein._asdict()
    assert record["signal_loss"] == {
        "value": loss.total_chi_ppm_mm3,
        "sd": loss.sd_ppm_mm3,
        "low": loss.estimate.low,
        "high": loss.estimate.high,
        "ball_radius_mm": loss.radius_mm,
        "te_s": loss.te_s.tolist(),
        "volume_mm3": loss.volume_mm3.tolist(),
        "volume_sd_mm3": loss.volume_sd_mm3.tolist(),
        "per_echo": loss.per_echo_ppm_mm3.tolist(),
    }
    assert record["fit"] == {
        "shape": "ball",
        "signal_retaining_core": False,
        "decay_hz": fit.state.decay_hz,
        "tissue_prior": True,
        "sources_ppm_mm3_mm": fit.state.rows.tolist(),
        "residual": fit.residual,
        "core_residual": fit.core_residual,
        "sd": fit.sd_ppm_mm3,
        "noise_and_clutter_sd": fit.noise_sd_ppm_mm3,
        "psf_and_shape_sd": fit.shape_sd_ppm_mm3,
        "hidden_tissue_sd": fit.hidden_tissue_sd_ppm_mm3,
        "cramer_rao_sd": fit.cramer_rao_sd_ppm_mm3,
        "converged": True,
    }
    width2 = record["point_spread"]["psf_width2_mm2"]
    assert (width2["value"], width2["sd"]) == (fit.psf_width2.value, fit.psf_width2.sd)
    voxels = record["voxels"]
    ball = (fit.patch.coordinates_mm**2).sum(axis=0) <= fit.patch.radius_mm**2
    assert voxels["left_out"] == int(ball.sum()) - voxels["used"]
    weight = fit.state.objective.robust.reshape(3, -1) ** 2
    assert voxels["n_downweighted"] == (weight < 0.5).sum(axis=1).tolist()
    assert voxels["ball_radius_mm"] == fit.patch.radius_mm
    assert voxels["fraction_in_mask"] == fit.patch.fraction_in_mask


@pytest.mark.parametrize("systematic_sd", [0.0, 0.4])
def test_the_parts_of_the_sd_add_up_to_that_of_the_row(fitted: FittedLesion, systematic_sd: float) -> None:
    row_sd = float(np.hypot(fitted.fit.sd_ppm_mm3, systematic_sd))
    wider = fitted._replace(
        total_chi_ppm_mm3=replace(fitted.total_chi_ppm_mm3, sd=row_sd), systematic_sd_ppm_mm3=systematic_sd
    )
    parts = explain_lesion(lesion_of(wider), wider).record["sd_parts"]
    assert {p["part"] for p in parts} == {*SdParts._fields, "systematic"} == set(PART_WORDS)
    assert sum(p["sd"] ** 2 for p in parts) == pytest.approx(row_sd**2)
    assert [p["sd"] for p in parts] == sorted((p["sd"] for p in parts), reverse=True)
    assert {p["part"]: p["sd"] for p in parts}["systematic"] == systematic_sd


def test_a_row_without_an_interval_has_no_parts(fitted: FittedLesion, tmp_path: Path) -> None:
    unknown = replace(lesion_of(fitted), total_chi_ppm_mm3=Estimate(6.0, np.nan, "ppm mm3"))
    explained = explain_lesion(unknown, fitted)
    assert "sd_parts" not in explained.record
    (page,) = write_explanations(tmp_path, [explained])
    assert "The row has no interval" in page.read_text()


def test_a_fit_that_does_not_hold_says_so_in_the_parts(fitted: FittedLesion) -> None:
    """The row's SD is made where the parts are: a vein's interval reaches 0."""
    vein = Vein(0.5, 0.7, (0.0, 0.6, 0.8), 12.0)
    fields = ScanFields(
        field_hz=fitted.patch.field_hz, offset_rad=0 * fitted.patch.field_hz, mask=fitted.patch.inside
    )
    as_vein = measure_fitted(
        fitted.patch, fitted.fit, fields, fitted.patch.grid, vein=vein, adjacent_vein=None
    )
    parts = explain_lesion(lesion_of(as_vein), as_vein).record["sd_parts"]
    assert parts[0] == {"part": "systematic", "sd": pytest.approx(abs(as_vein.total_chi_ppm_mm3.value))}
    assert sum(p["sd"] ** 2 for p in parts) == pytest.approx(as_vein.total_chi_ppm_mm3.sd**2)


def test_models_and_moments_are_in_the_record(fitted: FittedLesion) -> None:
    pair = ComparedModel(Comparison.SHAPE, "pair", 2, 6.3, np.inf, 0.5, is_chosen=False)
    state = fitted.fit.state.with_compared_models([pair])
    record = explain_lesion(lesion_of(fitted), fitted._replace(fit=fitted.fit._replace(state=state))).record
    assert record["compared_models"] == [
        {
            "comparison": "shape",
            "shape": "pair",
            "n_bodies": 2,
            "total_chi_ppm_mm3": 6.3,
            "cost": None,
            "core_residual": 0.5,
            "is_chosen": False,
        }
    ]
    moments, source = record["moments"], fitted.fit.source
    assert moments["dipole"] == moments["absolute"] == source.total_chi_ppm_mm3
    assert moments["principal_lengths_mm"] == pytest.approx([2 * source.radius_mm] * 3)
    assert [r["distance_mm"] for r in moments["remainder"]] == [3.0, 5.0, 8.0]


@pytest.mark.parametrize(("corrected", "agree"), [(6.2, True), (9.0, False)])
def test_estimators_that_agree_are_said_to(fitted: FittedLesion, corrected: float, agree: bool) -> None:
    total = MapSum(5.0, Estimate(corrected, 0.1, "ppm mm3"), 0.8, 3.5, np.zeros(1), np.zeros(1), np.zeros(1))
    assert explain_lesion(lesion_of(fitted), fitted, total).record["estimators_agree"] == agree
    unknown = replace(lesion_of(fitted), total_chi_ppm_mm3=None)
    assert explain_lesion(unknown, fitted, total).record["estimators_agree"] is None


def test_totals_per_echo_are_one_step_of_that_echo_alone(fitted: FittedLesion) -> None:
    """Least squares of one echo's weighted error over the total and its own polynomials."""
    state = fitted.fit.state
    model, objective, linear = state.model, state.objective, state.linear
    n = int(model.patch.inside.sum())
    found = totals_per_echo(fitted.fit.state)
    for echo in range(3):
        rows = slice(echo * n, (echo + 1) * n)
        u = (objective.magnitude_weight * objective.robust)[rows]
        v = (objective.phase_weight * objective.robust)[rows]
        phase = linear.by_phase[echo][:, None] * model.polynomial.phase.dense()[rows]
        amplitude = linear.by_log_magnitude[echo][:, None] * model.polynomial.amplitude.dense()[rows]
        source = linear.source[rows, 0]
        design = np.block(
            [[source.real[:, None], 0 * phase, amplitude], [source.imag[:, None], phase, 0 * amplitude]]
        )
        error = np.concatenate([u * objective.error[rows].real, v * objective.error[rows].imag])
        step = np.linalg.lstsq(design, -error, rcond=1e-6)[0]
        assert found[echo].value == pytest.approx(state.parameters[0] + step[0], rel=1e-3)
        inverse = np.linalg.pinv(design.T @ design, rcond=1e-10, hermitian=True)
        rise = max(1.0, np.sqrt(np.mean(error**2)))
        assert found[echo].sd == pytest.approx(np.sqrt(inverse[0, 0]) * rise, rel=1e-4)


def test_slices_run_through_the_lesion_from_edge_to_edge(fitted: FittedLesion) -> None:
    slices = explain_lesion(lesion_of(fitted), fitted).slices
    assert slices is not None
    patch = fitted.fit.patch
    # The lesion's centre lies at 0.1 mm along the third axis: the slice at 0.
    at = int(np.flatnonzero(patch.axes_mm[2] == 0.0)[0])
    inside = patch.inside[..., at]
    level = np.median(np.abs(patch.signal[0][patch.inside]))
    np.testing.assert_allclose(slices.data[:, inside], patch.signal[..., at][:, inside] / level)
    assert np.isnan(slices.data[:, ~inside]).all()
    assert np.isnan(slices.weight[:, ~inside]).all()
    values = fitted.fit.state.objective.signal.value.reshape(3, -1) / level
    of_slice = np.isin(
        np.flatnonzero(patch.inside), np.ravel_multi_index((*np.nonzero(inside), at), patch.inside.shape)
    )
    np.testing.assert_allclose(slices.model[:, inside], values[:, of_slice])
    assert 0 < np.nanmin(slices.weight) < np.nanmax(slices.weight) <= 1
    x, y = patch.axes_mm[:2]
    assert slices.extent_mm == (x[0] - 0.5, x[-1] + 0.5, y[0] - 0.5, y[-1] + 0.5)
