"""The first fit of a lesion: where the field form says it may be, and what it may be made of."""

from __future__ import annotations

import numpy as np

from qsmcmb.microbleeds.fit.field_fit import fit_ball_form, fit_field_form, with_background
from qsmcmb.microbleeds.fit.levenberg_marquardt import Optimum
from qsmcmb.microbleeds.fit.priors import KEPT
from qsmcmb.microbleeds.fit.shape_selection import rough_fit
from qsmcmb.microbleeds.signal.model import Source
from qsmcmb.microbleeds.signal.patch import Neighbourhood

KEPT_GAIN = 15.0
"""Least drop of the cost for a core that keeps its signal."""
LEAST_DCHI_PPM = 0.1
"""What keeps its signal and has less susceptibility is a tissue, not a lesion."""
NEAR_BY_SD = 1.5
"""Distance from the point, in its SDs, beyond which the field form has found something else."""


def first_fit(near: Neighbourhood) -> Optimum:
    """Fit a lesion from the field alone: dark inside or, where that explains the scan better, with its signal kept."""
    start = fit_field_form(near, near.field_hz)
    near = with_background(near, start)
    return _kept_instead(near, _dark_fit(near, start))


def _dark_fit(near: Neighbourhood, start: Source) -> Optimum:
    if np.linalg.norm(start.centre_mm / near.point_sd_mm) > NEAR_BY_SD:
        start = start._replace(centre_mm=(0.0, 0.0, 0.0))
    fit = rough_fit(near, start)
    if fit.converged and abs(fit.source.total_chi_ppm_mm3) > 0.3 * abs(start.total_chi_ppm_mm3):
        return fit
    centred = rough_fit(near, Source(start.total_chi_ppm_mm3, (0.0, 0.0, 0.0), start.radius_mm))
    return min(fit, centred, key=lambda f: f.residual)


def _kept_instead(near: Neighbourhood, dark: Optimum) -> Optimum:
    """Return the fit of a ball that keeps its signal where that explains the scan better than a dark one."""
    ball = fit_ball_form(near, near.field_hz)
    if ball is None or ball.dchi_ppm < LEAST_DCHI_PPM:
        return dark
    kept = rough_fit(near, ball, core=KEPT)
    return kept if dark.misfit.cost - kept.misfit.cost > KEPT_GAIN else dark
