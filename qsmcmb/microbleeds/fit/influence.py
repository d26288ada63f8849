"""Influence of errors on the total susceptibility M of a fitted lesion: its SD by three ways, and its bound.

A small error of the signal changes M by its product with the fit's influence function, a row of (J^T W J + prior)^-1
J^T W (Hampel 1974, doi:10.1080/01621459.1974.10482962). The inverse normal matrix says how much of M noise and the
Gaussian process leave open. The influence applied to the fit's own residual in blocks gives the sandwich SD (White
1982, doi:10.2307/1912526); applied to the signal of reference patches, less their own polynomials, it says what tissue
of this kind would have done to this fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.fit.cramer_rao import cramer_rao_sd
from qsmcmb.microbleeds.fit.objective import (
    CAUCHY_SCALE,
    LinearProblem,
    Objective,
    apply_jacobian,
    inverse_row,
)
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.reference_patches import MIN_REFERENCE_PATCHES
from qsmcmb.microbleeds.signal.source_shapes import LAYOUT
from qsmcmb.typing import FloatArray

__all__ = ["Influence", "cramer_rao_bound", "influence_of", "reference_patch_sd", "sandwich_sd_of"]


class Influence(NamedTuple):
    """Influence function of M: its change by a weighted error of each sample, and the variances that go with it."""

    along_magnitude: FloatArray
    """Change of M by a weighted error along the magnitude, ppm mm3 per SD, (echo and voxel,)."""
    along_phase: FloatArray
    """Change of M by a weighted error along the phase, ppm mm3 per SD, (echo and voxel,)."""
    variance: float
    """Variance of M that noise and the Gaussian process leave open, ppm2 mm6."""
    prior_variances: FloatArray
    """Variance of M by each prior, in the order of `priors.priors`, ppm2 mm6."""


def influence_of(model: LesionModel, linear: LinearProblem) -> Influence:
    """Return the influence function of the total susceptibility.

    Parameters
    ----------
    model : LesionModel
        The fitted model.
    linear : LinearProblem
        The linear problem at the fitted parameters.

    Returns
    -------
    Influence
        Change of the total susceptibility by an error of each datum, and its variance.

    Notes
    -----
    With v the row of M in the inverse of the normal matrix J^T W J + Q + P^T P, var(M) = v^T (J^T W J + Q) v + |P v|^2.
    The second term is the variance that the priors of the source's parameters carry (P, their slopes); the first is
    that of the data and of the Gaussian process (Q, its inverse variances).

    References
    ----------
    Hampel F. R. The influence curve and its role in robust estimation. J Am Stat Assoc 1974,
    doi:10.1080/01621459.1974.10482962.
    """
    row = inverse_row(model, linear.normal, LAYOUT.total)
    by_prior = np.square(linear.prior @ row[: model.n_source_parameters])
    along_magnitude, along_phase = apply_jacobian(model, linear, row)
    # A difference of two variances may round below 0.
    return Influence(
        along_magnitude=along_magnitude,
        along_phase=along_phase,
        variance=max(float(row[LAYOUT.total] - by_prior.sum()), 0.0),
        prior_variances=by_prior,
    )


def sandwich_sd_of(patch: Patch, objective: Objective, influence: Influence) -> float:
    """Return the SD of M from the fit's own residual.

    Parameters
    ----------
    patch : Patch
        The fitted voxels.
    objective : Objective
        The objective at the fitted parameters.
    influence : Influence
        The influence function there.

    Returns
    -------
    float
        SD, ppm mm3.

    Notes
    -----
    SD^2 = sum over blocks of (sum within the block of influence times weighted residual)^2. Errors within a block
    (`patch.block_labels`, all echoes) count as one, because the tissue's heterogeneity is correlated.

    References
    ----------
    White H. Maximum likelihood estimation of misspecified models. Econometrica 1982, doi:10.2307/1912526.
    """
    blocks = np.tile(patch.block_labels(), len(patch.acquisition.te_s))
    change = influence.along_magnitude * objective.magnitude_weight * objective.robust * objective.error.real
    change += influence.along_phase * objective.phase_weight * objective.robust * objective.error.imag
    return float(np.sqrt((np.bincount(blocks, change) ** 2).sum()))


def reference_patch_sd(
    model: LesionModel, objective: Objective, influence: Influence, reference_patches: Sequence[Patch]
) -> float:
    """Return the SD of M that the tissue of the reference patches would have caused.

    Parameters
    ----------
    model : LesionModel
        The fitted model.
    objective : Objective
        The objective at the fitted parameters.
    influence : Influence
        The influence function there.
    reference_patches : sequence of Patch
        Patches without a lesion, of the same voxels as the lesion's.

    Returns
    -------
    float
        SD, ppm mm3; NaN with fewer than MIN_REFERENCE_PATCHES.
    """
    if len(reference_patches) < MIN_REFERENCE_PATCHES:
        return float("nan")
    # A log ratio times the lesion's magnitude is the error that the same tissue would have made here: what lies in
    # the void counts little, as the void's own signal does.
    size = np.abs(objective.signal.value)
    changes = []
    for reference in reference_patches:
        residual = model.polynomial.residual(reference)
        along_magnitude = objective.magnitude_weight * size * residual.real
        along_phase = objective.phase_weight * size * residual.imag
        robust = objective.robust / (1 + (along_magnitude**2 + along_phase**2) / CAUCHY_SCALE**2)
        change = influence.along_magnitude * along_magnitude + influence.along_phase * along_phase
        changes.append(float((robust * change).sum()))
    return float(np.sqrt(np.mean(np.square(changes))))


def cramer_rao_bound(model: LesionModel, objective: Objective) -> float:
    """Return the Cramer-Rao bound on the SD of M: white noise; centre, shape and polynomials free.

    Parameters
    ----------
    model : LesionModel
        The fitted model.
    objective : Objective
        The objective at the fitted parameters, with its slopes.

    Returns
    -------
    float
        SD, ppm mm3.
    """
    signal = objective.signal
    assert signal.slopes is not None
    value = signal.value[:, None]
    # Derivatives of the signal itself, unweighted: by the source, by the phase, by the log magnitude of the tissue.
    columns = [
        (signal.slopes * signal.background).T,
        1j * value * model.polynomial.phase.dense(),
        value * model.polynomial.amplitude.dense(),
    ]
    return cramer_rao_sd(np.concatenate(columns, axis=1), model.patch.acquisition.noise_sd)
