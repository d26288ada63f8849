"""Priors of a lesion's parameters: what is known of each before the data, in SDs.

Each prior is Gaussian in the parameter, or in its logarithm where it is a positive scale:

    r = (centre / SD, ln(dchi / expected) / SD, (w^2 - expected) / SD, ln(R2* / expected) / SD, shape's own),

and enters the objective as |r|^2. The prior of the susceptibility difference dchi ties the radius to the total
susceptibility, because a dark core hides its size.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.source_shapes import BALL, LAYOUT, CoreDecay, Source
from qsmcmb.typing import FloatArray

__all__ = [
    "CENTRE_PRIORS",
    "DCHI_PRIOR",
    "DECAY_PRIOR",
    "LESION_PRIORS",
    "N_COMMON_PRIORS",
    "PSF_WIDTH_PRIOR",
    "SIGNAL_RETAINING_CORE",
    "dark_core",
    "expected_radius_mm",
    "prior_slopes",
    "priors",
]

DCHI_LOG_SD = 0.6
"""SD of the logarithm of a body's susceptibility difference around the shape's expected one: a factor of 1.8."""
DARK_CORE_PER_TESLA = CoreDecay(35.0, 0.8)
"""R2* inside a bleed above the tissue's, 1/s per tesla, within a factor of 2.2: dark at late echoes, not at once."""
SIGNAL_RETAINING_CORE = CoreDecay(3.0, 1.5)
"""R2* inside a lesion that retains its signal above the tissue's, 1/s, within a factor of 4.5: iron, a solution."""
MIN_EXPECTED_TOTAL_PPM_MM3 = 0.2
"""Least total susceptibility, ppm mm3, for an expected radius: 0.36 mm, just above the smallest that a fit may have."""
CENTRE_PRIORS, DCHI_PRIOR, PSF_WIDTH_PRIOR, DECAY_PRIOR = slice(0, 3), 3, 4, 5
"""Entries of `priors` for centre, susceptibility difference, squared psf width and core decay."""
N_COMMON_PRIORS = 6
"""Number of priors that every shape has; those of the shape itself follow them."""
LESION_PRIORS = (0, 1, 2, 3, 5)
"""Entries of `priors` that say whether it is a lesion at the point: the psf width (4) belongs to the scan."""


def priors(model: LesionModel, p: FloatArray) -> FloatArray:
    """Return the deviations of the parameters from what is known beforehand.

    Parameters
    ----------
    model : LesionModel
        The lesion's model: its patch, shape and expected core decay.
    p : ndarray of shape (n,)
        Parameters, see `LAYOUT`.

    Returns
    -------
    ndarray of shape (6 + n,)
        In SDs: centre (3), susceptibility difference, squared psf width, core decay, and the shape's own n.
    """
    log_decay = p[LAYOUT.log_decay] - np.log(model.core_decay.decay_hz)
    known = [
        *p[LAYOUT.centre] / model.patch.point_sd_mm,
        model.shape.log_susceptibility_ratio(p) / DCHI_LOG_SD,
        (p[LAYOUT.psf_width2] - model.patch.acquisition.psf_width2.value)
        / model.patch.acquisition.psf_width2.sd,
        log_decay / model.core_decay.log_sd,
    ]
    own = model.shape.shape_prior(p)
    return np.array(known if own is None else [*known, *own[0]])


def prior_slopes(model: LesionModel, p: FloatArray) -> FloatArray:
    """Return the derivatives of `priors` by the source's parameters.

    Parameters
    ----------
    model : LesionModel
        The lesion's model.
    p : ndarray of shape (n,)
        Parameters, see `LAYOUT`.

    Returns
    -------
    ndarray of shape (6 + n, model.n_source_parameters)
        SDs per unit of each parameter.
    """
    own = model.shape.shape_prior(p)
    slopes = np.zeros((N_COMMON_PRIORS, model.n_source_parameters))
    slopes[:3, LAYOUT.centre] = np.diag(1 / model.patch.point_sd_mm)
    slopes[3] = model.shape.log_susceptibility_slopes(p) / DCHI_LOG_SD
    slopes[4, LAYOUT.psf_width2] = 1 / model.patch.acquisition.psf_width2.sd
    slopes[5, LAYOUT.log_decay] = 1 / model.core_decay.log_sd
    return slopes if own is None else np.vstack([slopes, own[1]])


def dark_core(b0_tesla: float) -> CoreDecay:
    """Return the expected decay inside a bleed.

    Parameters
    ----------
    b0_tesla : float
        Field strength, T, > 0.

    Returns
    -------
    CoreDecay
        R2* above the tissue's (1/s), and the SD of its logarithm.

    Examples
    --------
    >>> dark_core(3.0)
    CoreDecay(decay_hz=105.0, log_sd=0.8)
    """
    return DARK_CORE_PER_TESLA.at(b0_tesla)


def expected_radius_mm(source: Source) -> float:
    """Return the radius of a ball with a source's total susceptibility and the expected susceptibility difference.

    Parameters
    ----------
    source : Source
        Its total susceptibility of either sign is used, ppm mm3.

    Returns
    -------
    float
        Radius, mm.

    Notes
    -----
    r = (3 |M| / (4 pi dchi))^(1/3), with dchi = `BALL.dchi_ppm`.

    Examples
    --------
    >>> round(expected_radius_mm(Source(4.19, (0.0, 0.0, 0.0), 0.0)), 2)
    1.0
    """
    total = max(abs(source.total_chi_ppm_mm3), MIN_EXPECTED_TOTAL_PPM_MM3)
    return float((3 * total / (4 * np.pi * BALL.dchi_ppm)) ** (1 / 3))
