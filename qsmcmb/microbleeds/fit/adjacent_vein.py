"""Adjacent vein of a lesion: an infinite cylinder beside the body, fitted in turn with it.

A vein a few millimetres away has a field that the tissue's Gaussian process cannot make, and a lesion that is fitted
alone takes a part of it for its own. Where a refined fit leaves a high core residual, lines are searched in the field
that polynomials leave around the fitted lesion. Then a cylinder is fitted with the lesion as its neighbour, the lesion
with the cylinder as its neighbour, and each once more. The vein is kept where the sum of both costs is lower by the
Bayesian information criterion (Schwarz 1978, doi:10.1214/aos/1176344136).
"""

from __future__ import annotations

import numpy as np

from qsmcmb.microbleeds.fit.field_fit import detrend_field, voxels_outside_void
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState, minimise
from qsmcmb.microbleeds.fit.model_comparison import Comparison
from qsmcmb.microbleeds.fit.vein import STRAIGHT_VEIN_MM, CylinderStart, Vein, candidate_lines, fit_cylinder
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.point_spread import COARSE_CELL_MM, PointSpread
from qsmcmb.microbleeds.signal.source_shapes import CYLINDER, LAYOUT
from qsmcmb.microbleeds.signal.tissue import MIN_HETEROGENEITY
from qsmcmb.typing import ComplexArray, FloatArray

__all__ = ["fit_adjacent_vein"]

MIN_CORE_RESIDUAL = 0.6
"""Core residual, SDs, from which a vein is looked for: below it the lesion alone describes the scan."""
SHIFTS_ACROSS_MM = np.arange(-4.0, 4.5)
"""Shifts of a line from the lesion, mm, along each of two axes across it: veins further away hardly change a lesion."""
MAX_CENTRE_SHIFT_MM = 1.0
"""Largest shift of the lesion's centre by the vein, mm: a fit that moves further describes something else."""
VEIN_SD_FRACTION = 0.25
"""Ratio of the SD that a vein beside the lesion adds to the change of the total susceptibility by it: a quarter of the
change may be wrong."""


def fit_adjacent_vein(state: FitState) -> tuple[FitState, Vein | None]:
    """Fit a vein beside a lesion where both together explain the scan better.

    Parameters
    ----------
    state : FitState
        The refined fit of a lesion.

    Returns
    -------
    lesion : FitState
        The lesion's fit beside the vein; `state` itself where there is none.
    vein : Vein or None
        None where the lesion alone explains the scan as well, or in a liquid.
    """
    heterogeneity = state.model.patch.acquisition.heterogeneity
    if state.core_residual() < MIN_CORE_RESIDUAL or heterogeneity <= MIN_HETEROGENEITY:
        return state, None
    patch = state.model.patch.restricted_to(STRAIGHT_VEIN_MM * state.model.patch.length_scale)
    lines = _paramagnetic_lines(state, patch)
    if not lines:
        return state, None
    lesion, vein = _fit_in_turn(state, patch, lines)
    bic_alone, bic_together = state.bic(), lesion.bic() + vein.bic_penalty()
    bic_difference = bic_alone - bic_together
    change = lesion.parameters[LAYOUT.total_and_centre] - state.parameters[LAYOUT.total_and_centre]
    moved = np.linalg.norm(change[LAYOUT.centre]) > MAX_CENTRE_SHIFT_MM
    if bic_difference <= 0 or lesion.left_mask or moved:
        return state, None
    sd = float(np.hypot(state.model_selection_sd_ppm_mm3, VEIN_SD_FRACTION * change[LAYOUT.total]))
    models = [
        *state.compared_models,
        state.as_compared(Comparison.ADJACENT_VEIN, is_chosen=False, cost=bic_alone),
        lesion.as_compared(Comparison.ADJACENT_VEIN, is_chosen=True, cost=bic_together),
    ]
    return lesion.with_model_selection_sd(sd).with_compared_models(models), Vein.of(vein, bic_difference)


def _paramagnetic_lines(state: FitState, patch: Patch) -> list[CylinderStart]:
    """Return the lines of positive susceptibility, as veins have, that explain best what a fitted lesion leaves."""
    detrended = detrend_field(patch, _residual_field_hz(state), voxels_outside_void(patch))
    lines, _ = candidate_lines(patch, detrended, SHIFTS_ACROSS_MM)
    return [line for line in lines if line.strength > 0]


def _fit_in_turn(state: FitState, patch: Patch, lines: list[CylinderStart]) -> tuple[FitState, FitState]:
    """Return the fits of a lesion and of a vein beside it, each made twice with the other as its neighbour.

    The lesion is fitted in its own patch, the vein in a smaller one, in which it is straight.
    """
    model = state.model
    lesion_factor = patch.values_from_wider(model.patch, state.objective.signal.factor)
    vein = fit_cylinder(patch, lines, lesion_factor)
    lesion = minimise(_with_extra_neighbour(model, _vein_factor(vein, model.patch)), state.parameters)
    # The lesion beside which the vein was fitted first had a part of it. Its factor is that of the model without the
    # vein as a neighbour.
    lesion_factor = patch.values_from_wider(model.patch, model.signal(lesion.parameters).factor)
    vein = minimise(vein.model.with_neighbours(lesion_factor), vein.parameters)
    lesion = minimise(_with_extra_neighbour(model, _vein_factor(vein, model.patch)), lesion.parameters)
    return lesion, vein


def _residual_field_hz(state: FitState) -> FloatArray:
    """Return the field that polynomials leave around the fitted lesion, Hz, in the patch's box."""
    model = state.model
    patch, factor = model.patch, state.objective.signal.factor
    phase, _ = model.polynomial.fitted(patch, factor)
    shape = (len(patch.acquisition.te_s), -1)
    residual = (
        model.data
        * np.exp(-1j * np.angle(factor))
        * np.exp(-1j * model.polynomial.phase.value(phase).ravel())
    )
    te = np.array(patch.acquisition.te_s)[:, None]
    weight = (np.abs(model.data) ** 2).reshape(shape)
    residual_phase = np.angle(residual).reshape(shape)
    # Weighted least squares of the phase 2 pi f TE over the echoes: a phase's variance falls with the squared signal.
    field = np.zeros(patch.inside.shape)
    field[patch.inside] = (weight * te * residual_phase).sum(axis=0) / (
        2 * np.pi * (weight * te**2).sum(axis=0)
    )
    return field


def _vein_factor(vein: FitState, patch: Patch) -> ComplexArray:
    """Return a vein's factor on the signal in a patch, (echo and voxel inside,)."""
    line = vein.source
    spread = PointSpread(
        patch,
        line.total_chi_ppm_mm3,
        np.array(line.centre_mm),
        line.radius_mm,
        is_infinite=True,
        cell_mm=COARSE_CELL_MM,
    )
    return 1 + spread.factor(vein.rows, vein.decay_hz, vein.psf_width2_mm2, shape=CYLINDER)[0].reshape(-1)


def _with_extra_neighbour(model: LesionModel, factor: ComplexArray) -> LesionModel:
    """Return the same model with one neighbour more."""
    return model.with_neighbours(factor if model.neighbours is None else factor * model.neighbours)
