"""The lesion table: its columns, and rows that become lesions and rows again."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from qsmcmb.io.lesion_table import column_sidecar, lesion_from_row, lesion_row
from qsmcmb.lesion import LESION_COLUMNS, Microbleed
from qsmcmb.microbleeds.results.table import MicrobleedTable
from qsmcmb.model import Estimate

FIXED = [
    "label", "x_mm", "y_mm", "z_mm", "kind", "certainty", "bombs_certainty", "score", "total_chi_ppm_mm3",
    "total_chi_sd_ppm_mm3", "total_chi_low_ppm_mm3", "total_chi_high_ppm_mm3", "total_chi_sum_ppm_mm3",
    "total_chi_sum_raw_ppm_mm3", "total_chi_loss_ppm_mm3", "detection_limit_ppm_mm3", "volume_mm3", "diameter_mm",
    "r2star_hz", "side", "territory", "mars_region", "bombs_region", "source", "flags", "fit_noise_limit_ppm_mm3",
    "shape",
]  # fmt: skip
"""Columns and their order as users rely on them."""
UNITS = {"_ppm_mm3": "ppm mm3", "_mm3": "mm3", "_mm": "mm", "_hz": "1/s"}
"""Unit by the end of a name."""
FULL = Microbleed(
    label=7,
    position_mm=(1.5, -2.25, 30.125),
    kind="calcification",
    certainty="definite",
    bombs_certainty="certain",
    score=0.75,
    total_chi_ppm_mm3=Estimate(-3.5, 0.25, "ppm mm3", (-4.5, -2.75)),
    total_chi_sum_ppm_mm3=-3.25,
    total_chi_sum_raw_ppm_mm3=-3.0,
    total_chi_loss_ppm_mm3=-3.75,
    detection_limit_ppm_mm3=0.5,
    volume_mm3=12.0,
    diameter_mm=2.875,
    r2star_hz=41.5,
    side="left",
    territory="deep",
    mars_region="thalamus",
    bombs_region="thalamus",
    source="reader",
    flags=("near-mask-edge", "single-echo"),
    fit_noise_limit_ppm_mm3=0.625,
    shape="spheroid",
)


def test_columns_are_the_fixed_ones_in_their_order() -> None:
    assert list(LESION_COLUMNS) == FIXED


def test_every_value_stands_in_its_own_column() -> None:
    expected: dict[str, Any] = {
        "label": 7, "x_mm": 1.5, "y_mm": -2.25, "z_mm": 30.125, "kind": "calcification", "certainty": "definite",
        "bombs_certainty": "certain", "score": 0.75, "total_chi_ppm_mm3": -3.5, "total_chi_sd_ppm_mm3": 0.25,
        "total_chi_low_ppm_mm3": -4.5, "total_chi_high_ppm_mm3": -2.75, "total_chi_sum_ppm_mm3": -3.25,
        "total_chi_sum_raw_ppm_mm3": -3.0, "total_chi_loss_ppm_mm3": -3.75, "detection_limit_ppm_mm3": 0.5,
        "volume_mm3": 12.0, "diameter_mm": 2.875, "r2star_hz": 41.5, "side": "left", "territory": "deep",
        "mars_region": "thalamus", "bombs_region": "thalamus", "source": "reader",
        "flags": "near-mask-edge;single-echo", "fit_noise_limit_ppm_mm3": 0.625, "shape": "spheroid",
    }  # fmt: skip
    assert lesion_row(FULL) == expected
    assert None not in expected.values()


@pytest.mark.parametrize(
    "name", [f.name for f in fields(Microbleed) if f.name not in ("label", "position_mm")]
)
def test_a_row_becomes_the_lesion_again_whatever_is_unknown(name: str) -> None:
    assert lesion_from_row(lesion_row(FULL)) == FULL
    default = next(f for f in fields(Microbleed) if f.name == name).default
    lesion = replace(FULL, **{name: default})
    row = lesion_row(lesion)
    assert lesion_from_row(row) == lesion
    # A file has n/a where a value is None; a table of an older release lacks the column.
    unknown = {k: v for k, v in row.items() if v is not None}
    assert lesion_from_row(unknown) == lesion


def test_a_symmetric_interval_is_written_as_it_is() -> None:
    row = lesion_row(Microbleed(1, (0.0, 0.0, 0.0), total_chi_ppm_mm3=Estimate(2.0, 0.5, "ppm mm3")))
    assert row["total_chi_low_ppm_mm3"] == pytest.approx(2.0 - 0.98)
    assert row["total_chi_high_ppm_mm3"] == pytest.approx(2.0 + 0.98)


def test_labels_of_a_file_are_integers() -> None:
    assert lesion_from_row({"label": "3", "x_mm": 0.0, "y_mm": 1.0, "z_mm": 2.0}) == Microbleed(
        3, (0.0, 1.0, 2.0)
    )


def test_the_sidecar_describes_every_column_with_its_unit() -> None:
    sidecar = column_sidecar()
    assert list(sidecar) == FIXED
    assert len({described["Description"] for described in sidecar.values()}) == len(FIXED)
    for name, described in sidecar.items():
        unit = next((u for end, u in UNITS.items() if name.endswith(end)), None)
        assert described.get("Units") == unit, name
    assert sidecar["side"]["Levels"] == {"left": "left", "right": "right", "midline": "midline"}
    assert "Levels" not in sidecar["score"]


def test_a_table_is_a_data_frame_of_its_rows() -> None:
    table = MicrobleedTable((FULL, Microbleed(8, (0.0, 0.0, 0.0))))
    frame = table.to_dataframe()
    assert len(table) == len(frame) == 2
    assert list(frame.columns) == FIXED
    assert frame["flags"].tolist()[0] == "near-mask-edge;single-echo"
    assert frame["total_chi_ppm_mm3"][0] == -3.5
    assert np.isnan(frame["total_chi_ppm_mm3"][1])
    assert table.rows()[1]["label"] == 8
    assert table.rows()[1]["flags"] is None
