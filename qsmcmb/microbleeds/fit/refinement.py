"""Lesion fit in the complex domain: least squares over all echoes for total susceptibility, centre and shape.

Errors are not alike in all directions: the magnitude carries tissue texture, the phase carries the field of nearby
tissue, which grows with echo time; both are weighed as what they are. A rough fit, with polynomials for the tissue,
finds the lesion's shape: where the core does not fit, a spheroid or two equal balls with a free axis take the ball's
place. Lesions of a scan together say how far its point spread is wider than its voxels. The fit is then refined with
the tissue's processes. The field form (dipole on an unwrapped field map) starts it and stands by as a check.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState, minimise
from qsmcmb.microbleeds.fit.objective import evaluate_objective
from qsmcmb.microbleeds.fit.priors import (
    SIGNAL_RETAINING_CORE,
    dark_core,
    expected_radius_mm,
    priors,
)
from qsmcmb.microbleeds.fit.shape_selection import (
    LARGE_PAIR_RADIUS_MM,
    MAX_CORE_RESIDUAL_RATIO,
    MAX_PAIR_CORE_RESIDUAL,
    _large_pair,
    _residual_ratio,
    _with_shape_uncertainty,
    select_shape,
)
from qsmcmb.microbleeds.fit.uncertainty import LesionFit, summarise_fit
from qsmcmb.microbleeds.signal.acquisition import Acquisition
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.point_spread import COARSE_CELL_MM
from qsmcmb.microbleeds.signal.source_shapes import AXES, BALL_PAIR, LAYOUT, Source
from qsmcmb.microbleeds.signal.tissue import MIN_HETEROGENEITY
from qsmcmb.typing import ComplexArray, FloatArray

REFINEMENT_RADIUS_MM = 6.0
"""Radius of the ball in which a lesion is refined among tissue: what is further out says little of it."""
LARGE_LESION_RADIUS_MM = 3.0
"""Radius of the lesions for which this is too little."""
SMALL_PAIR_RADIUS_MM = 1.5
"""Radius of those of a smaller one."""
MIN_CLEAR_SIGNIFICANCE = 10.0
"""Total susceptibility over the SD that its residual tells below which a fit is doubted."""
MAX_CLEAR_CORE_RESIDUAL = 1.0
"""Weighted residual of the core from which a fit is doubted."""
MAX_PRIOR_DEVIATION_SD = 4.0
"""Distance in SDs of centre, contrast and decay together from what is expected, from which it is."""
MAX_CENTRE_DEVIATION_SD = 4.0
"""Distance of a centre from the point, in the point's SDs, from which it is not the lesion's."""
POOR_FIT_COST_WEIGHT = 0.02
"""Part of a difference of costs that counts where the model does not hold: its cost can't choose well."""
COMPARISON_RADIUS_MM = 5.0
"""Radius of the ball in which a doubtful fit and its rivals are compared."""
SAME_CENTRE_MM = 0.5
"""From each other of the centres of two fits of one lesion."""
SMALL_LESION_PPM_MM3 = 1.0
"""Size of the lesions, of either sign, that a doubtful fit must beat."""


def fit_lesion(
    patch: Patch,
    source: Source,
    *,
    neighbours: ComplexArray | None = None,
) -> LesionFit:
    """Fit one lesion: roughly, with the tissue as polynomials, then with its processes.

    Parameters
    ----------
    patch : Patch
        The scan around the lesion.
    source : Source
        Where to start.
    neighbours : ndarray, optional
        Factor of other lesions on the signal, over (echo and voxel inside).

    Returns
    -------
    LesionFit
    """
    return summarise_fit(
        refine_with_tissue_prior(select_shape(patch, source, neighbours=neighbours), patch.acquisition)
    )


def refine_with_tissue_prior(initial: FitState, acquisition: Acquisition) -> FitState:
    """Return a rough fit's optimum with the tissue's processes and what is known of the scan's blur.

    Without the processes a weak lesion may have run away to a patch of tissue or to a sinus nearby. A fit that is in
    doubt must beat small lesions at the point itself, where the lesion is: further out a sinus has more to say. Where
    its core is not described it must beat a pale pair, too. Those that come near it in cost are part of the SD.
    """
    found = fit_among_tissue(initial, acquisition)
    if not _is_questionable(found):
        return found.with_model_selection_sd(initial.model_selection_sd_ppm_mm3)
    patch = found.model.patch
    if patch.acquisition.heterogeneity > MIN_HETEROGENEITY or found.model.core_decay != SIGNAL_RETAINING_CORE:
        patch = patch.restricted_to(COMPARISON_RADIUS_MM)
    again = found.model.on_patch(patch, found.source)
    trials = [minimise(*again.with_gp_prior(again.with_fitted_background(found.parameters)))]
    for total in (SMALL_LESION_PPM_MM3, -SMALL_LESION_PPM_MM3):
        small = Source(total, (0.0, 0.0, 0.0), 0.0)
        small = small._replace(radius_mm=expected_radius_mm(small))
        model = _dark_ball(patch, small, again.neighbours)
        trials.append(minimise(*model.with_gp_prior(model.start_parameters(small))))
    first = trials[0]
    trials = [t for t in trials if _ends_near_point(t)] or trials
    shape_sd = 0.0
    if found.left_mask or found.core_residual() > MAX_PAIR_CORE_RESIDUAL:
        pair = _large_pair_among_tissue(patch, again.neighbours)
        one = min(trials, key=FitState.bic)
        if _ends_near_point(pair) and _residual_ratio(pair, one) < MAX_CORE_RESIDUAL_RATIO:
            trials.append(pair)
        else:
            shape_sd = _with_shape_uncertainty(one, [pair]).model_selection_sd_ppm_mm3
    costs = np.array([trial.bic() for trial in trials])
    best = trials[int(costs.argmin())]
    cost_weight = 1.0 if best.core_residual() < MAX_CLEAR_CORE_RESIDUAL else POOR_FIT_COST_WEIGHT
    chance = np.exp(-0.5 * cost_weight * (costs - costs.min()))
    moved = np.array([trial.parameters[LAYOUT.total] - best.parameters[LAYOUT.total] for trial in trials])
    model_selection_sd = float(np.hypot(np.sqrt((chance * moved**2).sum() / chance.sum()), shape_sd))
    if best is first:
        return found.with_model_selection_sd(
            float(np.hypot(initial.model_selection_sd_ppm_mm3, model_selection_sd))
        )
    # What is further out had misled the first fit; what it makes of this one, if that stays what it is, is in the SD.
    model = _dark_ball(found.model.patch, best.source, found.model.neighbours)
    model = model.with_shape(best.model.shape)
    wide = minimise(*model.with_gp_prior(model.with_fitted_background(best.parameters)))
    change = wide.parameters[LAYOUT.total_and_centre] - best.parameters[LAYOUT.total_and_centre]
    further_out = abs(change[0]) if np.linalg.norm(change[1:]) < SAME_CENTRE_MM else 0.0
    return best.with_model_selection_sd(float(np.hypot(model_selection_sd, further_out)))


def _ends_near_point(found: FitState) -> bool:
    """Whether a fit ends near the point: what ends far from it is something else, a sinus or another lesion."""
    return not found.left_mask and bool(
        np.linalg.norm(_prior_deviations(found)[:3]) < MAX_CENTRE_DEVIATION_SD
    )


def _large_pair_among_tissue(patch: Patch, neighbours: ComplexArray | None) -> FitState:
    """Fit a pale pair at the point: beside a sinus one ball is led astray before a second can be seen."""
    large, *_ = sources = [
        _large_pair(radius, sign)
        for radius in (LARGE_PAIR_RADIUS_MM, SMALL_PAIR_RADIUS_MM)
        for sign in (1, -1)
    ]
    model = _dark_ball(patch, large, neighbours).with_shape(BALL_PAIR)
    # To choose a start coarse cells do.
    coarse = model.on_patch(patch, large, cell_mm=COARSE_CELL_MM)
    starts = [coarse.start_parameters(source, source.radius_mm * u) for source in sources for u in AXES]
    return minimise(*model.with_gp_prior(min(starts, key=lambda p: evaluate_objective(coarse, p).cost)))


def _dark_ball(patch: Patch, source: Source, neighbours: ComplexArray | None) -> LesionModel:
    return LesionModel(patch, source, core_decay=dark_core(patch.acquisition.b0_tesla), neighbours=neighbours)


def fit_among_tissue(initial: FitState, acquisition: Acquisition) -> FitState:
    patch = initial.model.patch_with_fitted_background(initial.parameters).with_acquisition(acquisition)
    if (
        patch.acquisition.heterogeneity > MIN_HETEROGENEITY
        and initial.source.radius_mm < LARGE_LESION_RADIUS_MM
    ):
        patch = patch.restricted_to(REFINEMENT_RADIUS_MM)
    model = initial.model.on_patch(patch, initial.source)
    return minimise(*model.with_gp_prior(model.with_fitted_background(initial.parameters)))


def _is_questionable(found: FitState) -> bool:
    """Whether a fit is weak, poor at its core or without one, or unlike what is expected of a lesion at the point."""
    weak = abs(found.parameters[LAYOUT.total]) < MIN_CLEAR_SIGNIFICANCE * found.sandwich_sd()
    poor = found.left_mask or found.core_residual() >= MAX_CLEAR_CORE_RESIDUAL
    return weak or poor or float(np.linalg.norm(_prior_deviations(found))) >= MAX_PRIOR_DEVIATION_SD


def _prior_deviations(found: FitState) -> FloatArray:
    """Return centre, contrast and decay in SDs from what is expected."""
    known = priors(found.model, found.parameters)
    return known[[0, 1, 2, 3, 5]]
