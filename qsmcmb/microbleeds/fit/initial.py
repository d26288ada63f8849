"""The first fit of a lesion: where the field form says it may be, and what it may be made of."""

from __future__ import annotations

import numpy as np

from qsmcmb.microbleeds.fit.field_fit import fit_point_dipole, fit_signal_retaining_ball, with_fitted_field
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.fit.priors import SIGNAL_RETAINING_CORE
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import Source

MIN_SIGNAL_RETAINING_COST_DROP = 15.0
"""Least drop of the cost for a core that keeps its signal."""
MIN_SIGNAL_RETAINING_CHI_PPM = 0.1
"""What keeps its signal and has less susceptibility is a tissue, not a lesion."""
MAX_START_DEVIATION_SD = 1.5
"""Distance from the point, in its SDs, beyond which the field form has found something else."""


def initial_fit(patch: Patch) -> FitState:
    """Fit a lesion from the field alone: dark inside or, where that explains the scan better, with its signal kept."""
    start = fit_point_dipole(patch, patch.field_hz)
    patch = with_fitted_field(patch, start)
    return _prefer_signal_retaining(patch, _dark_core_fit(patch, start))


def _dark_core_fit(patch: Patch, start: Source) -> FitState:
    if np.linalg.norm(start.centre_mm / patch.point_sd_mm) > MAX_START_DEVIATION_SD:
        start = start._replace(centre_mm=(0.0, 0.0, 0.0))
    fit = select_shape(patch, start)
    if fit.converged and abs(fit.source.total_chi_ppm_mm3) > 0.3 * abs(start.total_chi_ppm_mm3):
        return fit
    centred = select_shape(patch, Source(start.total_chi_ppm_mm3, (0.0, 0.0, 0.0), start.radius_mm))
    return min(fit, centred, key=lambda f: f.residual)


def _prefer_signal_retaining(patch: Patch, dark: FitState) -> FitState:
    """Return the fit of a ball that keeps its signal where that explains the scan better than a dark one."""
    ball = fit_signal_retaining_ball(patch, patch.field_hz)
    if ball is None or ball.dchi_ppm < MIN_SIGNAL_RETAINING_CHI_PPM:
        return dark
    kept = select_shape(patch, ball, core_decay=SIGNAL_RETAINING_CORE)
    return kept if dark.objective.cost - kept.objective.cost > MIN_SIGNAL_RETAINING_COST_DROP else dark
