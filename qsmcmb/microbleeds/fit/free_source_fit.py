"""Fit of a free source: balls are added one by one while they explain more of the lesion's core.

A lesion of no simple shape leaves a residual at its core. There the source becomes a sum of n balls (`FreeSource`).
From n to n + 1 one ball is split in two: splits of several directions, shares and distances are compared by their
cost, the best are fitted for a few steps, the best of these to the end (a greedy pursuit of a mixture; Li and Barron
1999, Mixture density estimation, NIPS 12). A ball stays where the cost falls by MIN_BALL_COST_DROP and the residual
falls at the core: one that only describes a vein nearby does not. All of it is done with the tissue's Gaussian process
and coarse cells; the caller refines the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState, minimise
from qsmcmb.microbleeds.fit.objective import evaluate_objective
from qsmcmb.microbleeds.fit.priors import SIGNAL_RETAINING_CORE
from qsmcmb.microbleeds.signal.free_source import FreeSource
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.point_spread import COARSE_CELL_MM
from qsmcmb.microbleeds.signal.source_shapes import AXES, LAYOUT, ROW_CENTRE, ROW_RADIUS, SPHEROID
from qsmcmb.typing import FloatArray

__all__ = ["asks_for_free_source", "grow_free_source", "is_described", "is_free"]

MAX_DESCRIBED_CORE_RESIDUAL = 0.45
"""Core residual, SDs, up to which a shape describes a lesion: balls described as balls leave 0.3 to 0.45."""
MAX_CORE_TO_SURROUNDINGS = 1.15
"""Ratio of the core residual to that of the surroundings up to which a shape describes a lesion, too: in poor tissue
the core is no better described than what is around it."""
MIN_THOROUGH_CORE_RESIDUAL = 0.5
"""Core residual, SDs, above which the costly ways of splitting are tried, too."""
MIN_PRESENT_SD = 3.0
"""Least ratio of total susceptibility to sandwich SD for a shape to be looked for: noise has none."""
MAX_BALLS = 6
"""Largest number of balls: each costs time, and a sixth changed no total susceptibility by more than 2 %."""
MIN_BALL_COST_DROP = 20.0
"""Least drop of the cost for one more ball, squared SDs: the evidence that four more parameters must bring."""
MAX_CORE_RATIO = 0.98
"""Largest ratio of the core residual after a ball to that before: what lowers the cost elsewhere is no part of it."""
START_REACH_RATIO = 1.5
"""Ratio of the reach of the divided cells to the radius of the volume's ball: the core of a body that is not round."""
FIRST_STEPS, FURTHER_STEPS = 2, 5
"""Number of steps in which splits are compared, and in which the best is fitted further."""


class Splits(NamedTuple):
    """Ways in which a ball is split, and how many of the best are fitted."""

    shares: tuple[float, ...]
    """Ratios of the new ball's total susceptibility to that of the ball that is split."""
    distances: tuple[float, ...]
    """Distances of the two new centres, over the sum of the new radii; they touch at 1."""
    n_fitted: int
    """Number of the best splits that are fitted."""
    sign: int = 1
    """Sign of the new ball's susceptibility relative to the split one's."""


QUICK_SPLITS = Splits(shares=(0.3,), distances=(0.7, 1.2), n_fitted=2)
"""Splits that are tried first."""
THOROUGH_SPLITS = Splits(shares=(0.15, 0.5), distances=(0.6, 1.2), n_fitted=4)
"""Splits that are tried where the former do not describe the core."""
OPPOSITE_SPLITS = Splits(shares=(0.3, 0.8), distances=(1.0, 1.4), n_fitted=2, sign=-1)
"""Splits into balls of opposite signs, such as iron beside calcium: tried last."""


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


def is_described(state: FitState) -> bool:
    """Return whether a fit's shape describes the lesion's core as well as its surroundings are described.

    Parameters
    ----------
    state : FitState
        A fit with the tissue's Gaussian process.

    Returns
    -------
    bool
        False where the core keeps a residual that noise and tissue do not explain.
    """
    largest = max(MAX_DESCRIBED_CORE_RESIDUAL, MAX_CORE_TO_SURROUNDINGS * state.surroundings_residual())
    return state.core_residual() <= largest


def asks_for_free_source(state: FitState) -> bool:
    """Return whether a fit is clear, dark inside, and of a shape that does not describe the lesion.

    Parameters
    ----------
    state : FitState
        A fit with the tissue's Gaussian process.

    Returns
    -------
    bool
        Whether `grow_free_source` may find a better one.
    """
    if is_described(state) or state.left_mask or state.model.core_decay == SIGNAL_RETAINING_CORE:
        return False
    return bool(abs(state.parameters[LAYOUT.total]) > MIN_PRESENT_SD * state.sandwich_sd())


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
        before it.

    References
    ----------
    Li JQ, Barron AR. Mixture density estimation. Advances in Neural Information Processing Systems 12 (1999), 279-285.
    """
    path = [_first_fit(state)]
    while len(path[-1].rows) < MAX_BALLS:
        best = path[-1]
        better = next(
            (found for splits in _splits_to_try(best) if _is_better(found := _split(best, splits), best)),
            None,
        )
        if better is None:
            break
        path.append(better)
    return path


def _splits_to_try(state: FitState) -> Iterator[Splits]:
    """Yield the ways of splitting, the costly ones only while the core is not described."""
    yield QUICK_SPLITS
    if state.core_residual() > MIN_THOROUGH_CORE_RESIDUAL and not is_described(state):
        yield THOROUGH_SPLITS
        yield OPPOSITE_SPLITS


def _is_better(new: FitState, old: FitState) -> bool:
    """Whether a fit of one more ball explains more, and more of the core."""
    drop = old.objective.cost - new.objective.cost
    core_ratio = new.core_residual() / max(old.core_residual(), 1e-9)
    return drop > MIN_BALL_COST_DROP and core_ratio < MAX_CORE_RATIO and not new.left_mask


def _first_fit(state: FitState) -> FitState:
    """Return the free source nearest to a fit, fitted on coarse cells with the tissue's Gaussian process."""
    # The loop's rows of a spheroid are no balls: the ball of its volume stands for it.
    rows = state.rows if state.model.shape is not SPHEROID else np.array([state.source.row()])
    shape = FreeSource(tuple(int(s) for s in np.sign(rows[:, 0] / rows[0, 0])))
    common = state.parameters[: LAYOUT.n_common].copy()
    common[LAYOUT.log_radius] = np.log((rows[:, ROW_RADIUS] ** 3).sum()) / 3
    source = state.source._replace(
        radius_mm=max(state.extent_mm, START_REACH_RATIO * float(np.exp(common[LAYOUT.log_radius])))
    )
    model = state.model.on_patch(state.model.patch, source, cell_mm=COARSE_CELL_MM).with_shape(shape)
    p = shape.parameters(common, rows[:, 0], rows[:, ROW_CENTRE])
    return minimise(*model.with_gp_prior(model.parameters_with_fitted_tissue(p, slopes=True)))


def _split(state: FitState, splits: Splits) -> FitState:
    """Return the best fit of one ball more."""
    starts = sorted(
        (
            (evaluate_objective(model, p).cost, number, model, p)
            for number, (model, p) in enumerate(_split_starts(state, splits))
        ),
        key=lambda start: start[:2],
    )
    fitted = [minimise(model, p, max_iterations=FIRST_STEPS) for _, _, model, p in starts[: splits.n_fitted]]
    best = min(fitted, key=lambda fit: fit.objective.cost)
    return minimise(best.model, best.parameters, max_iterations=FURTHER_STEPS)


def _split_starts(state: FitState, splits: Splits) -> Iterator[tuple[LesionModel, FloatArray]]:
    """Yield the models and parameters in which one ball is two; the ball's total and centre of gravity stay."""
    shape, p = state.model.shape, state.parameters
    assert isinstance(shape, FreeSource)
    rows, tissue = state.rows, p[shape.n_source_parameters :]
    for ball, row in enumerate(rows):
        grown = FreeSource((*shape.signs, splits.sign * shape.signs[ball]))
        model = state.model.with_shape(grown)
        for share, distance, axis in _share_distance_axis(splits):
            radii = row[ROW_RADIUS] * np.array([1 - splits.sign * share, share]) ** (1 / 3)
            step = distance * radii.sum() * axis
            # The total stays: a ball of the opposite sign makes the split one stronger.
            strengths = np.append(rows[:, 0], splits.sign * share * row[0])
            strengths[ball] -= splits.sign * share * row[0]
            centres = np.vstack([rows[:, ROW_CENTRE], row[ROW_CENTRE] + (1 - share) * step])
            centres[ball] -= share * step
            yield model, np.concatenate([grown.parameters(p[: LAYOUT.n_common], strengths, centres), tissue])


def _share_distance_axis(splits: Splits) -> Iterator[tuple[float, float, FloatArray]]:
    """Yield share, distance and direction of each split; two equal halves need half of the directions."""
    for share in splits.shares:
        directions: Sequence[FloatArray] = [*AXES] if share == 0.5 and splits.sign == 1 else [*AXES, *-AXES]
        for distance in splits.distances:
            for axis in directions:
                yield share, distance, axis
