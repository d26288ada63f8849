"""Slices or k-space along the longest edge of a voxel, and how thick the slices are: the strongest lesions tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.fit.field_fit import fit_point_dipole
from qsmcmb.microbleeds.fit.initial import initial_fit
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState, minimise
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, SliceProfile
from qsmcmb.microbleeds.signal.patch import Patch

THICK = 1.4
"""Edge of a voxel over the others from which it may be a slice."""
N_CALIBRATION_LESIONS = 3
THICKNESSES = (0.8, 0.9, 1.1)
"""Over the distance of slices, tried beside 1: slices have gaps, or overlap."""


def choose_slice_profile(patches: Sequence[Patch | None]) -> list[Patch | None]:
    """Return neighbourhoods that know of thick slices, where their profile explains the lesions better than k-space."""
    known = [n for n in patches if n is not None]
    if not known:
        return list(patches)
    size = np.array(known[0].grid.voxel_size_mm)
    axis = int(size.argmax())
    if size[axis] < THICK * np.delete(size, axis).max() or known[0].windows[axis] != FULL_K_SPACE[axis]:
        return list(patches)
    judges = strongest_lesions(known, N_CALIBRATION_LESIONS)
    whole = SliceProfile(axis, 1.0)
    profiles = [SliceProfile(axis, thickness) for thickness in THICKNESSES]
    both = run_each(initial_fit, [replace(n, slices=kind) for kind in (whole, None) for n in judges])
    fits, no_slices = both[: len(judges)], both[len(judges) :]
    tasks = [(fit, replace(fit.model.patch, slices=profile)) for profile in profiles for fit in fits]
    again = run_each(lambda task: refit_on_patch(*task), tasks)
    costs = np.array([fit.objective.cost for fit in [*fits, *again]]).reshape(-1, len(fits)).sum(axis=1)
    best = [whole, *profiles][int(costs.argmin())]
    if sum(fit.objective.cost for fit in no_slices) <= costs.min():
        return list(patches)
    return [None if n is None else replace(n, slices=best) for n in patches]


def strongest_lesions(patches: Sequence[Patch], number: int) -> list[Patch]:
    """Return the neighbourhoods whose field asks for the strongest lesions."""
    strength = [abs(fit_point_dipole(n, n.field_hz).total_chi_ppm_mm3) for n in patches]
    return [patches[i] for i in np.argsort(strength)[::-1][:number]]


def refit_on_patch(fit: FitState, patch: Patch) -> FitState:
    """Return a fit's optimum where another scanner saw the same voxels."""
    return minimise(fit.model.on_patch(patch, fit.source), fit.parameters)
