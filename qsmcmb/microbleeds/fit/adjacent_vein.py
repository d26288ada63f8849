"""A vein beside a lesion: a cylinder in the lesion's surroundings, fitted in turn with it.

A vein a few millimetres away has a field that the tissue's processes cannot make, and a lesion that stands alone takes
a part of it for its own. Where a line explains what a poor fit leaves, it becomes a neighbour of the lesion.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.microbleeds.fit.field_fit import detrend_field, voxels_outside_void
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState, minimise
from qsmcmb.microbleeds.fit.vein import STRAIGHT_VEIN_MM, Vein, candidate_lines, fit_cylinder
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.point_spread import COARSE_CELL_MM, PointSpread
from qsmcmb.microbleeds.signal.source_shapes import CYLINDER, LAYOUT
from qsmcmb.microbleeds.signal.tissue import MIN_HETEROGENEITY
from qsmcmb.typing import ComplexArray, FloatArray

POOR_CORE = 0.6
"""Weighted residual of the core from which a vein is looked for."""
STEPS_MM = np.arange(-4.0, 4.5)
"""How far from the lesion, across."""
MAX_CENTRE_SHIFT_MM = 1.0
"""How far the lesion's centre may move: what goes further is something else."""
VEIN_SD = 0.25
"""SD over the change that a vein makes: how well it is known."""


def fit_adjacent_vein(found: FitState) -> tuple[FitState, Vein | None]:
    """Return a refined fit with a vein beside the lesion, and the vein, where that explains the scan better (BIC)."""
    if found.core_residual() < POOR_CORE or found.model.patch.acquisition.heterogeneity <= MIN_HETEROGENEITY:
        return found, None
    patch = found.model.patch.restricted_to(STRAIGHT_VEIN_MM)
    left = detrend_field(patch, _field_left_hz(found), voxels_outside_void(patch))
    # Veins are paramagnetic.
    lines = [line for line in candidate_lines(patch, left, STEPS_MM)[0] if line.strength > 0]
    if not lines:
        return found, None
    whole, p = found.model, found.parameters
    lesion = patch.values_from_wider(whole.patch, found.objective.signal.factor)
    vein = fit_cylinder(patch, lines, lesion)
    around = minimise(_with_extra_neighbour(whole, _factor(vein, whole.patch)), p)
    # The lesion beside which the vein was fitted had a part of it.
    lesion = patch.values_from_wider(whole.patch, whole.signal(around.parameters).factor)
    vein = minimise(vein.model.with_neighbours(lesion), vein.parameters)
    around = minimise(_with_extra_neighbour(whole, _factor(vein, whole.patch)), around.parameters)
    bic_difference = found.bic() - around.bic() - vein.bic_penalty()
    change = around.parameters[LAYOUT.total_and_centre] - p[:4]
    if bic_difference <= 0 or around.left_mask or np.linalg.norm(change[1:]) > MAX_CENTRE_SHIFT_MM:
        return found, None
    model_selection_sd = float(np.hypot(found.model_selection_sd_ppm_mm3, VEIN_SD * change[0]))
    return around.with_model_selection_sd(model_selection_sd), Vein.of(vein, bic_difference)


def _field_left_hz(found: FitState) -> FloatArray:
    """Return the field that polynomials leave around the fitted lesion, Hz, in the neighbourhood's box."""
    model = found.model
    patch, factor = model.patch, found.objective.signal.factor
    phase, _ = model.polynomial.fitted(patch, factor)
    shape = (len(patch.acquisition.te_s), -1)
    rest = (
        model.data
        * np.exp(-1j * np.angle(factor))
        * np.exp(-1j * model.polynomial.phase.value(phase).ravel())
    )
    te = np.array(patch.acquisition.te_s)[:, None]
    weight = (np.abs(model.data) ** 2).reshape(shape)
    turn = np.angle(rest).reshape(shape)
    field = np.zeros(patch.inside.shape)
    field[patch.inside] = (weight * te * turn).sum(axis=0) / (2 * np.pi * (weight * te**2).sum(axis=0))
    return field


def _factor(vein: FitState, patch: Patch) -> ComplexArray:
    """Return a vein's factor on the signal in a neighbourhood, over (echo and voxel inside)."""
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
