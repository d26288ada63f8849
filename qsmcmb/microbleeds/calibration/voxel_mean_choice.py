"""Choice between k-space sampling and voxels that are means over their own volume.

A scanner's voxel is a sample of what its k-space holds. An image that was resampled or averaged, or lesions that were
put into a scan voxel by voxel, are means over each voxel: a box in place of a sinc, far wider than any filter leaves
it. The strongest lesions are fitted with k-space sampling, or with slices, and refitted with means; where that
describes most of them better, above all their cores, voxels are means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.calibration.slice_profile_choice import refit_on_patch, strongest_lesions
from qsmcmb.microbleeds.fit.initial import initial_fit
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, Acquisition
from qsmcmb.microbleeds.signal.patch import Patch

__all__ = ["choose_voxel_means"]

N_CALIBRATION_LESIONS = 3
"""Number of lesions that choose: each costs a refit."""
MIN_COST_DROP = 15.0
"""Least drop of the cost of most of them, in squared SDs, at which voxels count as means: scanners sample k-space, and
weak lesions do not tell."""
MAX_CORE_RESIDUAL_RATIO = 0.8
"""Largest ratio of the core residual with means to that without them at which they do: what is better further
out is a sinus or an edge and not the sampling."""


def choose_voxel_means(
    patches: Sequence[Patch], acquisition: Acquisition, fits: dict[int, FitState]
) -> tuple[Acquisition, dict[int, FitState]]:
    """Take voxels as means over their volume where that explains the strongest lesions better than k-space sampling.

    Parameters
    ----------
    patches : sequence of Patch
        Patches of the scan's lesions, at least one.
    acquisition : Acquisition
        Properties of the scan, with its k-space windows and slice profile.
    fits : dict of int to FitState
        Initial fits by index of the patch that hold for this acquisition.

    Returns
    -------
    Acquisition
        The same, its voxels means along all axes where that fits better, in place of k-space or of slices; unchanged
        where a k-space window was found.
    dict of int to FitState
        Initial fits by index of the patch that hold for this acquisition.
    """
    if acquisition.windows != FULL_K_SPACE:
        return acquisition, fits
    chosen = strongest_lesions(patches, N_CALIBRATION_LESIONS)
    missing = [i for i in chosen if i not in fits]
    made = run_each(lambda i: initial_fit(patches[i].with_acquisition(acquisition)), missing)
    fits = fits | dict(zip(missing, made, strict=True))
    means = replace(acquisition, voxel_means=True, slice_profile=None)
    refits = run_each(lambda i: refit_on_patch(fits[i], fits[i].model.patch.with_acquisition(means)), chosen)
    better = [_is_better(refit, fits[i]) for i, refit in zip(chosen, refits, strict=True)]
    return (means, {}) if 2 * sum(better) > len(better) else (acquisition, fits)


def _is_better(refit: FitState, fit: FitState) -> bool:
    """Whether a refit describes the data better than a fit, and its core most of all."""
    drop = fit.objective.cost - refit.objective.cost
    return drop > MIN_COST_DROP and refit.core_residual() < MAX_CORE_RESIDUAL_RATIO * fit.core_residual()
