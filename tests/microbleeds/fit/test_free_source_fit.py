"""A free source reads lesions of no simple shape, made by other code, and leaves simple ones alone."""

import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import qsmcmb.microbleeds.fit.free_source_fit as module
from qsmcmb.microbleeds.fit.free_source_fit import (
    asks_for_free_source,
    grow_free_source,
    is_described,
    is_free,
)
from qsmcmb.microbleeds.fit.free_source_starts import (
    balls_beside,
    lines_and_discs,
    opposite_splits,
    splits,
)
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.fit.model_comparison import Comparison
from qsmcmb.microbleeds.fit.priors import SIGNAL_RETAINING_CORE, dark_core
from qsmcmb.microbleeds.fit.refinement import (
    describe_by_free_source,
    fit_among_tissue,
    refine_with_tissue_prior,
)
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.fit.uncertainty import summarise_fit
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import LAYOUT, ROW_CENTRE, ROW_RADIUS, Source
from qsmcmb.model import Estimate
from qsmcmb.typing import FloatArray
from tests.scenes.patches import scanned, with_acquisition

BENT = np.array([[3.0, -1.4, -0.8, 0.3, 0.9], [3.0, 0.1, 0.2, 0.1, 0.9], [3.0, 1.2, 1.5, -0.5, 0.9]])
"""Three balls around a corner: total (ppm mm3), centre (mm, 3), radius (mm) of each."""
MIXED = np.array([[8.0, -0.4, 0.1, 0.2, 1.1], [-3.0, 1.3, 0.4, -0.6, 0.9]])
"""Iron beside calcium."""
LARGE_MIXED = np.array([[33.0, -0.64, -0.9, 0.64, 2.35], [-15.0, 1.44, 2.02, -1.44, 1.8]])
"""Large iron beside calcium, in whose void one ball describes the core as well as its surroundings."""
BALL = np.array([[8.0, 0.2, -0.1, 0.3, 1.1]])
"""One ball."""


def fitted(balls: FloatArray) -> FitState:
    """Return the fit of the simple shapes, with the tissue's process, of a scan of some balls."""
    patch: Patch = with_acquisition(scanned(balls), noise_sd=0.005)
    total = float(balls[:, 0].sum())
    state = select_shape(patch, Source(0.8 * total, (0.0, 0.0, 0.0), 1.0))
    return fit_among_tissue(state, patch.acquisition)


@pytest.fixture(scope="module")
def bent() -> FitState:
    return fitted(BENT)


@pytest.mark.parametrize("balls", [BENT, MIXED], ids=["bent", "mixed"])
def test_irregular_lesions_are_read_within_two_per_cent(balls: FloatArray) -> None:
    simple = fitted(balls)
    assert asks_for_free_source(simple)
    free = describe_by_free_source(simple)
    truth, size = balls[:, 0].sum(), np.abs(balls[:, 0]).sum()
    assert free.model.shape.name == "free"
    assert free.source.total_chi_ppm_mm3 == pytest.approx(truth, abs=0.02 * size)
    assert abs(simple.source.total_chi_ppm_mm3 - truth) > 2 * abs(free.source.total_chi_ppm_mm3 - truth)
    assert free.core_residual() < 0.7 * simple.core_residual()
    # All that was compared is kept for the explanation, the simple shape first.
    before = len(simple.compared_models)
    assert free.compared_models[:before] == simple.compared_models
    assert free.compared_models[before].total_chi_ppm_mm3 == simple.source.total_chi_ppm_mm3
    assert free.compared_models[-1] == free.as_compared(Comparison.FREE_SOURCE, is_chosen=True)
    assert [m.is_chosen for m in free.compared_models[before:]].count(True) == 1


def test_calcium_beside_iron_is_seen_where_a_ball_spoils_its_surroundings_as_much_as_its_core() -> None:
    """At 1.5 T such lesions read twice their total, as a ball, without a flag."""
    patch = scanned(LARGE_MIXED)
    # Half the field at twice the echo times: the same phase.
    acquisition = replace(
        patch.acquisition, b0_tesla=1.5, te_s=tuple(2 * te for te in patch.acquisition.te_s), noise_sd=0.0125
    )
    patch = replace(patch, field_hz=patch.field_hz / 2).with_acquisition(acquisition)
    truth, size = LARGE_MIXED[:, 0].sum(), np.abs(LARGE_MIXED[:, 0]).sum()
    simple = fit_among_tissue(select_shape(patch, Source(0.8 * truth, (0.0, 0.0, 0.0), 1.0)), acquisition)
    assert is_described(simple)
    assert simple.source.total_chi_ppm_mm3 > 1.5 * truth
    free = summarise_fit(describe_by_free_source(simple))
    assert free.source.total_chi_ppm_mm3 == pytest.approx(truth, abs=0.02 * size)
    assert abs(free.source.total_chi_ppm_mm3 - truth) < 1.96 * free.sd_ppm_mm3
    assert free.state.core_residual() < 0.45
    # The difference of two large numbers is less certain than a sum of one sign.
    assert free.discrepancy_sd_ppm_mm3 >= 0.012 * np.abs(free.state.rows[:, 0]).sum()


@pytest.mark.parametrize("is_simple", [False, True])
def test_what_the_calibration_has_compared_stays_through_refinement(bent: FitState, is_simple: bool) -> None:
    """A free source of the calibration keeps its SD, and the lesion for which none was better its shape."""
    free = describe_by_free_source(bent)
    assert is_free(free)
    known = (bent if is_simple else free).with_model_selection_sd(0.123)
    known = known.with_compared_models(free.compared_models)
    acquisition = replace(bent.model.patch.acquisition, psf_width2=Estimate(0.05, 0.04, "mm2"))
    done = refine_with_tissue_prior(known, acquisition, is_simple=is_simple)
    assert done.model.shape.name == known.model.shape.name
    assert done.model.patch.acquisition is acquisition
    assert done.parameters[0] != known.parameters[0]
    assert done.compared_models[: len(free.compared_models)] == free.compared_models
    assert done.model_selection_sd_ppm_mm3 >= 0.123
    if not is_simple:
        assert done.model_selection_sd_ppm_mm3 == 0.123
        assert done.compared_models == free.compared_models
        assert len(done.rows) == len(free.rows)


def test_a_ball_stays_a_ball() -> None:
    state = fitted(BALL)
    assert is_described(state)
    assert describe_by_free_source(state) is state
    assert state.compared_models == ()


def test_each_ball_lowers_cost_and_core_residual(bent: FitState) -> None:
    path = grow_free_source(bent)
    assert len(path) > 1
    for old, new in itertools.pairwise(path):
        assert old.objective.cost - new.objective.cost > 20
        assert new.core_residual() < 0.96 * old.core_residual()
        assert len(new.rows) > len(old.rows)


@pytest.mark.parametrize(("shift_mm", "searches"), [(0.01, 1), (0.5, 2)])
def test_the_other_end_is_searched_where_its_ball_is_another(
    bent: FitState, monkeypatch: pytest.MonkeyPatch, shift_mm: float, searches: int
) -> None:
    """Where the fits from both ends have met, a second search would find what the first has found."""
    here = replace(module._first_fit(bent, module._rows(bent)))
    there = replace(here, parameters=here.parameters + np.eye(len(here.parameters))[1] * shift_mm)
    firsts, searched = iter([here, there]), []

    def grow(first: FitState) -> list[FitState]:
        searched.append(first)
        return [first]

    monkeypatch.setattr(module, "MIN_LAYOUT_CORE_RESIDUAL", 0.0)
    monkeypatch.setattr(module, "_first_fit", lambda state, rows: next(firsts))
    monkeypatch.setattr(module, "_grow", grow)
    assert grow_free_source(bent) == [here]
    assert len(searched) == searches


def test_splits_keep_total_and_centre_and_the_rest_does_not(bent: FitState) -> None:
    one = module._first_fit(bent, module._rows(bent))
    p, row = one.parameters, one.rows[0]
    for model, start in splits(one, (0.3,), (1.0,)):
        rows = model.shape.rows(start)
        assert rows[:, 0].sum() == pytest.approx(row[0])
        np.testing.assert_allclose((rows[:, :1] * rows[:, 1:4]).sum(axis=0) / row[0], row[1:4], atol=1e-9)
        assert np.linalg.norm(rows[1, 1:4] - rows[0, 1:4]) == pytest.approx(rows[:, 4].sum())
        np.testing.assert_array_equal(start[model.n_source_parameters :], p[7:])
    for sign in (1, -1):
        made = [model.shape.rows(start) for model, start in balls_beside(one, sign)]
        assert len(made) == 26
        for rows in made:
            np.testing.assert_allclose(rows[0], row)
            assert rows[1, 0] == pytest.approx(0.4 * sign * row[0])
            assert np.linalg.norm(rows[1, 1:4] - row[1:4]) == pytest.approx(1.1 * rows[:, 4].sum())
    made = [model.shape.rows(start) for model, start in opposite_splits(one)]
    assert len(made) == 26
    for rows in made:
        # A quarter of the volume has the other sign and the same susceptibility; void and centre stay.
        assert rows[:, 0] == pytest.approx([0.7 * row[0], -0.7 / 3 * row[0]])
        assert rows[:, 4] ** 3 == pytest.approx(np.array([0.75, 0.25]) * row[4] ** 3)
        np.testing.assert_allclose([0.75, 0.25] @ rows[:, 1:4], row[1:4], atol=1e-9)
        assert np.linalg.norm(rows[1, 1:4] - rows[0, 1:4]) == pytest.approx(rows[:, 4].sum())
    made = [model.shape.rows(start) for model, start in lines_and_discs(one)]
    assert [len(rows) for rows in made] == [3] * 26 + [4] * 26
    for number, rows in enumerate(made):
        assert rows[:, 0].sum() == pytest.approx((1.0, 1.7)[number % 2] * row[0])
        # Equal balls around the one that they stand for, each touching its neighbours.
        np.testing.assert_allclose(rows[:, 1:4].mean(axis=0), row[1:4], atol=1e-9)
        apart = np.linalg.norm(rows[1:, 1:4] - rows[:-1, 1:4], axis=1)
        assert apart.min() == pytest.approx(2 * rows[0, 4])


def test_halves_are_split_in_half_of_the_directions(bent: FitState) -> None:
    one = module._first_fit(bent, module._rows(bent))
    assert len(list(splits(one, (0.5,), (1.0,)))) == 13
    assert len(list(splits(one, (0.3,), (1.0, 2.0)))) == 52


def state(core: float, surroundings: float, **changes: Any) -> Any:
    """Return a stand-in for a fit."""
    values: dict[str, Any] = {
        "core_residual": lambda: core,
        "surroundings_residual": lambda: surroundings,
        "left_mask": False,
        "exceeds_patch": False,
        "model": SimpleNamespace(core_decay=dark_core(3.0)),
        "parameters": np.array([5.0]),
        "sandwich_sd": lambda: 0.1,
        "converged": True,
    }
    return SimpleNamespace(**{**values, **changes})


@pytest.mark.parametrize(
    ("core", "surroundings", "expected"),
    # A low core is described; a poor one where its surroundings are as poor, but not worse than 0.7.
    [(0.45, 0.1, True), (0.46, 0.1, False), (0.65, 0.6, True), (0.67, 0.6, False), (0.78, 2.0, False)],
)
def test_what_counts_as_described(core: float, surroundings: float, expected: bool) -> None:
    assert is_described(state(core, surroundings)) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (state(0.6, 0.3), True),
        (state(0.4, 0.3), False),
        (state(0.6, 0.3, left_mask=True), False),
        (state(0.6, 0.3, exceeds_patch=True), False),
        (state(0.6, 0.3, model=SimpleNamespace(core_decay=SIGNAL_RETAINING_CORE)), False),
        (state(0.6, 0.3, sandwich_sd=lambda: 2.0), False),
        # Surroundings as poor may be the lesion's own doing.
        (state(0.6, 0.6), True),
    ],
)
def test_when_a_free_source_is_looked_for(found: Any, expected: bool) -> None:
    assert asks_for_free_source(found) == expected
    significance = abs(found.parameters[LAYOUT.total]) / found.sandwich_sd()
    assert not asks_for_free_source(found, min_significance=significance)
    assert asks_for_free_source(found, min_significance=0.99 * significance) == (
        expected or (found.sandwich_sd() == 2.0)
    )


def test_a_fit_that_did_not_converge_does_not_stop_the_search() -> None:
    """A slit of 38.7 ppm mm3 was lost: its ball had stopped at 10 SDs, where 20 were asked for."""
    weak = {"sandwich_sd": lambda: 2.0, "converged": False}
    assert asks_for_free_source(state(0.6, 0.3, **weak), min_significance=20.0)
    assert not asks_for_free_source(state(0.4, 0.3, **weak), min_significance=20.0)
    assert not asks_for_free_source(state(0.6, 0.3, **weak, left_mask=True), min_significance=20.0)


@pytest.mark.parametrize(
    ("surroundings", "total", "found", "expected"),
    [
        # Where the core is poorer than its surroundings, or these are a strong lesion's, all ways are tried.
        (0.3, 5.0, None, ["first", "grown"]),
        (0.6, -41.0, None, ["first", "grown"]),
        # Elsewhere a ball of the opposite sign alone, and more where there is one.
        (0.6, 5.0, None, ["first"]),
        (0.6, 5.0, "both", ["first", "both", "grown"]),
    ],
)
def test_described_lesions_are_searched_for_the_opposite_sign(
    monkeypatch: pytest.MonkeyPatch, surroundings: float, total: float, found: Any, expected: list[str]
) -> None:
    end = SimpleNamespace(core_residual=lambda: 0.5)
    tried: list[Any] = []
    monkeypatch.setattr(module, "_rows", lambda state: None)
    monkeypatch.setattr(module, "_first_fit", lambda state, rows: "first")
    monkeypatch.setattr(module, "_grow", lambda first: [first, end])
    monkeypatch.setattr(module, "_best_growth", lambda state, ways: tried.extend(ways) or found)
    path = grow_free_source(state(0.6, surroundings, parameters=np.array([total])))
    assert ["grown" if step is end else step for step in path] == expected
    assert tried == ([] if expected == ["first", "grown"] else [module.OPPOSITE_SPLITS])


ONE_BALL = [module.QUICK_SPLITS, module.BESIDE, module.OPPOSITE_BESIDE, module.OPPOSITE_SPLITS]
"""Starts from one ball: the first step decides in which minimum the others end."""


@pytest.mark.parametrize(
    ("core", "n_balls", "improves", "described", "expected"),
    [
        (0.5, 1, False, False, [[module.QUICK_SPLITS]]),
        (0.6, 1, False, False, [ONE_BALL, [module.THOROUGH_SPLITS]]),
        (0.8, 1, True, False, [ONE_BALL]),
        (0.81, 1, True, False, [[*ONE_BALL, module.LINES_AND_DISCS]]),
        (0.6, 2, True, False, [[module.QUICK_SPLITS]]),
        (0.6, 2, False, True, [[module.QUICK_SPLITS]]),
        (0.6, 4, False, False, [[module.QUICK_SPLITS], [module.THOROUGH_SPLITS, module.OPPOSITE_SPLITS]]),
        (0.6, 5, False, False, [[module.QUICK_SPLITS]]),
    ],
)
def test_poor_cores_are_searched_more_thoroughly(
    monkeypatch: pytest.MonkeyPatch,
    core: float,
    n_balls: int,
    improves: bool,
    described: bool,
    expected: list[Any],
) -> None:
    tried: list[Any] = []
    monkeypatch.setattr(
        module, "_best_growth", lambda state, ways: tried.append(ways) or ("better" if improves else None)
    )
    monkeypatch.setattr(module, "is_described", lambda state: described)
    grown = module._grown(state(core, 0.3, rows=np.zeros((n_balls, 5))))
    assert tried == expected
    assert grown == ("better" if improves else None)


def test_what_the_shape_does_not_describe_is_in_the_sd(bent: FitState) -> None:
    simple, free = summarise_fit(bent), summarise_fit(describe_by_free_source(bent))
    assert not simple.is_described
    # A simple shape with a core as poor as this may have missed a part of the lesion.
    lost = 0.2 if bent.core_residual() > 0.8 else 0.0
    fraction = np.hypot(0.033 * (bent.core_residual() - 0.4), lost)
    assert simple.discrepancy_sd_ppm_mm3 == pytest.approx(fraction * abs(bent.source.total_chi_ppm_mm3))
    # It is exactly that much where the source describes all, but for the rounding of the last bit.
    assert free.discrepancy_sd_ppm_mm3 > 0.00599 * abs(free.source.total_chi_ppm_mm3)
    assert free.sd_ppm_mm3 > free.discrepancy_sd_ppm_mm3


def test_a_long_body_is_looked_for_from_its_other_end_too(
    bent: FitState, monkeypatch: pytest.MonkeyPatch
) -> None:
    (other,) = module._other_end(bent)
    np.testing.assert_allclose(other[ROW_CENTRE], -np.array(bent.source.centre_mm))
    assert (other[0], other[ROW_RADIUS]) == (bent.source.total_chi_ppm_mm3, bent.source.radius_mm)

    def path(core: float, cost: float) -> Any:
        return [SimpleNamespace(core_residual=lambda: core, objective=SimpleNamespace(cost=cost))]

    monkeypatch.setattr(module, "_first_fit", lambda state, rows: "other" if len(rows) == 1 else "own")
    monkeypatch.setattr(module, "_is_same_body", lambda one, other: False)
    for core, costs, expected in ((0.8, (5.0, 1.0), 5.0), (0.81, (5.0, 1.0), 1.0), (0.81, (1.0, 5.0), 1.0)):
        ways = {"own": path(core, costs[0]), "other": path(core, costs[1])}
        monkeypatch.setattr(module, "_grow", ways.__getitem__)
        monkeypatch.setattr(module, "_rows", lambda state: np.zeros((2, 5)))
        (found,) = grow_free_source(bent)
        assert found.objective.cost == expected
