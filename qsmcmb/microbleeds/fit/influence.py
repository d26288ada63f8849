"""What the total susceptibility of a fitted lesion is worth: noise, clutter of the tissue around, choice of the model.

The tissue around a lesion is a Gaussian process; how much of a lesion it can feign is in the inverse normal matrix. A
small disturbance of the signal moves the estimate by its product with the fit's influence function. Applied to the
fit's own residual in blocks, it gives the sandwich estimate; applied to the signal of lesion-free places around, it
tells what tissue of this kind would have done to this fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.fit.cramer_rao import cramer_rao_sd
from qsmcmb.microbleeds.fit.objective import ROBUST, Linear, Objective, applied, inverse_row
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.reference_patches import MIN_REFERENCE_PATCHES
from qsmcmb.typing import FloatArray


class Influence(NamedTuple):
    """Change of M (ppm mm3) by a weighted error along magnitude and along phase, (echo and voxel)."""

    radial: FloatArray
    along: FloatArray
    variance: float
    """Of M (ppm2 mm6): what noise and the tissue's processes leave open."""
    shape_variance: float
    """Of M: what is not known of the scan's blur and of the lesion's shape."""


def influence_of(model: LesionModel, linear: Linear) -> Influence:
    """Return how the fit's total susceptibility answers to errors of the signal."""
    row = inverse_row(model, linear.normal, 0)
    shape = float(((linear.prior @ row[: model.n_source_parameters]) ** 2).sum())
    return Influence(*applied(model, linear, row), max(float(row[0]) - shape, 0.0), shape)


def sandwich_sd_of(patch: Patch, objective: Objective, influence: Influence) -> float:
    """Return the SD of M from the fit's own residual, errors within a block of about 3.5 mm taken as one."""
    blocks = np.tile(patch.block_labels(), len(patch.acquisition.te_s))
    moved = influence.radial * objective.magnitude_weight * objective.robust * objective.error.real
    moved += influence.along * objective.phase_weight * objective.robust * objective.error.imag
    return float(np.sqrt((np.bincount(blocks, moved) ** 2).sum()))


def reference_patch_sd(
    model: LesionModel, objective: Objective, influence: Influence, places: Sequence[Patch]
) -> float:
    """Return the SD of M that the signal of lesion-free places would have caused; NaN with too few of them.

    Parameters
    ----------
    model, misfit, influence
        The fit.
    places : sequence of Patch
        Signal and field of places of the same shape around the lesion.
    """
    if len(places) < MIN_REFERENCE_PATCHES:
        return float("nan")
    size = np.abs(objective.signal.value)
    moved = []
    for place in places:
        rest = model.polynomial.residual(place)
        radial = objective.magnitude_weight * size * rest.real
        along = objective.phase_weight * size * rest.imag
        robust = objective.robust / (1 + (radial**2 + along**2) / ROBUST**2)
        moved.append(float((robust * (influence.radial * radial + influence.along * along)).sum()))
    return float(np.sqrt(np.mean(np.square(moved))))


def cramer_rao_bound(model: LesionModel, objective: Objective) -> float:
    """Return the Cramer-Rao bound on the SD of M: white noise, centre, shape and background free."""
    signal = objective.signal
    assert signal.slopes is not None
    value = signal.value[:, None]
    columns = [
        (signal.slopes * signal.background).T,
        1j * value * model.polynomial.phase.dense(),
        value * model.polynomial.amplitude.dense(),
    ]
    return cramer_rao_sd(np.concatenate(columns, axis=1), model.patch.acquisition.noise_sd)
