"""TODO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState, minimise, triple
from qsmcmb.microbleeds.fit.objective import evaluate_objective
from qsmcmb.microbleeds.fit.priors import (
    SIGNAL_RETAINING_CORE,
    dark_core,
    expected_radius_mm,
)
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.point_spread import COARSE_CELL_MM
from qsmcmb.microbleeds.signal.source_shapes import (
    AXES,
    BALL_PAIR,
    LAYOUT,
    ROW_CENTRE,
    SPHEROID,
    CoreDecay,
    Source,
)
from qsmcmb.typing import ComplexArray, FloatArray

RADIUS_STARTS = (0.75, 1.0, 1.3)


MAX_BALL_CORE_RESIDUAL = 0.6
"""Above this weighted residual within CORE_MM one ball does not describe the lesion."""


PAIR_RADIUS_RATIO = 0.8
"""Radius of two balls that fill the volume of one, and half their distance when they touch."""


MAX_PAIR_CORE_RESIDUAL = 1.0
"""Above this one a pair is looked for in all directions, too."""


LARGE_PAIR_RADIUS_MM, LARGE_PAIR_CHI_PPM = 2.2, 0.5
"""Radius and susceptibility of the two balls of a large and pale pair."""


MIN_SHAPE_COST_DROP = 15.0
"""Least drop of the cost for another shape: the evidence that three more parameters must bring."""


START_FOCUS_RATIO = 0.8
"""Focal distance over radius from which a spheroid is started: a third as long again as wide."""


MODEL_SELECTION_SD_FRACTION = 0.6
"""SD over the difference that a shape in doubt makes: its total susceptibility is within the 95 % interval."""


MAX_RIVAL_RATIO = 1.5
"""Largest such difference, over the ball's total susceptibility: what is several times as large is something else."""


MAX_CORE_RESIDUAL_RATIO = 0.87
"""Largest weighted residual that another shape may leave around each of its bodies, over what one ball leaves."""


def select_shape(
    patch: Patch,
    source: Source,
    *,
    neighbours: ComplexArray | None = None,
    core_decay: CoreDecay | None = None,
) -> FitState:
    """Fit one lesion, or a pair where one does not do, among tissue that polynomials describe.

    Parameters as for `fit_lesion`; `core_decay` is what is expected of the inside, dark by default. A dark core hides
    its size: only there the radius of `source` says less than its total susceptibility.
    """
    core_decay = core_decay or dark_core(patch.acquisition.b0_tesla)
    model = LesionModel(patch, source, core_decay=core_decay, neighbours=neighbours, cell_mm=COARSE_CELL_MM)
    radius = source.radius_mm if core_decay == SIGNAL_RETAINING_CORE else expected_radius_mm(source)
    starts = [model.start_parameters(source._replace(radius_mm=scale * radius)) for scale in RADIUS_STARTS]
    first = min(starts, key=lambda p: evaluate_objective(model, p).cost)
    one = minimise(model, first)
    core_residual = one.core_residual()
    start, cost = _spheroid_start(one)
    # What is small may be drawn out and leave little; a ball drawn out that far is worse at once.
    if core_residual < MAX_BALL_CORE_RESIDUAL and cost > one.objective.cost:
        return one
    # Nothing there has no shape; a core that is poor is not nothing.
    if core_residual < MAX_PAIR_CORE_RESIDUAL and abs(one.parameters[LAYOUT.total]) < 3 * one.sandwich_sd():
        return one
    spheroid = minimise(one.model.with_shape(SPHEROID), start, max_cost=one.objective.cost)
    tried = [spheroid, _fit_pair_along(spheroid)]
    best = _best_shape(one, tried)
    if best is one or best.core_residual() > MAX_PAIR_CORE_RESIDUAL:
        tried += _fit_pairs(one)
        best = _best_shape(one, tried)
    if best.core_residual() > MAX_PAIR_CORE_RESIDUAL:
        tried.append(_fit_large_pair(one))
        best = _best_shape(one, tried)
    return _with_shape_uncertainty(one, tried) if best is one else best


def _best_shape(one: FitState, others: Sequence[FitState]) -> FitState:
    """Return the fit that explains a lesion best; one ball where the others do not explain more."""
    more = [
        other
        for other in others
        if _residual_ratio(other, one) < MAX_CORE_RESIDUAL_RATIO
        and _cost_drop(other, one) > MIN_SHAPE_COST_DROP
    ]
    return min([one, *more], key=lambda fit: fit.objective.cost)


def _cost_drop(other: FitState, one: FitState) -> float:
    return one.objective.cost - other.objective.cost


def _residual_ratio(other: FitState, one: FitState) -> float:
    """Return the most that another shape leaves around the ball and around each of its bodies, over what the ball does.

    A second ball that describes something else nearby lowers the cost, but leaves what is around it as it is. One
    outside the mask leaves nothing that is seen: infinity.
    """
    if other.left_mask:
        return np.inf
    centres = [one.source.centre_mm, *(triple(row[ROW_CENTRE]) for row in other.rows)]
    return max(other.core_residual(c) / max(one.core_residual(c), 1e-9) for c in centres)


def _with_shape_uncertainty(one: FitState, others: Sequence[FitState]) -> FitState:
    """Return a ball whose SD knows of shapes that lower the cost, and may or may not be right."""
    total = one.parameters[LAYOUT.total]
    moved = [
        min(abs(other.parameters[LAYOUT.total] - total), MAX_RIVAL_RATIO * abs(total))
        for other in others
        if _cost_drop(other, one) > MIN_SHAPE_COST_DROP and _residual_ratio(other, one) < 1
    ]
    return one.with_model_selection_sd(MODEL_SELECTION_SD_FRACTION * float(max(moved, default=0.0)))


def _large_pair(radius_mm: float, sign: int) -> Source:
    total = sign * 2 * 4 / 3 * np.pi * radius_mm**3 * LARGE_PAIR_CHI_PPM
    return Source(total, (0.0, 0.0, 0.0), radius_mm)


def _fit_pair_along(spheroid: FitState) -> FitState:
    """Fit two equal balls that lie along a spheroid, in its place."""
    p = spheroid.parameters
    half_axis = (
        PAIR_RADIUS_RATIO * np.exp(p[LAYOUT.log_radius]) * p[LAYOUT.axis] / np.linalg.norm(p[LAYOUT.axis])
    )
    start = _pair_start(np.delete(p, LAYOUT.axis), half_axis, p[LAYOUT.total], centre=p[LAYOUT.centre])
    return minimise(spheroid.model.with_shape(BALL_PAIR), start, max_cost=spheroid.objective.cost)


def _fit_pairs(one: FitState) -> list[FitState]:
    """Fit two equal balls in place of the ball fitted, and beside it: that one may be half of the lesion."""
    model, p = one.model.with_shape(BALL_PAIR), one.parameters
    whole, half = PAIR_RADIUS_RATIO * np.exp(p[LAYOUT.log_radius]), np.exp(p[LAYOUT.log_radius])
    beside = [
        _pair_start(p, half * u, 2 * p[LAYOUT.total], centre=p[LAYOUT.centre] + sign * half * u)
        for u in AXES
        for sign in (1, -1)
    ]
    instead = [_pair_start(p, whole * u, p[LAYOUT.total], centre=p[LAYOUT.centre]) for u in AXES]
    best = [min(starts, key=lambda p: evaluate_objective(model, p).cost) for starts in (beside, instead)]
    return [minimise(model, start, max_cost=one.objective.cost) for start in best]


def _fit_large_pair(one: FitState) -> FitState:
    """Fit two large balls of weak contrast: of a body so long and pale a ball finds neither size nor sign."""
    model, p = one.model.with_shape(BALL_PAIR), one.parameters
    totals = [_large_pair(LARGE_PAIR_RADIUS_MM, sign).total_chi_ppm_mm3 for sign in (1, -1)]
    starts = [
        _pair_start(p, LARGE_PAIR_RADIUS_MM * u, total, centre=p[LAYOUT.centre])
        for u in AXES
        for total in totals
    ]
    first = min(starts, key=lambda p: evaluate_objective(model, p).cost)
    return minimise(model, first, max_cost=one.objective.cost)


def _spheroid_start(one: FitState) -> tuple[FloatArray, float]:
    """Return the parameters of a spheroid of the ball's volume in its place, along the axis of least cost, and that."""
    model, p = one.model.with_shape(SPHEROID), one.parameters
    focus = START_FOCUS_RATIO * np.exp(p[LAYOUT.log_radius])
    starts = [np.concatenate([p[: LAYOUT.n_common], focus * u, p[LAYOUT.n_common :]]) for u in AXES]
    costs = [evaluate_objective(model, start).cost for start in starts]
    best = int(np.argmin(costs))
    return starts[best], costs[best]


def _pair_start(one: FloatArray, half_axis: FloatArray, total: float, *, centre: FloatArray) -> FloatArray:
    """Return a pair's parameters from a ball's; touching balls."""
    radius = np.log(np.linalg.norm(half_axis))
    return np.concatenate(
        [
            [total],
            centre,
            [radius],
            one[LAYOUT.psf_width2 : LAYOUT.n_common],
            half_axis,
            one[LAYOUT.n_common :],
        ]
    )
