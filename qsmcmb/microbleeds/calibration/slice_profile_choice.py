"""Choice between slices and k-space along the longest edge of a voxel, and of the slices' thickness.

The strongest lesions are fitted with each profile; the one of least total cost is the scan's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.fit.field_fit import fit_point_dipole
from qsmcmb.microbleeds.fit.initial import initial_fit
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState, minimise
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, Acquisition, SliceProfile
from qsmcmb.microbleeds.signal.patch import Patch

__all__ = ["choose_slice_profile", "refit_on_patch", "strongest_lesions"]

MIN_SLICE_RATIO = 1.4
"""Ratio of a voxel's longest edge to the others from which it may be a slice: 3D scans stay below it."""
N_CALIBRATION_LESIONS = 3
"""Number of lesions that choose: each costs five fits."""
THICKNESSES = (0.8, 0.9, 1.1)
"""Ratios of slice thickness to slice distance, tried beside 1: slices have gaps, or overlap."""


def choose_slice_profile(
    patches: Sequence[Patch], acquisition: Acquisition
) -> tuple[Acquisition, dict[int, FitState]]:
    """Choose a slice profile where it explains the strongest lesions better than k-space does.

    Parameters
    ----------
    patches : sequence of Patch
        At least one.
    acquisition : Acquisition
        What is known of the scan.

    Returns
    -------
    Acquisition
        With its slice profile.
    dict of int to FitState
        Initial fits by number of the patch that hold for this acquisition.
    """
    size = np.array(patches[0].grid.voxel_size_mm)
    axis = int(size.argmax())
    may_be_slices = size[axis] >= MIN_SLICE_RATIO * np.delete(size, axis).max()
    if not may_be_slices or acquisition.windows[axis] != FULL_K_SPACE[axis]:
        return acquisition, {}
    chosen = strongest_lesions(patches, N_CALIBRATION_LESIONS)
    touching = SliceProfile(axis, 1.0)
    seen = [replace(acquisition, slice_profile=profile) for profile in (touching, None)]
    both = run_each(initial_fit, [patches[i].with_acquisition(a) for a in seen for i in chosen])
    fits, no_slices = both[: len(chosen)], both[len(chosen) :]
    others = [SliceProfile(axis, thickness) for thickness in THICKNESSES]
    tasks = [
        (fit, fit.model.patch.with_acquisition(replace(acquisition, slice_profile=profile)))
        for profile in others
        for fit in fits
    ]
    again = run_each(lambda task: refit_on_patch(*task), tasks)
    costs = np.array([fit.objective.cost for fit in [*fits, *again]]).reshape(-1, len(fits)).sum(axis=1)
    if sum(fit.objective.cost for fit in no_slices) <= costs.min():
        return acquisition, dict(zip(chosen, no_slices, strict=True))
    best = [touching, *others][int(costs.argmin())]
    hold = dict(zip(chosen, fits, strict=True)) if best == touching else {}
    return replace(acquisition, slice_profile=best), hold


def strongest_lesions(patches: Sequence[Patch], number: int) -> list[int]:
    """Return the numbers of the patches whose field asks for the strongest lesions, strongest first."""
    strength = [abs(fit_point_dipole(p, p.field_hz).total_chi_ppm_mm3) for p in patches]
    return [int(i) for i in np.argsort(strength)[::-1][:number]]


def refit_on_patch(fit: FitState, patch: Patch) -> FitState:
    """Return the minimum next to a fit's where another acquisition saw the same voxels."""
    return minimise(fit.model.on_patch(patch, fit.source), fit.parameters)
