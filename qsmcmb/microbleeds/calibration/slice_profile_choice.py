"""Slices or k-space along the longest edge of a voxel, and how thick the slices are: the strongest lesions tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.fit.field_fit import fit_field_form
from qsmcmb.microbleeds.fit.initial import first_fit
from qsmcmb.microbleeds.fit.levenberg_marquardt import Optimum, optimise
from qsmcmb.microbleeds.signal.acquisition import WHOLE, SliceProfile
from qsmcmb.microbleeds.signal.patch import Neighbourhood

THICK = 1.4
"""Edge of a voxel over the others from which it may be a slice."""
JUDGES = 3
THICKNESSES = (0.8, 0.9, 1.1)
"""Over the distance of slices, tried beside 1: slices have gaps, or overlap."""


def with_slices(nears: Sequence[Neighbourhood | None]) -> list[Neighbourhood | None]:
    """Return neighbourhoods that know of thick slices, where their profile explains the lesions better than k-space."""
    known = [n for n in nears if n is not None]
    if not known:
        return list(nears)
    size = np.array(known[0].grid.voxel_size_mm)
    axis = int(size.argmax())
    if size[axis] < THICK * np.delete(size, axis).max() or known[0].windows[axis] != WHOLE[axis]:
        return list(nears)
    judges = strongest(known, JUDGES)
    whole = SliceProfile(axis, 1.0)
    profiles = [SliceProfile(axis, thickness) for thickness in THICKNESSES]
    both = run_each(first_fit, [replace(n, slices=kind) for kind in (whole, None) for n in judges])
    fits, no_slices = both[: len(judges)], both[len(judges) :]
    tasks = [(fit, replace(fit.model.near, slices=profile)) for profile in profiles for fit in fits]
    again = run_each(lambda task: seen_anew(*task), tasks)
    costs = np.array([fit.misfit.cost for fit in [*fits, *again]]).reshape(-1, len(fits)).sum(axis=1)
    best = [whole, *profiles][int(costs.argmin())]
    if sum(fit.misfit.cost for fit in no_slices) <= costs.min():
        return list(nears)
    return [None if n is None else replace(n, slices=best) for n in nears]


def strongest(nears: Sequence[Neighbourhood], number: int) -> list[Neighbourhood]:
    """Return the neighbourhoods whose field asks for the strongest lesions."""
    strength = [abs(fit_field_form(n, n.field_hz).total_chi_ppm_mm3) for n in nears]
    return [nears[i] for i in np.argsort(strength)[::-1][:number]]


def seen_anew(fit: Optimum, near: Neighbourhood) -> Optimum:
    """Return a fit's optimum where another scanner saw the same voxels."""
    return optimise(fit.model.seen_by(near, fit.source), fit.parameters)
