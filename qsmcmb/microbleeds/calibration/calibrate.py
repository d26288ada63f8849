"""Calibration of one scan: heterogeneity, slice profile, voxel means, filter taper, point spread width, in this order.

Each step returns the scan's `Acquisition` with what it has found. The initial fits that a step makes are handed on to
the next as long as they hold, so that each lesion is fitted from the field map once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.calibration.filter_taper import choose_filter_taper
from qsmcmb.microbleeds.calibration.heterogeneity import tissue_heterogeneity
from qsmcmb.microbleeds.calibration.psf_width import estimate_psf_width2
from qsmcmb.microbleeds.calibration.slice_profile_choice import choose_slice_profile
from qsmcmb.microbleeds.calibration.voxel_mean_choice import choose_voxel_means
from qsmcmb.microbleeds.fit.initial import initial_fit
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.signal.acquisition import Acquisition
from qsmcmb.microbleeds.signal.patch import Patch

__all__ = ["Calibration", "calibrate"]

N_HETEROGENEITY_LESIONS = 6
"""Number of lesions around which the tissue's heterogeneity is measured: up to 16 patches around each are plenty."""


class Calibration(NamedTuple):
    """Properties of the scan that its lesions have shown, and the lesions' initial fits."""

    acquisition: Acquisition
    """Properties of the scan, calibrated."""
    states: list[FitState | None]
    """Initial fit of each lesion that holds for this acquisition; None where there is no patch."""
    fits_among_tissue: dict[int, FitState]
    """Fits with the tissue's Gaussian process that the calibration has made, by index of the lesion: free sources where
    these are better, else of the initial fit's shape, with the models that were compared."""


def calibrate(
    patches: Sequence[Patch | None],
    acquisition: Acquisition,
    reference_patches: Callable[[Patch], list[Patch]],
) -> Calibration:
    """Calibrate a scan by its lesions and the tissue around them.

    Parameters
    ----------
    patches : sequence of Patch or None
        Patch around each point; None where nothing can be fitted.
    acquisition : Acquisition
        Echo times, field strength, noise and k-space windows.
    reference_patches : callable
        Function that returns the reference patches around a patch.

    Returns
    -------
    Calibration
        The acquisition with tissue heterogeneity, slice profile, filter taper, noise and squared point spread width,
        and the initial fit of each patch; the given acquisition where there is no patch.

    Examples
    --------
    >>> acquisition = Acquisition(te_s=(0.01, 0.02), b0_tesla=3.0, noise_sd=1.0)
    >>> calibrate([None], acquisition, lambda patch: []).acquisition == acquisition
    True
    """
    known = {i: patch for i, patch in enumerate(patches) if patch is not None}
    states: list[FitState | None] = [None] * len(patches)
    if not known:
        return Calibration(acquisition, states, {})
    fitted = list(known.values())
    references = run_each(reference_patches, fitted[:N_HETEROGENEITY_LESIONS])
    heterogeneity = tissue_heterogeneity([patch for group in references for patch in group])
    acquisition = replace(acquisition, heterogeneity=heterogeneity)
    acquisition, fits = choose_slice_profile(fitted, acquisition)
    acquisition, fits = choose_voxel_means(fitted, acquisition, fits)
    acquisition, fits = choose_filter_taper(fitted, acquisition, fits)
    missing = [k for k in range(len(fitted)) if k not in fits]
    made = run_each(lambda k: initial_fit(fitted[k].with_acquisition(acquisition)), missing)
    fits |= dict(zip(missing, made, strict=True))
    psf = estimate_psf_width2([fits[k] for k in range(len(fitted))], acquisition)
    for k, i in enumerate(known):
        states[i] = fits[k]
    indices = list(known)
    fits_among_tissue = {indices[k]: fit for k, fit in psf.fits.items()}
    return Calibration(replace(acquisition, psf_width2=psf.width2), states, fits_among_tissue)
