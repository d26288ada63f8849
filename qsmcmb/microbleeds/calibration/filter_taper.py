"""A filter's fall over k-space: the strongest lesions tell it better than the spectrum of the tissue does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.calibration.k_space_spectrum import noise_retained
from qsmcmb.microbleeds.calibration.slice_profile_choice import refit_on_patch, strongest_lesions
from qsmcmb.microbleeds.fit.initial import initial_fit
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, KSpaceWindow, KSpaceWindows
from qsmcmb.microbleeds.signal.patch import Patch

N_CALIBRATION_LESIONS = 4
RANGE = (0.6, 1.3)
"""Of the taper that is looked for, over what the spectrum says."""
PRECISION = 0.01
"""Of the taper; a hundredth moves a total susceptibility by 0.2 %."""
MIN_COST_DROP = 15.0
"""Drop of the cost from which lesions are believed: weak ones say nothing of a filter."""


def choose_filter_taper(patches: Sequence[Patch | None]) -> list[Patch | None]:
    """Return neighbourhoods with the taper of a cosine filter that explains the lesions best, alike along all axes.

    Only where the spectrum shows such a filter (Tukey's or Hann's). It tells the taper of each axis to a tenth, or of
    one axis not at all, and a blur, which is never less than none, cannot make up for one that is too wide.
    """
    known = [n for n in patches if n is not None]
    found = known[0].windows if known else FULL_K_SPACE
    tapers = [w.taper for w in found if _cosine(w)]
    if not tapers:
        return list(patches)
    fits = run_each(initial_fit, strongest_lesions(known, N_CALIBRATION_LESIONS))

    def with_taper(taper: float) -> KSpaceWindows:
        one, two, three = (w._replace(taper=taper) if _cosine(w) else w for w in found)
        return one, two, three

    def cost(windows: KSpaceWindows) -> float:
        return sum(run_each(lambda fit: _unexplained(fit, windows), fits))

    typical = float(np.median(tapers))
    bounds = (RANGE[0] * typical, min(1.0, RANGE[1] * typical))
    best = minimize_scalar(
        lambda taper: cost(with_taper(taper)), bounds=bounds, method="bounded", options={"xatol": PRECISION}
    )
    if known[0].independent_per_voxel * (cost(found) - best.fun) < MIN_COST_DROP:
        return list(patches)
    windows = with_taper(float(best.x))
    quieter = np.prod(
        [noise_retained(old) / noise_retained(new) for old, new in zip(found, windows, strict=True)]
    )
    return [
        None if n is None else replace(n, windows=windows, noise=n.noise * float(quieter)) for n in patches
    ]


def _cosine(window: KSpaceWindow) -> bool:
    return window.taper > 0 and window.height == 0


def _unexplained(fit: FitState, windows: KSpaceWindows) -> float:
    """Return what a fit leaves of the data, a value a voxel, where k-space was acquired through other windows."""
    again = refit_on_patch(fit, replace(fit.model.patch, windows=windows))
    return again.data_cost() / again.model.patch.independent_per_voxel
