"""Comparison of a lesion with a vein: an infinite cylinder in place of the body, by BIC.

A vein that leaves the patch through both sides has the field of a line of dipoles,

    dB / B0 = m (2 (b.rho)^2 / rho^2 - b_perp^2) / (2 pi rho^2),

with the susceptibility times cross-section m (ppm mm2), the distance rho from the axis, and b_perp, the component of
the B0 direction b across it (Haacke et al., Magnetic Resonance Imaging: Physical Principles and Sequence Design,
1999). Where a line explains the field map better than a dipole does, both are fitted to the complex signal within
STRAIGHT_VEIN_MM and compared by the Bayesian information criterion (Schwarz 1978, doi:10.1214/aos/1176344136).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import null_space

from qsmcmb.core.directions import half_sphere
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

__all__ = [
    "STRAIGHT_VEIN_MM",
    "CylinderStart",
    "Vein",
    "candidate_lines",
    "find_vein",
    "fit_cylinder",
    "line_dipole_fields",
    "line_to_dipole_ratio",
]

STRAIGHT_VEIN_MM = 5.0
"""Radius of the ball in which veins count as straight, mm: over 8 mm curved ones look like pairs of balls."""
VENOUS_DECAY_PER_TESLA = CoreDecay(10.0, 1.0)
"""R2* of venous blood above the tissue's, 1/s per tesla, within a factor of 2.7: oxygenation differs."""
SHIFTS_ACROSS_MM = np.array([-1.0, 0.0, 1.0])
"""Shifts of a line from the point, mm, along each of two axes across it: points lie within about 2 mm."""
N_DIRECTIONS = 40
"""Number of directions of lines, spread over a half sphere: about 23 degrees from each to the next."""
N_STARTS = 2
"""Number of lines from which a cylinder is fitted with polynomials for the tissue, before the Gaussian process is
added: the line that explains the signal best may lead to a local minimum."""
N_CANDIDATE_LINES = 6
"""Number of lines, those that explain the field map best, of which the N_STARTS of least cost in the complex signal are
fitted."""
MIN_STRENGTH_PPM_MM2 = 0.1
"""Least susceptibility times cross-section from which a start's radius is derived, ppm mm2: it gives 0.28 mm, about the
smallest radius of a fit."""
PAIR_LENGTH_MM = 6.0
"""Length of vein, mm, that a fitted pair of balls is taken to stand for: the strength at which the cylinder starts
(ppm mm2) is the pair's total susceptibility (ppm mm3) over it. It is a start, and need not be exact."""


MIN_EXPLAINED_PPM2 = 1e-12
"""Least sum of squares that a dipole is taken to explain, squared ppm: a ratio to it stays finite."""


class Vein(NamedTuple):
    """Cylinder that explains the scan better than a lesion, or together with one."""

    strength_ppm_mm2: float
    """Susceptibility times cross-section, ppm mm2."""
    radius_mm: float
    """Radius, mm."""
    axis: tuple[float, float, float]
    """Unit direction in voxel axes; its sign means nothing."""
    bic_difference: float
    """By how much the BIC is lower with the cylinder, squared SDs."""

    @classmethod
    def of(cls, fit: FitState, bic_difference: float) -> Vein:
        """Return the vein that the fit of a cylinder has found.

        Parameters
        ----------
        fit : FitState
            Fit with the shape `CYLINDER`.
        bic_difference : float
            By how much the BIC is lower with it, squared SDs.

        Returns
        -------
        Vein
            Strength, radius and direction of the cylinder, with its BIC difference.
        """
        p = fit.parameters
        return cls(
            strength_ppm_mm2=float(p[LAYOUT.total]),
            radius_mm=float(np.exp(p[LAYOUT.log_radius])),
            axis=triple(p[LAYOUT.axis] / np.linalg.norm(p[LAYOUT.axis])),
            bic_difference=bic_difference,
        )


class CylinderStart(NamedTuple):
    """Line from which the fit of a cylinder is started."""

    strength: float
    """Susceptibility times cross-section, ppm mm2."""
    centre_mm: FloatArray
    """Point on the axis, mm from the patch's point, (3,)."""
    axis: FloatArray
    """Unit direction in voxel axes, (3,)."""

    def source(self) -> Source:
        """Return the cylinder of this strength with the expected susceptibility.

        Returns
        -------
        Source
            Its total susceptibility is the strength, ppm mm2.
        """
        radius = np.sqrt(max(abs(self.strength), MIN_STRENGTH_PPM_MM2) / (np.pi * CYLINDER.dchi_ppm))
        return Source(self.strength, triple(self.centre_mm), float(radius))


def find_vein(state: FitState) -> Vein | None:
    """Return the vein that explains the scan around a fitted lesion better than the lesion does.

    Parameters
    ----------
    state : FitState
        The refined fit of a lesion.

    Returns
    -------
    Vein or None
        None where the lesion explains the scan better.
    """
    patch = _straight(state.model.patch)
    lines, ratio = _compare_lines(patch)
    # The field map decides, in about 10 ms, whether the complex signal is fitted at all.
    if ratio <= 1:
        return None
    p = state.parameters
    body = state.model.on_patch(patch, state.source, cell_mm=COARSE_CELL_MM)
    lesion = minimise(*body.with_gp_prior(body.parameters_with_fitted_tissue(p)))
    if state.model.shape is BALL_PAIR:
        # A pair along a vein has found the vein's direction.
        axis = p[LAYOUT.axis] / np.linalg.norm(p[LAYOUT.axis])
        lines.append(CylinderStart(float(p[LAYOUT.total]) / PAIR_LENGTH_MM, p[LAYOUT.centre], axis))
    vein = fit_cylinder(patch, lines, body.neighbours)
    bic_difference = lesion.bic() - vein.bic()
    return Vein.of(vein, bic_difference) if bic_difference > 0 else None


def line_to_dipole_ratio(patch: Patch) -> float:
    """Return how much more of the field around a point a line of dipoles explains than one dipole does.

    Parameters
    ----------
    patch : Patch
        The scan around the point.

    Returns
    -------
    float
        Ratio of the drops of the sum of squares, > 0: above 1 the field looks like that of a vein.
    """
    return _compare_lines(_straight(patch))[1]


def _straight(patch: Patch) -> Patch:
    """Return the part of a patch in which veins count as straight."""
    return patch.restricted_to(STRAIGHT_VEIN_MM * patch.length_scale)


def _compare_lines(patch: Patch) -> tuple[list[CylinderStart], float]:
    """Return the lines that explain the field best, and how much more the first explains than a dipole."""
    detrended = detrend_field(patch, patch.field_hz, voxels_outside_void(patch))
    lines, explained = candidate_lines(patch, detrended, SHIFTS_ACROSS_MM)
    return lines, explained / max(_explained_by_dipole(patch, detrended), MIN_EXPLAINED_PPM2)


def fit_cylinder(patch: Patch, lines: Sequence[CylinderStart], neighbours: ComplexArray | None) -> FitState:
    """Fit a cylinder with the tissue's Gaussian process, from the best of some lines.

    Parameters
    ----------
    patch : Patch
        The scan around the point.
    lines : sequence of CylinderStart
        At least one.
    neighbours : ndarray of shape (echo and voxel,) or None
        Factor of lesions on the signal.

    Returns
    -------
    FitState
        Its shape is `CYLINDER`.
    """
    model = LesionModel(
        patch, lines[0].source(), core_decay=VENOUS_DECAY_PER_TESLA.at(patch.acquisition.b0_tesla),
        neighbours=neighbours, shape=CYLINDER, cell_mm=COARSE_CELL_MM,
    )  # fmt: skip
    starts = sorted(
        (model.start_parameters(line.source(), line.axis) for line in lines),
        key=lambda p: evaluate_objective(model, p).cost,
    )
    first = min(
        (minimise(model, start) for start in starts[:N_STARTS]), key=lambda state: state.objective.cost
    )
    return minimise(*model.with_gp_prior(first.parameters))


def _explained_by_dipole(patch: Patch, detrended: DetrendedField) -> float:
    """Return how much of the field (squared ppm) the best point dipole near the point explains."""
    b0_dir = np.array(patch.grid.b0_dir)
    kernels = np.stack(
        [point_dipole_field(detrended.xyz - shift[:, None], b0_dir) for shift in SEARCH_SHIFTS_MM]
    )
    return best_kernel(detrended, kernels).explained


def candidate_lines(
    patch: Patch, detrended: DetrendedField, shifts_mm: FloatArray
) -> tuple[list[CylinderStart], float]:
    """Return the lines that explain the field best, one of each direction.

    Parameters
    ----------
    patch : Patch
        The scan around the point.
    detrended : DetrendedField
        Its field without a cubic.
    shifts_mm : ndarray of shape (n,)
        Shifts from the point along each of two axes across a line, mm.

    Returns
    -------
    lines : list of CylinderStart
        At most N_CANDIDATE_LINES, the best first.
    explained : float
        How much of the field the best one explains, squared ppm.
    """
    across = np.stack(np.meshgrid(shifts_mm, shifts_mm, indexing="ij"), axis=-1).reshape(-1, 2)
    # Within a voxel of the axis the field is not that of a line any more.
    b0_dir, min_distance2 = np.array(patch.grid.b0_dir), max(patch.grid.voxel_size_mm) ** 2
    found: list[tuple[float, CylinderStart]] = []
    for axis in half_sphere(N_DIRECTIONS):
        plane = null_space(axis[None]).T
        kernels = line_dipole_fields(plane @ detrended.xyz, across, plane @ b0_dir, min_distance2)
        best = best_kernel(detrended, kernels)
        found.append((best.explained, CylinderStart(best.strength, across[best.number] @ plane, axis)))
    found.sort(key=lambda f: -f[0])
    return [line for _, line in found[:N_CANDIDATE_LINES]], found[0][0]


def line_dipole_fields(
    across: FloatArray, shifts: FloatArray, b0_across: FloatArray, min_distance2: float
) -> FloatArray:
    """Return the fields of lines of 1 ppm mm2 at positions in the plane across them.

    Parameters
    ----------
    across : ndarray of shape (2, n)
        Positions in the plane across the lines, mm.
    shifts : ndarray of shape (line, 2)
        Positions of the lines in that plane, mm.
    b0_across : ndarray of shape (2,)
        Components of the B0 direction in that plane.
    min_distance2 : float
        Squared distance within which a line's field is held at its value there, mm2, > 0.

    Returns
    -------
    ndarray of shape (line, n)
        Field of each line, ppm.

    Notes
    -----
    dB / B0 = (2 (b.rho)^2 / rho^2 - |b|^2) / (2 pi rho^2), with b and rho in the plane.

    Examples
    --------
    A line across B0, 1 mm away along B0 and across it:

    >>> positions = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> line_dipole_fields(positions, np.zeros((1, 2)), np.array([1.0, 0.0]), 0.01).round(3)
    array([[ 0.159, -0.159]])
    """
    x, y = (position - shift[:, None] for position, shift in zip(across, shifts.T, strict=True))
    rho2 = np.maximum(x**2 + y**2, min_distance2)
    along_b0 = b0_across[0] * x + b0_across[1] * y
    return np.asarray((2 * along_b0**2 / rho2 - b0_across @ b0_across) / (2 * np.pi * rho2))
