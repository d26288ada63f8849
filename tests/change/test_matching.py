"""Lesions over two sessions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsmcmb.change.matching import SessionLesions, compare_sessions, match_points
from qsmcmb.change.records import COLUMNS
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.crosscheck.forced_dipole import estimate_forced_dipole
from qsmcmb.model import Estimate, Grid
from qsmcmb.phantoms.lesions import Ball, ball_field
from qsmcmb.typing import FloatArray

UNIT = "ppm mm3"
SHIFT = np.array([3.0, -2.0, 1.0])


def lesion(label: int, x: float, value: float, sd: float = 0.2, certainty: str = "definite") -> Microbleed:
    return Microbleed(
        label=label,
        position_mm=(x, 0.0, 0.0),
        certainty=certainty,
        total_chi_ppm_mm3=Estimate(value, sd, UNIT),
    )


def nothing(point: FloatArray) -> Estimate | None:
    return Estimate(0.0, 0.3, UNIT)


def blind(point: FloatArray) -> Estimate | None:
    return None


def compare(before: list[Microbleed], after: list[Microbleed], lookup=nothing):  # type: ignore[no-untyped-def]
    moved = [replace(m, position_mm=tuple(np.array(m.position_mm) + SHIFT)) for m in after]
    return compare_sessions(
        SessionLesions("ses-1", before, lookup), SessionLesions("ses-2", moved, lookup), lambda p: p + SHIFT,
        lambda p: p - SHIFT, numbers={1: 7}, first_free=8,
    )  # fmt: skip


def test_each_status() -> None:
    before = [lesion(1, 0, 5.0), lesion(2, 20, 5.0), lesion(3, 40, 5.0), lesion(4, 60, 5.0)]
    after = [lesion(1, 0.5, 5.2), lesion(2, 20, 7.0), lesion(3, 40, 3.0), lesion(5, 80, 4.0)]
    changes = compare(before, after)
    assert [(c.lesion, c.status) for c in changes] == [
        (7, "stable"), (8, "increased"), (9, "decreased"), (10, "resolved"), (11, "incident")
    ]  # fmt: skip
    assert changes[4].position_mm == pytest.approx((80.0, 0.0, 0.0))


def test_row_holds_the_fixed_columns() -> None:
    row = compare([lesion(1, 0, 4.0)], [lesion(1, 0, 6.0)])[0].row()
    assert set(row) <= set(COLUMNS)
    assert row["change_ppm_mm3"] == pytest.approx(2.0)
    assert row["change_percent"] == pytest.approx(50.0)
    assert row["mdc_ppm_mm3"] == pytest.approx(1.96 * 0.2 * 2**0.5)
    assert row["p_value"] < 1e-6


def test_what_cannot_be_seen_is_not_evaluable() -> None:
    changes = compare([lesion(1, 0, 5.0)], [lesion(2, 30, 5.0)], lookup=blind)
    assert [c.status for c in changes] == ["not_evaluable", "not_evaluable"]


def test_a_weak_lesion_that_is_missed_is_not_called_resolved() -> None:
    changes = compare([lesion(1, 0, 0.5)], [])
    assert [c.status for c in changes] == ["stable"]
    assert "not-detected-in-followup" in changes[0].flags


def test_uncertain_candidates_make_no_rows() -> None:
    assert not compare([lesion(1, 0, 1.0, certainty="possible")], [])


@pytest.mark.parametrize(
    ("change", "status"), [(0.55, "stable"), (0.56, "increased"), (-0.55, "stable"), (-0.56, "decreased")]
)
def test_a_change_counts_beyond_its_own_limit(change: float, status: str) -> None:
    """Two SDs of 0.2 and 0.2: 1.96 sqrt(0.08) = 0.5544."""
    (found,) = compare([lesion(1, 0, 5.0)], [lesion(1, 0, 5.0 + change)])
    assert found.status == status
    assert found.difference is not None
    assert found.difference.value == pytest.approx(change)
    assert found.difference.sd == pytest.approx(0.2 * 2**0.5)
    assert found.row()["mdc_ppm_mm3"] == pytest.approx(0.5544, abs=1e-4)


def test_the_p_value_is_that_of_a_normal_change() -> None:
    (at_limit,) = compare([lesion(1, 0, 5.0)], [lesion(1, 0, 5.0 + 1.959964 * 0.2 * 2**0.5)])
    assert at_limit.row()["p_value"] == pytest.approx(0.05, abs=1e-6)
    (none,) = compare([lesion(1, 0, 5.0)], [lesion(1, 0, 5.0)])
    assert none.row()["p_value"] == pytest.approx(1.0)
    (certain,) = compare([lesion(1, 0, 5.0, sd=0.0)], [lesion(1, 0, 5.0, sd=0.0)])
    assert certain.row()["p_value"] is None
    assert certain.status == "stable"


@pytest.mark.parametrize(("value", "status"), [(0.70, "stable"), (0.71, "incident")])
def test_a_new_lesion_must_exceed_what_the_baseline_allows_there(value: float, status: str) -> None:
    """SDs of 0.2 and of 0.3 where nothing was: 1.96 sqrt(0.13) = 0.7067."""
    (found,) = compare([], [lesion(4, 10, value)])
    assert (found.status, found.lesion, found.followup_label) == (status, 8, 4)
    assert found.flags == ("not-detected-in-baseline",)
    assert found.position_mm == pytest.approx((10.0, 0.0, 0.0))
    row = found.row()
    assert row["baseline_ppm_mm3"] == 0
    assert "change_percent" not in row


@pytest.mark.parametrize(("value", "status"), [(0.70, "stable"), (0.71, "resolved")])
def test_a_lost_lesion_must_have_exceeded_what_the_followup_allows_there(value: float, status: str) -> None:
    (found,) = compare([lesion(1, 10, value)], [])
    assert (found.status, found.lesion, found.followup_label) == (status, 7, None)
    assert found.row()["change_percent"] == pytest.approx(-100.0)


def test_a_calcifications_percent_is_of_its_size() -> None:
    (found,) = compare([lesion(1, 0, -4.0)], [lesion(1, 0, -6.0)])
    assert found.status == "decreased"
    assert found.row()["change_percent"] == pytest.approx(-50.0)
    (from_nothing,) = compare([lesion(1, 0, 0.0)], [lesion(1, 0, 3.0)])
    assert "change_percent" not in from_nothing.row()


def test_without_an_estimate_a_row_has_no_change() -> None:
    (found,) = compare([lesion(1, 0, 5.0)], [], lookup=blind)
    row = found.row()
    assert found.difference is None
    assert row["status"] == "not_evaluable"
    assert row["baseline_sd_ppm_mm3"] == 0.2
    assert not {"followup_ppm_mm3", "change_ppm_mm3", "p_value", "mdc_ppm_mm3"} & set(row)


@pytest.mark.parametrize(("apart", "pairs"), [(4.99, 1), (5.01, 2)])
def test_lesions_further_apart_than_five_millimetres_are_two(apart: float, pairs: int) -> None:
    changes = compare([lesion(1, 0, 5.0)], [lesion(1, apart, 5.0)])
    assert len(changes) == pairs
    assert {c.status for c in changes} == ({"stable"} if pairs == 1 else {"resolved", "incident"})


def test_pairs_are_the_best_of_all_not_the_nearest_first() -> None:
    """The nearest pair, 1 mm, would leave the others 7 mm apart: as two pairs of 3 mm all are matched."""
    before, after = np.array([[0.0, 0, 0], [4.0, 0, 0]]), np.array([[3.0, 0, 0], [7.0, 0, 0]])
    assert match_points(before, after, 5.0) == [(0, 0), (1, 1)]
    # A pair beyond the limit never costs a true one.
    far = np.array([[0.0, 0, 0], [100.0, 0, 0]])
    assert match_points(far, np.array([[1.0, 0, 0], [300.0, 0, 0]]), 5.0) == [(0, 0)]
    assert match_points(np.zeros((0, 3)), far, 5.0) == match_points(far, np.zeros((0, 3)), 5.0) == []


def test_one_certain_session_is_enough_and_a_reader_is_certain() -> None:
    (found,) = compare([lesion(1, 0, 5.0, certainty="possible")], [lesion(1, 0, 5.0)])
    assert found.status == "stable"
    marked = replace(lesion(1, 0, 5.0, certainty="possible"), source="reader")
    assert [c.status for c in compare([marked], [])] == ["resolved"]
    assert [c.status for c in compare([], [marked])] == ["incident"]


@pytest.mark.parametrize(
    "other", [{"kind": "calcification"}, {"certainty": "rejected"}, {"total_chi_ppm_mm3": None}], ids=str
)
def test_mimics_rejected_and_unmeasured_lesions_do_not_count(other: dict[str, Any]) -> None:
    left_out = replace(lesion(1, 0, 5.0), **other)
    assert compare([left_out], []) == []
    # What does not count takes no partner from what does.
    assert [c.status for c in compare([left_out], [lesion(1, 0, 5.0)])] == ["incident"]


def test_numbers_go_on_from_earlier_sessions() -> None:
    before = [lesion(3, 0, 5.0), lesion(1, 20, 5.0), lesion(2, 40, 5.0)]
    after = [lesion(9, 60, 5.0), lesion(8, 20, 5.0)]
    changes = compare(before, after)
    assert [c.lesion for c in changes] == [7, 8, 9, 10]
    assert changes[0].position_mm[0] == 20.0
    assert changes[0].followup_label == 8
    assert [c.position_mm[0] for c in changes[1:3]] == [0.0, 40.0]
    assert changes[3].position_mm[0] == pytest.approx(60.0)


def test_flags_of_both_sessions_are_kept_once() -> None:
    one, two = (
        replace(lesion(1, 0, 5.0), flags=f) for f in (("near-vein", "poor-fit"), ("poor-fit", "at-edge"))
    )
    (found,) = compare([one], [two])
    assert found.flags == ("near-vein", "poor-fit", "at-edge")
    assert found.row()["flags"] == "near-vein;poor-fit;at-edge"
    (clean,) = compare([lesion(1, 0, 5.0)], [lesion(1, 0, 5.0)])
    assert clean.row()["flags"] is None


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 8), st.integers(0, 2**31))
def test_shuffled_points_are_matched_to_themselves(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.arange(n)[:, None] * 12.0 + rng.uniform(-1, 1, (n, 3))
    order = rng.permutation(n)
    pairs = match_points(points, points[order], 5.0)
    assert sorted(pairs) == [(i, int(np.flatnonzero(order == i)[0])) for i in range(n)]


@pytest.mark.parametrize("moment", [0.0, 4.0, -6.0])
def test_a_place_says_what_is_there(moment: float, rng: np.random.Generator) -> None:
    grid = Grid.isotropic((40, 44, 36), 1.2, b0_dir=(0.0, 0.6, 0.8))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    world = np.moveaxis(grid.to_world(index.astype(float)), -1, 0)
    ball = Ball(centre_mm=(1.0, -2.0, 0.5), radius_mm=1.0, dchi_ppm=moment / (4 / 3 * np.pi))
    field = ball_field(world - np.array(ball.centre_mm).reshape(3, 1, 1, 1), ball, np.array(grid.b0_dir))
    field = field + 0.002 * rng.standard_normal(grid.shape) + 1e-4 * world[0]
    found = estimate_forced_dipole(field, np.ones(grid.shape, bool), grid, np.array(ball.centre_mm))
    assert found is not None
    assert found.value == pytest.approx(moment, abs=0.2)
    assert found.sd == pytest.approx(0.24, abs=0.05)
    assert estimate_forced_dipole(field, np.zeros(grid.shape, bool), grid, np.zeros(3)) is None
