"""TODO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.fit.priors import PSF_WIDTH2_PRIOR
from qsmcmb.microbleeds.fit.refinement import fit_among_tissue
from qsmcmb.microbleeds.fit.uncertainty import psf_width2_sd
from qsmcmb.model import Estimate

PSF_WIDTH2_SPREAD_MM2 = 0.03
"""From lesion to lesion of a scan."""


N_PSF_LESIONS = 6
"""Those of a scan that say most of its blur."""


MEDIAN_EFFICIENCY = 2 / np.pi
"""Precision of a median over that of a mean."""


def estimate_psf_width2(initial: Sequence[FitState]) -> Estimate:
    """Return a scan's squared blur (mm2) as the lesions that say most of it have it among their tissue."""
    converged = [o for o in initial if o.converged]
    telling = sorted(converged, key=psf_width2_sd)[:N_PSF_LESIONS]
    return pool_psf_width2(run_each(lambda o: fit_among_tissue(o, PSF_WIDTH2_PRIOR), telling))


def pool_psf_width2(states: Sequence[FitState]) -> Estimate:
    """Return what the lesions of a scan say together of its blur: it is the scan's, not the lesion's.

    Their weighted median, since a lesion that is no ball shows it as blur, and what was known before.
    """
    found = np.array([[o.psf_width2_mm2, psf_width2_sd(o)] for o in states if o.converged]).reshape(-1, 2)
    # Each was found with the same knowledge; it may enter once.
    precision = found[:, 1] ** -2 - PSF_WIDTH2_PRIOR.sd**-2
    telling = precision > 0.5 * PSF_WIDTH2_PRIOR.sd**-2
    if not telling.any():
        return PSF_WIDTH2_PRIOR
    value, precision = found[telling, 0], precision[telling]
    value = value + (value - PSF_WIDTH2_PRIOR.value) * PSF_WIDTH2_PRIOR.sd**-2 / precision
    weight = 1 / (1 / precision + PSF_WIDTH2_SPREAD_MM2**2)
    order = np.argsort(value)
    middle = float(value[order][np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)])
    together = weight.sum() * MEDIAN_EFFICIENCY
    everything = together + PSF_WIDTH2_PRIOR.sd**-2
    pooled = (middle * together + PSF_WIDTH2_PRIOR.value * PSF_WIDTH2_PRIOR.sd**-2) / everything
    return Estimate(max(float(pooled), 0.0), float(np.hypot(everything**-0.5, PSF_WIDTH2_SPREAD_MM2)), "mm2")
