"""An explanation holds the numbers of the table, one total per echo, and words for every flag."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.fit.refinement import fit_lesion
from qsmcmb.microbleeds.fit.uncertainty import HIDDEN_TISSUE_SD_FRACTION
from qsmcmb.microbleeds.results.explanation import explain_lesion, totals_per_echo
from qsmcmb.microbleeds.results.flags import FLAGS
from qsmcmb.microbleeds.results.measurement import FittedLesion, measure_fitted
from qsmcmb.microbleeds.signal.acquisition import KSpaceWindow, SliceProfile
from qsmcmb.microbleeds.signal.patch import ScanFields
from qsmcmb.model import Estimate
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
    totals = totals_per_echo(fitted)
    assert len(totals) == 3
    for total in totals:
        assert total.value == pytest.approx(TOTAL, abs=max(4 * total.sd, 0.1 * TOTAL))
        assert total.sd > 0


def test_record_is_json_with_the_tables_numbers(fitted: FittedLesion) -> None:
    lesion = lesion_of(fitted)
    record, slices = explain_lesion(lesion, fitted, command="qsmcmb quantify ...")
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
    inside = np.isfinite(slices.weight)
    assert np.abs(slices.data - slices.model)[inside].mean() < 0.05


def test_how_the_scan_sees_is_in_the_record(fitted: FittedLesion) -> None:
    tukey = KSpaceWindow(0.8, 0.5, 0.0)
    model = copy(fitted.fit.state.model)
    model.patch = with_acquisition(
        model.patch, windows=(tukey, tukey, KSpaceWindow()), slice_profile=SliceProfile(2, 0.9)
    )
    fit = fitted.fit._replace(state=replace(fitted.fit.state, model=model))
    record, _ = explain_lesion(lesion_of(fitted), fitted._replace(fit=fit))
    words = dict(lines_of(record))["k-space along the image's axes"]
    filtered = "0.8 of it acquired, falling over its last 0.5 to 0"
    assert words.startswith(
        f"{filtered}; {filtered}; slices of 0.9 of their distance; beyond it an extra width of"
    )
    record, _ = explain_lesion(lesion_of(fitted), fitted)
    assert dict(lines_of(record))["k-space along the image's axes"].startswith("whole, unfiltered; beyond")


def test_pages_and_numbers_are_written(fitted: FittedLesion, tmp_path: Path) -> None:
    unknown = Microbleed(4, (0.0, 0.0, 0.0), flags=("outside-volume",))
    explained = [
        explain_lesion(lesion_of(fitted), fitted, command="qsmcmb x < y"),
        explain_lesion(unknown, None),
    ]
    pages = write_explanations(tmp_path, explained)
    text = pages[0].read_text()
    assert text.count("data:image/png;base64") == 2
    for word in ("Cramer-Rao", "signal loss", FLAGS["near-mask-edge"], "qsmcmb x &lt; y"):
        assert word in text
    assert FLAGS["outside-volume"] in pages[1].read_text()
    assert json.loads((tmp_path / "lesion-3.json").read_text())["label"] == 3
