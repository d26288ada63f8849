"""Objective of the lesion fit, and the linear problem around some parameters.

The error of each complex sample is rotated so that its real part lies along the model's magnitude and its imaginary
part along its phase, because the two are not alike: the magnitude carries the tissue's heterogeneity, the phase
carries the field of nearby tissue, which grows with echo time. Each is weighted by its own SD, and Cauchy's cost takes
veins and edges down (Holland and Welsch 1977, doi:10.1080/03610927708827533). Priors of the source's parameters and of
the Gaussian process are added. Phase and log magnitude of the tissue are coupled by the source alone, so that each
block of the normal equations is eliminated by itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from qsmcmb.microbleeds.fit.priors import prior_slopes, priors
from qsmcmb.microbleeds.signal.model import LesionModel, Signal
from qsmcmb.typing import ComplexArray, FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T

__all__ = [
    "CAUCHY_SCALE",
    "LinearProblem",
    "Objective",
    "apply_jacobian",
    "evaluate_objective",
    "gradient_of",
    "inverse_row",
    "linearise",
    "solve_normal_equations",
]

CAUCHY_SCALE = 2.5
"""Scale of Cauchy's cost, SDs: a residual of this size has half the weight. 2.385 is usual (95 % efficiency)."""
RELATIVE_LOADING = 1e-9
"""Fraction by which the diagonal of a normal matrix is raised for its inverse: far below what changes an SD."""
MIN_LOADING = 1e-12
"""Addition to the diagonal of a normal matrix: keeps a parameter that no datum determines from dividing by 0."""
UNKNOWN_MAGNITUDE_WEIGHT = 1e-3
"""Factor on the weight of a magnitude that is not of its echo: it determines nothing, and matrices stay regular."""
DAMPING_FACTOR = 100.0
"""Factor on the damping where rounding leaves a matrix that is not positive definite."""
STEEPNESS_EXPONENT = 6
"""Exponent of the phase steepness in the model error: at 1, where the background's phase turns by all that k-space
holds, the expected SD is the tissue's whole signal; at a half it is 2 % of it."""


class Objective(NamedTuple):
    """Value of the objective at some parameters; all arrays over (echo and voxel inside) in one axis."""

    signal: Signal
    """The model's signal."""
    direction: ComplexArray
    """Unit phasor of the model's signal."""
    error: ComplexArray
    """Model minus data in the signal's unit: real along the magnitude, imaginary along the phase."""
    magnitude_weight: FloatArray
    """One over the expected SD of the error along the magnitude, one over the signal's unit."""
    phase_weight: FloatArray
    """One over the expected SD of the error along the phase, one over the signal's unit."""
    robust: FloatArray
    """Root of the product of Cauchy's weight and the independent values per voxel, 0 to 1; multiplies the error."""
    cost: float
    """Value of the objective, squared SDs."""


def evaluate_objective(model: LesionModel, p: FloatArray, *, slopes: bool = False) -> Objective:
    """Return the objective at some parameters.

    Parameters
    ----------
    model : LesionModel
        Signal model and data.
    p : ndarray of shape (n,)
        Parameters of the source, then coefficients of the tissue.
    slopes : bool, optional
        Whether to form the derivatives that `linearise` needs.

    Returns
    -------
    Objective
        Cost, signal, errors and weights at these parameters.

    Notes
    -----
    With e = (s - y) conj(s) / |s|, the background signal b, the independent values per voxel k and the scale R,

        C = sum k [R^2 ln(1 + ((u Re e)^2 + (v Im e)^2) / R^2) - 2 ln(u v)] + |priors|^2 + |process prior|^2,
        u^-2 = n^2 + ((c + l) |b|)^2 + (m |s|)^2,
        v^-2 = n^2 + ((c + l) |b|)^2 + (o^2 + (2 pi gamma B0 f TE)^2) |s|^2,

    n is the noise SD; c, m, f, o are what the model cannot follow of the core, the magnitude, the field and the phase
    at TE 0; l grows with the steepness of the background's phase.

    Where the acquisition has the phase alone, with the angle d between s and y,

        e = 2i |s| sin(d / 2),   C = sum k [R^2 ln(1 + (v Im e)^2 / R^2) - ln(1 + (v |s|)^2)] + the same priors:

    a phase whose SD is one over v |s|, and any phase where the model is dark.
    """
    signal = model.signal(p, slopes=slopes)
    value = signal.value
    size = np.abs(value)
    direction = value / np.maximum(size, 1e-12)
    error = (value - model.data) * direction.conj()
    patch, model_error = model.patch, model.tissue.model_error
    te = np.repeat(patch.acquisition.te_s, int(patch.inside.sum()))
    # MHz/T times ppm is Hz per tesla: the factors of a million cancel.
    field_phase = 2 * np.pi * GAMMA_MHZ_PER_T * patch.acquisition.b0_tesla * model_error.field_ppm * te
    steep = patch.phase_steepness.ravel() ** STEEPNESS_EXPONENT
    common = patch.acquisition.noise_sd**2 + ((model_error.core + steep) * np.abs(signal.background)) ** 2
    magnitude_weight = 1 / np.sqrt(common + (model_error.magnitude * size) ** 2)
    phase_weight = 1 / np.sqrt(common + (model_error.offset_rad**2 + field_phase**2) * size**2)
    # The weights depend on the model: their logarithm, the normalisation of a likelihood, keeps a darker model from
    # looking better.
    if patch.acquisition.phase_alone:
        error = 2j * size * np.sin(np.angle(value * model.data.conj()) / 2)
        magnitude_weight *= UNKNOWN_MAGNITUDE_WEIGHT
        normalisation = np.log1p((phase_weight * size) ** 2)
    else:
        normalisation = 2 * np.log(magnitude_weight * phase_weight)
    distance2 = ((magnitude_weight * error.real) ** 2 + (phase_weight * error.imag) ** 2) / CAUCHY_SCALE**2
    cost = float(
        patch.independent_per_voxel * (CAUCHY_SCALE**2 * np.log1p(distance2) - normalisation).sum()
        + (priors(model, p) ** 2).sum()
        + model.gp_prior_cost(p)
    )
    robust = np.sqrt(patch.independent_per_voxel / (1 + distance2))
    return Objective(
        signal=signal,
        direction=direction,
        error=error,
        magnitude_weight=magnitude_weight,
        phase_weight=phase_weight,
        robust=robust,
        cost=cost,
    )


class LinearProblem(NamedTuple):
    """Weighted linear least-squares problem around some parameters: what a step, an influence and an SD need."""

    source: ComplexArray
    """Derivatives of the error by the source's parameters, weighted, (echo and voxel, parameter)."""
    by_log_magnitude: FloatArray
    """Weighted derivative of the error's real part by the tissue's log magnitude, (echo, voxel)."""
    by_phase: FloatArray
    """Weighted derivative of the error's imaginary part by the tissue's phase, (echo, voxel)."""
    prior: FloatArray
    """Derivatives of the priors by the source's parameters, (prior, parameter)."""
    normal: FloatArray
    """Normal matrix of all parameters, priors included, (n, n)."""


def linearise(model: LesionModel, p: FloatArray, objective: Objective) -> LinearProblem:
    """Return the linear problem at some parameters, weights held.

    Parameters
    ----------
    model : LesionModel
        Signal model and data.
    p : ndarray of shape (n,)
        Parameters.
    objective : Objective
        `evaluate_objective` at `p`, with its slopes.

    Returns
    -------
    LinearProblem
        Weighted derivatives and normal matrix at these parameters.

    Notes
    -----
    The normal matrix is J^T W J + P^T P + diag(precision), with the Jacobian J, squared weights W, the slopes P of the
    priors and the inverse variances of the Gaussian process' coefficients (0 for polynomials).
    """
    signal = objective.signal
    assert signal.slopes is not None
    slopes = (signal.slopes * signal.background * objective.direction.conj()).T
    shape = (len(model.patch.acquisition.te_s), -1)
    size = np.abs(signal.value)
    magnitude_weight = objective.magnitude_weight * objective.robust
    phase_weight = objective.phase_weight * objective.robust
    source = magnitude_weight[:, None] * slopes.real + 1j * (phase_weight[:, None] * slopes.imag)
    # The signal is |s| exp(i phase): by log magnitude and by phase its derivatives are |s| along each direction.
    by_log_magnitude = (magnitude_weight * size).reshape(shape)
    by_phase = (phase_weight * size).reshape(shape)
    n, n_phase = model.n_source_parameters, model.tissue.phase.size
    normal = np.zeros((len(p), len(p)))
    prior = prior_slopes(model, p)
    # Of one contiguous array NumPy forms a product that is symmetric to the last bit on every processor.
    real, imaginary = np.ascontiguousarray(source.real), np.ascontiguousarray(source.imag)
    normal[:n, :n] = real.T @ real + imaginary.T @ imaginary + prior.T @ prior
    # The tissue's phase meets the imaginary parts alone, its log magnitude the real ones: between both blocks is 0.
    for smooth, part, weight, at in (
        (model.tissue.phase, source.imag, by_phase, slice(n, n + n_phase)),
        (model.tissue.amplitude, source.real, by_log_magnitude, slice(n + n_phase, None)),
    ):
        normal[at, at] = smooth.normal(weight**2) + np.diag(smooth.precision)
        normal[at, :n] = smooth.project(part.T.reshape(n, *weight.shape) * weight)
        normal[:n, at] = normal[at, :n].T
    return LinearProblem(
        source=source, by_log_magnitude=by_log_magnitude, by_phase=by_phase, prior=prior, normal=normal
    )


def gradient_of(model: LesionModel, p: FloatArray, objective: Objective, linear: LinearProblem) -> FloatArray:
    """Return half the gradient of the cost, weights held.

    Parameters
    ----------
    model : LesionModel
        Signal model and data.
    p : ndarray of shape (n,)
        Parameters.
    objective : Objective
        `evaluate_objective` at `p`.
    linear : LinearProblem
        `linearise` at `p`.

    Returns
    -------
    ndarray of shape (n,)
        Squared SDs per unit of each parameter.
    """
    real = objective.magnitude_weight * objective.robust * objective.error.real
    imaginary = objective.phase_weight * objective.robust * objective.error.imag
    n = model.n_source_parameters
    shape = linear.by_log_magnitude.shape
    out = np.concatenate(
        [
            linear.source.real.T @ real
            + linear.source.imag.T @ imaginary
            + linear.prior.T @ priors(model, p),
            model.tissue.phase.project((linear.by_phase * imaginary.reshape(shape))[None])[:, 0],
            model.tissue.amplitude.project((linear.by_log_magnitude * real.reshape(shape))[None])[:, 0],
        ]
    )
    out[n:] += model.precision * p[n:]
    return out


def solve_normal_equations(
    model: LesionModel, normal: FloatArray, right: FloatArray, *, damping: float
) -> FloatArray:
    """Return the solution of normal equations whose diagonal is raised by a fraction of itself.

    Parameters
    ----------
    model : LesionModel
        Its layout of parameters: source, phase, log magnitude.
    normal : ndarray of shape (n, n)
        Normal matrix, its blocks of phase and log magnitude coupled by the source alone.
    right : ndarray of shape (n,)
        Right-hand side.
    damping : float
        Fraction, >= 0; multiplied by DAMPING_FACTOR until rounding leaves the matrix positive definite.

    Returns
    -------
    ndarray of shape (n,)
        Solution, one value for each parameter.

    Raises
    ------
    numpy.linalg.LinAlgError
        The matrix is not positive definite at a damping above 1 either.
    """
    while True:
        try:
            return _eliminate_blocks(model, normal, right, damping=damping)
        except np.linalg.LinAlgError:
            if damping > 1:
                raise
            damping *= DAMPING_FACTOR


def _eliminate_blocks(
    model: LesionModel, normal: FloatArray, right: FloatArray, *, damping: float
) -> FloatArray:
    """Return the solution by block elimination: the Schur complement of the source, then phase and log magnitude."""
    n, n_phase = model.n_source_parameters, model.tissue.phase.size
    damped = normal.copy()
    diagonal = damped.reshape(-1)[:: len(normal) + 1]
    diagonal += damping * diagonal + MIN_LOADING
    source = damped[:n, :n].copy()
    blocks = [slice(n, n + n_phase), slice(n + n_phase, None)]
    # Columns of the source's block, and the right-hand side as the last one.
    complement = np.column_stack([source, right[:n]])
    eliminated = []
    for block in blocks:
        factor = cho_factor(damped[block, block], lower=True, overwrite_a=True, check_finite=False)
        step = cho_solve(factor, np.column_stack([damped[block, :n], right[block]]), check_finite=False)
        complement -= damped[:n, block] @ step
        eliminated.append(step)
    first = np.linalg.solve(complement[:, :n], complement[:, n])
    return np.concatenate([first, *(step[:, n] - step[:, :n] @ first for step in eliminated)])


def inverse_row(model: LesionModel, normal: FloatArray, parameter: int) -> FloatArray:
    """Return one row of a normal matrix' inverse: the covariances of one parameter with all.

    Parameters
    ----------
    model : LesionModel
        Its layout of parameters.
    normal : ndarray of shape (n, n)
        Normal matrix.
    parameter : int
        Which row.

    Returns
    -------
    ndarray of shape (n,)
        Product of both parameters' units; of what the data do not determine the smallest solution.
    """
    wanted = np.zeros(len(normal))
    wanted[parameter] = 1
    return solve_normal_equations(model, normal, wanted, damping=RELATIVE_LOADING)


def apply_jacobian(
    model: LesionModel, linear: LinearProblem, row: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the product of the weighted Jacobian with a vector.

    Parameters
    ----------
    model : LesionModel
        Its layout of parameters.
    linear : LinearProblem
        The linear problem.
    row : ndarray of shape (n,)
        The vector, over all parameters.

    Returns
    -------
    along_magnitude : ndarray of shape (echo and voxel,)
        Real part of the weighted error's change.
    along_phase : ndarray of shape (echo and voxel,)
        Its imaginary part.
    """
    n, n_phase = model.n_source_parameters, model.tissue.phase.size
    real = (
        linear.source.real @ row[:n]
        + (linear.by_log_magnitude * model.tissue.amplitude.value(row[n + n_phase :])).ravel()
    )
    imaginary = (
        linear.source.imag @ row[:n]
        + (linear.by_phase * model.tissue.phase.value(row[n : n + n_phase])).ravel()
    )
    return real, imaginary
