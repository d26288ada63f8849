"""Initial fit of a lesion: started from the field map, with polynomials for the tissue.

The field fit gives total susceptibility and centre. From there the shape is selected with a dark core. Where the field
asks for a ball whose inside is bright, a core that retains its signal is fitted, too, and wins by its cost.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.microbleeds.fit.field_fit import fit_point_dipole, fit_signal_retaining_ball, with_fitted_field
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.fit.priors import SIGNAL_RETAINING_CORE
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import Source

__all__ = ["initial_fit", "start_near_point"]

MIN_SIGNAL_RETAINING_COST_DROP = 15.0
"""Least drop of the cost for a core that retains its signal, squared SDs: as much as another shape must bring."""
MIN_SIGNAL_RETAINING_CHI_PPM = 0.1
"""Least susceptibility difference of a signal-retaining lesion, ppm: less is tissue, such as a nucleus."""
MAX_START_DEVIATION_SD = 1.5
"""Largest distance of the field fit's centre from the point, in the point's SDs: beyond it is something else."""
MIN_FRACTION_OF_FIELD_FIT = 0.3
"""Least ratio of a fit's total susceptibility to the field fit's: a weaker one has been lost on the way."""


def initial_fit(patch: Patch) -> FitState:
    """Fit a lesion from the field map alone, dark inside or retaining its signal.

    Parameters
    ----------
    patch : Patch
        The scan around the point.

    Returns
    -------
    FitState
        The fit with the lower cost, its tissue described by polynomials.
    """
    start = fit_point_dipole(patch, patch.field_hz)
    patch = with_fitted_field(patch, start)
    return _prefer_signal_retaining(patch, _dark_core_fit(patch, start))


def start_near_point(patch: Patch, start: Source) -> Source:
    """Return a field fit as the start of a lesion, moved to the point where it has found something else.

    Parameters
    ----------
    patch : Patch
        The scan around the point.
    start : Source
        The dipole that explains the field map best.

    Returns
    -------
    Source
        The same; at the point where the dipole lies further from it than points lie from lesions.
    """
    # Beside a sinus or another lesion the strongest dipole is not at the point; its strength still gives a scale.
    is_far = np.linalg.norm(start.centre_mm / patch.point_sd_mm) > MAX_START_DEVIATION_SD
    return start._replace(centre_mm=(0.0, 0.0, 0.0)) if is_far else start


def _dark_core_fit(patch: Patch, start: Source) -> FitState:
    """Return the fit of a dark body from the field fit, or from its strength at the point where that fails."""
    start = start_near_point(patch, start)
    state = select_shape(patch, start)
    least = MIN_FRACTION_OF_FIELD_FIT * abs(start.total_chi_ppm_mm3)
    if state.converged and abs(state.source.total_chi_ppm_mm3) > least:
        return state
    centred = select_shape(patch, Source(start.total_chi_ppm_mm3, (0.0, 0.0, 0.0), start.radius_mm))
    return min(state, centred, key=lambda s: s.residual)


def _prefer_signal_retaining(patch: Patch, dark: FitState) -> FitState:
    """Return the fit of a signal-retaining ball where that explains the scan better than a dark body."""
    ball = fit_signal_retaining_ball(patch, patch.field_hz)
    if ball is None or ball.dchi_ppm < MIN_SIGNAL_RETAINING_CHI_PPM:
        return dark
    bright = select_shape(patch, ball, core_decay=SIGNAL_RETAINING_CORE)
    return bright if dark.objective.cost - bright.objective.cost > MIN_SIGNAL_RETAINING_COST_DROP else dark
