"""The fit among tissue: total susceptibility within a few percent, whatever the lesion and the scan."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import qsmcmb.microbleeds.fit.refinement as module
from qsmcmb.microbleeds.fit.field_fit import with_fitted_field
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.fit.model_comparison import ComparedModel, Comparison
from qsmcmb.microbleeds.fit.priors import SIGNAL_RETAINING_CORE, dark_core, priors
from qsmcmb.microbleeds.fit.refinement import fit_lesion, refine_with_tissue_prior
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.fit.uncertainty import summarise_fit
from qsmcmb.microbleeds.results.measurement import POOR_FIT
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, KSpaceWindow
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import BALL_PAIR, SPHEROID, Source
from qsmcmb.model import Estimate
from qsmcmb.phantoms.lesions import Ball
from tests.scenes.lesion_signal import TE_S
from tests.scenes.patches import (
    NO_FILTER,
    SMALL_BALL,
    SMALL_BALL_DECAY,
    scanned,
    small_patch,
    with_acquisition,
)

BALL = [2.0, 0.3, -0.4, 0.2, 0.8]


@pytest.fixture(scope="module")
def patch() -> Patch:
    return scanned(np.array([BALL]))


@pytest.mark.parametrize(
    ("balls", "window", "decay_hz"),
    [
        ([[5.0, 0.3, -0.4, 0.2, 1.38]], NO_FILTER, 1e4),
        ([[5.0, 0.3, -0.4, 0.2, 1.38]], NO_FILTER, 90.0),
        ([[-5.0, 0.3, -0.4, 0.2, 0.78]], NO_FILTER, 1e4),
        ([[20.0, -0.4, 0.1, 0.3, 1.6]], KSpaceWindow(0.7), 1e4),
        ([[6.0, 0.9, 0.4, 0.2, 0.95], [6.0, -0.7, -0.3, -0.3, 0.95]], NO_FILTER, 1e4),
    ],
    ids=["weak contrast", "bright core", "calcification", "zero-filled", "pair"],
)  # fmt: skip
def test_total_susceptibility_is_found_within_two_percent(
    balls: list[list[float]], window: KSpaceWindow, decay_hz: float
) -> None:
    rows = np.array(balls)
    truth = rows[:, 0].sum()
    patch = scanned(rows, window, decay_hz=decay_hz)
    fit = fit_lesion(patch, Source(0.7 * truth, (0.0, 0.0, 0.0), 1.2))
    assert fit.converged
    assert fit.source.total_chi_ppm_mm3 == pytest.approx(truth, rel=0.02)
    assert (fit.state.model.shape is BALL_PAIR) == (len(rows) == 2)
    assert fit.cramer_rao_sd_ppm_mm3 < fit.sd_ppm_mm3


def test_a_spheroid_is_read_as_one() -> None:
    dipoles = Ball((0.3, -0.4, 0.2), 1.0, 2.0, (0.6, 0.64, 0.48), 1.8).dipoles()
    # Balls of little more than a third of the width along the axis: nearly the body.
    rows = [[m, *(place + np.array([0.3, -0.4, 0.2])), 0.8] for m, *place in dipoles]
    patch = scanned(np.array(rows))
    truth = dipoles[:, 0].sum()
    start = Source(0.7 * truth, (0.0, 0.0, 0.0), 1.2)
    assert select_shape(patch, start).model.shape is SPHEROID
    # The body is not quite a spheroid, which a free source may find.
    fit = fit_lesion(patch, start)
    assert fit.source.total_chi_ppm_mm3 == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize("tilt_hz_per_mm", [12.0, 20.0])
def test_a_steep_background_moves_the_signal_in_k_space(tilt_hz_per_mm: float) -> None:
    row = [8.0, 0.3, -0.4, 0.2, 1.2]
    patch = scanned(np.array([row]), tilt_hz_per_mm=tilt_hz_per_mm)
    source = Source(6.0, (0.0, 0.0, 0.0), 1.2)
    known = with_fitted_field(patch, source)
    assert known.background_hz(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).T) @ [1, -1] == pytest.approx(
        tilt_hz_per_mm, rel=0.1
    )
    blind, fit = (select_shape(n, source) for n in (patch, known))
    assert fit.source.total_chi_ppm_mm3 == pytest.approx(8.0, rel=0.02)
    assert fit.core_residual() < 0.6 * blind.core_residual()


@pytest.mark.parametrize(
    "window", [KSpaceWindow(0.8, 0.5, 0.0), KSpaceWindow(0.9, 1.0, 0.08)], ids=["tukey", "hamming"]
)
def test_a_filter_is_modelled(window: KSpaceWindow) -> None:
    patch = scanned(np.array([[20.0, -0.4, 0.1, 0.3, 1.6]]), window)
    source = Source(14.0, (0.0, 0.0, 0.0), 1.2)
    fit = fit_lesion(patch, source)
    assert fit.source.total_chi_ppm_mm3 == pytest.approx(20.0, rel=0.03)
    # Without it the scan looks like a larger lesion behind a wide point spread.
    blind = summarise_fit(select_shape(with_acquisition(patch, windows=FULL_K_SPACE), source))
    assert abs(blind.source.total_chi_ppm_mm3 - 20.0) > 2 * abs(fit.source.total_chi_ppm_mm3 - 20.0)
    assert blind.psf_width2.value > fit.psf_width2.value + 0.3


@pytest.mark.parametrize("other", [[60.0, 3.0, 2.0, -2.5, 1.8], [150.0, 3.5, 2.5, -2.5, 2.0]])
def test_a_strong_source_nearby_is_not_taken_for_half_of_the_lesion(other: list[float]) -> None:
    patch = scanned(np.array([[20.0, 0.3, -0.4, 0.2, 1.6], other]))
    fit = fit_lesion(patch, Source(15.0, (0.0, 0.0, 0.0), 1.2))
    # As a pair it would read 60.
    assert fit.state.model.shape is not BALL_PAIR
    assert abs(fit.source.total_chi_ppm_mm3 - 20.0) < 1.96 * fit.sd_ppm_mm3
    assert fit.core_residual > POOR_FIT


def test_a_start_that_ran_away_to_a_patch_of_tissue_returns_to_the_point() -> None:
    patch = scanned(np.array([[1.0, 0.2, -0.1, 0.3, 0.62]]))
    away = np.array([4.0, 2.0, -3.0])
    heap = np.exp(-0.5 * ((patch.coordinates_mm - away[:, None, None, None]) ** 2).sum(axis=0) / 1.8**2)
    te = np.array(TE_S)[:, None, None, None]
    patch = replace(patch, signal=patch.signal * np.exp((2j * np.pi * 4 - 15) * te * heap - 0.15 * heap))
    initial = select_shape(patch, Source(2.0, (4.0, 2.0, -3.0), 1.0))
    assert np.linalg.norm(initial.source.centre_mm) > 2.0
    fit = summarise_fit(refine_with_tissue_prior(initial, patch.acquisition))
    assert np.linalg.norm(fit.source.centre_mm) < 1.0
    assert abs(fit.source.total_chi_ppm_mm3 - 1.0) < 1.96 * fit.sd_ppm_mm3
    assert fit.sd_ppm_mm3 < 0.5


def test_a_strong_source_at_the_edge_is_not_read_as_the_lesion() -> None:
    patch = scanned(np.array([[2.0, 0.2, -0.1, 0.3, 0.8], [300.0, 4.0, -4.0, -4.5, 3.0]]))
    fit = summarise_fit(
        refine_with_tissue_prior(
            select_shape(patch, Source(100.0, (2.5, -2.5, -2.5), 3.0)), patch.acquisition
        )
    )
    assert np.linalg.norm(fit.source.centre_mm) < 4.0 * patch.point_sd_mm[0]
    assert abs(fit.source.total_chi_ppm_mm3 - 2.0) < 1.96 * fit.sd_ppm_mm3


def beside_a_sulcus(patch: Patch) -> Patch:
    """Return the scan with a bright sheet with its own field and R2* 2.5 mm beside the lesion, smooth over 1.5 mm."""
    sheet = np.exp(-0.5 * ((patch.coordinates_mm[0] - 2.8) / 1.5) ** 2)
    te = np.array(TE_S)[:, None, None, None]
    turn = 2 * np.pi * 42.5775 * 3.0 * 0.008 * te
    factor = np.exp(0.25 * sheet + 6.0 * te * sheet + 1j * turn * sheet)
    return replace(patch, signal=(patch.signal * factor).astype(np.complex64))


def test_the_process_takes_the_tissue_beside_a_weak_lesion_away(patch: Patch) -> None:
    # What the simulation's cells widen.
    psf_width2 = Estimate(1 / 36, 0.01, "mm2")
    start = Source(1.5, (0.0, 0.0, 0.0), 0.8)
    known = with_acquisition(patch, psf_width2=psf_width2)
    initial = [select_shape(scan, start) for scan in (known, beside_a_sulcus(known))]
    fine = [refine_with_tissue_prior(state, known.acquisition) for state in initial]
    by_sheet = [two.source.total_chi_ppm_mm3 - one.source.total_chi_ppm_mm3 for one, two in (initial, fine)]
    assert abs(by_sheet[1]) < 0.5 * abs(by_sheet[0])
    assert fine[1].source.total_chi_ppm_mm3 == pytest.approx(BALL[0], rel=0.03)


def test_a_known_psf_width_stays(patch: Patch) -> None:
    state = select_shape(patch, Source(1.5, (0.0, 0.0, 0.0), 0.8))
    acquisition = replace(patch.acquisition, psf_width2=Estimate(0.5, 0.005, "mm2"))
    fit = summarise_fit(refine_with_tissue_prior(state, acquisition))
    assert fit.psf_width2.value == pytest.approx(0.5, abs=0.02)
    assert fit.psf_width2.sd < 0.006


def alternative(
    total: float = 2.0,
    *,
    bic: float = 0.0,
    core_residual: float = 0.5,
    deviation: float = 0.0,
    left_mask: bool = False,
    sandwich_sd: float = 0.1,
    selection_sd: float = 0.0,
) -> Any:
    """Return what the rules read of a fit; its centre is this many SDs from the point."""
    out = SimpleNamespace(
        parameters=np.array([total, 0.0, 0.0, 0.0]),
        bic=lambda: bic,
        core_residual=lambda centre=None: core_residual,
        left_mask=left_mask,
        sandwich_sd=lambda: sandwich_sd,
        model_selection_sd_ppm_mm3=selection_sd,
        deviations=np.array([0.0, deviation, 0.0, 0.0, 7.0, 0.0]),
        model=None,
        compared_models=(),
    )
    out.as_compared = lambda comparison, *, is_chosen, cost: (comparison, total, is_chosen, cost)
    return with_ways_to_change(out)


def with_ways_to_change(state: Any) -> Any:
    """Return the stand-in with the two methods of a fit that return it changed."""
    state.with_model_selection_sd = lambda sd: changed(state, sd=sd, model_selection_sd_ppm_mm3=sd)
    state.with_compared_models = lambda models: changed(state, compared_models=tuple(models))
    return state


def changed(state: Any, **changes: Any) -> Any:
    """Return the stand-in with some values changed, and the fit that it was."""
    out = copy(state)
    vars(out).update(changes, fit=getattr(state, "fit", state))
    return with_ways_to_change(out)


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "priors", lambda model, p: p)
    monkeypatch.setattr(module, "_prior_deviations", lambda state: state.deviations[[0, 1, 2, 3, 5]])


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (alternative(), False),
        (alternative(-0.99), True),
        (alternative(-1.01), False),
        (alternative(core_residual=1.0), True),
        (alternative(core_residual=0.99), False),
        (alternative(left_mask=True), True),
        (alternative(deviation=4.0), True),
        (alternative(deviation=3.9), False),
    ],
)
def test_what_makes_a_fit_questionable(state: Any, expected: bool) -> None:
    assert module._is_questionable(state) == expected


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (alternative(deviation=3.9), True),
        (alternative(deviation=4.0), False),
        (alternative(left_mask=True), False),
    ],
)
def test_what_ends_near_the_point(state: Any, expected: bool) -> None:
    assert module._ends_near_point(state) == expected


def test_the_psf_width_is_no_deviation_of_a_lesion() -> None:
    model = LesionModel(small_patch(), SMALL_BALL, core_decay=SMALL_BALL_DECAY)
    p = model.start_parameters(SMALL_BALL)
    state = FitState(model=model, parameters=p, objective=None, converged=True)  # type: ignore[arg-type]
    np.testing.assert_array_equal(module._prior_deviations(state), priors(model, p)[[0, 1, 2, 3, 5]])


def test_the_lowest_criterion_wins_and_the_others_spread_the_sd() -> None:
    some = [
        alternative(2.0, bic=10.0),
        alternative(3.0, bic=8.0, core_residual=0.99),
        alternative(-1.0, bic=9.0),
    ]
    choice = module._choose(some, 0.3)
    assert choice.best is some[1]
    weight = np.exp(-0.5 * np.array([2.0, 0.0, 1.0]))
    variance = (weight * np.array([1.0, 0.0, 16.0])).sum() / weight.sum()
    assert choice.model_selection_sd_ppm_mm3 == pytest.approx(np.sqrt(variance + 0.09))


def test_criteria_of_poor_fits_hardly_choose() -> None:
    some = [alternative(2.0, bic=0.0, core_residual=1.0), alternative(3.0, bic=50.0)]
    weight = np.exp(-0.5 * 0.02 * np.array([0.0, 50.0]))
    assert module._choose(some, 0.0).model_selection_sd_ppm_mm3 == pytest.approx(
        np.sqrt(weight[1] / weight.sum())
    )


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize(
    ("core_residual", "left_mask", "ratio", "pair_deviation", "result"),
    [
        (0.9, False, 0.5, 0.0, "not tried"),
        (1.1, False, 0.86, 0.0, "alternative"),
        (0.9, True, 0.86, 0.0, "alternative"),
        (1.1, False, 0.88, 0.0, "SD"),
        (1.1, False, 0.5, 4.1, "SD"),
    ],
)
def test_a_large_pair_is_an_alternative_or_widens_the_sd(
    monkeypatch: pytest.MonkeyPatch,
    core_residual: float,
    left_mask: bool,
    ratio: float,
    pair_deviation: float,
    result: str,
) -> None:
    pair = alternative(8.0, deviation=pair_deviation)
    nearby, other = alternative(bic=5.0), alternative(bic=3.0)
    nearby.model = SimpleNamespace(patch="near", neighbours="others")
    monkeypatch.setattr(FitState, "bic", lambda state: vars(state)["bic"]())
    monkeypatch.setattr(module, "_fit_large_pair_with_gp_prior", lambda patch, neighbours: pair)
    monkeypatch.setattr(
        module, "residual_ratio", lambda one, best: ratio if (one, best) == (pair, other) else 9
    )
    monkeypatch.setattr(
        module, "shape_choice_sd", lambda best, shapes: 0.7 if (best, shapes) == (other, [pair]) else 9
    )
    found = alternative(core_residual=core_residual, left_mask=left_mask)
    some = [nearby, other]
    expected = {"not tried": (some, 0.0), "alternative": ([*some, pair], 0.0), "SD": (some, 0.7)}[result]
    assert module._with_large_pair(found, nearby, some) == expected


@pytest.mark.parametrize(("moved_mm", "expected"), [(0.4, 1.5), (0.6, 0.0)])
def test_tissue_further_out_widens_the_sd_while_it_is_the_same_body(
    monkeypatch: pytest.MonkeyPatch, moved_mm: float, expected: float
) -> None:
    model = LesionModel(small_patch(), SMALL_BALL, core_decay=SMALL_BALL_DECAY)
    pair = model.with_shape(BALL_PAIR)
    p = pair.start_parameters(SMALL_BALL, [0.5, 0.4, 0.3])
    best = FitState(model=pair, parameters=p, objective=None, converged=True)  # type: ignore[arg-type]
    seen: list[Any] = []

    def fitted(model: LesionModel, p: np.ndarray) -> Any:
        seen.append((model, p))
        return SimpleNamespace(parameters=p + np.array([-1.5, 0.0, moved_mm, 0.0, *np.zeros(len(p) - 4)]))

    monkeypatch.setattr(module, "_minimise_with_gp_prior", fitted)
    found = SimpleNamespace(model=SimpleNamespace(patch=small_patch(), neighbours=None))
    assert module._change_on_wider_patch(found, best) == pytest.approx(expected)
    (wide, start), *_ = seen
    assert wide.shape is BALL_PAIR
    np.testing.assert_array_equal(start[:10], p[:10])


@pytest.mark.usefixtures("rules")
@pytest.mark.parametrize("case", ["clear", "same body", "another body"])
def test_the_sd_of_a_refined_fit_joins_what_was_open_before(
    monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    found = alternative(0.1 if case != "clear" else 2.0)
    nearby = alternative(0.2, bic=9.0 if case == "another body" else 0.0)
    small = [alternative(1.0, bic=5.0), alternative(-1.0, bic=50.0, deviation=9.0)]
    monkeypatch.setattr(module, "fit_among_tissue", lambda initial, acquisition: found)
    monkeypatch.setattr(module, "_fit_near_point", lambda found: (nearby, small))
    monkeypatch.setattr(module, "_change_on_wider_patch", lambda found, best: 0.25)
    monkeypatch.setattr(module, "describe_by_free_source", lambda state, **_: state)
    monkeypatch.setattr(module, "is_free", lambda state: False)
    found.compared_models = ("shapes",)
    done = refine_with_tissue_prior(alternative(selection_sd=0.4), None)  # type: ignore[arg-type]
    if case == "clear":
        assert (done.fit, done.sd) == (found, 0.4)
        assert done.compared_models == ("shapes",)
        return
    same = case == "same body"
    assert done.compared_models == (
        "shapes",
        (Comparison.AT_POINT, 0.2, same, nearby.bic()),
        (Comparison.AT_POINT, 1.0, not same, 5.0),
    )
    # The second small ball ends far from the point: it is no alternative.
    costs = np.array([nearby.bic(), 5.0])
    weight = np.exp(-0.5 * (costs - costs.min()))
    spread = np.sqrt((weight[1] if case == "same body" else weight[0]) * 0.64 / weight.sum())
    if case == "same body":
        assert done.fit is found
        assert done.sd == pytest.approx(np.hypot(0.4, spread))
    else:
        assert done.fit is small[0]
        assert done.sd == pytest.approx(np.hypot(0.25, spread))


@pytest.mark.parametrize(
    ("heterogeneity", "retaining", "restricted"),
    [(1.0, True, True), (0.05, False, True), (0.05, True, False)],
)
def test_alternatives_are_compared_near_the_point(
    monkeypatch: pytest.MonkeyPatch, heterogeneity: float, retaining: bool, restricted: bool
) -> None:
    patch = replace(small_patch(heterogeneity=heterogeneity), radius_mm=6.0)
    decay = SIGNAL_RETAINING_CORE if retaining else SMALL_BALL_DECAY
    model = LesionModel(patch, SMALL_BALL, core_decay=decay)
    p = model.start_parameters(SMALL_BALL)
    found = FitState(model=model, parameters=p, objective=None, converged=True)  # type: ignore[arg-type]
    monkeypatch.setattr(
        module, "_minimise_with_gp_prior", lambda model, p: SimpleNamespace(model=model, parameters=p)
    )
    nearby, small = module._fit_near_point(found)
    assert nearby.model.patch.radius_mm == (5.0 if restricted else 6.0)
    assert nearby.model.core_decay == decay
    np.testing.assert_array_equal(nearby.parameters[:7], p[:7])
    assert [ball.parameters[0] for ball in small] == [1.0, -1.0]
    for ball in small:
        assert ball.model.core_decay == dark_core(3.0)
        assert ball.model.patch is nearby.model.patch
        # A ball of 1 ppm mm3 and 1 ppm at the point.
        np.testing.assert_array_equal(ball.parameters[1:4], 0.0)
        assert 4 / 3 * np.pi * np.exp(3 * ball.parameters[4]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("heterogeneity", "radius_mm", "expected"), [(1.0, 2.9, 6.0), (1.0, 3.1, 7.0), (0.05, 1.0, 7.0)]
)
def test_a_lesion_is_refined_within_six_mm_unless_it_is_large_or_in_a_liquid(
    monkeypatch: pytest.MonkeyPatch, heterogeneity: float, radius_mm: float, expected: float
) -> None:
    patch = replace(small_patch(), radius_mm=7.0)
    model = LesionModel(patch, SMALL_BALL, core_decay=SMALL_BALL_DECAY)
    p = model.start_parameters(SMALL_BALL._replace(radius_mm=radius_mm))
    monkeypatch.setattr(
        module,
        "_minimise_with_gp_prior",
        lambda model, p: FitState(model=model, parameters=p, objective=None, converged=True),  # type: ignore[arg-type]
    )
    pair = ComparedModel(Comparison.SHAPE, "pair", 2, 2.1, 40.0, 0.5, is_chosen=False)
    initial = FitState(
        model=model,
        parameters=p,
        objective=None,  # type: ignore[arg-type]
        converged=True,
        compared_models=(pair,),
    )
    acquisition = replace(patch.acquisition, heterogeneity=heterogeneity)
    done = module.fit_among_tissue(initial, acquisition)
    assert done.compared_models == (pair,)
    assert done.model.patch.radius_mm == expected
    assert done.model.patch.acquisition is acquisition
    assert done.model.patch.background is not None
    np.testing.assert_array_equal(done.parameters[:7], p[:7])


def test_large_pairs_start_at_the_point_in_two_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    evaluate = module.evaluate_objective

    def noted(model: LesionModel, p: np.ndarray) -> Any:
        seen.append(p)
        assert model.shape is BALL_PAIR
        assert model.core_decay == dark_core(3.0)
        return evaluate(model, p)

    monkeypatch.setattr(module, "evaluate_objective", noted)
    monkeypatch.setattr(module, "_minimise_with_gp_prior", lambda model, p: p)
    patch = small_patch()
    first = module._fit_large_pair_with_gp_prior(patch, None)
    assert len(seen) == 2 * 2 * 13
    sizes = {(round(p[0], 4), round(float(np.exp(p[4])), 4)) for p in seen}
    volumes = [2 * 4 / 3 * np.pi * r**3 * 0.5 for r in (2.2, 1.5)]
    assert sizes == {(round(s * v, 4), r) for v, r in zip(volumes, (2.2, 1.5), strict=True) for s in (1, -1)}
    for p in seen:
        np.testing.assert_array_equal(p[1:4], 0.0)
        assert np.linalg.norm(p[7:10]) == pytest.approx(np.exp(p[4]))
    coarse = LesionModel(
        patch,
        Source(volumes[0], (0.0, 0.0, 0.0), 2.2),
        core_decay=dark_core(3.0),
        shape=BALL_PAIR,
        cell_mm=0.5,
    )
    costs = [evaluate(coarse, p).cost for p in list(seen)]
    np.testing.assert_array_equal(first, seen[int(np.argmin(costs))])
