"""A vein beside a lesion: a cylinder in the lesion's surroundings, fitted in turn with it.

A vein a few millimetres away has a field that the tissue's processes cannot make, and a lesion that stands alone takes
a part of it for its own. Where a line explains what a poor fit leaves, it becomes a neighbour of the lesion.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.microbleeds.fit.field_fit import field_left, usable_voxels
from qsmcmb.microbleeds.fit.levenberg_marquardt import Optimum, optimise
from qsmcmb.microbleeds.fit.vein import STRAIGHT_MM, Vein, fit_cylinder, likely_lines
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Neighbourhood
from qsmcmb.microbleeds.signal.point_spread import ROUGH_CELL_MM, PointSpread
from qsmcmb.microbleeds.signal.source_shapes import CYLINDER
from qsmcmb.microbleeds.signal.tissue import LEAST_TEXTURE
from qsmcmb.typing import ComplexArray, FloatArray

POOR_CORE = 0.6
"""Weighted residual of the core from which a vein is looked for."""
STEPS_MM = np.arange(-4.0, 4.5)
"""How far from the lesion, across."""
STAYS_MM = 1.0
"""How far the lesion's centre may move: what goes further is something else."""
VEIN_SD = 0.25
"""SD over the change that a vein makes: how well it is known."""


def beside_vein(found: Optimum) -> tuple[Optimum, Vein | None]:
    """Return a refined fit with a vein beside the lesion, and the vein, where that explains the scan better (BIC)."""
    if found.core_residual() < POOR_CORE or found.model.near.texture <= LEAST_TEXTURE:
        return found, None
    near = found.model.near.within(STRAIGHT_MM)
    left = field_left(near, _field_left_hz(found), usable_voxels(near))
    # Veins are paramagnetic.
    lines = [line for line in likely_lines(near, left, STEPS_MM)[0] if line.strength > 0]
    if not lines:
        return found, None
    whole, p = found.model, found.parameters
    lesion = near.of_wider(whole.near, found.misfit.signal.factor)
    vein = fit_cylinder(near, lines, whole.blur, lesion)
    around = optimise(_joined(whole, _factor(vein, whole.near)), p)
    # The lesion beside which the vein was fitted had a part of it.
    lesion = near.of_wider(whole.near, whole.signal(around.parameters).factor)
    vein = optimise(vein.model.beside(lesion), vein.parameters)
    around = optimise(_joined(whole, _factor(vein, whole.near)), around.parameters)
    evidence = found.evidence_cost() - around.evidence_cost() - vein.price()
    change = around.parameters[:4] - p[:4]
    if evidence <= 0 or around.outside or np.linalg.norm(change[1:]) > STAYS_MM:
        return found, None
    rivals = float(np.hypot(found.rivals_sd_ppm_mm3, VEIN_SD * change[0]))
    return around.with_rivals(rivals), Vein.of(vein, evidence)


def _field_left_hz(found: Optimum) -> FloatArray:
    """Return the field that polynomials leave around the fitted lesion, Hz, in the neighbourhood's box."""
    model = found.model
    near, factor = model.near, found.misfit.signal.factor
    phase, _ = model.plain.fitted(near, factor)
    shape = (len(near.te_s), -1)
    rest = model.data * np.exp(-1j * np.angle(factor)) * np.exp(-1j * model.plain.phase.value(phase).ravel())
    te = np.array(near.te_s)[:, None]
    weight = (np.abs(model.data) ** 2).reshape(shape)
    turn = np.angle(rest).reshape(shape)
    field = np.zeros(near.inside.shape)
    field[near.inside] = (weight * te * turn).sum(axis=0) / (2 * np.pi * (weight * te**2).sum(axis=0))
    return field


def _factor(vein: Optimum, near: Neighbourhood) -> ComplexArray:
    """Return a vein's factor on the signal in a neighbourhood, over (echo and voxel inside)."""
    line = vein.source
    spread = PointSpread(
        near,
        line.total_chi_ppm_mm3,
        np.array(line.centre_mm),
        line.radius_mm,
        endless=True,
        cell_mm=ROUGH_CELL_MM,
    )
    return 1 + spread.factor(vein.rows, vein.decay_hz, vein.blur_mm2, shape=CYLINDER)[0].reshape(-1)


def _joined(model: LesionModel, factor: ComplexArray) -> LesionModel:
    """Return the same model with one neighbour more."""
    return model.beside(factor if model.neighbours is None else factor * model.neighbours)
