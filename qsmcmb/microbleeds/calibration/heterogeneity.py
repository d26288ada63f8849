"""Tissue heterogeneity of a scan, relative to that of a brain: 0 for a liquid, 1 for tissue.

In each reference patch polynomials are fitted to the log magnitude (quadratic in space, with a linear R2*). What they
leave of the first echo, r, is tissue and noise: E[r^2] = h^2 s^2 + (sigma / |S|)^2, with the noise SD sigma, the
magnitude |S|, and s the SD that a brain shows. The heterogeneity h follows from the median over the patches. It scales
the Gaussian process prior of the lesion fit: in a phantom, where noise and polynomials explain the magnitude, the
processes would only cost precision.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.reference_patches import MIN_REFERENCE_PATCHES
from qsmcmb.microbleeds.signal.tissue import tissue_around

__all__ = ["tissue_heterogeneity"]

BRAIN_LOG_MAGNITUDE_SD = 0.02
"""SD of the log magnitude about the polynomials within 8 mm, first echo, from which the heterogeneity is 1: below the
0.034 to 0.048 that heads show, so that every brain has 1, and above that of water, 0."""


def tissue_heterogeneity(patches: Sequence[Patch]) -> float:
    """Return how much the tissue of a scan varies, relative to a brain's.

    Parameters
    ----------
    patches : sequence of Patch
        Reference patches: tissue without a lesion.

    Returns
    -------
    float
        Heterogeneity, 0 (a liquid) to 1 (tissue); 1 with fewer than `MIN_REFERENCE_PATCHES` patches.

    Notes
    -----
    With r the residual of a patch's log magnitude and sigma / S its relative noise,

        h = sqrt(max(median over patches of mean(r^2 - (sigma / S)^2), 0)) / 0.02, at most 1.

    Examples
    --------
    >>> tissue_heterogeneity([])
    1.0
    """
    if len(patches) < MIN_REFERENCE_PATCHES:
        return 1.0
    excess = run_each(_log_magnitude_excess, patches)
    return float(np.clip(np.sqrt(max(float(np.median(excess)), 0.0)) / BRAIN_LOG_MAGNITUDE_SD, 0, 1))


def _log_magnitude_excess(patch: Patch) -> float:
    """Return the mean square of the log magnitude's residual at the first echo, above that of noise."""
    magnitude = np.abs(patch.signal[0, patch.inside])
    residual = tissue_around(patch).residual(patch)[: len(magnitude)].real
    # The noise of a log magnitude is the relative noise of the magnitude.
    return float(np.mean(residual**2 - (patch.acquisition.noise_sd / np.maximum(magnitude, 1e-12)) ** 2))
