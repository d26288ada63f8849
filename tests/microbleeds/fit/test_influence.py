"""Influence of errors on the total susceptibility: against refits, and its SDs against plain sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.influence import cramer_rao_bound, reference_patch_sd, sandwich_sd_of
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState, minimise
from qsmcmb.microbleeds.fit.objective import evaluate_objective
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import Source
from qsmcmb.typing import FloatArray
from tests.scenes.patches import SMALL_BALL, SMALL_BALL_DECAY, small_patch


@pytest.fixture(scope="module")
def state() -> FitState:
    model = LesionModel(small_patch(), SMALL_BALL, core_decay=SMALL_BALL_DECAY)
    start = model.start_parameters(Source(1.5, (0.0, 0.0, 0.0), 0.9))
    return minimise(*model.with_gp_prior(start))


def weighted_errors(state: FitState) -> tuple[FloatArray, FloatArray]:
    objective = state.objective
    return (
        objective.magnitude_weight * objective.robust * objective.error.real,
        objective.phase_weight * objective.robust * objective.error.imag,
    )


def test_a_disturbance_moves_the_total_as_the_influence_says(state: FitState) -> None:
    """One Gauss-Newton step after a small change of the data is the influence times its weighted error."""
    model, objective, influence = state.model, state.objective, state.influence
    rng = np.random.default_rng(6)
    real, imaginary = 1e-3 * rng.standard_normal((2, len(model.data)))
    # The error is model minus data.
    jacobian = np.concatenate([state.linear.source.real, state.linear.source.imag])
    change = np.concatenate(
        [
            objective.magnitude_weight * objective.robust * real,
            objective.phase_weight * objective.robust * imaginary,
        ]
    )
    n = model.n_source_parameters
    tissue = [model.tissue.amplitude.dense(), model.tissue.phase.dense()]
    amplitude = state.linear.by_log_magnitude.reshape(-1, 1) * tissue[0]
    phase = state.linear.by_phase.reshape(-1, 1) * tissue[1]
    by_tissue = np.concatenate([np.hstack([0 * phase, amplitude]), np.hstack([phase, 0 * amplitude])])
    whole = np.hstack([jacobian, by_tissue])
    step = np.linalg.solve(state.linear.normal, whole.T @ change)
    found = influence.along_magnitude @ change[: len(real)] + influence.along_phase @ change[len(real) :]
    assert found == pytest.approx(step[0], rel=1e-3)
    assert n == 7


def test_the_variance_is_that_of_data_and_process_and_of_the_priors(state: FitState) -> None:
    inverse = np.linalg.inv(state.linear.normal)
    shape = ((state.linear.prior @ inverse[0, :7]) ** 2).sum()
    assert state.influence.prior_variances.sum() == pytest.approx(shape, rel=1e-3)
    assert state.influence.variance == pytest.approx(inverse[0, 0] - shape, rel=1e-3)
    assert shape > 0
    # Of white errors of unit SD the influence makes the part that the data have of the variance.
    data = (state.influence.along_magnitude**2).sum() + (state.influence.along_phase**2).sum()
    row = inverse[0, 7:]
    process = (state.model.precision * row**2).sum()
    assert data == pytest.approx(inverse[0, 0] - shape - process, rel=1e-3)


def test_the_sandwich_adds_blocks_in_squares(state: FitState) -> None:
    patch, influence = state.model.patch, state.influence
    real, imaginary = weighted_errors(state)
    change = (influence.along_magnitude * real + influence.along_phase * imaginary).reshape(2, -1).sum(axis=0)
    sums: dict[tuple[int, ...], float] = {}
    for position, c in zip(patch.coordinates_mm[:, patch.inside].T, change, strict=True):
        block = tuple(int(b) for b in np.floor(position / 3.5))
        sums[block] = sums.get(block, 0.0) + c
    assert len(sums) > 8
    expected = np.sqrt(np.sum(np.square(list(sums.values()))))
    assert state.sandwich_sd() == pytest.approx(expected, rel=1e-6)
    assert sandwich_sd_of(patch, state.objective, influence) == state.sandwich_sd()


def rough(patch: Patch, sd: float, seed: int) -> Patch:
    rng = np.random.default_rng(seed)
    signal = np.exp(
        sd * (rng.standard_normal(patch.signal.shape) + 1j * rng.standard_normal(patch.signal.shape))
    )
    return replace(patch, signal=signal, field_hz=np.zeros(patch.inside.shape))


@pytest.mark.parametrize("sd", [0.01, 1.0])
def test_the_clutter_is_what_the_residuals_of_reference_patches_make(state: FitState, sd: float) -> None:
    model, objective, influence = state.model, state.objective, state.influence
    patches = [rough(model.patch, sd, seed) for seed in range(5)]
    size, changes = np.abs(objective.signal.value), []
    for patch in patches:
        residual = model.polynomial.residual(patch)
        u = objective.magnitude_weight * size * residual.real
        v = objective.phase_weight * size * residual.imag
        # Cauchy's weight of the lesion's fit and of the patch.
        weight = objective.robust / (1 + (u**2 + v**2) / 2.5**2)
        changes.append((weight * (influence.along_magnitude * u + influence.along_phase * v)).sum())
    found = reference_patch_sd(model, objective, influence, patches)
    assert found == pytest.approx(np.sqrt(np.mean(np.square(changes))), rel=1e-6)
    assert np.isnan(reference_patch_sd(model, objective, influence, patches[:4]))


def test_the_bound_is_that_of_white_noise(state: FitState) -> None:
    """The SD of fits to data that differ in noise alone, every parameter free and known to nothing else."""
    model = LesionModel(state.model.patch, SMALL_BALL, core_decay=SMALL_BALL_DECAY)
    p = model.start_parameters(SMALL_BALL)
    objective = evaluate_objective(model, p, slopes=True)
    signal = objective.signal
    assert signal.slopes is not None
    value = signal.value[:, None]
    columns = np.concatenate(
        [
            (signal.slopes * signal.background).T,
            1j * value * model.polynomial.phase.dense(),
            value * model.polynomial.amplitude.dense(),
        ],
        axis=1,
    )
    fisher = (columns.conj().T @ columns).real / 0.01**2
    assert cramer_rao_bound(model, objective) == pytest.approx(np.sqrt(np.linalg.inv(fisher)[0, 0]), rel=1e-4)
