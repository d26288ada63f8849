"""The objective against its equation, its linear problem against dense matrices."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.objective import (
    LinearProblem,
    Objective,
    apply_jacobian,
    evaluate_objective,
    gradient_of,
    inverse_row,
    linearise,
    solve_normal_equations,
)
from qsmcmb.microbleeds.fit.priors import priors
from qsmcmb.microbleeds.signal.acquisition import KSpaceWindow
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.source_shapes import CoreDecay, Source
from qsmcmb.typing import FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T
from tests.scenes.patches import SMALL_BALL, SMALL_BALL_DECAY, small_patch, with_acquisition


class Problem(NamedTuple):
    """A model with the tissue's process, away from its optimum."""

    model: LesionModel
    p: FloatArray
    objective: Objective
    linear: LinearProblem


@pytest.fixture(scope="module")
def problem() -> Problem:
    window = KSpaceWindow(0.9)
    patch = with_acquisition(small_patch(noise_sd=0.05), windows=(window, KSpaceWindow(), KSpaceWindow()))
    background = np.random.default_rng(3).normal(0, 3.0, 20)
    patch = replace(patch, background=background)
    plain = LesionModel(patch, SMALL_BALL, core_decay=SMALL_BALL_DECAY)
    model, p = plain.with_gp_prior(plain.start_parameters(Source(1.6, (0.1, 0.0, 0.2), 0.9)))
    rng = np.random.default_rng(2)
    p[7:] += 0.02 * rng.standard_normal(len(p) - 7)
    objective = evaluate_objective(model, p, slopes=True)
    return Problem(model, p, objective, linearise(model, p, objective))


def weights_of(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Return the weights along magnitude and phase by their equations."""
    model, signal = problem.model, problem.objective.signal
    patch = model.patch
    magnitude_error, field_ppm, offset_rad, core = 0.02, 0.002, 0.01, 0.04
    te = np.repeat(patch.acquisition.te_s, int(patch.inside.sum()))
    # Steps of the background's phase from voxel to voxel, in half turns, along each axis; k-space ends at 0.9 along x.
    xyz = patch.coordinates_mm[:, patch.inside]
    steep = np.zeros(len(te))
    for axis, edge in enumerate((0.9, 1.0, 1.0)):
        half = np.zeros((3, 1))
        half[axis] = 0.5 * patch.grid.voxel_size_mm[axis]
        step = patch.background_hz(xyz + half) - patch.background_hz(xyz - half)
        steep = np.maximum(steep, np.abs(2 * te * np.tile(step, 2)) / edge)
    size = np.abs(signal.value)
    common = 0.05**2 + ((core + steep**6) * np.abs(signal.background)) ** 2
    turn = 2 * np.pi * GAMMA_MHZ_PER_T * 3.0 * field_ppm * te
    along_magnitude = common + (magnitude_error * size) ** 2
    along_phase = common + (offset_rad**2 + turn**2) * size**2
    return along_magnitude**-0.5, along_phase**-0.5


def errors_of(problem: Problem, p: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the errors at some parameters along magnitude and phase of the problem's own signal."""
    signal = problem.model.signal(p)
    error = (signal.value - problem.model.data) * problem.objective.direction.conj()
    return error.real, error.imag


def test_weights_and_cost_are_those_of_the_equation(problem: Problem) -> None:
    model, objective = problem.model, problem.objective
    u, v = weights_of(problem)
    np.testing.assert_allclose(objective.magnitude_weight, u, rtol=1e-6)
    np.testing.assert_allclose(objective.phase_weight, v, rtol=1e-6)
    assert np.abs(np.abs(objective.direction) - 1).max() < 1e-6
    real, imaginary = errors_of(problem, problem.p)
    np.testing.assert_allclose(objective.error, real + 1j * imaginary, atol=1e-6)
    distance2 = ((u * real) ** 2 + (v * imaginary) ** 2) / 2.5**2
    independent = model.patch.independent_per_voxel
    assert 0.5 < independent < 1
    np.testing.assert_allclose(objective.robust**2, independent / (1 + distance2), rtol=1e-5)
    data = independent * (2.5**2 * np.log(1 + distance2) - 2 * np.log(u * v)).sum()
    known = (priors(model, problem.p) ** 2).sum() + model.gp_prior_cost(problem.p)
    assert objective.cost == pytest.approx(data + known, rel=1e-6)
    # What the process' coefficients cost is part of it.
    assert model.gp_prior_cost(problem.p) > 1


def test_the_phase_alone_has_a_likelihood_of_its_own(problem: Problem) -> None:
    patch = with_acquisition(problem.model.patch, phase_alone=True)
    plain = LesionModel(patch, SMALL_BALL, core_decay=SMALL_BALL_DECAY)
    model, _ = plain.with_gp_prior(plain.start_parameters(SMALL_BALL))
    objective = evaluate_objective(model, problem.p)
    _, v = weights_of(problem)
    size = np.abs(objective.signal.value)
    angle = np.angle(objective.signal.value * model.data.conj())
    error = v * size * 2 * np.sin(angle / 2)
    independent = patch.independent_per_voxel
    data = independent * (2.5**2 * np.log(1 + error**2 / 2.5**2) - np.log(1 + (v * size) ** 2)).sum()
    known = (priors(model, problem.p) ** 2).sum() + model.gp_prior_cost(problem.p)
    assert objective.cost == pytest.approx(data + known, rel=1e-6)
    # No magnitude changes it.
    model.data = model.data * np.random.default_rng(4).uniform(0.1, 10, model.data.shape)
    assert evaluate_objective(model, problem.p).cost == pytest.approx(objective.cost, rel=1e-6)


def test_gradient_is_half_the_slope_of_the_cost_with_weights_held(problem: Problem) -> None:
    model, objective = problem.model, problem.objective

    def cost(p: FloatArray) -> float:
        real, imaginary = errors_of(problem, p)
        distance2 = (
            (objective.magnitude_weight * real) ** 2 + (objective.phase_weight * imaginary) ** 2
        ) / 2.5**2
        data = model.patch.independent_per_voxel * 2.5**2 * np.log1p(distance2).sum()
        return float(data + (priors(model, p) ** 2).sum() + model.gp_prior_cost(p))

    gradient = gradient_of(model, problem.p, objective, problem.linear)
    n, n_phase = model.n_source_parameters, model.tissue.phase.size
    size = np.abs(gradient)
    # All of the source, and of each block of the tissue the first, the last and some in between.
    for i in [
        *range(n),
        n,
        n + 7,
        n + 30,
        n + n_phase - 1,
        n + n_phase,
        n + n_phase + 12,
        len(problem.p) - 1,
    ]:
        step = np.zeros(len(problem.p))
        step[i] = 4e-3 if i < n else 1e-3
        difference = (cost(problem.p + step) - cost(problem.p - step)) / (4 * step[i])
        # The radius moves the edge across cells in steps.
        tolerance = 0.1 if i == 4 else 0.03
        assert gradient[i] == pytest.approx(difference, rel=tolerance, abs=0.003 * size.max()), i


def dense_jacobian(problem: Problem) -> FloatArray:
    """Return the derivatives of the weighted error, real parts above imaginary ones, by all parameters."""
    model, objective = problem.model, problem.objective
    signal = objective.signal
    assert signal.slopes is not None
    value = signal.value[:, None]
    columns = np.concatenate(
        [
            (signal.slopes * signal.background).T,
            1j * value * model.tissue.phase.dense(),
            value * model.tissue.amplitude.dense(),
        ],
        axis=1,
    )
    turned = columns * objective.direction.conj()[:, None]
    real = (objective.magnitude_weight * objective.robust)[:, None] * turned.real
    imaginary = (objective.phase_weight * objective.robust)[:, None] * turned.imag
    return np.concatenate([real, imaginary])


def test_the_normal_matrix_is_that_of_the_dense_jacobian(problem: Problem) -> None:
    jacobian, model, linear = dense_jacobian(problem), problem.model, problem.linear
    n = model.n_source_parameters
    expected = jacobian.T @ jacobian
    expected[:n, :n] += linear.prior.T @ linear.prior
    expected[n:, n:] += np.diag(
        np.concatenate([model.tissue.phase.precision, model.tissue.amplitude.precision])
    )
    size = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(
        linear.normal / np.outer(size, size), expected / np.outer(size, size), atol=1e-5
    )
    np.testing.assert_array_equal(linear.normal, linear.normal.T)


def test_the_jacobian_is_applied_as_the_dense_one(problem: Problem, rng: np.random.Generator) -> None:
    row = rng.standard_normal(len(problem.p))
    real, imaginary = apply_jacobian(problem.model, problem.linear, row)
    expected = dense_jacobian(problem) @ row
    np.testing.assert_allclose(
        np.concatenate([real, imaginary]), expected, atol=1e-4 * np.abs(expected).max()
    )


@pytest.mark.parametrize("damping", [1e-9, 0.3])
def test_the_normal_equations_are_solved_as_by_the_whole_matrix(
    problem: Problem, rng: np.random.Generator, damping: float
) -> None:
    normal, right = problem.linear.normal, rng.standard_normal(len(problem.p))
    found = solve_normal_equations(problem.model, normal, right, damping=damping)
    whole = normal + np.diag(damping * np.diag(normal))
    np.testing.assert_allclose(whole @ found, right, atol=1e-5 * np.abs(right).max())
    untouched = linearise(problem.model, problem.p, problem.objective).normal
    np.testing.assert_array_equal(normal, untouched)


def test_a_row_of_the_inverse_is_that_of_the_whole_inverse(problem: Problem) -> None:
    inverse = np.linalg.inv(problem.linear.normal)
    for parameter in (0, 5):
        row = inverse_row(problem.model, problem.linear.normal, parameter)
        size = np.sqrt(np.diag(inverse) * inverse[parameter, parameter])
        np.testing.assert_allclose(row / size, inverse[parameter] / size, atol=1e-4)


def test_normal_equations_that_rounding_made_singular_are_solved(problem: Problem) -> None:
    patch = problem.model.patch
    model = LesionModel(patch, Source(3.0, (0.0, 0.0, 0.0), 1.0), core_decay=CoreDecay(100.0, 0.8))
    size = model.n_source_parameters + model.tissue.phase.size + model.tissue.amplitude.size
    normal = np.eye(size)
    # Two columns alike, a third that no datum determines.
    normal[-2, -1] = normal[-1, -2] = 1 + 1e-7
    normal[-3, -3] = 0
    right = np.ones(size)
    right[-3] = 0
    found = solve_normal_equations(model, normal, right, damping=1e-9)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[: size - 3], 1.0, rtol=1e-4)
    assert found[-2] + found[-1] == pytest.approx(1.0, rel=1e-3)


def test_what_no_damping_mends_is_an_error(problem: Problem) -> None:
    normal = np.eye(len(problem.p))
    normal[-1, -1] = -1.0
    with pytest.raises(np.linalg.LinAlgError):
        solve_normal_equations(problem.model, normal, np.ones(len(problem.p)), damping=1e-3)
