"""Which shape wins, and what the others add to the SD: the rules, on states whose numbers are given."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import qsmcmb.microbleeds.fit.shape_selection as module
from qsmcmb.microbleeds.fit.priors import SIGNAL_RETAINING_CORE
from qsmcmb.microbleeds.fit.shape_selection import large_pair, residual_ratio, select_shape, shape_choice_sd
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.source_shapes import AXES, BALL, BALL_PAIR, SPHEROID, Source
from tests.scenes.patches import SMALL_BALL, small_patch

Centre = tuple[float, float, float]
HERE, THERE = (0.0, 0.0, 0.0), (3.0, 0.0, 0.0)


def state(
    cost: float,
    total: float = 2.0,
    *,
    residuals: dict[Centre, float] | None = None,
    bodies: tuple[Centre, ...] = (HERE,),
    left_mask: bool = False,
    sandwich_sd: float = 0.1,
) -> Any:
    """Return what the rules read of a fit: cost, total, centres of its bodies, core residual around each centre."""
    around = residuals or {HERE: 1.0}

    def core_residual(centre: Centre = HERE) -> float:
        return around[centre]

    return SimpleNamespace(
        objective=SimpleNamespace(cost=cost),
        parameters=np.array([total, *HERE]),
        source=SimpleNamespace(centre_mm=HERE),
        rows=np.array([[1.0, *body, 0.8] for body in bodies]),
        left_mask=left_mask,
        core_residual=core_residual,
        sandwich_sd=lambda: sandwich_sd,
    )


def test_the_ratio_is_the_worst_around_all_bodies_and_the_ball() -> None:
    ball = state(0.0, residuals={HERE: 2.0, THERE: 1.0})
    other = state(0.0, residuals={HERE: 1.0, THERE: 0.9}, bodies=(HERE, THERE))
    assert residual_ratio(other, ball) == pytest.approx(0.9)
    # The ball's own centre counts even where the other shape has no body there.
    away = state(0.0, residuals={HERE: 1.9, THERE: 0.1}, bodies=(THERE,))
    assert residual_ratio(away, ball) == pytest.approx(0.95)
    assert residual_ratio(state(0.0, left_mask=True), ball) == np.inf


@pytest.mark.parametrize(
    ("cost", "residual", "expected"),
    # 0.6 of the change, of a shape that lowers the cost by more than 15 and leaves less.
    [(-16.0, 0.99, 0.6), (-14.0, 0.5, 0.0), (-16.0, 1.01, 0.0)],
)
def test_a_shape_that_may_be_right_widens_the_sd(cost: float, residual: float, expected: float) -> None:
    ball, other = state(0.0, 2.0), state(cost, 3.0, residuals={HERE: residual})
    assert shape_choice_sd(ball, [other]) == pytest.approx(expected)


def test_the_largest_change_counts_up_to_one_and_a_half_of_the_ball() -> None:
    ball = state(0.0, -2.0)
    near, far = (state(-20.0, total, residuals={HERE: 0.5}) for total in (-2.5, 30.0))
    assert shape_choice_sd(ball, [near]) == pytest.approx(0.3)
    assert shape_choice_sd(ball, [near, far]) == pytest.approx(0.6 * 1.5 * 2.0)
    assert shape_choice_sd(ball, []) == 0.0


@pytest.mark.parametrize(
    ("cost", "residual", "wins"),
    [(-16.0, 0.86, True), (-14.0, 0.5, False), (-16.0, 0.88, False)],
)
def test_another_shape_wins_by_cost_and_residual(cost: float, residual: float, wins: bool) -> None:
    ball, other = state(0.0), state(cost, residuals={HERE: residual})
    assert (module._best_shape(ball, [other]) is other) == wins
    cheaper = state(cost - 1, residuals={HERE: 0.5})
    assert module._best_shape(ball, [other, cheaper]) is (cheaper if cost - 1 < -15 else ball)


@pytest.mark.parametrize(
    ("residual", "spheroid_cost", "total", "expected"),
    [
        (0.59, 1.0, 2.0, True),
        (0.59, -1.0, 2.0, False),
        (0.61, 1.0, 2.0, False),
        # Nothing has no shape, unless its core is poor: 0.29 is less than three SDs.
        (0.99, -1.0, -0.29, True),
        (0.99, -1.0, -0.31, False),
        (1.01, -1.0, 0.29, False),
    ],
)
def test_when_a_ball_is_enough(residual: float, spheroid_cost: float, total: float, expected: bool) -> None:
    ball = state(0.0, total, residuals={HERE: residual})
    assert module._is_ball(ball, spheroid_cost) == expected


@pytest.mark.parametrize("sign", [1, -1])
def test_a_large_pair_has_the_volume_of_two_balls_of_half_a_ppm(sign: int) -> None:
    pair = large_pair(2.2, sign)
    assert pair.total_chi_ppm_mm3 == pytest.approx(sign * 2 * 4 / 3 * np.pi * 2.2**3 * 0.5)
    assert pair.centre_mm == HERE
    assert pair.radius_mm == 2.2


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[LesionModel, np.ndarray]]:
    """Return all parameters at which a cost is asked for, with their model; nothing is minimised."""
    seen: list[tuple[LesionModel, np.ndarray]] = []
    evaluate: Callable[..., Any] = module.evaluate_objective

    def noted(model: LesionModel, p: np.ndarray) -> Any:
        seen.append((model, p))
        return evaluate(model, p)

    monkeypatch.setattr(module, "evaluate_objective", noted)
    monkeypatch.setattr(
        module,
        "minimise",
        lambda model, p, max_cost=np.inf: SimpleNamespace(model=model, parameters=p, max_cost=max_cost),
    )
    return seen


def fitted_ball() -> Any:
    patch = small_patch()
    model = LesionModel(patch, SMALL_BALL, core_decay=module.dark_core(3.0), cell_mm=0.5)
    p = model.start_parameters(SMALL_BALL)
    return SimpleNamespace(model=model, parameters=p, objective=SimpleNamespace(cost=12.0))


def test_a_spheroid_starts_along_the_best_of_thirteen_axes(starts: list[Any]) -> None:
    ball = fitted_ball()
    start, cost = module._spheroid_start(ball)
    focuses = np.array([p[7:10] for _, p in starts])
    np.testing.assert_allclose(focuses, 0.8 * 0.8 * AXES)
    for model, p in starts:
        assert model.shape is SPHEROID
        np.testing.assert_array_equal(np.delete(p, slice(7, 10)), ball.parameters)
    costs = [module.evaluate_objective(model, p).cost for model, p in list(starts)]
    assert cost == min(costs)
    np.testing.assert_array_equal(start, starts[int(np.argmin(costs))][1])


def test_a_pair_starts_along_the_spheroid(starts: list[Any]) -> None:
    ball = fitted_ball()
    focus = np.array([0.3, -0.4, 1.2])
    p = np.concatenate([ball.parameters[:7], focus, ball.parameters[7:]])
    spheroid = SimpleNamespace(model=ball.model.with_shape(SPHEROID), parameters=p, objective=ball.objective)
    pair = module._fit_pair_along(spheroid)
    assert pair.model.shape is BALL_PAIR
    assert pair.max_cost == 12.0
    np.testing.assert_allclose(pair.parameters[7:10], 0.64 * focus / np.linalg.norm(focus))
    np.testing.assert_allclose(np.delete(pair.parameters, slice(4, 10)), np.delete(p, slice(4, 10)))
    assert np.exp(pair.parameters[4]) == pytest.approx(0.64)


@pytest.mark.parametrize("retaining", [False, True])
def test_a_dark_ball_starts_at_the_radius_of_one_ppm_and_a_bright_one_at_its_own(
    starts: list[Any], monkeypatch: pytest.MonkeyPatch, retaining: bool
) -> None:
    monkeypatch.setattr(module, "_spheroid_start", lambda ball: (None, np.inf))
    monkeypatch.setattr(module, "_is_ball", lambda ball, cost: True)
    source = Source(3.0, (0.1, 0.0, 0.0), 2.0)
    patch = small_patch()
    found = select_shape(patch, source, core_decay=SIGNAL_RETAINING_CORE if retaining else None)
    radius = 2.0 if retaining else (3 * 3.0 / (4 * np.pi)) ** (1 / 3)
    assert [np.exp(p[4]) for _, p in starts] == pytest.approx([0.75 * radius, radius, 1.3 * radius])
    assert found.model.shape is BALL
    assert found.model.core_decay == (SIGNAL_RETAINING_CORE if retaining else module.dark_core(3.0))
    costs = [module.evaluate_objective(model, p).cost for model, p in list(starts)]
    np.testing.assert_array_equal(found.parameters, starts[int(np.argmin(costs))][1])


@pytest.mark.parametrize(("along", "expected"), [((-30.0, 0.8), "along"), ((-10.0, 0.8), "ball")])
def test_shapes_along_the_spheroid_are_tried(
    monkeypatch: pytest.MonkeyPatch, along: Any, expected: str
) -> None:
    ball = state(0.0, residuals={HERE: 2.0})
    made = {"ball": ball, "along": state(along[0], residuals={HERE: along[1]})}
    ball.with_model_selection_sd = lambda sd: ball
    compared: list[Any] = []
    for name, fit in made.items():
        fit.as_compared = lambda comparison, *, is_chosen, name=name: (name, is_chosen)
        fit.with_compared_models = lambda models, fit=fit: compared.extend(models) or fit
    monkeypatch.setattr(module, "fit_ball", lambda *a, **k: ball)
    monkeypatch.setattr(module, "_spheroid_start", lambda ball: (None, -1.0))
    monkeypatch.setattr(module, "_fit_along_spheroid", lambda ball, start: [made["along"]])
    assert select_shape(small_patch(), SMALL_BALL) is made[expected]
    assert compared == [(name, name == expected) for name in made]
