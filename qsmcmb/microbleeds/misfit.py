"""How far data lie from the model of a lesion, each direction weighed by what it is worth.

The magnitude carries tissue texture; the phase carries the receive phase's and the nearby tissue's field, which grows
with echo time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.lesion_model import LesionModel, Signal
from qsmcmb.typing import ComplexArray, FloatArray
from qsmcmb.units import GAMMA_MHZ_PER_T

ROBUST = 2.5
"""Residuals beyond this many SDs count less."""
MISMATCH = 0.02
"""What the model of the core cannot follow, relative to the tissue's signal."""
DCHI_PPM = 1.0
DCHI_LOG_SD = 0.6
"""Susceptibility of a bleed against its surroundings: ties the core's radius to the total."""
APART_LOG_SD = 0.4
"""Of the distance of two balls over the distance at which they touch."""
DECAY_PER_TESLA_HZ = 35.0
DECAY_LOG_SD = 0.8
"""R2* inside the lesion above the tissue's: bleeds are dark at late echoes, not at once."""
MAGNITUDE_TEXTURE = 0.06
FIELD_TEXTURE_PPM = 0.006
OFFSET_TEXTURE_RAD = 0.02
"""SD of the tissue's magnitude (relative), field and phase at TE 0 that the polynomials cannot follow.

Larger than what single voxels show, since texture is correlated: taken at its face value, many far voxels would
outvote the few near the core, which know more.
"""


class Misfit(NamedTuple):
    """Error of the model, rotated so that real is along its magnitude and imaginary along its phase."""

    signal: Signal
    direction: ComplexArray
    error: ComplexArray
    weight_radial: FloatArray
    weight_phase: FloatArray
    robust: FloatArray
    """Root of Cauchy's weights: veins and borders are far out and count less."""
    cost: float


def usual_decay_hz(b0_tesla: float) -> float:
    """Return the R2* expected inside a lesion above the tissue's, 1/s."""
    return DECAY_PER_TESLA_HZ * b0_tesla


def evaluate(model: LesionModel, p: FloatArray, *, slopes: bool = False) -> Misfit:
    """Return the misfit at parameters `p`, with what its linearisation needs if wanted."""
    signal = model.signal(p, slopes=slopes)
    value = signal.value
    size = np.abs(value)
    direction = value / np.maximum(size, 1e-12)
    error = (value - model.data) * direction.conj()
    near = model.near
    te = np.repeat(near.te_s, int(near.inside.sum()))
    turn = 2 * np.pi * GAMMA_MHZ_PER_T * near.b0_tesla * FIELD_TEXTURE_PPM * te
    common = near.noise**2 + (MISMATCH * np.abs(signal.background)) ** 2
    radial = 1 / np.sqrt(common + (MAGNITUDE_TEXTURE * size) ** 2)
    along = 1 / np.sqrt(common + (OFFSET_TEXTURE_RAD**2 + turn**2) * size**2)
    distance2 = ((radial * error.real) ** 2 + (along * error.imag) ** 2) / ROBUST**2
    # The weight depends on the model: its logarithm keeps a darker model from looking better.
    cost = float(
        ROBUST**2 * np.log1p(distance2).sum()
        + (priors(model, p) ** 2).sum()
        - 2 * (np.log(radial) + np.log(along)).sum()
    )
    return Misfit(signal, direction, error, radial, along, 1 / np.sqrt(1 + distance2), cost)


def priors(model: LesionModel, p: FloatArray) -> FloatArray:
    """Return what is known beforehand of the source, in SDs."""
    volumes = (2 if model.pair else 1) * 4 / 3 * np.pi
    log_dchi = np.log(max(abs(float(p[0])), 0.05) / (volumes * DCHI_PPM)) - 3 * p[4]
    log_decay = p[6] - np.log(usual_decay_hz(model.near.b0_tesla))
    known = [log_dchi / DCHI_LOG_SD, (p[5] - model.blur.value) / model.blur.sd, log_decay / DECAY_LOG_SD]
    if model.pair:
        known.append((np.log(max(float(np.linalg.norm(p[7:10])), 0.05)) - p[4]) / APART_LOG_SD)
    return np.array(known)


def prior_slopes(model: LesionModel, p: FloatArray) -> FloatArray:
    """Return the derivatives of `priors` by all parameters."""
    slopes = np.zeros((4 if model.pair else 3, len(p)))
    slopes[0, 0] = np.sign(p[0]) / max(abs(p[0]), 0.05) / DCHI_LOG_SD
    slopes[0, 4] = -3 / DCHI_LOG_SD
    slopes[1, 5] = 1 / model.blur.sd
    slopes[2, 6] = 1 / DECAY_LOG_SD
    if model.pair:
        slopes[3, 7:10] = p[7:10] / max(float(p[7:10] @ p[7:10]), 0.05**2) / APART_LOG_SD
        slopes[3, 4] = -1 / APART_LOG_SD
    return slopes


def jacobian(model: LesionModel, misfit: Misfit) -> tuple[FloatArray, FloatArray]:
    """Return the weighted Jacobian of the error along magnitude and of that along phase."""
    signal = misfit.signal
    assert signal.slopes is not None
    source = (signal.slopes * signal.background * misfit.direction.conj()).T
    size = np.abs(signal.value)[:, None]
    radial = (misfit.weight_radial * misfit.robust)[:, None]
    along = (misfit.weight_phase * misfit.robust)[:, None]
    n_phase, n_amplitude = model.phase_basis.shape[1], model.amplitude_basis.shape[1]
    n = model.n_source
    real = np.zeros((len(size), n + n_phase + n_amplitude))
    imaginary = np.zeros_like(real)
    real[:, :n], imaginary[:, :n] = radial * source.real, along * source.imag
    real[:, n + n_phase :] = radial * size * model.amplitude_basis
    imaginary[:, n : n + n_phase] = along * size * model.phase_basis
    return real, imaginary
