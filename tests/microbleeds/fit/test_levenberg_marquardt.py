"""The end of a fit: what it holds, and when it gives up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.levenberg_marquardt import TRIAL_STEPS, FitState, minimise
from qsmcmb.microbleeds.fit.objective import evaluate_objective
from qsmcmb.microbleeds.fit.priors import dark_core, priors
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.source_shapes import BALL, BALL_PAIR, CYLINDER, SPHEROID, Source, SourceShape
from tests.scenes.patches import SMALL_BALL, SMALL_BALL_DECAY, scanned, small_patch

TOTAL = 3.0


@pytest.fixture(scope="module")
def model() -> LesionModel:
    patch = scanned(np.array([[TOTAL, 0.3, -0.2, 0.1, 0.8]]))
    return LesionModel(patch, Source(TOTAL, (0.0, 0.0, 0.0), 0.8), core_decay=dark_core(3.0))


def test_what_is_left_out_is_made_again(model: LesionModel) -> None:
    found = minimise(model, model.start_parameters(Source(2.0, (0.0, 0.0, 0.0), 0.8)))
    sd = found.sandwich_sd()
    with_sd, without_cache = found.with_model_selection_sd(0.3), found.without_cache()
    assert with_sd.linear is found.linear
    assert with_sd.model_selection_sd_ppm_mm3 == 0.3
    assert found.model_selection_sd_ppm_mm3 == 0
    assert not {"linear", "influence"} & set(vars(without_cache))
    assert without_cache.sandwich_sd() == sd


@pytest.mark.parametrize(("apart_mm", "left_mask"), [(0.9, False), (1.6, False), (3.2, True), (5.0, True)])
def test_a_pair_whose_other_half_nothing_shows_has_left_the_mask(
    model: LesionModel, apart_mm: float, left_mask: bool
) -> None:
    patch = model.patch
    # The mask ends 1.5 mm beside the lesion.
    patch = replace(patch, inside=patch.inside & (patch.coordinates_mm[0] < 1.5), fraction_in_mask=0.6)
    pair = LesionModel(patch, Source(2 * TOTAL, (0.0, 0.0, 0.0), 0.8), core_decay=dark_core(3.0))
    pair = pair.with_shape(BALL_PAIR)
    half = apart_mm / 2
    p = pair.start_parameters(Source(2 * TOTAL, (half, 0.0, 0.0), 0.8), [half, 0.0, 0.0])
    assert FitState(pair, p, evaluate_objective(pair, p), converged=True).left_mask == left_mask


@pytest.mark.parametrize(
    ("shape", "own", "expected"),
    [
        (BALL, [], 0.8),
        # Both balls touch: one radius from the middle to a centre, one more to the end.
        (BALL_PAIR, [0.0, 0.48, 0.64], 1.6),
        # Half axes a along the focus and b across it: a^2 = b^2 + 1.2^2, a b^2 = 0.8^3.
        (SPHEROID, [0.0, 0.72, 0.96], 1.3489),
    ],
    ids=["ball", "pair", "spheroid"],
)
def test_the_extent_reaches_to_the_furthest_point(
    model: LesionModel, shape: SourceShape, own: list[float], expected: float
) -> None:
    body = model.with_shape(shape)
    p = np.concatenate([model.start_parameters(Source(TOTAL, (0.3, 0.0, 0.0), 0.8))[:7], own])
    state = FitState(body, p, objective=None, converged=True)  # type: ignore[arg-type]
    assert state.extent_mm == pytest.approx(expected, abs=1e-3)


def test_what_is_out_of_reach_is_given_up(model: LesionModel, monkeypatch: pytest.MonkeyPatch) -> None:
    import qsmcmb.microbleeds.fit.levenberg_marquardt as module

    steps, solve = [], module.solve_normal_equations
    monkeypatch.setattr(module, "solve_normal_equations", lambda *a, **k: steps.append(1) or solve(*a, **k))
    start = model.start_parameters(Source(1.0, (0.8, 0.0, 0.0), 0.8))
    whole = minimise(model, start)
    needed = len(steps)
    assert whole.source.total_chi_ppm_mm3 == pytest.approx(TOTAL, rel=0.03)
    # What the end undercuts is never given up; what it never reaches, before a trial's last step.
    assert minimise(model, start, max_cost=whole.objective.cost + 5).objective.cost == whole.objective.cost
    steps.clear()
    lost = minimise(model, start, max_cost=whole.objective.cost - 1e6)
    assert len(steps) < min(needed, TRIAL_STEPS)
    assert lost.objective.cost > whole.objective.cost


@pytest.fixture(scope="module")
def state() -> FitState:
    small = LesionModel(small_patch(), SMALL_BALL, core_decay=SMALL_BALL_DECAY)
    return minimise(*small.with_gp_prior(small.start_parameters(Source(1.5, (0.0, 0.0, 0.0), 0.9))))


def test_the_minimum_is_one(state: FitState) -> None:
    assert state.converged
    assert state.source.total_chi_ppm_mm3 == pytest.approx(SMALL_BALL.total_chi_ppm_mm3, rel=0.05)
    assert state.source.centre_mm == pytest.approx(SMALL_BALL.centre_mm, abs=0.05)
    for i, size in ((0, 0.2), (1, 0.2), (2, 0.2), (3, 0.2), (4, 0.3)):
        for sign in (1, -1):
            moved = state.parameters.copy()
            moved[i] += sign * size
            assert evaluate_objective(state.model, moved).cost > state.objective.cost + 1


def test_costs_add_up(state: FitState) -> None:
    model = state.model
    known = (priors(model, state.parameters) ** 2).sum()
    process = model.gp_prior_cost(state.parameters)
    assert state.data_cost() == pytest.approx(state.objective.cost - known - process)
    voxels = model.patch.inside.sum() * model.patch.independent_per_voxel
    assert state.bic_penalty() == pytest.approx(known + 7 * np.log(voxels))
    # Errors of two echoes count as one.
    assert state.bic() == pytest.approx(state.data_cost() / 2 + process + known + 7 * np.log(voxels))
    # A direction's length and a place along the axis are not told by data.
    p = np.concatenate([state.parameters[:7], [0.6, 0.0, 0.8], state.parameters[7:]])
    line = model.with_shape(CYLINDER)
    cylinder = FitState(line, p, evaluate_objective(line, p, slopes=True), converged=True)
    own = (priors(line, p) ** 2).sum()
    assert cylinder.bic_penalty() == pytest.approx(own + 8 * np.log(voxels))


def test_residuals_are_root_mean_squares_of_both_channels(state: FitState) -> None:
    patch, objective = state.model.patch, state.objective
    u = objective.magnitude_weight * objective.error.real
    v = objective.phase_weight * objective.error.imag
    squares = 0.5 * (u**2 + v**2) / (1 + (u**2 + v**2) / 2.5**2)
    assert state.residual == pytest.approx(np.sqrt(squares.mean()), rel=1e-5)
    for centre in (state.source.centre_mm, (2.0, -1.0, 0.5)):
        distance = np.linalg.norm(patch.coordinates_mm[:, patch.inside].T - centre, axis=1)
        core = squares.reshape(2, -1)[:, distance < 3.0]
        given = None if centre == state.source.centre_mm else centre
        assert state.core_residual(given) == pytest.approx(np.sqrt(core.mean()), rel=1e-5)
    assert state.core_residual((50.0, 0.0, 0.0)) == 0.0


def test_the_sd_of_the_width_is_that_of_the_inverse(state: FitState) -> None:
    sd = np.sqrt(np.linalg.inv(state.linear.normal)[5, 5])
    assert state.psf_width2.value == state.parameters[5]
    assert state.psf_width2.sd == pytest.approx(sd, rel=1e-3)
    assert state.decay_hz == pytest.approx(np.exp(state.parameters[6]))
    assert state.rows[0].tolist() == [
        *state.parameters[:4], pytest.approx(np.exp(state.parameters[4])),
    ]  # fmt: skip


def test_no_parameter_leaves_its_range(monkeypatch: pytest.MonkeyPatch, state: FitState) -> None:
    """Steps of any size end within the ranges: centre 2.5 mm, radius 0.3 to 6 mm, width 3 mm, half axis 3.5 mm."""
    import qsmcmb.microbleeds.fit.levenberg_marquardt as module

    model = state.model.with_shape(BALL_PAIR)
    start = np.concatenate([state.parameters[:7], [0.5, 0.4, 0.3], state.parameters[7:]])
    seen: list[np.ndarray] = []
    evaluate = module.evaluate_objective

    def noted(model: LesionModel, p: np.ndarray, *, slopes: bool = False) -> object:
        seen.append(p.copy())
        return evaluate(model, start, slopes=slopes)

    monkeypatch.setattr(module, "evaluate_objective", noted)
    for sign in (1.0, -1.0):
        monkeypatch.setattr(
            module, "solve_normal_equations", lambda *a, sign=sign, **k: np.full(len(start), 100.0 * sign)
        )
        seen.clear()
        minimise(model, start)
        trial = seen[1]
        bounds = {4: (0.3, 6.0), 6: (0.5, 3000.0)}
        for i, (low, high) in bounds.items():
            assert np.exp(trial[i]) == pytest.approx(low if sign > 0 else high)
        assert trial[5] == (0.0 if sign > 0 else 9.0)
        np.testing.assert_allclose(trial[1:4], start[1:4] - 2.5 * sign)
        np.testing.assert_allclose(trial[7:10], -3.5 * sign)
        # The total and the tissue have no range.
        np.testing.assert_allclose(trial[[0, 10, -1]], start[[0, 10, -1]] - 100.0 * sign)


def test_damping_falls_where_a_step_leads_down_and_rises_where_it_does_not(
    monkeypatch: pytest.MonkeyPatch, state: FitState
) -> None:
    import qsmcmb.microbleeds.fit.levenberg_marquardt as module

    costs = iter([100.0, 90.0, 80.0, 85.0, 70.0, 69.9])
    dampings: list[float] = []
    evaluate = module.evaluate_objective

    def costed(model: LesionModel, p: np.ndarray, *, slopes: bool = False) -> object:
        return evaluate(model, state.parameters, slopes=slopes)._replace(cost=next(costs))

    def step(*args: object, damping: float) -> np.ndarray:
        dampings.append(damping)
        out = np.zeros(len(state.parameters))
        out[0] = 1.0
        return out

    monkeypatch.setattr(module, "evaluate_objective", costed)
    monkeypatch.setattr(module, "solve_normal_equations", step)
    found = minimise(state.model, state.parameters.copy())
    # Down, down, up, down; the last step takes away less than 1.
    assert dampings == pytest.approx([1e-3, 2e-4, 4e-5, 3.2e-4, 6.4e-5])
    assert found.converged
    assert found.objective.cost == 69.9
    # The step that led up is not taken.
    assert found.parameters[0] == pytest.approx(state.parameters[0] - 4)


@pytest.mark.parametrize(
    ("costs", "limit", "steps"),
    [
        # Above its limit after six steps; after the second by more than six times the last drop.
        ([100, 95, 90, 85, 80, 75, 70, 65, 60], 65.0, 6),
        ([100, 90, 80, 78, 77], 60.0, 3),
        ([100, 40, 39.5], 60.0, 2),
    ],
)
def test_a_fit_that_will_not_come_below_its_limit_is_given_up(
    monkeypatch: pytest.MonkeyPatch, state: FitState, costs: list[float], limit: float, steps: int
) -> None:
    import qsmcmb.microbleeds.fit.levenberg_marquardt as module

    given, taken, evaluate = iter(costs), [], module.evaluate_objective

    def step(*args: object, damping: float) -> np.ndarray:
        taken.append(damping)
        return np.full(len(state.parameters), 0.5)

    monkeypatch.setattr(
        module, "evaluate_objective",
        lambda model, p, slopes=False: evaluate(model, state.parameters, slopes=slopes)._replace(cost=next(given)),
    )  # fmt: skip
    monkeypatch.setattr(module, "solve_normal_equations", step)
    found = minimise(state.model, state.parameters.copy(), max_cost=limit)
    assert len(taken) == steps
    assert found.converged == (costs[len(taken)] < limit)
