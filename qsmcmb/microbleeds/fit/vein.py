"""Is it a vein? The same signal and tissue with an infinite cylinder in place of the ball, compared by BIC.

A vein that leaves through both sides of the neighbourhood has the field of a line. Where that explains the field
better than a dipole does, both are fitted to the signal of a smaller ball, in which veins are straight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import null_space

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.microbleeds.fit.field_fit import (
    SEARCH_SHIFTS_MM,
    DetrendedField,
    best_kernel,
    detrend_field,
    voxels_outside_void,
)
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState, minimise, triple
from qsmcmb.microbleeds.fit.objective import evaluate_objective
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.point_spread import COARSE_CELL_MM
from qsmcmb.microbleeds.signal.source_shapes import BALL_PAIR, CYLINDER, LAYOUT, CoreDecay, Source
from qsmcmb.typing import ComplexArray, FloatArray

STRAIGHT_VEIN_MM = 5.0
"""Within this distance a vein's curve does not show."""
VENOUS_PER_TESLA = CoreDecay(10.0, 1.0)
"""R2* of venous blood above the tissue's."""
STEPS_MM = np.array([-1.0, 0.0, 1.0])
DIRECTIONS = 40
STARTS = 2
"""Lines that are followed to the end of a first fit."""
N_CANDIDATE_LINES = 6
"""Lines that the field likes best, among which the signal chooses those."""
MIN_STRENGTH_PPM_MM2 = 0.1
PAIR_LENGTH_MM = 6.0
"""Of a line whose susceptibility a pair may have found."""


class Vein(NamedTuple):
    """A cylinder that explains the scan better than a lesion does, or beside one."""

    strength_ppm_mm2: float
    """Susceptibility times cross-section."""
    radius_mm: float
    axis: tuple[float, float, float]
    """Direction in voxel axes."""
    bic_difference: float
    """By how much its cost is lower, errors of all echoes counted as one and parameters paid for (BIC)."""

    @classmethod
    def of(cls, fit: FitState, bic_difference: float) -> Vein:
        """Return what the fit of a cylinder found."""
        p = fit.parameters
        return cls(
            float(p[LAYOUT.total]),
            float(np.exp(p[LAYOUT.log_radius])),
            triple(p[LAYOUT.axis] / np.linalg.norm(p[LAYOUT.axis])),
            bic_difference,
        )


class CylinderStart(NamedTuple):
    """A line: susceptibility times cross-section (ppm mm2), a point on the axis (mm) and its direction."""

    strength: float
    centre_mm: FloatArray
    axis: FloatArray

    def source(self) -> Source:
        """Return where a cylinder's fit starts."""
        radius = np.sqrt(max(abs(self.strength), MIN_STRENGTH_PPM_MM2) / (np.pi * CYLINDER.dchi_ppm))
        return Source(self.strength, triple(self.centre_mm), float(radius))


def find_vein(lesion: FitState) -> Vein | None:
    """Return the vein that explains a fitted lesion's surroundings better than it does.

    Parameters
    ----------
    lesion : FitState
        The refined fit of a ball or a pair.

    Returns
    -------
    Vein or None
        None where the lesion explains the scan better.
    """
    patch = lesion.model.patch.restricted_to(STRAIGHT_VEIN_MM)
    left = detrend_field(patch, patch.field_hz, voxels_outside_void(patch))
    lines, explained = candidate_lines(patch, left, STEPS_MM)
    if explained <= _explained_by_dipole(patch, left):
        return None
    p = lesion.parameters
    ball = lesion.model.on_patch(patch, lesion.source, cell_mm=COARSE_CELL_MM)
    again = minimise(*ball.with_gp_prior(ball.with_fitted_background(p)))
    if lesion.model.shape is BALL_PAIR:
        axis = p[LAYOUT.axis] / np.linalg.norm(p[LAYOUT.axis])
        lines.append(CylinderStart(float(p[LAYOUT.total]) / PAIR_LENGTH_MM, p[LAYOUT.centre], axis))
    vein = fit_cylinder(patch, lines, ball.neighbours)
    bic_difference = again.bic() - vein.bic()
    return Vein.of(vein, bic_difference) if bic_difference > 0 else None


def fit_cylinder(patch: Patch, lines: Sequence[CylinderStart], neighbours: ComplexArray | None) -> FitState:
    """Fit a cylinder among tissue, from the best of some lines."""
    model = LesionModel(
        patch, lines[0].source(), core_decay=VENOUS_PER_TESLA.at(patch.acquisition.b0_tesla),
        neighbours=neighbours, shape=CYLINDER, cell_mm=COARSE_CELL_MM,
    )  # fmt: skip
    starts = sorted(
        (model.start_parameters(line.source(), line.axis) for line in lines),
        key=lambda p: evaluate_objective(model, p).cost,
    )
    first = min((minimise(model, start) for start in starts[:STARTS]), key=lambda end: end.objective.cost)
    return minimise(*model.with_gp_prior(first.parameters))


def _explained_by_dipole(patch: Patch, left: DetrendedField) -> float:
    b0_dir = np.array(patch.grid.b0_dir)
    kernels = np.stack([point_dipole_field(left.xyz - shift[:, None], b0_dir) for shift in SEARCH_SHIFTS_MM])
    return best_kernel(left, kernels).explained


def candidate_lines(
    patch: Patch, left: DetrendedField, steps_mm: FloatArray
) -> tuple[list[CylinderStart], float]:
    """Return the lines that explain the field best, one of each direction, and how much the best one does."""
    across = np.stack(np.meshgrid(steps_mm, steps_mm, indexing="ij"), axis=-1).reshape(-1, 2)
    b0_dir, least2 = np.array(patch.grid.b0_dir), max(patch.grid.voxel_size_mm) ** 2
    found: list[tuple[float, CylinderStart]] = []
    for axis in _directions(DIRECTIONS):
        plane = null_space(axis[None]).T
        kernels = line_dipole_fields(plane @ left.xyz, across, plane @ b0_dir, least2)
        best = best_kernel(left, kernels)
        found.append((best.explained, CylinderStart(best.strength, across[best.number] @ plane, axis)))
    found.sort(key=lambda f: -f[0])
    return [line for _, line in found[:N_CANDIDATE_LINES]], found[0][0]


def _directions(count: int) -> FloatArray:
    """Return directions of a half sphere, evenly spread along a spiral: a line has no sign."""
    n = np.arange(count) + 0.5
    z = 1 - n / count
    turn = np.pi * (1 + 5**0.5) * n
    return np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], axis=1)


def line_dipole_fields(
    across: FloatArray, shifts: FloatArray, b0_across: FloatArray, least2: float
) -> FloatArray:
    """Return the fields of lines of 1 ppm mm2 at places in the plane across them.

    Parameters
    ----------
    across : ndarray of shape (2, place)
        Places in the plane across the lines, mm.
    shifts : ndarray of shape (line, 2)
        Where the lines are.
    b0_across : ndarray of shape (2,)
        The part of the field's direction in that plane.
    least2 : float
        Square of the distance below which a line's field is not followed, mm2.

    Returns
    -------
    ndarray of shape (line, place)
        ppm.
    """
    x, y = (place - shift[:, None] for place, shift in zip(across, shifts.T, strict=True))
    rho2 = np.maximum(x**2 + y**2, least2)
    along_b0 = b0_across[0] * x + b0_across[1] * y
    return np.asarray((2 * along_b0**2 / rho2 - b0_across @ b0_across) / (2 * np.pi * rho2))
