"""TODO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.reference_patches import MIN_REFERENCE_PATCHES
from qsmcmb.microbleeds.signal.tissue import tissue_around

BRAIN_LOG_MAGNITUDE_SD = 0.02
"""What polynomials leave of a brain's magnitude within 8 mm at the first echo, relative, at least."""


def tissue_heterogeneity(places: Sequence[Patch]) -> float:
    """Return the texture of lesion-free places over that of a brain: 0 for a liquid, 1 for tissue.

    Where noise and polynomials explain a phantom's magnitude, processes only cost: a quarter of the precision.
    With too few places it is taken for tissue.
    """
    if len(places) < MIN_REFERENCE_PATCHES:
        return 1.0
    excess = run_each(_log_magnitude_excess, places)
    return float(np.clip(np.sqrt(max(float(np.median(excess)), 0.0)) / BRAIN_LOG_MAGNITUDE_SD, 0, 1))


def _log_magnitude_excess(place: Patch) -> float:
    """Return the mean square of what polynomials and noise leave of the first echo's log magnitude."""
    size = np.abs(place.signal[0, place.inside])
    rest = tissue_around(place).residual(place)[: len(size)].real
    return float(np.mean(rest**2 - (place.acquisition.noise_sd / np.maximum(size, 1e-12)) ** 2))
