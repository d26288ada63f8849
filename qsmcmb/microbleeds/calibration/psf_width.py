"""TODO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.fit.levenberg_marquardt import Optimum
from qsmcmb.microbleeds.fit.priors import BLUR
from qsmcmb.microbleeds.fit.refinement import _among_tissue
from qsmcmb.microbleeds.fit.uncertainty import _blur_sd
from qsmcmb.model import Estimate

BLUR_SPREAD_MM2 = 0.03
"""From lesion to lesion of a scan."""


BLUR_LESIONS = 6
"""Those of a scan that say most of its blur."""


MEDIAN_EFFICIENCY = 2 / np.pi
"""Precision of a median over that of a mean."""


def scan_blur(rough: Sequence[Optimum]) -> Estimate:
    """Return a scan's squared blur (mm2) as the lesions that say most of it have it among their tissue."""
    converged = [o for o in rough if o.converged]
    telling = sorted(converged, key=_blur_sd)[:BLUR_LESIONS]
    return pooled_blur(run_each(lambda o: _among_tissue(o, BLUR), telling))


def pooled_blur(optima: Sequence[Optimum]) -> Estimate:
    """Return what the lesions of a scan say together of its blur: it is the scan's, not the lesion's.

    Their weighted median, since a lesion that is no ball shows it as blur, and what was known before.
    """
    found = np.array([[o.blur_mm2, _blur_sd(o)] for o in optima if o.converged]).reshape(-1, 2)
    # Each was found with the same knowledge; it may enter once.
    precision = found[:, 1] ** -2 - BLUR.sd**-2
    telling = precision > 0.5 * BLUR.sd**-2
    if not telling.any():
        return BLUR
    value, precision = found[telling, 0], precision[telling]
    value = value + (value - BLUR.value) * BLUR.sd**-2 / precision
    weight = 1 / (1 / precision + BLUR_SPREAD_MM2**2)
    order = np.argsort(value)
    middle = float(value[order][np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)])
    together = weight.sum() * MEDIAN_EFFICIENCY
    everything = together + BLUR.sd**-2
    pooled = (middle * together + BLUR.value * BLUR.sd**-2) / everything
    return Estimate(max(float(pooled), 0.0), float(np.hypot(everything**-0.5, BLUR_SPREAD_MM2)), "mm2")
