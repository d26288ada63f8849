"""Extra width of the point spread beyond k-space window and slice profile, pooled over the lesions of a scan.

Filters that the spectrum does not show, decay during the readout and motion widen the point spread. That is the scan's
property and not the lesion's. Each lesion i gives an estimate w_i^2 +- s_i of the squared width, which holds the prior
w_0^2 +- s_0 once; it is taken out, 1/p_i = 1 / (s_i^-2 - s_0^-2). The weighted median of the lesions, with the
weights 1 / (1/p_i + b^2) for the spread b between lesions, is combined with the prior by inverse variances.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.fit.free_source_fit import is_described
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.fit.refinement import describe_by_free_source, fit_among_tissue
from qsmcmb.microbleeds.signal.acquisition import PSF_WIDTH2_PRIOR, Acquisition
from qsmcmb.model import Estimate

__all__ = ["estimate_psf_width2", "pool_psf_width2"]

PSF_WIDTH2_SPREAD_MM2 = 0.03
"""SD of the extra squared width between the lesions of a scan, mm2: a shape that the model lacks looks like a wider
point spread.
"""
N_PSF_LESIONS = 6
"""Number of lesions used, those of least SD: weaker ones add less than the prior."""
MEDIAN_EFFICIENCY = 2 / np.pi
"""Ratio of the precision of a median to that of a mean, for normal errors."""
MIN_INFORMATION_RATIO = 0.5
"""Least precision of a lesion's own estimate, relative to the prior's, for it to be used."""


class PsfWidth(NamedTuple):
    """Squared extra width of a scan's point spread, and the fits that have determined it."""

    width2: Estimate
    """Squared width, mm2, >= 0, with its SD."""
    fits: dict[int, FitState]
    """Fits with the tissue's Gaussian process, by index of the initial fit."""


def estimate_psf_width2(initial: Sequence[FitState], acquisition: Acquisition) -> PsfWidth:
    """Estimate a scan's squared extra width of the point spread from the lesions that determine it best.

    Parameters
    ----------
    initial : sequence of FitState
        Initial fits, with polynomials for the tissue.
    acquisition : Acquisition
        Properties of the scan; its `psf_width2` is the prior.

    Returns
    -------
    PsfWidth
        The width, and the fits of the lesions asked.
    """
    converged = [i for i, state in enumerate(initial) if state.converged]
    best_known = sorted(converged, key=lambda i: initial[i].psf_width2.sd)[:N_PSF_LESIONS]
    fits = run_each(lambda i: describe_by_free_source(fit_among_tissue(initial[i], acquisition)), best_known)
    # A shape that the model lacks looks like a wider point spread.
    described = [state for state in fits if is_described(state)]
    return PsfWidth(pool_psf_width2(described), dict(zip(best_known, fits, strict=True)))


def pool_psf_width2(states: Sequence[FitState]) -> Estimate:
    """Pool the squared extra widths of the point spread of a scan's lesions with the prior.

    Parameters
    ----------
    states : sequence of FitState
        Fits, each made with the prior `PSF_WIDTH2_PRIOR`; those that have not converged are left out.

    Returns
    -------
    Estimate
        Squared width, mm2, >= 0, with its SD; the prior itself where no lesion has half of its precision.

    Notes
    -----
    With the weighted median m of the lesions, its precision P = (2 / pi) sum of 1 / (1/p_i + b^2), and the prior
    w_0^2 +- s_0,

        w^2 = (P m + w_0^2 / s_0^2) / (P + 1 / s_0^2), SD^2 = 1 / (P + 1 / s_0^2) + b^2.

    A median, because one lesion of a shape that no model has may lie far from the others.

    Examples
    --------
    >>> pool_psf_width2([]) == PSF_WIDTH2_PRIOR
    True
    """
    prior = PSF_WIDTH2_PRIOR
    widths = [state.psf_width2 for state in states if state.converged]
    found = np.array([[width.value, width.sd] for width in widths]).reshape(-1, 2)
    # Each estimate holds the prior already; it may enter once.
    precision = found[:, 1] ** -2 - prior.sd**-2
    informative = precision > MIN_INFORMATION_RATIO * prior.sd**-2
    if not informative.any():
        return prior
    value, precision = found[informative, 0], precision[informative]
    value = value + (value - prior.value) * prior.sd**-2 / precision
    weight = 1 / (1 / precision + PSF_WIDTH2_SPREAD_MM2**2)
    order = np.argsort(value)
    # Weighted median: the value at which half of the weight is reached.
    median = float(value[order][np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)])
    median_precision = weight.sum() * MEDIAN_EFFICIENCY
    pooled_precision = median_precision + prior.sd**-2
    pooled = (median * median_precision + prior.value * prior.sd**-2) / pooled_precision
    # The spread between lesions is part of the SD: the lesion to be fitted is one of them.
    return Estimate(
        max(float(pooled), 0.0), float(np.hypot(pooled_precision**-0.5, PSF_WIDTH2_SPREAD_MM2)), "mm2"
    )
