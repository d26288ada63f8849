"""Fit of a free source: balls are added one by one while they explain more of the lesion's core.

A lesion of no simple shape leaves a residual at its core. There the source becomes a sum of n balls (`FreeSource`).
Starts of more balls (`free_source_starts`) are compared by their cost, the best are fitted for a few steps, the best of
these further (a greedy pursuit of a mixture; Li and Barron 1999, Mixture density estimation, NIPS 12). A ball stays
where the cost falls by MIN_BALL_COST_DROP and the residual falls at the core: one that only describes a vein nearby
does not. All of it is done with the tissue's Gaussian process and coarse cells; the caller refines the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from heapq import nsmallest
from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.fit.free_source_starts import (
    Start,
    balls_beside,
    lines_and_discs,
    opposite_splits,
    splits,
)
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState, minimise
from qsmcmb.microbleeds.fit.objective import evaluate_objective
from qsmcmb.microbleeds.fit.priors import SIGNAL_RETAINING_CORE
from qsmcmb.microbleeds.signal.free_source import FreeSource
from qsmcmb.microbleeds.signal.point_spread import COARSE_CELL_MM
from qsmcmb.microbleeds.signal.source_shapes import LAYOUT, ROW_CENTRE, ROW_RADIUS, SPHEROID
from qsmcmb.typing import FloatArray

__all__ = ["MIN_PRESENT_SD", "asks_for_free_source", "grow_free_source", "is_described", "is_free"]

MAX_DESCRIBED_CORE_RESIDUAL = 0.45
"""Core residual, SDs, up to which a shape describes a lesion: balls described as balls leave 0.3 to 0.45."""
MAX_CORE_TO_SURROUNDINGS = 1.1
"""Ratio of the core residual to that of the surroundings up to which a shape describes a lesion, too: in poor tissue
the core is no better described than what is around it."""
STRONG_PPM_MM3 = 40.0
"""Total susceptibility, ppm mm3, from which a lesion's field fills its patch: half described, it spoils what is around
it, too."""
MAX_SURROUNDINGS_RESIDUAL = 0.7
"""Residual of the surroundings, SDs, above which they are no measure for the core."""
MIN_THOROUGH_CORE_RESIDUAL = 0.5
"""Core residual, SDs, above which the costly ways of splitting are tried, too."""
MIN_PRESENT_SD = 3.0
"""Least ratio of total susceptibility to sandwich SD for a shape to be looked for: noise has none."""
MAX_BALLS = 8
"""Largest number of balls: it bounds the time; most lesions are described by two to six."""
MAX_THOROUGH_BALLS = 4
"""Largest number of balls to which another is added at any cost: of more, seven in ten such attempts failed."""
MIN_BALL_COST_DROP = 20.0
"""Least drop of the cost for one more ball, squared SDs: the evidence that four more parameters must bring."""
MAX_CORE_RATIO = 0.96
"""Largest ratio of the core residual after a ball to that before: what lowers the cost elsewhere is no part of it."""
MAX_EXTENT_RATIO = 2.2
"""Largest distance of a body's furthest point from its centre, over the radius of its volume's ball. A straight rod
three times as long as wide has 1.8, two touching balls 2^(2/3); what is beyond is another source, such as a vein."""
START_REACH_RATIO = 1.5
"""Ratio of the reach of the divided cells to the radius of the volume's ball: the core of a body that is not round."""
FIRST_STEPS, FURTHER_STEPS = 2, 5
"""Number of steps in which splits are compared, and in which the best is fitted further."""
SAME_BODY_DISTANCE, SAME_BODY_CHANGE = 0.03, 0.01
"""Distance of two balls' centres over the radius, and relative change of the total susceptibility, below which the
fits from both ends have ended in one minimum: three times what `minimise` leaves."""


MIN_LAYOUT_CORE_RESIDUAL = 0.8
"""Core residual, SDs, above which lines and discs are tried in place of the ball: of them it is no part."""


class Growth(NamedTuple):
    """Way in which balls are added, and how many of its starts are fitted."""

    starts: Callable[[FitState], Iterator[Start]]
    """Starts of more balls from a fit."""
    n_fitted: int
    """Number of the starts of least cost that are fitted."""


QUICK_SPLITS = Growth(partial(splits, shares=(0.3,), distances=(0.7, 1.2)), n_fitted=2)
"""Splits that are tried first: a new ball takes 0.3 of a ball's volume; the two overlap, or lie apart."""
THOROUGH_SPLITS = Growth(partial(splits, shares=(0.15, 0.5), distances=(0.6, 1.2)), n_fitted=4)
"""Splits that are tried where the former do not describe the core: the new ball takes 0.15 of the volume, or half."""
BESIDE = Growth(partial(balls_beside, sign=1), n_fitted=3)
"""Balls beside the fitted ones: where the fit has found a part of the lesion, the other part is no split of it."""
OPPOSITE_BESIDE = Growth(partial(balls_beside, sign=-1), n_fitted=3)
"""Balls of the opposite sign beside the fitted ones: where the fit has found the iron alone."""
OPPOSITE_SPLITS = Growth(opposite_splits, n_fitted=3)
"""Splits in balls of opposite sign: where the fit holds the void of iron and calcium."""
LINES_AND_DISCS = Growth(lines_and_discs, n_fitted=4)
"""Several balls at once: what is long or flat is not reached ball by ball."""


def is_free(state: FitState) -> bool:
    """Return whether a fit's shape is a free source.

    Parameters
    ----------
    state : FitState
        A fit.

    Returns
    -------
    bool
        True for a sum of balls, however many.
    """
    return isinstance(state.model.shape, FreeSource)


def is_described(state: FitState, *, max_core_residual: float = MAX_DESCRIBED_CORE_RESIDUAL) -> bool:
    """Return whether a fit's shape describes the lesion's core as well as its surroundings are described.

    Parameters
    ----------
    state : FitState
        A fit with the tissue's Gaussian process.
    max_core_residual : float, optional
        Core residual, SDs, that is low enough in any surroundings.

    Returns
    -------
    bool
        False where the core keeps a residual that noise and tissue do not explain.
    """
    surroundings = min(state.surroundings_residual(), MAX_SURROUNDINGS_RESIDUAL)
    largest = max(max_core_residual, MAX_CORE_TO_SURROUNDINGS * surroundings)
    return state.core_residual() <= largest


def asks_for_free_source(state: FitState, *, min_significance: float = MIN_PRESENT_SD) -> bool:
    """Return whether a fit is clear, dark inside, and leaves a residual at the lesion's core.

    A fit that has not converged says nothing of how clear the lesion is: its significance does not count.

    Parameters
    ----------
    state : FitState
        A fit with the tissue's Gaussian process.
    min_significance : float, optional
        Least ratio of total susceptibility to sandwich SD, SDs, of a fit that has converged.

    Returns
    -------
    bool
        Whether `grow_free_source` may find a better one.
    """
    if state.core_residual() <= MAX_DESCRIBED_CORE_RESIDUAL or state.left_mask or state.exceeds_patch:
        return False
    if state.model.core_decay == SIGNAL_RETAINING_CORE:
        return False
    return not state.converged or bool(_size(state) > min_significance * state.sandwich_sd())


def grow_free_source(state: FitState) -> list[FitState]:
    """Fit a lesion by balls that are added one by one.

    Parameters
    ----------
    state : FitState
        A fit with the tissue's Gaussian process, of any shape that is no cylinder.

    Returns
    -------
    list of FitState
        The fits of 1, 2, ... balls (from two on where a pair was fitted) on coarse cells, each better than the one
        before it. Where the shape describes the core as well as its surroundings, the first alone, unless a ball of the
        opposite sign is found.

    References
    ----------
    Li JQ, Barron AR. Mixture density estimation. Advances in Neural Information Processing Systems 12 (1999), 279-285.
    """
    first = _first_fit(state, _rows(state))
    if is_described(state) and _size(state) < STRONG_PPM_MM3:
        # Iron beside calcium spoils its surroundings, too: one ball then seems to describe its core as well as these.
        both = _best_growth(first, [OPPOSITE_SPLITS])
        return [first] if both is None else [first, *_grow(both)]
    path = _grow(first)
    if path[-1].core_residual() <= MIN_LAYOUT_CORE_RESIDUAL:
        return path
    # A ball describes one end of a long body; from the other end the rest may be found.
    other = _first_fit(state, _other_end(state))
    if _is_same_body(other, path[0]):
        return path
    return min(path, _grow(other), key=lambda way: way[-1].objective.cost)


def _size(state: FitState) -> float:
    """Return the total susceptibility in absolute value, ppm mm3."""
    return abs(float(state.parameters[LAYOUT.total]))


def _is_same_body(one: FitState, other: FitState) -> bool:
    """Whether two fits of free sources have ended in one minimum: balls added to them would be the same."""
    if len(one.rows) != len(other.rows):
        return False
    a, b = one.source, other.source
    distance = np.linalg.norm(np.subtract(a.centre_mm, b.centre_mm))
    change = abs(a.total_chi_ppm_mm3 - b.total_chi_ppm_mm3)
    return bool(
        distance < SAME_BODY_DISTANCE * b.radius_mm and change < SAME_BODY_CHANGE * abs(b.total_chi_ppm_mm3)
    )


def _grow(first: FitState) -> list[FitState]:
    """Return a fit, and the fits of more balls that follow it."""
    path = [first]
    while len(path[-1].rows) < MAX_BALLS:
        better = _grown(path[-1])
        if better is None:
            break
        path.append(better)
    return path


def _grown(state: FitState) -> FitState | None:
    """Return the best fit of more balls; None where none explains more of the core."""
    if state.core_residual() <= MIN_THOROUGH_CORE_RESIDUAL:
        return _best_growth(state, [QUICK_SPLITS])
    if len(state.rows) == 1:
        # The first step decides in which minimum the others end.
        ways = [QUICK_SPLITS, BESIDE, OPPOSITE_BESIDE, OPPOSITE_SPLITS]
        if state.core_residual() > MIN_LAYOUT_CORE_RESIDUAL:
            ways.append(LINES_AND_DISCS)
        return _best_growth(state, ways) or _best_growth(state, [THOROUGH_SPLITS])
    better = _best_growth(state, [QUICK_SPLITS])
    if better is None and len(state.rows) <= MAX_THOROUGH_BALLS and not is_described(state):
        better = _best_growth(state, [THOROUGH_SPLITS, OPPOSITE_SPLITS])
    return better


def _best_growth(state: FitState, ways: Sequence[Growth]) -> FitState | None:
    """Return the best fit of more balls by some ways; None where none explains more of the core."""
    fits = [fit for way in ways if _is_better(fit := _fit_growth(state, way), state)]
    return min(fits, key=lambda fit: fit.objective.cost, default=None)


def _is_better(new: FitState, old: FitState) -> bool:
    """Whether a fit of one more ball explains more, and more of the core."""
    drop = old.objective.cost - new.objective.cost
    core_ratio = new.core_residual() / max(old.core_residual(), 1e-9)
    compact = new.extent_mm < MAX_EXTENT_RATIO * new.source.radius_mm
    return drop > MIN_BALL_COST_DROP and core_ratio < MAX_CORE_RATIO and compact and not new.left_mask


def _rows(state: FitState) -> FloatArray:
    """Return the balls of a fit; the ball of its volume stands for a spheroid, whose rows are no balls."""
    return state.rows if state.model.shape is not SPHEROID else np.array([state.source.row()])


def _other_end(state: FitState) -> FloatArray:
    """Return a ball like the fitted source, on the other side of the point."""
    x, y, z = state.source.centre_mm
    return np.array([state.source._replace(centre_mm=(-x, -y, -z)).row()])


def _first_fit(state: FitState, rows: FloatArray) -> FitState:
    """Return the free source of these balls, fitted on coarse cells with the tissue's Gaussian process."""
    shape = FreeSource(tuple(int(s) for s in np.sign(rows[:, 0] / rows[0, 0])))
    common = state.parameters[: LAYOUT.n_common].copy()
    common[LAYOUT.log_radius] = np.log((rows[:, ROW_RADIUS] ** 3).sum()) / 3
    source = state.source._replace(
        radius_mm=max(state.extent_mm, START_REACH_RATIO * float(np.exp(common[LAYOUT.log_radius])))
    )
    model = state.model.on_patch(state.model.patch, source, cell_mm=COARSE_CELL_MM).with_shape(shape)
    p = shape.parameters(common, rows[:, 0], rows[:, ROW_CENTRE])
    return minimise(*model.with_gp_prior(model.parameters_with_fitted_tissue(p, slopes=True)))


def _fit_growth(state: FitState, way: Growth) -> FitState:
    """Return the best fit of more balls by one way."""
    costs = (
        (evaluate_objective(model, p).cost, number, model, p)
        for number, (model, p) in enumerate(way.starts(state))
    )
    chosen = nsmallest(way.n_fitted, costs, key=lambda start: start[:2])
    fitted = [minimise(model, p, max_iterations=FIRST_STEPS) for _, _, model, p in chosen]
    best = min(fitted, key=lambda fit: fit.objective.cost)
    return minimise(
        best.model,
        best.parameters,
        max_cost=state.objective.cost - MIN_BALL_COST_DROP,
        max_iterations=FURTHER_STEPS,
        objective=best.objective,
    )
