"""Width of the point spread beyond k-space window and slice profile: pooled over the lesions of a scan.

Filters that the spectrum does not show, decay during the readout and motion widen it. It is the scan's, not the
lesion's: w^2 is the weighted median of the lesions' own estimates, combined with the prior by inverse variance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.fit.refinement import fit_among_tissue
from qsmcmb.microbleeds.signal.acquisition import PSF_WIDTH2_PRIOR, Acquisition
from qsmcmb.model import Estimate

__all__ = ["estimate_psf_width2", "pool_psf_width2"]

PSF_WIDTH2_SPREAD_MM2 = 0.03
"""SD between the lesions of a scan, mm2: shapes that the model lacks look like a wider point spread."""
N_PSF_LESIONS = 6
"""Number of lesions that are asked, those of least SD: weaker ones add less than the prior."""
MEDIAN_EFFICIENCY = 2 / np.pi
"""Ratio of the precision of a median to that of a mean, for normal errors."""


def estimate_psf_width2(
    initial: Sequence[FitState], acquisition: Acquisition
) -> tuple[Estimate, dict[int, FitState]]:
    """Estimate a scan's squared point spread width from the lesions that know it best.

    Parameters
    ----------
    initial : sequence of FitState
        Initial fits, tissue described by polynomials.
    acquisition : Acquisition
        What is known of the scan; its `psf_width2` is the prior.

    Returns
    -------
    psf_width2 : Estimate
        mm2.
    fits : dict of int to FitState
        The fits among tissue that say so, by number of the lesion: made with the prior, close to the final ones.
    """
    converged = [i for i, state in enumerate(initial) if state.converged]
    best_known = sorted(converged, key=lambda i: initial[i].psf_width2.sd)[:N_PSF_LESIONS]
    fits = run_each(lambda i: fit_among_tissue(initial[i], acquisition), best_known)
    return pool_psf_width2(fits), dict(zip(best_known, fits, strict=True))


def pool_psf_width2(states: Sequence[FitState]) -> Estimate:
    """Pool the squared point spread widths of a scan's lesions with the prior.

    Parameters
    ----------
    states : sequence of FitState
        Fits, each made with the prior `PSF_WIDTH2_PRIOR`; those that have not converged are left out.

    Returns
    -------
    Estimate
        mm2; the prior itself where no lesion knows better.
    """
    prior = PSF_WIDTH2_PRIOR
    widths = [state.psf_width2 for state in states if state.converged]
    found = np.array([[width.value, width.sd] for width in widths]).reshape(-1, 2)
    # Each estimate holds the prior already; it may enter once.
    precision = found[:, 1] ** -2 - prior.sd**-2
    informative = precision > 0.5 * prior.sd**-2
    if not informative.any():
        return prior
    value, precision = found[informative, 0], precision[informative]
    value = value + (value - prior.value) * prior.sd**-2 / precision
    weight = 1 / (1 / precision + PSF_WIDTH2_SPREAD_MM2**2)
    order = np.argsort(value)
    median = float(value[order][np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)])
    of_median = weight.sum() * MEDIAN_EFFICIENCY
    of_both = of_median + prior.sd**-2
    pooled = (median * of_median + prior.value * prior.sd**-2) / of_both
    return Estimate(max(float(pooled), 0.0), float(np.hypot(of_both**-0.5, PSF_WIDTH2_SPREAD_MM2)), "mm2")
