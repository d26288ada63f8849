"""Is it a vein? The same signal and tissue with an infinite cylinder in place of the ball, compared by BIC.

A vein that leaves through both sides of the neighbourhood has the field of a line. Where that explains the field
better than a dipole does, both are fitted to the signal of a smaller ball, in which veins are straight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import null_space

from qsmcmb.core.point_dipole import dipole
from qsmcmb.microbleeds.fit.field_fit import SHIFTS_MM, Residue, best_kernel, field_left, usable_voxels
from qsmcmb.microbleeds.fit.levenberg_marquardt import Optimum, optimise, triple
from qsmcmb.microbleeds.fit.objective import evaluate
from qsmcmb.microbleeds.signal.model import Core, LesionModel, Source
from qsmcmb.microbleeds.signal.patch import Neighbourhood
from qsmcmb.microbleeds.signal.point_spread import ROUGH_CELL_MM
from qsmcmb.microbleeds.signal.source_shapes import CYLINDER, TWO_BALLS
from qsmcmb.model import Estimate
from qsmcmb.typing import ComplexArray, FloatArray

STRAIGHT_MM = 5.0
"""Within this distance a vein's curve does not show."""
VENOUS_PER_TESLA = Core(10.0, 1.0)
"""R2* of venous blood above the tissue's."""
STEPS_MM = np.array([-1.0, 0.0, 1.0])
DIRECTIONS = 40
STARTS = 2
"""Lines that are followed to the end of a first fit."""
LIKELY_STARTS = 6
"""Lines that the field likes best, among which the signal chooses those."""
LEAST_PPM_MM2 = 0.1
PAIR_LENGTH_MM = 6.0
"""Of a line whose susceptibility a pair may have found."""


class Vein(NamedTuple):
    """A cylinder that explains the scan better than a lesion does, or beside one."""

    strength_ppm_mm2: float
    """Susceptibility times cross-section."""
    radius_mm: float
    axis: tuple[float, float, float]
    """Direction in voxel axes."""
    evidence: float
    """By how much its cost is lower, errors of all echoes counted as one and parameters paid for (BIC)."""

    @classmethod
    def of(cls, fit: Optimum, evidence: float) -> Vein:
        """Return what the fit of a cylinder found."""
        p = fit.parameters
        return cls(float(p[0]), float(np.exp(p[4])), triple(p[7:10] / np.linalg.norm(p[7:10])), evidence)


class Line(NamedTuple):
    """A line: susceptibility times cross-section (ppm mm2), a point on the axis (mm) and its direction."""

    strength: float
    centre_mm: FloatArray
    axis: FloatArray

    def source(self) -> Source:
        """Return where a cylinder's fit starts."""
        radius = np.sqrt(max(abs(self.strength), LEAST_PPM_MM2) / (np.pi * CYLINDER.dchi_ppm))
        return Source(self.strength, triple(self.centre_mm), float(radius))


def find_vein(lesion: Optimum) -> Vein | None:
    """Return the vein that explains a fitted lesion's surroundings better than it does.

    Parameters
    ----------
    lesion : Optimum
        The refined fit of a ball or a pair.

    Returns
    -------
    Vein or None
        None where the lesion explains the scan better.
    """
    near = lesion.model.near.within(STRAIGHT_MM)
    left = field_left(near, near.field_hz, usable_voxels(near))
    lines, explained = likely_lines(near, left, STEPS_MM)
    if explained <= _explained_by_dipole(near, left):
        return None
    blur, p = lesion.model.blur, lesion.parameters
    ball = lesion.model.seen_by(near, lesion.source, cell_mm=ROUGH_CELL_MM)
    again = optimise(*ball.with_process(ball.surrounded(p), blur))
    if lesion.model.shape is TWO_BALLS:
        axis = p[7:10] / np.linalg.norm(p[7:10])
        lines.append(Line(float(p[0]) / PAIR_LENGTH_MM, p[1:4], axis))
    vein = fit_cylinder(near, lines, blur, ball.neighbours)
    evidence = again.evidence_cost() - vein.evidence_cost()
    return Vein.of(vein, evidence) if evidence > 0 else None


def fit_cylinder(
    near: Neighbourhood, lines: Sequence[Line], blur: Estimate, neighbours: ComplexArray | None
) -> Optimum:
    """Fit a cylinder among tissue, from the best of some lines."""
    model = LesionModel(
        near, lines[0].source(), blur=blur, core=VENOUS_PER_TESLA.at(near.b0_tesla), neighbours=neighbours,
        shape=CYLINDER, cell_mm=ROUGH_CELL_MM,
    )  # fmt: skip
    starts = sorted(
        (model.start(line.source(), line.axis) for line in lines), key=lambda p: evaluate(model, p).cost
    )
    first = min((optimise(model, start) for start in starts[:STARTS]), key=lambda end: end.misfit.cost)
    return optimise(*model.with_process(first.parameters, blur))


def _explained_by_dipole(near: Neighbourhood, left: Residue) -> float:
    b0_dir = np.array(near.grid.b0_dir)
    kernels = np.stack([dipole(left.xyz - shift[:, None], b0_dir) for shift in SHIFTS_MM])
    return best_kernel(left, kernels).explained


def likely_lines(near: Neighbourhood, left: Residue, steps_mm: FloatArray) -> tuple[list[Line], float]:
    """Return the lines that explain the field best, one of each direction, and how much the best one does."""
    across = np.stack(np.meshgrid(steps_mm, steps_mm, indexing="ij"), axis=-1).reshape(-1, 2)
    b0_dir, least2 = np.array(near.grid.b0_dir), max(near.grid.voxel_size_mm) ** 2
    found: list[tuple[float, Line]] = []
    for axis in _directions(DIRECTIONS):
        plane = null_space(axis[None]).T
        kernels = line_fields(plane @ left.xyz, across, plane @ b0_dir, least2)
        best = best_kernel(left, kernels)
        found.append((best.explained, Line(best.strength, across[best.number] @ plane, axis)))
    found.sort(key=lambda f: -f[0])
    return [line for _, line in found[:LIKELY_STARTS]], found[0][0]


def _directions(count: int) -> FloatArray:
    """Return directions of a half sphere, evenly spread along a spiral: a line has no sign."""
    n = np.arange(count) + 0.5
    z = 1 - n / count
    turn = np.pi * (1 + 5**0.5) * n
    return np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], axis=1)


def line_fields(across: FloatArray, shifts: FloatArray, b0_across: FloatArray, least2: float) -> FloatArray:
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
