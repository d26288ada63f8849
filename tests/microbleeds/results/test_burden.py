"""Burden: sums with their errors, parts that add up, and what stays below the detection limit."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.results.burden import SHARED_RELATIVE_SD, summarise_burden, summarise_detection_limit
from qsmcmb.model import Estimate


def lesion(label: int, value: float, sd: float, **known: object) -> Microbleed:
    place = (20.0 * label, 0.0, 0.0)
    base = {"territory": "lobar", "certainty": "definite", "volume_mm3": 10.0, "diameter_mm": 3.0}
    return Microbleed(label, place, total_chi_ppm_mm3=Estimate(value, sd, "ppm mm3"), **{**base, **known})  # type: ignore[arg-type]


def test_independent_errors_add_in_squares_and_the_shared_one_in_full() -> None:
    record = summarise_burden([lesion(i, 2.0, 0.3) for i in range(4)])
    assert record["burden_ppm_mm3"] == pytest.approx(8.0)
    assert record["burden_sd_independent_ppm_mm3"] == pytest.approx(0.6)
    assert record["burden_sd_shared_ppm_mm3"] == pytest.approx(8 * SHARED_RELATIVE_SD)
    sd = np.hypot(0.6, 8 * SHARED_RELATIVE_SD)
    assert record["burden_sd_ppm_mm3"] == pytest.approx(sd)
    assert record["burden_high_ppm_mm3"] == pytest.approx(8 + 1.96 * sd)
    assert record["volume_mm3"] == pytest.approx(40.0)


def test_a_wide_interval_counts_as_wide_as_it_is() -> None:
    wide = lesion(1, 2.0, 0.1)
    total = Estimate(2.0, 0.1, "ppm mm3", (0.0, 1.96 * 4))
    wide = Microbleed(1, wide.position_mm, total_chi_ppm_mm3=total)
    assert summarise_burden([wide])["burden_sd_independent_ppm_mm3"] == pytest.approx(2.0)


def test_parts_add_up_to_the_whole() -> None:
    lesions = [
        lesion(1, 2.0, 0.3),
        lesion(2, 1.0, 0.2, territory="deep", certainty="possible"),
        lesion(3, 4.0, 0.2, territory=None, diameter_mm=7.0),
        lesion(4, 9.0, 0.2, kind="vein"),
        lesion(5, 9.0, 0.2, certainty="rejected"),
    ]
    record = summarise_burden(lesions)
    for parts in ("by_territory", "by_certainty", "by_size"):
        assert sum(p["burden_ppm_mm3"] for p in record[parts].values()) == pytest.approx(7.0)
        assert sum(p["n"] for p in record[parts].values()) == 3
    assert set(record["by_territory"]) == {"lobar", "deep", "n/a"}
    assert (record["n_definite"], record["n_possible"]) == (2, 1)


def test_nothing_found_is_a_burden_of_zero_with_what_was_not_seen() -> None:
    limit = np.concatenate([np.zeros(50), np.full(900, 0.8), np.full(100, 3.0)])
    record = summarise_burden([], detection_limit=summarise_detection_limit(limit))
    assert record["burden_ppm_mm3"] == 0
    assert record["detection_limit_median_ppm_mm3"] == pytest.approx(0.8)
    below = record["below_detection_limit"]
    assert below["brain_fraction_missed"] == pytest.approx({"0.5": 1.0, "1": 0.1, "2": 0.1, "5": 0.0})
    assert below["shown_everywhere_above_ppm_mm3"] == pytest.approx(3.0)
    assert "below 0.8 ppm mm3" in below["statement"]


def test_where_nothing_would_show_no_number_is_made_up() -> None:
    assert summarise_detection_limit(np.zeros(5)) is None
    below = summarise_burden([], detection_limit=summarise_detection_limit(np.full(10, np.inf)))[
        "below_detection_limit"
    ]
    assert below["shown_everywhere_above_ppm_mm3"] is None
    assert below["brain_fraction_missed"]["5"] == 1.0
    assert summarise_burden([])["below_detection_limit"] is None


def test_the_record_of_two_lesions_is_what_a_hand_computes() -> None:
    lesions = [
        lesion(1, 3.0, 0.3, volume_mm3=12.0),
        lesion(2, -1.0, 0.4, certainty="possible", diameter_mm=10.0),
    ]
    record = summarise_burden(lesions)
    assert record["burden_ppm_mm3"] == pytest.approx(2.0)
    assert record["volume_mm3"] == pytest.approx(22.0)
    # sqrt(0.3^2 + 0.4^2) of their own, 2 % of the sum in common.
    assert record["burden_sd_independent_ppm_mm3"] == pytest.approx(0.5)
    assert record["burden_sd_shared_ppm_mm3"] == pytest.approx(0.04)
    sd = (0.25 + 0.0016) ** 0.5
    assert record["burden_sd_ppm_mm3"] == pytest.approx(sd)
    assert record["burden_low_ppm_mm3"] == pytest.approx(2.0 - 1.96 * sd)
    assert record["burden_high_ppm_mm3"] == pytest.approx(2.0 + 1.96 * sd)
    assert {k: v["n"] for k, v in record["by_size"].items()} == {"<5 mm": 1, "5-10 mm": 0, ">10 mm": 1}
    assert {k: v["n"] for k, v in record["by_certainty"].items()} == {"definite": 1, "possible": 1}
    assert record["by_certainty"]["possible"]["burden_sd_ppm_mm3"] == pytest.approx((0.16 + 0.0004) ** 0.5)
    assert record["by_size"]["<5 mm"]["volume_mm3"] == pytest.approx(12.0)
    assert record["detection_limit_median_ppm_mm3"] is None
    assert "n" not in record


def test_a_body_without_a_size_counts_in_no_class_of_size() -> None:
    record = summarise_burden([lesion(1, 3.0, 0.3, diameter_mm=None, volume_mm3=None)])
    assert sum(part["n"] for part in record["by_size"].values()) == 0
    assert record["volume_mm3"] == 0.0


@pytest.mark.parametrize(
    ("n", "expected"), [(0, "0"), (1, "1"), (2, "2-4"), (4, "2-4"), (5, ">=5"), (10, ">=5"), (11, ">10")]
)
def test_classes_of_counts(n: int, expected: str) -> None:
    assert summarise_burden([lesion(i, 2.0, 0.1) for i in range(n)])["count_class"] == expected


@pytest.mark.parametrize(
    ("territories", "expected"),
    [
        ((), "none"),
        ((None,), "n/a"),
        (("lobar", "lobar"), "strictly lobar"),
        (("deep", None), "strictly deep"),
        (("infratentorial",), "infratentorial"),
        (("lobar", "infratentorial"), "mixed"),
        (("deep", "lobar"), "mixed"),
    ],
)
def test_pattern_of_territories(territories: tuple[str | None, ...], expected: str) -> None:
    lesions = [lesion(i, 2.0, 0.1, territory=t) for i, t in enumerate(territories)]
    assert summarise_burden(lesions)["pattern"] == expected


def test_a_lesion_named_twice_counts_once_and_one_without_a_number_not_at_all() -> None:
    twice = [lesion(1, 2.0, 0.3), lesion(1, 2.1, 0.2)]
    unknown = Microbleed(9, (90.0, 0.0, 0.0), certainty="definite", flags=("outside-mask",))
    record = summarise_burden([*twice, unknown])
    assert (record["n_definite"], record["n_possible"]) == (1, 0)
    assert record["burden_ppm_mm3"] == pytest.approx(2.1)


def test_coverage_is_read_at_the_quantiles_of_the_brain() -> None:
    # 0 lies outside the brain; of 200 voxels inside, the 2nd and the 198th smallest bound 98 %.
    inside = np.linspace(0.01, 2.0, 200)
    found = summarise_detection_limit(np.concatenate([[0.0, 0.0], inside]))
    assert found is not None
    assert found.median_ppm_mm3 == pytest.approx(inside[100])
    assert found.shown_nowhere_below_ppm_mm3 == pytest.approx(inside[2])
    assert found.shown_everywhere_above_ppm_mm3 == pytest.approx(inside[198])
    assert found.missed_fraction == pytest.approx({"0.5": 0.75, "1": 0.5, "2": 0.0, "5": 0.0})
    below = summarise_burden([], detection_limit=found)["below_detection_limit"]
    assert below["shown_nowhere_below_ppm_mm3"] == pytest.approx(inside[2])
    assert "Lesions below 0.03 ppm mm3" in below["statement"]
    assert "above 2 ppm mm3" in below["statement"]
