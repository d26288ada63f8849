"""The end of a fit: what it holds, and when it gives up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.levenberg_marquardt import TRIAL_STEPS, FitState, minimise
from qsmcmb.microbleeds.fit.objective import evaluate_objective
from qsmcmb.microbleeds.fit.priors import dark_core
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.source_shapes import BALL_PAIR, Source
from tests.scenes.patches import scanned

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
