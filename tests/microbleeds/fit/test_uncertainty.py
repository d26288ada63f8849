"""The SD of a fit: its parts and the factors on them, one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState, minimise
from qsmcmb.microbleeds.fit.priors import SIGNAL_RETAINING_CORE
from qsmcmb.microbleeds.fit.uncertainty import LesionFit, summarise_fit
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import LAYOUT, Source
from tests.scenes.patches import SMALL_BALL, SMALL_BALL_DECAY, small_patch, with_acquisition

TOTAL = 1.9


@pytest.fixture(scope="module")
def state() -> FitState:
    model = LesionModel(small_patch(heterogeneity=0.5), SMALL_BALL, core_decay=SMALL_BALL_DECAY)
    start = model.start_parameters(Source(TOTAL, (0.1, 0.0, 0.2), 0.9))
    return minimise(*model.with_gp_prior(start))


@pytest.fixture(scope="module")
def fit(state: FitState) -> LesionFit:
    return summarise_fit(state)


def on(state: FitState, patch: Patch) -> FitState:
    """Return the same end of a fit in another patch."""
    model = state.model.with_shape(state.model.shape)
    model.patch = patch
    return replace(state, model=model)


def parts_of(state: FitState, clutter_sd: float = 0.0) -> float:
    influence = state.influence
    return float(np.sqrt(0.225**2 * influence.variance + state.sandwich_sd() ** 2 + clutter_sd**2 + 0.005**2))


def test_the_sd_joins_its_parts(state: FitState) -> None:
    selected = state.with_model_selection_sd(0.03)
    fit = summarise_fit(selected)
    total = fit.source.total_chi_ppm_mm3
    assert total == pytest.approx(2.0, rel=0.1)
    assert np.isnan(fit.clutter_sd_ppm_mm3)
    assert fit.sandwich_sd_ppm_mm3 == state.sandwich_sd()
    assert fit.residual < 0.6
    assert fit.core_residual < 0.6
    # Voxels of 0.9 x 1 x 1.1 mm, 98 % of the ball in the mask, 3 T, a fit that is as good as usual.
    assert fit.noise_sd_ppm_mm3 == pytest.approx(parts_of(state) * (1.1 / 0.9) ** 0.75 / 0.98)
    assert fit.shape_sd_ppm_mm3 == pytest.approx(np.sqrt(state.influence.prior_variances.sum()))
    # Tissue half as heterogeneous as a brain's is hidden.
    assert fit.hidden_tissue_sd_ppm_mm3 == pytest.approx(0.003 * 0.5 * total)
    squares = [fit.noise_sd_ppm_mm3**2, fit.shape_sd_ppm_mm3**2, fit.hidden_tissue_sd_ppm_mm3**2, 0.03**2]
    assert fit.sd_ppm_mm3 == pytest.approx(np.sqrt(sum(squares)))
    assert fit.converged
    assert fit.decay_hz == state.decay_hz
    assert fit.psf_width2 == state.psf_width2
    assert fit.cramer_rao_sd_ppm_mm3 > 0
    assert fit.patch is state.model.patch


def test_the_clutter_of_reference_patches_is_a_part(state: FitState) -> None:
    rng = np.random.default_rng(8)
    patch = state.model.patch
    patches = [
        replace(
            patch, signal=np.exp(0.3 * rng.standard_normal(patch.signal.shape)), field_hz=0 * patch.field_hz
        )
        for _ in range(6)
    ]
    fit = summarise_fit(state, patches)
    assert fit.clutter_sd_ppm_mm3 > 0.01
    expected = parts_of(state, fit.clutter_sd_ppm_mm3) * (1.1 / 0.9) ** 0.75 / 0.98
    assert fit.noise_sd_ppm_mm3 == pytest.approx(expected)


@pytest.mark.parametrize("b0_tesla", [1.5, 7.0])
def test_the_sd_rises_with_the_field(state: FitState, fit: LesionFit, b0_tesla: float) -> None:
    other = on(state, with_acquisition(state.model.patch, b0_tesla=b0_tesla))
    ratio = summarise_fit(other).noise_sd_ppm_mm3 / parts_of(other)
    assert ratio == pytest.approx(fit.noise_sd_ppm_mm3 / parts_of(state) * (b0_tesla / 3) ** 0.2)


def test_less_of_the_patch_in_the_mask_is_a_larger_sd(state: FitState, fit: LesionFit) -> None:
    patch = replace(state.model.patch, fraction_in_mask=0.49)
    cut = on(state, patch)
    ratio = summarise_fit(cut).noise_sd_ppm_mm3 / parts_of(cut)
    assert ratio == pytest.approx(2 * fit.noise_sd_ppm_mm3 / parts_of(state))


@pytest.mark.parametrize("factor", [4.0, 12.0])
def test_a_poor_fit_has_a_larger_sd(state: FitState, factor: float) -> None:
    """Errors that are larger everywhere raise the whole residual, the core's squared counts if it is worse."""
    objective = state.objective
    robust = np.full_like(objective.robust, 0.9)
    poor = replace(state, objective=objective._replace(error=factor * objective.error, robust=robust))
    fit = summarise_fit(poor)
    assert fit.core_residual > 0.6
    rise = max(fit.residual / 0.6, (fit.core_residual / 0.6) ** 2)
    assert rise > 1
    assert fit.noise_sd_ppm_mm3 == pytest.approx(parts_of(poor) * rise * (1.1 / 0.9) ** 0.75 / 0.98)


def with_radius(state: FitState, radius_mm: float) -> LesionFit:
    p = state.parameters.copy()
    p[4] = np.log(radius_mm)
    return summarise_fit(replace(state, parameters=p))


def test_a_body_that_nearly_fills_its_patch_has_two_percent_more(state: FitState) -> None:
    below, above = with_radius(state, 4.99), with_radius(state, 5.01)
    total = abs(above.source.total_chi_ppm_mm3)
    assert above.shape_sd_ppm_mm3**2 - below.shape_sd_ppm_mm3**2 == pytest.approx(
        (0.02 * total) ** 2, rel=0.3
    )


@pytest.mark.parametrize(
    ("radius_mm", "converged", "exceeds"),
    [(4.9, False, False), (5.1, True, False), (5.1, False, True), (5.93, True, False), (5.95, True, True)],
)
def test_what_exceeds_the_patch(fit: LesionFit, radius_mm: float, converged: bool, exceeds: bool) -> None:
    parameters = fit.state.parameters.copy()
    parameters[LAYOUT.log_radius] = np.log(radius_mm)
    state = replace(fit.state, parameters=parameters, converged=converged)
    assert state.exceeds_patch == fit._replace(state=state).exceeds_patch == exceeds


def test_a_core_that_retains_its_signal_is_known_as_one(state: FitState, fit: LesionFit) -> None:
    assert not fit.signal_retaining
    model = LesionModel(state.model.patch, SMALL_BALL, core_decay=SIGNAL_RETAINING_CORE)
    retaining = replace(fit.state, model=model)
    assert fit._replace(state=retaining).signal_retaining
