"""TODO."""

from __future__ import annotations

import numpy as np

from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.source_shapes import BALL, LAYOUT, MIN_STRENGTH, CoreDecay, Source
from qsmcmb.typing import FloatArray

DCHI_LOG_SD = 0.6
"""Of a bleed's susceptibility against its surroundings, which ties the core's radius to the total."""


def priors(model: LesionModel, p: FloatArray) -> FloatArray:
    """Return what is known beforehand, in SDs: centre (3), contrast, blur, decay, and what the shape knows."""
    log_decay = p[LAYOUT.log_decay] - np.log(model.core_decay.decay_hz)
    known = [
        *p[LAYOUT.centre] / model.patch.point_sd_mm,
        model.shape.log_susceptibility_ratio(p) / DCHI_LOG_SD,
        (p[LAYOUT.psf_width2] - model.patch.acquisition.psf_width2.value)
        / model.patch.acquisition.psf_width2.sd,
        log_decay / model.core_decay.log_sd,
    ]
    own = model.shape.shape_prior(p)
    return np.array(known if own is None else [*known, own[0]])


def prior_slopes(model: LesionModel, p: FloatArray) -> FloatArray:
    """Return the derivatives of `priors` by all parameters."""
    own = model.shape.shape_prior(p)
    slopes = np.zeros((6 if own is None else 7, model.n_source_parameters))
    slopes[:3, LAYOUT.centre] = np.diag(1 / model.patch.point_sd_mm)
    slopes[3, LAYOUT.total] = np.sign(p[LAYOUT.total]) / max(abs(p[LAYOUT.total]), MIN_STRENGTH) / DCHI_LOG_SD
    slopes[3, LAYOUT.log_radius] = -model.shape.size[1] / DCHI_LOG_SD
    slopes[4, LAYOUT.psf_width2] = 1 / model.patch.acquisition.psf_width2.sd
    slopes[5, LAYOUT.log_decay] = 1 / model.core_decay.log_sd
    if own is not None:
        slopes[6] = own[1]
    return slopes


DARK_CORE_PER_TESLA = CoreDecay(35.0, 0.8)
"""Bleeds are dark at late echoes, not at once."""


SIGNAL_RETAINING_CORE = CoreDecay(3.0, 1.5)
"""A lesion that keeps its signal."""


def dark_core(b0_tesla: float) -> CoreDecay:
    """Return what is expected of the inside of a bleed."""
    return DARK_CORE_PER_TESLA.at(b0_tesla)


def expected_radius_mm(source: Source) -> float:
    return float((3 * max(abs(source.total_chi_ppm_mm3), 0.2) / (4 * np.pi * BALL.dchi_ppm)) ** (1 / 3))
