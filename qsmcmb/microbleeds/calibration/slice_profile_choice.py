"""Choice between slices and k-space sampling along the longest edge of a voxel, and of the slices' thickness.

Thick voxels are slices of a two-dimensional scan, whose profile is a soft box, or samples of k-space, whose point
spread is a sinc. The strongest lesions are fitted with k-space sampling and with slices as thick as their distance,
then refitted with thinner and thicker slices; the profile of least summed cost is the scan's.
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
    """Choose a slice profile where it explains the strongest lesions better than k-space sampling does.

    Parameters
    ----------
    patches : sequence of Patch
        Patches of the scan's lesions, at least one.
    acquisition : Acquisition
        Properties of the scan, with its k-space windows.

    Returns
    -------
    Acquisition
        The same with the slice profile; unchanged where voxels are not long, or are zero-filled along their long edge.
    dict of int to FitState
        Initial fits by index of the patch that hold for this acquisition.

    Notes
    -----
    The lesions are those with the largest total susceptibility of a point dipole in the field map. The chosen profile
    minimises the sum of their costs, each in squared SDs.
    """
    voxel_size_mm = np.array(patches[0].grid.voxel_size_mm)
    axis = int(voxel_size_mm.argmax())
    may_be_slices = voxel_size_mm[axis] >= MIN_SLICE_RATIO * np.delete(voxel_size_mm, axis).max()
    # Slices are never zero-filled: a window along the axis shows that k-space was sampled there.
    if not may_be_slices or acquisition.windows[axis] != FULL_K_SPACE[axis]:
        return acquisition, {}
    chosen = strongest_lesions(patches, N_CALIBRATION_LESIONS)
    touching = SliceProfile(axis, 1.0)
    tried = [replace(acquisition, slice_profile=profile) for profile in (touching, None)]
    first = run_each(initial_fit, [patches[i].with_acquisition(a) for a in tried for i in chosen])
    fits, k_space_fits = first[: len(chosen)], first[len(chosen) :]
    others = [SliceProfile(axis, thickness) for thickness in THICKNESSES]
    tasks = [
        (fit, fit.model.patch.with_acquisition(replace(acquisition, slice_profile=profile)))
        for profile in others
        for fit in fits
    ]
    refits = run_each(lambda task: refit_on_patch(*task), tasks)
    costs = np.array([fit.objective.cost for fit in [*fits, *refits]]).reshape(-1, len(fits)).sum(axis=1)
    if sum(fit.objective.cost for fit in k_space_fits) <= costs.min():
        return acquisition, dict(zip(chosen, k_space_fits, strict=True))
    best = [touching, *others][int(costs.argmin())]
    # Only the initial fits are handed on: a refit started from one of another thickness.
    valid = dict(zip(chosen, fits, strict=True)) if best == touching else {}
    return replace(acquisition, slice_profile=best), valid


def strongest_lesions(patches: Sequence[Patch], number: int) -> list[int]:
    """Return the indices of the patches whose field maps show the strongest dipoles.

    Parameters
    ----------
    patches : sequence of Patch
        Patches of the scan's lesions.
    number : int
        Largest number of lesions, >= 1.

    Returns
    -------
    list of int
        Indices, strongest first.
    """
    strength = [abs(fit_point_dipole(p, p.field_hz).total_chi_ppm_mm3) for p in patches]
    return [int(i) for i in np.argsort(strength)[::-1][:number]]


def refit_on_patch(fit: FitState, patch: Patch) -> FitState:
    """Return the local minimum of the cost next to a fit, for other properties of the acquisition.

    Parameters
    ----------
    fit : FitState
        The fit whose parameters are the start.
    patch : Patch
        The voxels of the fit's patch with another acquisition.

    Returns
    -------
    FitState
        Fit of the same shape on `patch`.
    """
    return minimise(fit.model.on_patch(patch, fit.source), fit.parameters)
