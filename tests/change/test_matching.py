"""Lesions over two sessions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsmcmb.change.matching import COLUMNS, SessionLesions, compare_sessions, match_points
from qsmcmb.microbleeds.crosscheck.forced_dipole import estimate_forced_dipole
from qsmcmb.model import Estimate, Grid, Microbleed
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
    moved = [
        Microbleed(label=m.label, position_mm=tuple(np.array(m.position_mm) + SHIFT), certainty=m.certainty,
                   total_chi_ppm_mm3=m.total_chi_ppm_mm3) for m in after
    ]  # fmt: skip
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
