"""Calibration of one scan: its heterogeneity, slice profile, filter taper and point spread width, in this order.

Each step replaces one field of the scan's `Acquisition`. The initial fits that a step makes are handed on to the next
as long as they hold, so that each lesion is fitted from the field map once.
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
from qsmcmb.microbleeds.fit.initial import initial_fit
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.signal.acquisition import Acquisition
from qsmcmb.microbleeds.signal.patch import Patch

__all__ = ["Calibration", "calibrate"]

N_HETEROGENEITY_LESIONS = 6
"""Number of lesions around which the tissue's heterogeneity is measured: up to 16 patches around each are plenty."""


class Calibration(NamedTuple):
    """How the scan sees, and the fits that say so; None where there is no patch, or no such fit."""

    acquisition: Acquisition
    states: list[FitState | None]
    """Initial fit of each lesion."""
    among_tissue: list[FitState | None]
    """Fit among tissue of the lesions that the point spread's width was found from, made before it was known."""


def calibrate(
    patches: Sequence[Patch | None],
    acquisition: Acquisition,
    reference_patches: Callable[[Patch], list[Patch]],
) -> Calibration:
    """Find from the lesions of a scan and the tissue around them how the scan sees.

    Parameters
    ----------
    patches : sequence of Patch or None
        Patch around each point; None where nothing can be fitted.
    acquisition : Acquisition
        Echo times, field strength, noise and k-space windows.
    reference_patches : callable
        Takes a patch to the lesion-free patches around it.

    Returns
    -------
    Calibration
    """
    known = {i: patch for i, patch in enumerate(patches) if patch is not None}
    states: list[FitState | None] = [None] * len(patches)
    among_tissue: list[FitState | None] = [None] * len(patches)
    if not known:
        return Calibration(acquisition, states, among_tissue)
    seen = list(known.values())
    around = run_each(reference_patches, seen[:N_HETEROGENEITY_LESIONS])
    heterogeneity = tissue_heterogeneity([patch for some in around for patch in some])
    acquisition = replace(acquisition, heterogeneity=heterogeneity)
    acquisition, fits = choose_slice_profile(seen, acquisition)
    acquisition, fits = choose_filter_taper(seen, acquisition, fits)
    missing = [k for k in range(len(seen)) if k not in fits]
    made = run_each(lambda k: initial_fit(seen[k].with_acquisition(acquisition)), missing)
    fits |= dict(zip(missing, made, strict=True))
    psf_width2, psf_fits = estimate_psf_width2([fits[k] for k in range(len(seen))], acquisition)
    for k, i in enumerate(known):
        states[i], among_tissue[i] = fits[k], psf_fits.get(k)
    return Calibration(replace(acquisition, psf_width2=psf_width2), states, among_tissue)
