"""How far data lie from the model of a lesion, each direction weighed by what it is worth.

The magnitude carries tissue texture; the phase carries the receive phase's and the nearby tissue's field, which grows
with echo time. What the linear problem around a model needs is here, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from qsmcmb.microbleeds.fit.priors import prior_slopes, priors
from qsmcmb.microbleeds.signal.model import LesionModel, Signal
from qsmcmb.typing import ComplexArray, FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T

ROBUST = 2.5
"""Residuals beyond this many SDs count less."""
RELATIVE_LOADING = 1e-9
"""Part by which the diagonal of a normal matrix is raised for its inverse."""
MIN_LOADING = 1e-12
"""Of the diagonal: what no datum tells of."""
MORE_DAMPING = 100.0
"""Where rounding leaves a matrix that is not positive."""
STEEP_POWER = 6
"""Where the background's phase is as steep as k-space holds, nothing of a voxel is sure; soon below, all is."""


class Objective(NamedTuple):
    """Error of the model, rotated so that real is along its magnitude and imaginary along its phase."""

    signal: Signal
    direction: ComplexArray
    error: ComplexArray
    magnitude_weight: FloatArray
    phase_weight: FloatArray
    robust: FloatArray
    """Root of Cauchy's weights: veins and borders are far out and count less; and of what a voxel tells of its own."""
    cost: float


def evaluate_objective(model: LesionModel, p: FloatArray, *, slopes: bool = False) -> Objective:
    """Return the misfit at parameters `p`, with what its linearisation needs if wanted."""
    signal = model.signal(p, slopes=slopes)
    value = signal.value
    size = np.abs(value)
    direction = value / np.maximum(size, 1e-12)
    error = (value - model.data) * direction.conj()
    patch, heterogeneity = model.patch, model.tissue.model_error
    te = np.repeat(patch.acquisition.te_s, int(patch.inside.sum()))
    turn = 2 * np.pi * GAMMA_MHZ_PER_T * patch.acquisition.b0_tesla * heterogeneity.field_ppm * te
    lost = patch.phase_steepness.ravel() ** STEEP_POWER
    common = patch.acquisition.noise_sd**2 + ((heterogeneity.core + lost) * np.abs(signal.background)) ** 2
    radial = 1 / np.sqrt(common + (heterogeneity.magnitude * size) ** 2)
    along = 1 / np.sqrt(common + (heterogeneity.offset_rad**2 + turn**2) * size**2)
    distance2 = ((radial * error.real) ** 2 + (along * error.imag) ** 2) / ROBUST**2
    # The weight depends on the model: its logarithm keeps a darker model from looking better.
    cost = float(
        patch.independent_per_voxel * (ROBUST**2 * np.log1p(distance2) - 2 * np.log(radial * along)).sum()
        + (priors(model, p) ** 2).sum()
        + model.gp_prior_cost(p)
    )
    robust = np.sqrt(patch.independent_per_voxel / (1 + distance2))
    return Objective(signal, direction, error, radial, along, robust, cost)


class Linear(NamedTuple):
    """The weighted problem around some parameters: what a step, an influence and an SD need."""

    source: ComplexArray
    """Derivatives of the error by the source's parameters, weighted, (echo and voxel, parameter)."""
    radial: FloatArray
    along: FloatArray
    """Weighted derivatives by log magnitude and by phase, (echo, voxel)."""
    prior: FloatArray
    """Derivatives of what is known beforehand by the source's parameters."""
    normal: FloatArray


def linearise(model: LesionModel, p: FloatArray, objective: Objective) -> Linear:
    """Return the linear problem at parameters `p`, priors in its normal matrix."""
    signal = objective.signal
    assert signal.slopes is not None
    slopes = (signal.slopes * signal.background * objective.direction.conj()).T
    shape = (len(model.patch.acquisition.te_s), -1)
    size = np.abs(signal.value)
    radial, along = objective.magnitude_weight * objective.robust, objective.phase_weight * objective.robust
    source = radial[:, None] * slopes.real + 1j * (along[:, None] * slopes.imag)
    by_magnitude, by_phase = (radial * size).reshape(shape), (along * size).reshape(shape)
    n, n_phase = model.n_source_parameters, model.tissue.phase.size
    normal = np.zeros((len(p), len(p)))
    prior = prior_slopes(model, p)
    normal[:n, :n] = source.real.T @ source.real + source.imag.T @ source.imag + prior.T @ prior
    for smooth, part, weight, at in (
        (model.tissue.phase, source.imag, by_phase, slice(n, n + n_phase)),
        (model.tissue.amplitude, source.real, by_magnitude, slice(n + n_phase, None)),
    ):
        normal[at, at] = smooth.normal(weight**2) + np.diag(smooth.precision)
        normal[at, :n] = smooth.project(part.T.reshape(n, *weight.shape) * weight)
        normal[:n, at] = normal[at, :n].T
    return Linear(source, by_magnitude, by_phase, prior, normal)


def gradient_of(model: LesionModel, p: FloatArray, objective: Objective, linear: Linear) -> FloatArray:
    """Return half the slope of the cost at parameters `p`."""
    radial = objective.magnitude_weight * objective.robust * objective.error.real
    along = objective.phase_weight * objective.robust * objective.error.imag
    n = model.n_source_parameters
    shape = linear.radial.shape
    out = np.concatenate(
        [
            linear.source.real.T @ radial + linear.source.imag.T @ along + linear.prior.T @ priors(model, p),
            model.tissue.phase.project((linear.along * along.reshape(shape))[None])[:, 0],
            model.tissue.amplitude.project((linear.radial * radial.reshape(shape))[None])[:, 0],
        ]
    )
    out[n:] += model.precision * p[n:]
    return out


def solved(model: LesionModel, normal: FloatArray, right: FloatArray, *, damping: float) -> FloatArray:
    """Return the solution of normal equations whose diagonal is raised by a part of it.

    Phase and log magnitude know of each other through the source alone: both are eliminated by themselves. Raised
    further where rounding has left it not positive.
    """
    while True:
        try:
            return _eliminated(model, normal, right, damping=damping)
        except np.linalg.LinAlgError:
            if damping > 1:
                raise
            damping *= MORE_DAMPING


def _eliminated(model: LesionModel, normal: FloatArray, right: FloatArray, *, damping: float) -> FloatArray:
    n, n_phase = model.n_source_parameters, model.tissue.phase.size
    damped = normal.copy()
    diagonal = damped.reshape(-1)[:: len(normal) + 1]
    diagonal += damping * diagonal + MIN_LOADING
    source = damped[:n, :n].copy()
    blocks = [slice(n, n + n_phase), slice(n + n_phase, None)]
    own = np.column_stack([source, right[:n]])
    eliminated = []
    for block in blocks:
        factor = cho_factor(damped[block, block], lower=True, overwrite_a=True, check_finite=False)
        step = cho_solve(factor, np.column_stack([damped[block, :n], right[block]]), check_finite=False)
        own -= damped[:n, block] @ step
        eliminated.append(step)
    first = np.linalg.solve(own[:, :n], own[:, n])
    return np.concatenate([first, *(step[:, n] - step[:, :n] @ first for step in eliminated)])


def inverse_row(model: LesionModel, normal: FloatArray, parameter: int) -> FloatArray:
    """Return one row of a normal matrix' inverse; of what the data do not tell, the least."""
    wanted = np.zeros(len(normal))
    wanted[parameter] = 1
    return solved(model, normal, wanted, damping=RELATIVE_LOADING)


def applied(model: LesionModel, linear: Linear, row: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the weighted Jacobian's product with a vector, along magnitude and along phase."""
    n, n_phase = model.n_source_parameters, model.tissue.phase.size
    real = (
        linear.source.real @ row[:n]
        + (linear.radial * model.tissue.amplitude.value(row[n + n_phase :])).ravel()
    )
    imaginary = (
        linear.source.imag @ row[:n] + (linear.along * model.tissue.phase.value(row[n : n + n_phase])).ravel()
    )
    return real, imaginary
