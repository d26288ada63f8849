"""Choice of a k-space filter's taper: the strongest lesions tell it better than the spectrum of the tissue does."""

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
from qsmcmb.microbleeds.signal.acquisition import Acquisition, KSpaceWindow, KSpaceWindows
from qsmcmb.microbleeds.signal.patch import Patch

__all__ = ["choose_filter_taper"]

N_CALIBRATION_LESIONS = 4
"""Number of lesions that choose: each costs a refit for each taper tried."""
TAPER_RANGE = (0.6, 1.3)
"""Range of the taper, relative to what the spectrum says: the spectrum tells it to a tenth, or one axis not at all."""
TAPER_TOLERANCE = 0.01
"""Tolerance of the taper: a hundredth moves a total susceptibility by 0.2 %."""
MIN_COST_DROP = 15.0
"""Least drop of the cost for which lesions are believed: weak ones say nothing of a filter."""


def choose_filter_taper(
    patches: Sequence[Patch], acquisition: Acquisition, fits: dict[int, FitState]
) -> tuple[Acquisition, dict[int, FitState]]:
    """Choose the taper of a cosine filter that explains the strongest lesions best, alike along all axes.

    Only where the spectrum shows such a filter (Tukey's or Hann's). A width of the point spread, which is never less
    than 0, cannot make up for a taper that is too wide.

    Parameters
    ----------
    patches : sequence of Patch
        At least one.
    acquisition : Acquisition
        What is known of the scan.
    fits : dict of int to FitState
        Initial fits by number of the patch that hold for this acquisition.

    Returns
    -------
    Acquisition
        With its windows, and the noise that belongs to them.
    dict of int to FitState
        Initial fits by number of the patch that hold for this acquisition.
    """
    found = acquisition.windows
    tapers = [w.taper for w in found if _is_cosine(w)]
    if not tapers:
        return acquisition, fits
    chosen = strongest_lesions(patches, N_CALIBRATION_LESIONS)
    missing = [i for i in chosen if i not in fits]
    made = run_each(lambda i: initial_fit(patches[i].with_acquisition(acquisition)), missing)
    fits = fits | dict(zip(missing, made, strict=True))

    def with_taper(taper: float) -> KSpaceWindows:
        one, two, three = (w._replace(taper=taper) if _is_cosine(w) else w for w in found)
        return one, two, three

    def cost(windows: KSpaceWindows) -> float:
        return sum(run_each(lambda i: _unexplained(fits[i], windows), chosen))

    typical = float(np.median(tapers))
    bounds = (TAPER_RANGE[0] * typical, min(1.0, TAPER_RANGE[1] * typical))
    best = minimize_scalar(
        lambda taper: cost(with_taper(taper)),
        bounds=bounds,
        method="bounded",
        options={"xatol": TAPER_TOLERANCE},
    )
    if patches[0].independent_per_voxel * (cost(found) - best.fun) < MIN_COST_DROP:
        return acquisition, fits
    windows = with_taper(float(best.x))
    quieter = np.prod(
        [noise_retained(old) / noise_retained(new) for old, new in zip(found, windows, strict=True)]
    )
    return replace(acquisition, windows=windows, noise_sd=acquisition.noise_sd * float(quieter)), {}


def _is_cosine(window: KSpaceWindow) -> bool:
    return window.taper > 0 and window.height == 0


def _unexplained(fit: FitState, windows: KSpaceWindows) -> float:
    """Return the cost of the data per independent value where k-space was acquired through other windows."""
    patch = fit.model.patch
    again = refit_on_patch(fit, patch.with_acquisition(replace(patch.acquisition, windows=windows)))
    return again.data_cost() / again.model.patch.independent_per_voxel
