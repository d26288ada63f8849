"""Refinement of a lesion fit: the Gaussian process prior of the tissue, and a check of questionable fits.

The initial fit describes the tissue by polynomials; here a Gaussian process of magnitude, R2* and susceptibility is
added (`signal.tissue`), within REFINEMENT_RADIUS_MM. A fit is questionable where it is weak, poor at its core, outside
the mask, or far from its priors. It must then beat alternatives at the point itself, within COMPARISON_RADIUS_MM:
small dark balls of either sign and, where its core is not described, a large pair. The alternative i of least BIC
wins, and

    SD^2 = sum q_i (M_i - M_best)^2 / sum q_i,   q_i = exp(-a (BIC_i - BIC_best) / 2)

is the model-selection SD (Kass and Raftery 1995, doi:10.1080/01621459.1995.10476572), with a below 1 where no
alternative describes the core, since its cost cannot choose well then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.fit.free_source_fit import (
    MIN_BALL_COST_DROP,
    MIN_PRESENT_SD,
    asks_for_free_source,
    grow_free_source,
    is_described,
    is_free,
)
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState, minimise
from qsmcmb.microbleeds.fit.model_comparison import ComparedModel, Comparison
from qsmcmb.microbleeds.fit.objective import evaluate_objective
from qsmcmb.microbleeds.fit.priors import (
    LESION_PRIORS,
    SIGNAL_RETAINING_CORE,
    dark_core,
    expected_radius_mm,
    priors,
)
from qsmcmb.microbleeds.fit.shape_selection import (
    LARGE_PAIR_RADIUS_MM,
    MAX_CORE_RESIDUAL_RATIO,
    MAX_PAIR_CORE_RESIDUAL,
    MODEL_SELECTION_SD_FRACTION,
    large_pair,
    residual_ratio,
    select_shape,
    shape_choice_sd,
)
from qsmcmb.microbleeds.fit.uncertainty import LOST_SHAPE_SD_FRACTION, LesionFit, summarise_fit
from qsmcmb.microbleeds.signal.acquisition import Acquisition
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.point_spread import COARSE_CELL_MM
from qsmcmb.microbleeds.signal.source_shapes import AXES, BALL_PAIR, LAYOUT, Source
from qsmcmb.microbleeds.signal.tissue import MIN_HETEROGENEITY
from qsmcmb.typing import ComplexArray, FloatArray

__all__ = ["fit_among_tissue", "fit_lesion", "refine_with_tissue_prior"]

REFINEMENT_RADIUS_MM = 6.0
"""Radius of the ball in which a lesion is refined, mm: median errors are smaller than with 7 mm, and it is a tenth
faster."""
LARGE_LESION_RADIUS_MM = 3.0
"""Radius of lesions, mm, from which the whole patch is needed: too little tissue is left within 6 mm."""
SMALL_PAIR_RADIUS_MM = 1.5
"""Radius of each ball, mm, of a second start of the large pair, 7 ppm mm3 a ball: pairs of 13 ppm mm3 in all beside
sinuses are not found from the larger start."""
MIN_CLEAR_SIGNIFICANCE = 10.0
"""Ratio of total susceptibility to sandwich SD below which a fit is questionable; chosen on the development heads."""
MAX_CLEAR_CORE_RESIDUAL = 1.0
"""Core residual, SDs, from which a fit is questionable: the model's errors are larger than expected."""
MAX_PRIOR_DEVIATION_SD = 4.0
"""Deviation of centre, susceptibility difference and decay from their priors together, SDs, from which a fit is
questionable: of five normal deviations 0.7 % lie beyond."""
MAX_CENTRE_DEVIATION_SD = 4.0
"""Distance of a centre from the point, in the point's SDs, from which it is another source: a sinus, another lesion."""
POOR_FIT_COST_WEIGHT = 0.02
"""Weight of a difference of costs where no alternative describes the core: such costs cannot choose well. Chosen on the
development heads, so that alternatives widen the interval."""
COMPARISON_RADIUS_MM = 5.0
"""Radius of the ball in which alternatives are compared, mm: within 7 mm a sinus has the better evidence, within 6 and
less the lesion."""
SAME_CENTRE_MM = 0.5
"""Distance between the centres of two fits below which they describe one lesion, mm: half a usual voxel."""
SMALL_LESION_PPM_MM3 = 1.0
"""Total susceptibility of the small balls that a questionable fit must beat, ppm mm3: of a small visible microbleed."""


def fit_lesion(
    patch: Patch,
    source: Source,
    *,
    neighbours: ComplexArray | None = None,
) -> LesionFit:
    """Fit one lesion from a start: select its shape, refine it with the tissue's Gaussian process, find its SD.

    This is the whole fit of one lesion by itself. `measure.measure_lesions` runs the same steps for all lesions of a
    scan, calibrates the scan between them and adds neighbours, veins and reference patches.

    Parameters
    ----------
    patch : Patch
        The scan around the lesion.
    source : Source
        Where to start: total susceptibility (ppm mm3) within a factor of about two, centre (mm from the point) within
        about 2 mm; its radius only lays out the cells.
    neighbours : ndarray of shape (echo and voxel,), optional
        Factor of other lesions on the signal of the voxels inside.

    Returns
    -------
    LesionFit
        Total susceptibility with its SD and what the SD consists of.

    Examples
    --------
    A ball of 2 ppm mm3 in a liquid, as the model sees it at one echo, without noise:

    >>> from qsmcmb.core.point_dipole import point_dipole_field
    >>> from qsmcmb.model import Grid
    >>> from qsmcmb.units import ppm_to_hz
    >>> grid, axis = Grid.isotropic((11, 11, 11), 1.0), np.arange(11) - 5.0
    >>> xyz = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))
    >>> dipole = point_dipole_field(xyz.reshape(3, -1), np.array(grid.b0_dir)).reshape(grid.shape)
    >>> patch = Patch(
    ...     acquisition=Acquisition(te_s=(0.01,), b0_tesla=3.0, noise_sd=0.01, heterogeneity=0.0),
    ...     grid=grid,
    ...     signal=np.ones((1, *grid.shape), complex),
    ...     field_hz=ppm_to_hz(2.0 * dipole, 3.0),
    ...     inside=(xyz**2).sum(axis=0) <= 25,
    ...     axes_mm=(axis, axis, axis),
    ...     radius_mm=5.0,
    ...     fraction_in_mask=1.0,
    ...     box=(slice(0, 11), slice(0, 11), slice(0, 11)),
    ... )
    >>> ball = Source(2.0, (0.0, 0.0, 0.0), 0.8)
    >>> model = LesionModel(patch, ball, core_decay=dark_core(3.0))
    >>> patch.signal[:, patch.inside] = model.signal(model.start_parameters(ball)).value
    >>> fit = fit_lesion(patch, Source(1.5, (0.0, 0.0, 0.0), 0.6))
    >>> print(f"{fit.source.total_chi_ppm_mm3:.2f}, radius {fit.source.radius_mm:.2f} mm")
    2.00, radius 0.80 mm
    """
    initial = select_shape(patch, source, neighbours=neighbours)
    return summarise_fit(refine_with_tissue_prior(initial, patch.acquisition))


def refine_with_tissue_prior(
    initial: FitState,
    acquisition: Acquisition,
    *,
    is_simple: bool = False,
    min_free_significance: float = MIN_PRESENT_SD,
) -> FitState:
    """Refine an initial fit with the tissue's Gaussian process prior.

    Parameters
    ----------
    initial : FitState
        Initial fit, tissue described by polynomials.
    acquisition : Acquisition
        The calibrated scan: its psf width, heterogeneity, windows.
    is_simple : bool, optional
        Whether a free source is known to be no better.
    min_free_significance : float, optional
        Least ratio of total susceptibility to sandwich SD, SDs, from which a free source is looked for.

    Returns
    -------
    FitState
        The refined fit, or the alternative at the point that explains the scan better, with its model-selection SD.

    Notes
    -----
    Without the process a weak lesion may have run away to a patch of tissue or to a sinus nearby. So alternatives
    start at the point and are compared near it: further out a sinus has more to say than the lesion.
    """
    found = fit_among_tissue(initial, acquisition)
    # A free source was made by the calibration: its balls, and what else was compared, stay.
    if not (is_free(initial) or is_simple):
        found = describe_by_free_source(found, min_significance=min_free_significance)
    if is_free(initial) or not is_free(found):
        found = found.with_model_selection_sd(initial.model_selection_sd_ppm_mm3)
    if not _is_questionable(found):
        return found
    nearby, small_balls = _fit_near_point(found)
    alternatives = [nearby, *small_balls]
    alternatives = [t for t in alternatives if _ends_near_point(t)] or alternatives
    alternatives, shape_sd = _with_large_pair(found, nearby, alternatives)
    choice = _choose(alternatives, shape_sd)
    models = [*found.compared_models, *_compared_at_point(alternatives, choice.best)]
    if choice.best is nearby:
        # The same body as before: the fit to the wider ball holds.
        sd = float(np.hypot(found.model_selection_sd_ppm_mm3, choice.model_selection_sd_ppm_mm3))
        return found.with_model_selection_sd(sd).with_compared_models(models)
    sd = float(np.hypot(choice.model_selection_sd_ppm_mm3, _change_on_wider_patch(found, choice.best)))
    return choice.best.with_model_selection_sd(sd).with_compared_models(models)


def describe_by_free_source(found: FitState, *, min_significance: float = MIN_PRESENT_SD) -> FitState:
    """Return the fit of a free source where a lesion has no simple shape; else the given fit.

    Parameters
    ----------
    found : FitState
        Fit with the tissue's Gaussian process.
    min_significance : float, optional
        Least ratio of its total susceptibility to its sandwich SD, SDs.

    Returns
    -------
    FitState
        The fit that describes the core best; its model-selection SD holds the spread of the numbers of balls.

    Notes
    -----
    With the fits i of 1, 2, ... balls, SD^2 = sum q_i (M_i - M)^2 / sum q_i, q_i = exp(-a (C_i - C) / 2), C the cost.
    """
    # A fit that has run away to another source is not the lesion: its shape is not looked for.
    if not (asks_for_free_source(found, min_significance=min_significance) and _ends_near_point(found)):
        return found
    path = grow_free_source(found)
    best = path[-1]
    if len(path) == 1 and is_described(found):
        return found
    model = best.model.on_patch(best.model.patch, best.source._replace(radius_mm=best.extent_mm))
    free = _minimise_with_gp_prior(model, model.parameters_with_fitted_tissue(best.parameters, slopes=True))
    is_better = free.objective.cost <= found.objective.cost - MIN_BALL_COST_DROP
    chosen = free if is_better and residual_ratio(free, found) <= 1 else found
    tried = [s.as_compared(Comparison.FREE_SOURCE, is_chosen=s is chosen) for s in (found, *path, free)]
    models = [*found.compared_models, *tried]
    if chosen is found:
        return found.with_compared_models(models)
    # Where nothing describes the core its cost cannot choose well; errors of all echoes count as one elsewhere.
    cost_weight = 1 / len(model.patch.acquisition.te_s) if is_described(free) else POOR_FIT_COST_WEIGHT
    weight = np.exp(
        -0.5 * cost_weight * np.array([state.objective.cost - best.objective.cost for state in path])
    )
    changes = np.array([state.parameters[LAYOUT.total] - best.parameters[LAYOUT.total] for state in path])
    sd = float(np.sqrt((weight * changes**2).sum() / weight.sum()))
    if not is_described(free):
        total = abs(float(free.parameters[LAYOUT.total]))
        change = abs(float(free.parameters[LAYOUT.total] - found.parameters[LAYOUT.total]))
        # A simple shape that has missed half of a lesion says no more against a free source than that it was poor.
        sd = float(np.hypot(sd, min(MODEL_SELECTION_SD_FRACTION * change, LOST_SHAPE_SD_FRACTION * total)))
    return free.with_model_selection_sd(sd).with_compared_models(models)


def _fit_near_point(found: FitState) -> tuple[FitState, list[FitState]]:
    """Return a fit made again near the point, and the fits of small dark balls of either sign at the point."""
    patch = found.model.patch
    # A signal-retaining body in a liquid may fill that ball, and no tissue is there to mislead its fit.
    if patch.acquisition.heterogeneity > MIN_HETEROGENEITY or found.model.core_decay != SIGNAL_RETAINING_CORE:
        patch = patch.restricted_to(COMPARISON_RADIUS_MM * patch.length_scale)
    model = found.model.on_patch(patch, found.source)
    nearby = _minimise_with_gp_prior(
        model, model.parameters_with_fitted_tissue(found.parameters, slopes=True)
    )
    small_balls = []
    for total in (SMALL_LESION_PPM_MM3, -SMALL_LESION_PPM_MM3):
        small = Source(total, (0.0, 0.0, 0.0), 0.0)
        small = small._replace(radius_mm=expected_radius_mm(small))
        ball = _dark_ball(patch, small, model.neighbours)
        small_balls.append(_minimise_with_gp_prior(ball, ball.start_parameters(small)))
    return nearby, small_balls


def _with_large_pair(
    found: FitState, nearby: FitState, alternatives: list[FitState]
) -> tuple[list[FitState], float]:
    """Return the alternatives, a large pair added where it explains an undescribed core, and an SD (ppm mm3) otherwise.

    A pair that leaves as much around its balls as the best alternative does may describe a sinus: it is no alternative,
    and only widens the SD, by the second value.
    """
    if not (found.left_mask or found.core_residual() > MAX_PAIR_CORE_RESIDUAL):
        return alternatives, 0.0
    pair = _fit_large_pair_with_gp_prior(nearby.model.patch, nearby.model.neighbours)
    best = min(alternatives, key=FitState.bic)
    if _ends_near_point(pair) and residual_ratio(pair, best) < MAX_CORE_RESIDUAL_RATIO:
        return [*alternatives, pair], 0.0
    return alternatives, shape_choice_sd(best, [pair])


class _Choice(NamedTuple):
    """The alternative that explains the scan best, and the SD for the choice."""

    best: FitState
    """Fit of least BIC."""
    model_selection_sd_ppm_mm3: float
    """SD of its total susceptibility for the choice of the model, ppm mm3."""


def _choose(alternatives: Sequence[FitState], shape_sd: float) -> _Choice:
    """Return the alternative of least BIC, and its model-selection SD.

    The SD joins the spread of the alternatives' total susceptibilities, weighted as in the module's equation, and
    `shape_sd` (ppm mm3), the SD for a shape that is no alternative.
    """
    costs = np.array([state.bic() for state in alternatives])
    best = alternatives[int(costs.argmin())]
    cost_weight = 1.0 if best.core_residual() < MAX_CLEAR_CORE_RESIDUAL else POOR_FIT_COST_WEIGHT
    weight = np.exp(-0.5 * cost_weight * (costs - costs.min()))
    changes = np.array(
        [state.parameters[LAYOUT.total] - best.parameters[LAYOUT.total] for state in alternatives]
    )
    sd = float(np.hypot(np.sqrt((weight * changes**2).sum() / weight.sum()), shape_sd))
    return _Choice(best, sd)


def _compared_at_point(alternatives: Sequence[FitState], best: FitState) -> list[ComparedModel]:
    """Return what the alternatives at the point say, with their BIC as their cost."""
    return [
        state.as_compared(Comparison.AT_POINT, is_chosen=state is best, cost=state.bic())
        for state in alternatives
    ]


def _change_on_wider_patch(found: FitState, best: FitState) -> float:
    """Return by how much tissue further out changes an alternative's total susceptibility, ppm mm3.

    What is further out has misled the first fit. Where the alternative stays the same body with it, its change is a
    part of the SD; where it does not, it would be misled, too, and the change says nothing.
    """
    model = _dark_ball(found.model.patch, best.source, found.model.neighbours)
    model = model.with_shape(best.model.shape)
    wide = _minimise_with_gp_prior(model, model.parameters_with_fitted_tissue(best.parameters, slopes=True))
    change = wide.parameters[LAYOUT.total_and_centre] - best.parameters[LAYOUT.total_and_centre]
    total, centre = change[LAYOUT.total], change[LAYOUT.centre]
    return float(abs(total)) if np.linalg.norm(centre) < SAME_CENTRE_MM else 0.0


def _ends_near_point(state: FitState) -> bool:
    """Whether a fit ends in the mask and near the point."""
    return not state.left_mask and bool(
        np.linalg.norm(_prior_deviations(state)[:3]) < MAX_CENTRE_DEVIATION_SD
    )


def _fit_large_pair_with_gp_prior(patch: Patch, neighbours: ComplexArray | None) -> FitState:
    """Fit a large pair of weak contrast at the point, with the tissue's Gaussian process prior.

    Beside a sinus the fit of a ball, from which other pairs are started, ends at the sinus.
    """
    sources = [
        large_pair(radius, sign)
        for radius in (LARGE_PAIR_RADIUS_MM, SMALL_PAIR_RADIUS_MM)
        for sign in (1, -1)
    ]
    large = sources[0]
    model = _dark_ball(patch, large, neighbours).with_shape(BALL_PAIR)
    # Coarse cells are accurate enough to choose a start.
    coarse = model.on_patch(patch, large, cell_mm=COARSE_CELL_MM)
    starts = [coarse.start_parameters(source, source.radius_mm * u) for source in sources for u in AXES]
    return _minimise_with_gp_prior(model, min(starts, key=lambda p: evaluate_objective(coarse, p).cost))


def _dark_ball(patch: Patch, source: Source, neighbours: ComplexArray | None) -> LesionModel:
    """Return the model of a ball that is dark inside, as of a bleed."""
    return LesionModel(patch, source, core_decay=dark_core(patch.acquisition.b0_tesla), neighbours=neighbours)


def _minimise_with_gp_prior(model: LesionModel, p: FloatArray) -> FitState:
    """Return the minimum of a model with the tissue's Gaussian process, from parameters without one."""
    return minimise(*model.with_gp_prior(p))


def fit_among_tissue(initial: FitState, acquisition: Acquisition) -> FitState:
    """Fit a lesion with the tissue's Gaussian process prior, from an initial fit and in its shape.

    Parameters
    ----------
    initial : FitState
        Initial fit, tissue described by polynomials: its background field goes through the point spread.
    acquisition : Acquisition
        What is known of the scan.

    Returns
    -------
    FitState
        The fit within REFINEMENT_RADIUS_MM; in the whole patch for large lesions and in a liquid. The models that
        were compared before stay.
    """
    patch = initial.model.patch_with_fitted_background(initial.parameters).with_acquisition(acquisition)
    in_tissue = patch.acquisition.heterogeneity > MIN_HETEROGENEITY
    if in_tissue and initial.source.radius_mm < LARGE_LESION_RADIUS_MM * patch.length_scale:
        patch = patch.restricted_to(REFINEMENT_RADIUS_MM * patch.length_scale)
    model = initial.model.on_patch(patch, initial.source)
    fit = _minimise_with_gp_prior(model, model.parameters_with_fitted_tissue(initial.parameters, slopes=True))
    return fit.with_compared_models(initial.compared_models)


def _is_questionable(state: FitState) -> bool:
    """Whether a fit is weak, poor at its core or without one, or unlike what is expected of a lesion at the point."""
    weak = abs(state.parameters[LAYOUT.total]) < MIN_CLEAR_SIGNIFICANCE * state.sandwich_sd()
    poor = state.left_mask or state.core_residual() >= MAX_CLEAR_CORE_RESIDUAL
    return weak or poor or float(np.linalg.norm(_prior_deviations(state))) >= MAX_PRIOR_DEVIATION_SD


def _prior_deviations(state: FitState) -> FloatArray:
    """Return the deviations of centre, susceptibility difference and decay from their priors, SDs."""
    return priors(state.model, state.parameters)[list(LESION_PRIORS)]
