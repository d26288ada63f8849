"""Change a year, counts of uncertain events, and the classes of new microhaemorrhages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.change.ariah import CLASSES, ariah_record
from qsmcmb.change.course import annual_change, count_distribution, count_interval
from qsmcmb.change.flags import NOT_AT_BASELINE
from qsmcmb.change.protocol import protocol_differences
from qsmcmb.change.records import COLUMNS, Change, without_order
from qsmcmb.model import Estimate

CHANGE = Change(1, "stable", (0.0, 0.0, 0.0), Estimate(4.0, 0.3, ""), Estimate(6.0, 0.4, ""), 0.5, 0.9, 0.0)
NEW = replace(CHANGE, status="incident", new_probability=0.9, flags=(NOT_AT_BASELINE,))


def test_the_line_is_that_of_least_squares(rng: np.random.Generator) -> None:
    years, sds = np.array([0.0, 0.7, 1.9, 3.2]), np.array([0.5, 0.2, 0.4, 0.3])
    values = 10 + 1.5 * years + 0.05 * rng.standard_normal(4)
    found = annual_change(list(years), [Estimate(v, s, "") for v, s in zip(values, sds, strict=True)])
    expected = np.polyfit(years, values, 1, w=1 / sds, cov="unscaled")
    assert found is not None
    assert found.value == pytest.approx(expected[0][0])
    assert found.sd == pytest.approx(expected[1][0, 0] ** 0.5)


def test_values_off_the_line_widen_the_interval() -> None:
    straight = annual_change([0.0, 1.0, 2.0], [Estimate(v, 0.1, "") for v in (0.0, 1.0, 2.0)])
    bent = annual_change([0.0, 1.0, 2.0], [Estimate(v, 0.1, "") for v in (0.0, 2.0, 2.0)])
    assert straight is not None
    assert bent is not None
    assert bent.sd > 5 * straight.sd


def test_no_rate_without_two_times_and_values() -> None:
    one = Estimate(1.0, 0.1, "")
    assert annual_change([0.0], [one]) is None
    assert annual_change([1.0, 1.0], [one, one]) is None
    assert annual_change([0.0, 1.0], [one, None]) is None
    assert annual_change([0.0, 1.0], [one, Estimate(1.0, float("nan"), "")]) is None


def test_counts_are_those_of_drawn_events(rng: np.random.Generator) -> None:
    chances = rng.uniform(0, 1, 9)
    drawn = (rng.random((40000, 9)) < chances).sum(axis=1)
    np.testing.assert_allclose(
        count_distribution(chances), np.bincount(drawn, minlength=10) / 40000, atol=0.01
    )
    found = count_interval(chances)
    assert found.expected == pytest.approx(chances.sum())
    assert np.mean((drawn >= found.low) & (drawn <= found.high)) >= 0.945
    assert count_interval([]) == (0.0, 0, 0, 0)


def test_classes_hold_every_number_once() -> None:
    for n in range(30):
        assert sum(low <= n and (high is None or n <= high) for _, low, high in CLASSES) == 1
    record = ariah_record([NEW] * 5)
    assert sum(record["class_probability"].values()) == pytest.approx(1.0)
    assert record["class"] == "5-9"
    assert record["class_probability"]["5-9"] == pytest.approx(0.9**5)
    assert (record["n_called_new"], record["n_not_evaluable"]) == (5, 0)


def test_what_the_older_scan_could_not_show_is_not_counted_as_none() -> None:
    unknown = replace(NEW, status="not_evaluable", new_probability=None)
    record = ariah_record([unknown])
    assert (record["class"], record["class_probability"], record["n_not_evaluable"]) == (None, None, 1)
    assert ariah_record([CHANGE])["class"] == "none"


def test_row_holds_the_fixed_columns_and_the_probability_last() -> None:
    row = CHANGE.row()
    assert set(row) <= set(COLUMNS)
    assert list(COLUMNS)[-1] == "status_probability"
    assert row["change_percent"] == pytest.approx(50.0)
    assert row["mdc_ppm_mm3"] == pytest.approx(0.98)
    assert row["p_value"] == pytest.approx(6.334e-5, rel=1e-3)
    assert "change_percent" not in NEW.row()
    assert replace(CHANGE, change_sd_ppm_mm3=0.0).row()["p_value"] is None
    assert not {"change_ppm_mm3", "mdc_ppm_mm3"} & set(replace(CHANGE, followup=None).row())


def test_without_order_nothing_is_new() -> None:
    assert without_order(CHANGE).status == "stable"
    unknown = without_order(NEW)
    assert (unknown.status, unknown.probability, unknown.new_probability) == ("not_evaluable", None, None)


def test_scans_differ_in_scanner_software_and_protocol() -> None:
    one = {"EchoTime": [0.01, 0.02], "MagneticFieldStrength": 2.8936, "Scanner": {"SoftwareVersions": "E11"}}
    drifted = {**one, "MagneticFieldStrength": 2.8937}
    assert protocol_differences(one, drifted) == []
    other = {**one, "EchoTime": [0.01], "Scanner": {"SoftwareVersions": "XA30"}}
    assert [d.flag for d in protocol_differences(one, other)] == [
        "echo-times-differ",
        "scanner-software-differs",
    ]
    assert protocol_differences({}, one) == []
