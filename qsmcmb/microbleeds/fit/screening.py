"""Screening of the detector's candidates, before the costly fit: a dipole in the field map, and one ball in the signal.

Both take a hundredth of a whole fit's time and give a total susceptibility M with its SD.

1. Field map: a point dipole d and a cubic in the whole patch (`field_fit`). With the residual e of n voxels and the
   number b of voxels in a block of BLOCK_MM, within which tissue is alike,

       M_f = <d, f> / <d, d>,   SD_f^2 = b mean(e^2) / <d, d>.

   Where other points lie near, their dipoles are fitted, too, and the clearer of the two fits counts.
2. Complex signal: one dark ball with polynomials for the tissue within SIGNAL_RADIUS_MM, M_s. Its SD_s is that by which
   the whole fit would know noise and tissue, the sandwich SD times `noise_scale`: large where the core is described
   poorly, as of veins and edges.

A candidate stays where |M_s| >= 3 SD_s. It stays, too, where |M_f| >= 5 SD_f and M_s is that dipole, of the same sign
and within a factor of MAX_RATIO: a lesion beside an edge, or one that no ball describes. Others are turned away.
Veins, edges and sinuses either have no dipole's field, or one that the signal around the point contradicts. A candidate
that fails both is fitted all the same where all of its evidence leaves it a chance (`naming.may_be_lesion`).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import numpy as np

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.microbleeds.fit.field_fit import (
    NO_POINTS,
    SEARCH_SHIFTS_MM,
    best_kernel,
    detrend_field,
    fit_point_dipole,
    voxels_outside_void,
    with_fitted_field,
)
from qsmcmb.microbleeds.fit.initial import start_near_point
from qsmcmb.microbleeds.fit.shape_selection import fit_ball
from qsmcmb.microbleeds.fit.uncertainty import noise_scale
from qsmcmb.microbleeds.fit.vein import line_to_dipole_ratio
from qsmcmb.microbleeds.signal.patch import BLOCK_MM, Patch
from qsmcmb.model import Estimate
from qsmcmb.typing import FloatArray
from qsmcmb.units import PPM_MM3

__all__ = ["Screening", "TurnedAway", "screen_candidate"]

SIGNAL_RADIUS_MM = 6.0
"""Radius of the ball within which the signal is fitted, mm, times the length scale: that of the refinement."""
MIN_SIGNAL_SIGNIFICANCE = 3.0
"""Number of SDs of M in the signal from which a candidate stays: that of a lesion in the table."""
MIN_FIELD_SIGNIFICANCE = 5.0
"""Number of SDs of M in the field map from which a candidate may stay without it: that of the detection limit."""
MAX_RATIO = 3.0
"""Largest ratio of the two values of M of one lesion, either way: one ball reads irregular lesions as half of
themselves, and the field map errs by as much beside an edge."""


class TurnedAway(Enum):
    """Why a candidate is not fitted."""

    NO_DIPOLE = "no dipole"
    NOT_COMPACT = "not compact"


class Screening(NamedTuple):
    """Total susceptibility of a candidate by its field map and by its signal."""

    field: Estimate
    """Total susceptibility by the field map, ppm mm3."""
    signal: Estimate
    """Total susceptibility by the complex signal, ppm mm3."""
    core_residual: float
    """Core residual of the ball in the signal, SDs."""
    line_to_dipole: float
    """How much more of the field a line of dipoles explains than one dipole: above 1 of veins."""

    @property
    def turned_away(self) -> TurnedAway | None:
        """Why the candidate is not fitted; None where it is."""
        if _significance(self.signal) >= MIN_SIGNAL_SIGNIFICANCE:
            return None
        if _significance(self.field) < MIN_FIELD_SIGNIFICANCE:
            return TurnedAway.NO_DIPOLE
        agree = 1 / MAX_RATIO < self.signal.value / self.field.value < MAX_RATIO
        return None if agree else TurnedAway.NOT_COMPACT

    @property
    def total_chi_ppm_mm3(self) -> Estimate:
        """Total susceptibility by the signal, ppm mm3; its SD holds the difference to the field map's."""
        difference = self.signal.value - self.field.value
        return Estimate(self.signal.value, float(np.hypot(self.signal.sd, difference)), PPM_MM3)


def screen_candidate(patch: Patch, others_mm: FloatArray) -> Screening:
    """Fit a dipole to the field map and a ball to the signal around a candidate.

    Parameters
    ----------
    patch : Patch
        The scan around the candidate.
    others_mm : ndarray of shape (n, 3)
        Other points whose field reaches into the patch, mm from the candidate; n may be 0.

    Returns
    -------
    Screening
        Total susceptibility by both, and whether the candidate is turned away.
    """
    signal, core_residual = _ball_in_signal(patch)
    return Screening(
        field=_clearest_dipole(patch, others_mm),
        signal=signal,
        core_residual=core_residual,
        line_to_dipole=line_to_dipole_ratio(patch),
    )


def _significance(total: Estimate) -> float:
    """Return the size of a total susceptibility in its SDs."""
    return abs(total.value) / max(total.sd, 1e-12)


def _clearest_dipole(patch: Patch, others_mm: FloatArray) -> Estimate:
    """Return the dipole of larger significance: fitted alone, or with those of other points."""
    alone = _dipole_in_field(patch, NO_POINTS)
    if not len(others_mm):
        return alone
    # Dipoles of points that are no lesions take some of the candidate's own field.
    return max(alone, _dipole_in_field(patch, others_mm), key=_significance)


def _dipole_in_field(patch: Patch, others_mm: FloatArray) -> Estimate:
    """Return the best dipole around the point beside a cubic and the dipoles of other points."""
    detrended = detrend_field(patch, patch.field_hz, voxels_outside_void(patch), others_mm=others_mm)
    b0_dir = np.array(patch.grid.b0_dir)
    kernels = [point_dipole_field(detrended.xyz - shift[:, None], b0_dir) for shift in SEARCH_SHIFTS_MM]
    best = best_kernel(detrended, np.stack(kernels))
    left = max(float(detrended.values @ detrended.values) - best.explained, 0.0)
    per_block = max(1.0, (BLOCK_MM * patch.length_scale) ** 3 / patch.grid.voxel_volume_mm3)
    # <d, d> is the power explained over the squared strength.
    variance = per_block * left / len(detrended.values) * best.strength**2 / max(best.explained, 1e-30)
    return Estimate(best.strength, float(np.sqrt(variance)), PPM_MM3)


def _ball_in_signal(patch: Patch) -> tuple[Estimate, float]:
    """Return the dark ball that explains the signal around the point best, and its core residual."""
    patch = patch.restricted_to(SIGNAL_RADIUS_MM * patch.length_scale)
    start = fit_point_dipole(patch, patch.field_hz)
    ball = fit_ball(with_fitted_field(patch, start), start_near_point(patch, start))
    total = Estimate(ball.source.total_chi_ppm_mm3, noise_scale(ball) * ball.sandwich_sd(), PPM_MM3)
    return total, ball.core_residual()
