"""Choice of the taper of a cosine filter over k-space by the strongest lesions of a scan.

The spectrum of the tissue gives the taper of Tukey's and Hann's filters to a tenth of the half axis, and along some
axes not at all. The lesions' own signal is more exact: one taper for all axes is chosen that minimises the summed cost
of the data of the strongest lesions, each refitted for each taper that is tried (Brent's bounded search). The extra
width of the point spread, which is never less than 0, cannot make up for a taper that is too wide.

The lesions asked are the N_CALIBRATION_LESIONS with the strongest dipoles in the field map, fewer where the scan has
fewer. Where the spectrum shows no cosine filter, or the cost falls by less than MIN_COST_DROP, the windows of the
spectrum stay; without any lesion `calibrate` returns the acquisition as it was given.
"""

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
"""Bounds of the search for the taper, over the median of the three axes' tapers by the spectrum: that median is right
to a tenth, but along one axis the spectrum may show none.
"""
TAPER_TOLERANCE = 0.01
"""Tolerance of the taper, fraction of the half axis: a hundredth moves a total susceptibility by 0.2 %."""
MIN_COST_DROP = 15.0
"""Least drop of the cost, in squared SDs of independent values, at which the taper is changed: weak lesions do not
show a filter."""


def choose_filter_taper(
    patches: Sequence[Patch], acquisition: Acquisition, fits: dict[int, FitState]
) -> tuple[Acquisition, dict[int, FitState]]:
    """Choose the taper of a cosine filter that explains the strongest lesions best, alike along all axes.

    Parameters
    ----------
    patches : sequence of Patch
        Patches of the scan's lesions, at least one.
    acquisition : Acquisition
        Properties of the scan, with the windows that the spectrum shows.
    fits : dict of int to FitState
        Initial fits by index of the patch that hold for this acquisition.

    Returns
    -------
    Acquisition
        The same with the chosen taper and the noise that belongs to it; unchanged where the spectrum shows no cosine
        filter (Tukey's or Hann's) or the lesions do not determine its taper.
    dict of int to FitState
        Initial fits by index of the patch that hold for this acquisition.

    Notes
    -----
    The noise SD before the filter is that measured after it, over the product of `noise_retained` along the axes.
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
        x, y, z = (w._replace(taper=taper) if _is_cosine(w) else w for w in found)
        return x, y, z

    def cost(windows: KSpaceWindows) -> float:
        return sum(run_each(lambda i: _cost_with_windows(fits[i], windows), chosen))

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
    # The noise was measured in the image: with another filter it follows from another noise before the filter.
    noise_ratio = np.prod(
        [noise_retained(old) / noise_retained(new) for old, new in zip(found, windows, strict=True)]
    )
    return replace(acquisition, windows=windows, noise_sd=acquisition.noise_sd * float(noise_ratio)), {}


def _is_cosine(window: KSpaceWindow) -> bool:
    """Whether a window falls to 0 as a cosine (Tukey's or Hann's)."""
    return window.taper > 0 and window.height == 0


def _cost_with_windows(fit: FitState, windows: KSpaceWindows) -> float:
    """Return the cost of the data, per independent value, of a fit repeated with other k-space windows."""
    patch = fit.model.patch
    refit = refit_on_patch(fit, patch.with_acquisition(replace(patch.acquisition, windows=windows)))
    return refit.data_cost() / refit.model.patch.independent_per_voxel
