"""Lesion fit in the complex domain: least squares over all echoes for total susceptibility, centre and shape.

Errors are not alike in all directions: the magnitude carries tissue texture, the phase carries the field of nearby
tissue, which grows with echo time; both are weighed as what they are. Where the core does not fit, two equal balls
with a free axis take the ball's place. The field form (dipole on an unwrapped field map) starts it and stands by as a
check.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.lesion_model import LesionModel, Signal, Source
from qsmcmb.microbleeds.neighbourhood import Neighbourhood
from qsmcmb.model import Estimate
from qsmcmb.typing import ComplexArray, FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T

BLUR = Estimate(0.4, 0.2, "mm")
MAX_BLUR_MM = 2.0
DECAY_PER_TESLA_HZ = 35.0
DECAY_LOG_SD = 0.8
"""R2* inside the lesion above the tissue's: bleeds are dark at late echoes, not at once."""
DECAY_HZ = (5.0, 3000.0)
MAX_SHIFT_MM = 2.5
MAX_HALF_AXIS_MM = 3.5
RADII_MM = (0.3, 6.0)
RADIUS_STARTS = (0.75, 1.0, 1.3)
DCHI_PPM = 1.0
DCHI_LOG_SD = 0.6
"""Susceptibility of a bleed against its surroundings: ties the dark core's radius to the total."""
APART_LOG_SD = 0.4
"""Of the distance of two balls over the distance at which they touch."""
MAGNITUDE_TEXTURE = 0.06
FIELD_TEXTURE_PPM = 0.006
OFFSET_TEXTURE_RAD = 0.02
MISMATCH = 0.02
"""What the model of the core cannot follow, relative to the tissue's signal."""
ITERATIONS = 15
ROBUST = 2.5
"""Residuals beyond this many SDs count less."""
MODEL_ERROR = 0.02
CORE_MM = 3.0
CORE_RESIDUAL = 0.95
"""Above this weighted residual within CORE_MM one ball does not describe the lesion."""
PAIR_SHRINK = 0.8
"""Radius of two balls that fill the volume of one, and half their distance when they touch."""
PAIR_GAIN = 15.0
"""Least drop of the cost for a pair: the evidence that three more parameters must bring."""
TRIAL_STEPS = 4
# Half of the 26 directions of a cube: an axis has no sign.
AXES = np.array([d for d in np.ndindex(3, 3, 3) if d > (1, 1, 1)], dtype=float) - 1.0


class LesionFit(NamedTuple):
    """Result of one fit."""

    source: Source
    sd_ppm_mm3: float
    noise_sd_ppm_mm3: float
    """SD from noise and clutter alone, without the choice of the model."""
    residual: float
    """Root mean square of the weighted residual; about 1 where the model holds."""
    converged: bool
    core_residual: float
    """The same within 3 mm of the centre, all echoes."""
    cost: float
    blur: Estimate
    """Width of the box that widens the point spread, mm."""
    balls: FloatArray
    """Rows of total susceptibility (ppm mm3), centre (mm, 3) and radius (mm)."""
    decay_hz: float
    """R2* inside the lesion above the tissue's, 1/s."""
    half_axis_mm: tuple[float, float, float] | None = None
    """From the centre to each of two balls; None for one ball."""


class _State(NamedTuple):
    """Signal, rotated so that real is along the model's magnitude and imaginary along its phase."""

    signal: Signal
    direction: ComplexArray
    error: ComplexArray
    weight_radial: FloatArray
    weight_phase: FloatArray
    robust: FloatArray
    cost: float


class _Step(NamedTuple):
    normal: FloatArray
    gradient: FloatArray


def fit_lesion(
    near: Neighbourhood, source: Source, *, neighbours: ComplexArray | None = None, blur: Estimate = BLUR
) -> LesionFit:
    """Fit one lesion.

    Parameters
    ----------
    near : Neighbourhood
        The scan around the lesion.
    source : Source
        Where to start.
    neighbours : ndarray, optional
        Factor of other lesions on the signal, over (echo and voxel inside).
    blur : Estimate, optional
        What is known of the blur beyond the k-space crop, mm.

    Returns
    -------
    LesionFit
    """
    model = LesionModel(near, source, blur=blur, neighbours=neighbours)
    starts = [
        model.start(source._replace(radius_mm=float(scale * _usual_radius(source))), _usual_decay(near))
        for scale in RADIUS_STARTS
    ]
    one, fitted = _optimise(model, min(starts, key=lambda p: _evaluate(model, p).cost))
    if one.core_residual < CORE_RESIDUAL or abs(one.source.total_chi_ppm_mm3) < 3 * one.sd_ppm_mm3:
        return one
    two = _fit_pair(model.with_pair(), fitted, best_cost=one.cost)
    return two if two.cost < one.cost - PAIR_GAIN else one


def _usual_radius(source: Source) -> float:
    return float((3 * max(abs(source.total_chi_ppm_mm3), 0.2) / (4 * np.pi * DCHI_PPM)) ** (1 / 3))


def _usual_decay(near: Neighbourhood) -> float:
    return DECAY_PER_TESLA_HZ * near.b0_tesla


def _fit_pair(model: LesionModel, one: FloatArray, *, best_cost: float) -> LesionFit:
    """Fit two equal balls in place of the ball of parameters `one`, started from the best of 13 axes."""
    radius = PAIR_SHRINK * float(np.exp(one[4]))
    axes = radius * AXES / np.linalg.norm(AXES, axis=1)[:, None]
    starts = [np.concatenate([one[:4], [np.log(radius)], one[5:7], axis, one[7:]]) for axis in axes]
    best = min(starts, key=lambda p: _evaluate(model, p).cost)
    return _optimise(model, best, give_up_above=best_cost)[0]


def _optimise(
    model: LesionModel, p: FloatArray, *, give_up_above: float = np.inf
) -> tuple[LesionFit, FloatArray]:
    """Minimise the cost by Levenberg-Marquardt; after a few steps give up what is not below a limit."""
    start_centre = p[1:4].copy()
    damping = 1e-3
    state = _evaluate(model, p, slopes=True)
    step = _linearise(model, p, state)
    converged = False
    for iteration in range(ITERATIONS):
        if iteration == TRIAL_STEPS and state.cost > give_up_above:
            break
        damped = step.normal + damping * np.diag(np.diag(step.normal)) + 1e-12 * np.eye(len(p))
        trial = p - np.linalg.solve(damped, step.gradient)
        trial[1:4] = start_centre + np.clip(trial[1:4] - start_centre, -MAX_SHIFT_MM, MAX_SHIFT_MM)
        trial[4] = np.clip(trial[4], np.log(RADII_MM[0]), np.log(RADII_MM[1]))
        trial[5] = np.clip(trial[5], 0.02, MAX_BLUR_MM)
        trial[6] = np.clip(trial[6], np.log(DECAY_HZ[0]), np.log(DECAY_HZ[1]))
        trial[7 : model.n_source] = np.clip(trial[7 : model.n_source], -MAX_HALF_AXIS_MM, MAX_HALF_AXIS_MM)
        new = _evaluate(model, trial, slopes=True)
        converged = _settled(p, trial) or 0 <= state.cost - new.cost < 1e-4 * abs(state.cost)
        if new.cost < state.cost:
            p, state = trial, new
            step = _linearise(model, p, state)
            damping = max(damping / 5, 1e-7)
        else:
            damping *= 8
        if converged:
            break
    return _describe(model, p, state, converged=converged), p


def _describe(model: LesionModel, p: FloatArray, state: _State, *, converged: bool) -> LesionFit:
    noise_sd = _clustered_sd(model, p, state)
    blur = Estimate(
        float(p[5]), float(np.sqrt(np.linalg.pinv(_linearise(model, p, state).normal)[5, 5])), "mm"
    )
    sd = float(np.hypot(noise_sd, MODEL_ERROR * p[0]))
    decay_hz = float(np.exp(p[6]))
    fitted = Source(float(p[0]), _triple(p[1:4]), float(np.exp(p[4])))
    error2 = 0.5 * (
        (state.weight_radial * state.error.real) ** 2 + (state.weight_phase * state.error.imag) ** 2
    )
    rms = float(np.sqrt(np.mean(error2 * state.robust**2)))
    axis = _triple(p[7:10]) if model.pair else None
    near = model.near
    distance2 = ((near.coordinates_mm[:, near.inside] - p[1:4, None]) ** 2).sum(axis=0)
    core = (error2 * state.robust**2).reshape(len(near.te_s), -1)[:, distance2 < CORE_MM**2]
    core_rms = float(np.sqrt(np.mean(core))) if core.size else 0.0
    return LesionFit(
        fitted, sd, noise_sd, rms, converged, core_rms, state.cost, blur, model.balls(p), decay_hz, axis
    )


def _triple(values: FloatArray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _settled(p: FloatArray, trial: FloatArray) -> bool:
    """Whether a step changes the source by less than matters: 0.1 % of M, 0.01 mm, 1 % of the radius."""
    change = np.abs(trial[:5] - p[:5])
    return bool(change[0] < 1e-3 * abs(p[0]) and np.all(change[1:] < 0.01))


def _evaluate(model: LesionModel, p: FloatArray, *, slopes: bool = False) -> _State:
    """Return the cost and what its linearisation needs."""
    signal = model.signal(p, slopes=slopes)
    value = signal.value
    size = np.abs(value)
    direction = value / np.maximum(size, 1e-12)
    error = (value - model.data) * direction.conj()
    near = model.near
    te = np.repeat(near.te_s, int(near.inside.sum()))
    field_turn = 2 * np.pi * GAMMA_MHZ_PER_T * near.b0_tesla * FIELD_TEXTURE_PPM * te
    common = near.noise**2 + (MISMATCH * np.abs(signal.background)) ** 2
    radial = 1 / np.sqrt(common + (MAGNITUDE_TEXTURE * size) ** 2)
    along = 1 / np.sqrt(common + (OFFSET_TEXTURE_RAD**2 + field_turn**2) * size**2)
    distance2 = ((radial * error.real) ** 2 + (along * error.imag) ** 2) / ROBUST**2
    # The weight depends on the model: its logarithm keeps a darker model from looking better.
    cost = float(
        ROBUST**2 * np.log1p(distance2).sum()
        + (_priors(model, p) ** 2).sum()
        - 2 * (np.log(radial) + np.log(along)).sum()
    )
    # Cauchy's weights: veins and borders are far out and count less.
    return _State(signal, direction, error, radial, along, 1 / np.sqrt(1 + distance2), cost)


def _priors(model: LesionModel, p: FloatArray) -> FloatArray:
    """Return what is known beforehand of the source, in SDs."""
    volumes = (2 if model.pair else 1) * 4 / 3 * np.pi
    log_dchi = np.log(max(abs(float(p[0])), 0.05) / (volumes * DCHI_PPM)) - 3 * p[4]
    log_decay = p[6] - np.log(_usual_decay(model.near))
    priors = [log_dchi / DCHI_LOG_SD, (p[5] - model.blur.value) / model.blur.sd, log_decay / DECAY_LOG_SD]
    if model.pair:
        priors.append((np.log(max(float(np.linalg.norm(p[7:10])), 0.05)) - p[4]) / APART_LOG_SD)
    return np.array(priors)


def _prior_slopes(model: LesionModel, p: FloatArray) -> FloatArray:
    slopes = np.zeros((4 if model.pair else 3, len(p)))
    slopes[1, 5] = 1 / model.blur.sd
    slopes[2, 6] = 1 / DECAY_LOG_SD
    slopes[0, 0] = np.sign(p[0]) / max(abs(p[0]), 0.05) / DCHI_LOG_SD
    slopes[0, 4] = -3 / DCHI_LOG_SD
    if model.pair:
        slopes[-1, 7:10] = p[7:10] / max(float(p[7:10] @ p[7:10]), 0.05**2) / APART_LOG_SD
        slopes[-1, 4] = -1 / APART_LOG_SD
    return slopes


def _jacobian(model: LesionModel, state: _State) -> tuple[FloatArray, FloatArray]:
    """Return the weighted Jacobian of the radial and of the phase residual."""
    signal = state.signal
    assert signal.slopes is not None
    source = (signal.slopes * signal.background * state.direction.conj()).T
    size = np.abs(signal.value)[:, None]
    radial = (state.weight_radial * state.robust)[:, None]
    along = (state.weight_phase * state.robust)[:, None]
    n_phase, n_amplitude = model.phase_basis.shape[1], model.amplitude_basis.shape[1]
    n = model.n_source
    real = np.zeros((len(size), n + n_phase + n_amplitude))
    imaginary = np.zeros_like(real)
    real[:, :n], imaginary[:, :n] = radial * source.real, along * source.imag
    real[:, n + n_phase :] = radial * size * model.amplitude_basis
    imaginary[:, n : n + n_phase] = along * size * model.phase_basis
    return real, imaginary


def _linearise(model: LesionModel, p: FloatArray, state: _State) -> _Step:
    """Return normal matrix and gradient, priors included."""
    real, imaginary = _jacobian(model, state)
    slopes, priors = _prior_slopes(model, p), _priors(model, p)
    normal = real.T @ real + imaginary.T @ imaginary + slopes.T @ slopes
    gradient = real.T @ (state.weight_radial * state.robust * state.error.real)
    gradient += imaginary.T @ (state.weight_phase * state.robust * state.error.imag)
    return _Step(normal, gradient + slopes.T @ priors)


def _clustered_sd(model: LesionModel, p: FloatArray, state: _State) -> float:
    """SD of M by the sandwich estimator over blocks of about 3.5 mm."""
    near = model.near
    real, imaginary = _jacobian(model, state)
    blocks = np.tile(near.block_labels(), len(near.te_s))
    rows = real * (state.weight_radial * state.robust * state.error.real)[:, None]
    rows += imaginary * (state.weight_phase * state.robust * state.error.imag)[:, None]
    scores = np.zeros((int(blocks.max()) + 1, rows.shape[1]))
    np.add.at(scores, blocks, rows)
    slopes = _prior_slopes(model, p)
    bread = np.linalg.pinv(real.T @ real + imaginary.T @ imaginary + slopes.T @ slopes)
    covariance = bread @ (scores.T @ scores) @ bread
    return float(np.sqrt(max(covariance[0, 0], bread[0, 0])))
