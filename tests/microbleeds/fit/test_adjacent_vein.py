"""A vein beside a lesion is fitted together with it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import qsmcmb.microbleeds.fit.adjacent_vein as vein_module
from qsmcmb.core.polynomials import polynomials
from qsmcmb.microbleeds.fit.adjacent_vein import fit_adjacent_vein
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState, minimise
from qsmcmb.microbleeds.fit.model_comparison import ComparedModel, Comparison
from qsmcmb.microbleeds.fit.objective import evaluate_objective
from qsmcmb.microbleeds.fit.refinement import refine_with_tissue_prior
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.fit.vein import CylinderStart
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.source_shapes import Source
from qsmcmb.phantoms.lesions import Ball, PhantomLesion
from tests.scenes.patches import SMALL_BALL, SMALL_BALL_DECAY, small_patch
from tests.scenes.phantom_scans import TUBE, TUBE_PPM_MM2, patches_of, tube_tissue


def lesion_state(*, heterogeneity: float = 1.0) -> FitState:
    model = LesionModel(small_patch(heterogeneity=heterogeneity), SMALL_BALL, core_decay=SMALL_BALL_DECAY)
    return minimise(model, model.start_parameters(SMALL_BALL))


def test_the_field_that_a_fit_leaves_is_that_beside_the_lesion() -> None:
    """A field of 6 Hz more in a corner shows there, and not where the phase of a bleed is."""
    patch = small_patch(noise_sd=1e-4)
    x, y, z = patch.coordinates_mm
    more = 6.0 * np.exp(-0.5 * ((x + 2.5) ** 2 + (y - 2) ** 2 + z**2))
    te = np.reshape(patch.acquisition.te_s, (-1, 1, 1, 1))
    patch = replace(patch, signal=patch.signal * np.exp(2j * np.pi * te * more))
    model = LesionModel(patch, SMALL_BALL, core_decay=SMALL_BALL_DECAY)
    state = FitState(
        model=model,
        parameters=model.start_parameters(SMALL_BALL),
        objective=evaluate_objective(model, model.start_parameters(SMALL_BALL)),
        converged=True,
    )
    found = vein_module._residual_field_hz(state)
    assert not found[~patch.inside].any()
    # The receive phase linear in space and the cubic of the field, both free, take a part of it away.
    basis = [polynomials(patch.coordinates_mm[:, patch.inside] / 4.4, order) for order in (1, 3)]
    dense = np.concatenate(
        [np.hstack([basis[0], t * basis[1]]) for t in np.array(patch.acquisition.te_s) / 0.014]
    )
    phase = np.concatenate([2 * np.pi * t * more[patch.inside] for t in patch.acquisition.te_s])
    size = np.abs(patch.signal[:, patch.inside].reshape(-1))
    weight = np.clip(2 * np.abs(state.objective.signal.factor) - 1, 0, 1) * size
    left = phase - dense @ np.linalg.lstsq(dense * weight[:, None], phase * weight, rcond=None)[0]
    left = left.reshape(2, -1)
    t, w = np.array(patch.acquisition.te_s)[:, None], size.reshape(2, -1) ** 2
    expected = (w * t * left).sum(axis=0) / (2 * np.pi * (w * t**2).sum(axis=0))
    far = np.abs(state.objective.signal.factor.reshape(2, -1)).min(axis=0) > 0.8
    np.testing.assert_allclose(found[patch.inside][far], expected[far], atol=0.1)
    assert np.abs(expected[far]).max() > 2


@pytest.mark.parametrize(
    ("core_residual", "heterogeneity", "looked_for"),
    [(0.61, 1.0, True), (0.59, 1.0, False), (0.9, 0.1, False)],
)
def test_a_vein_is_looked_for_where_the_core_is_poor_in_tissue(
    monkeypatch: pytest.MonkeyPatch, core_residual: float, heterogeneity: float, looked_for: bool
) -> None:
    state, seen = lesion_state(heterogeneity=heterogeneity), []
    monkeypatch.setattr(FitState, "core_residual", lambda self: core_residual)
    monkeypatch.setattr(
        vein_module, "_paramagnetic_lines", lambda state, patch: seen.append(patch.radius_mm) or []
    )
    assert fit_adjacent_vein(state) == (state, None)
    assert bool(seen) == looked_for


def test_only_paramagnetic_lines_are_veins(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [CylinderStart(m, np.zeros(3), np.array([0.0, 0.0, 1.0])) for m in (-0.5, 0.4, 0.0, 0.2)]
    monkeypatch.setattr(vein_module, "candidate_lines", lambda *a: (lines, 1.0))
    state = lesion_state()
    assert vein_module._paramagnetic_lines(state, state.model.patch) == [lines[1], lines[3]]


@pytest.mark.parametrize(
    ("moved_mm", "bic", "left_mask", "found"),
    [
        (0.9, 39.0, False, True),
        (1.1, 39.0, False, False),
        (0.9, 41.0, False, False),
        (0.9, 39.0, True, False),
    ],
)
def test_both_together_must_be_better_than_the_lesion_alone(
    monkeypatch: pytest.MonkeyPatch, moved_mm: float, bic: float, left_mask: bool, found: bool
) -> None:
    earlier = ComparedModel(Comparison.SHAPE, "pair", 2, 2.1, 40.0, 0.5, is_chosen=False)
    state = lesion_state().with_model_selection_sd(0.3).with_compared_models([earlier])
    p = state.parameters.copy()
    p[0] += 1.6
    p[2] -= moved_mm
    lesion = FitState(model=state.model, parameters=p, objective=state.objective, converged=True)
    vein = SimpleNamespace(
        bic_penalty=lambda: 10.0, parameters=np.array([0.5, 0, 0, 0, np.log(0.7), 0, 0, 0.0, 3.0, 4.0])
    )
    monkeypatch.setattr(FitState, "core_residual", lambda self: 0.7)
    monkeypatch.setattr(FitState, "bic", lambda self: bic if self is lesion else 50.0)
    monkeypatch.setattr(FitState, "left_mask", left_mask)
    monkeypatch.setattr(vein_module, "_paramagnetic_lines", lambda *a: [None])
    monkeypatch.setattr(vein_module, "_fit_in_turn", lambda *a: (lesion, vein))
    result, beside = fit_adjacent_vein(state)
    assert (beside is not None) == found
    if beside is None:
        assert result is state
    else:
        assert beside == (0.5, pytest.approx(0.7), pytest.approx((0.0, 0.6, 0.8)), pytest.approx(40.0 - bic))
        np.testing.assert_array_equal(result.parameters, p)
        # A quarter of the change joins what was open before.
        assert result.model_selection_sd_ppm_mm3 == pytest.approx(0.5)
        # What was compared before stays; the lesion alone and beside the vein join it.
        before, alone, together = result.compared_models
        assert (before,) == state.compared_models
        assert [alone.cost, together.cost] == pytest.approx([50.0, bic + 10.0])
        assert [alone.is_chosen, together.is_chosen] == [False, True]
        assert together.total_chi_ppm_mm3 == p[0]


def test_neighbours_multiply() -> None:
    model = LesionModel(small_patch(), SMALL_BALL, core_decay=SMALL_BALL_DECAY)
    one, two = (np.full(len(model.data), v, complex) for v in (0.5 + 0.1j, 0.8))
    with_one = vein_module._with_extra_neighbour(model, one)
    np.testing.assert_array_equal(with_one.neighbours, one)
    np.testing.assert_allclose(vein_module._with_extra_neighbour(with_one, two).neighbours, one * two)


def test_a_vein_beside_a_lesion_is_not_a_part_of_it() -> None:
    tissue = tube_tissue()
    across = np.cross(TUBE.direction, (0.0, 0.0, 1.0))
    centre = np.array(TUBE.centre_mm) + 1.5 * across / np.linalg.norm(across)
    ball = Ball((centre[0], centre[1], centre[2]), 0.9, 0.9)
    scan = tissue.scan((PhantomLesion("microbleed", (ball,)),), rng=np.random.default_rng(2)).scan
    patch = patches_of(scan, tissue.pose.to_world(centre[None]), noise_sd=0.01)[0]
    alone = refine_with_tissue_prior(
        select_shape(patch, Source(3.0, (0.0, 0.0, 0.0), 0.9)), patch.acquisition
    )
    both, vein = fit_adjacent_vein(alone)
    assert vein is not None
    assert vein.strength_ppm_mm2 == pytest.approx(TUBE_PPM_MM2, rel=0.15)
    error_alone, error = (abs(o.parameters[0] / ball.total_chi_ppm_mm3 - 1) for o in (alone, both))
    assert error < 0.6 * error_alone
    assert both.model_selection_sd_ppm_mm3 > 0
