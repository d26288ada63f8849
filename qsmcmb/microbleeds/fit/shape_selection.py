"""Shape selection: ball, spheroid or pair of equal balls, with polynomials for the tissue.

A ball is fitted from several radii. Where its core residual is high, or a spheroid of the same volume, not yet fitted,
costs less, a spheroid is fitted along the best of 13 axes and a second ball is tried along the spheroid's axis (a pair
of equal balls). What none of them describes becomes a free source later (`free_source_fit`). Another shape wins where
the cost falls by MIN_SHAPE_COST_DROP and the residual falls around the ball and around each of its own bodies: a body
that describes a sinus nearby lowers only the cost. Shapes that lower the cost without winning widen the SD (model
averaging in a rough form, see Kass and Raftery 1995, doi:10.1080/01621459.1995.10476572).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState, minimise, triple
from qsmcmb.microbleeds.fit.model_comparison import Comparison
from qsmcmb.microbleeds.fit.objective import evaluate_objective
from qsmcmb.microbleeds.fit.priors import SIGNAL_RETAINING_CORE, dark_core, expected_radius_mm
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

__all__ = [
    "LARGE_PAIR_RADIUS_MM",
    "MAX_CORE_RESIDUAL_RATIO",
    "MAX_PAIR_CORE_RESIDUAL",
    "MODEL_SELECTION_SD_FRACTION",
    "fit_ball",
    "large_pair",
    "residual_ratio",
    "select_shape",
    "shape_choice_sd",
]

RADIUS_STARTS = (0.75, 1.0, 1.3)
"""Ratios of the radii that a ball is started from to the expected radius: about half and twice the volume."""
MAX_BALL_CORE_RESIDUAL = 0.6
"""Core residual, SDs, above which one ball does not describe the lesion: with 0.95 errors of pairs reached 51 %."""
MAX_PAIR_CORE_RESIDUAL = 1.0
"""Core residual, SDs, above which a shape does not describe the lesion at all."""
MIN_PRESENT_SD = 3.0
"""Least ratio of a ball's total susceptibility to its sandwich SD at which other shapes are tried: below it the fit may
be noise, which has no shape."""
PAIR_RADIUS_RATIO = 0.8
"""Ratio of the radius of each of two equal balls to that of the ball of their volume, 2^(-1/3). They start touching, so
that it gives half the distance of their centres, too."""
LARGE_PAIR_RADIUS_MM, LARGE_PAIR_CHI_PPM = 2.2, 0.5
"""Radius (mm) and susceptibility difference (ppm) of a large pair of weak contrast: pairs of 2.2 to 2.4 mm and 0.45 ppm
have neither a ball's field nor its void, and had read as half of themselves or less."""
MIN_SHAPE_COST_DROP = 15.0
"""Least drop of the cost for another shape, squared SDs: the evidence that three more parameters must bring."""
START_FOCUS_RATIO = 0.8
"""Ratio of focal distance (centre to focus) to the radius of the ball of its volume at which a spheroid is started:
a body a third longer than wide."""
MODEL_SELECTION_SD_FRACTION = 0.6
"""Ratio of the SD to the change of the total susceptibility by a shape that may be right: the change then lies within
the 95 % interval."""
MAX_SHAPE_CHANGE_RATIO = 1.5
"""Largest change of the total susceptibility by another shape that widens the SD, relative to the ball's own: a shape
of several times the ball's total susceptibility describes something else."""
MAX_CORE_RESIDUAL_RATIO = 0.87
"""Largest ratio of the residual around each body of another shape to what one ball leaves there: pairs and ellipsoids
leave 0.3 to 0.81, a body that describes a sinus nearby 0.90 and more."""


def select_shape(
    patch: Patch,
    source: Source,
    *,
    neighbours: ComplexArray | None = None,
    core_decay: CoreDecay | None = None,
) -> FitState:
    """Fit a lesion by the shape that explains the scan best, with polynomials for the tissue.

    Parameters
    ----------
    patch : Patch
        The scan around the point.
    source : Source
        Where to start. Its radius lays out the cells; only for a signal-retaining core is it a start, too. A dark
        core hides its size, and the start is the radius expected for its total susceptibility.
    neighbours : ndarray of shape (echo and voxel,), optional
        Factor of other lesions on the signal.
    core_decay : CoreDecay, optional
        Expected decay inside the body; that of a bleed by default.

    Returns
    -------
    FitState
        A ball, a spheroid or a pair; a ball's model-selection SD holds the shapes that may be right instead. All
        that were tried are its compared models.
    """
    ball = fit_ball(patch, source, neighbours=neighbours, core_decay=core_decay)
    start, start_cost = _spheroid_start(ball)
    if _is_ball(ball, start_cost):
        return ball
    tried = _fit_along_spheroid(ball, start)
    best = _best_shape(ball, tried)
    models = [s.as_compared(Comparison.SHAPE, is_chosen=s is best) for s in (ball, *tried)]
    if best is ball:
        best = ball.with_model_selection_sd(shape_choice_sd(ball, tried))
    return best.with_compared_models(models)


def fit_ball(
    patch: Patch,
    source: Source,
    *,
    neighbours: ComplexArray | None = None,
    core_decay: CoreDecay | None = None,
) -> FitState:
    """Fit a ball from the best of some radii, with polynomials for the tissue.

    Parameters
    ----------
    patch : Patch
        The scan around the point.
    source : Source
        Where to start, as for `select_shape`.
    neighbours : ndarray of shape (echo and voxel,), optional
        Factor of other lesions on the signal.
    core_decay : CoreDecay, optional
        Expected decay inside the body; that of a bleed by default.

    Returns
    -------
    FitState
        The ball.
    """
    core_decay = core_decay or dark_core(patch.acquisition.b0_tesla)
    model = LesionModel(patch, source, core_decay=core_decay, neighbours=neighbours, cell_mm=COARSE_CELL_MM)
    radius = source.radius_mm if core_decay == SIGNAL_RETAINING_CORE else expected_radius_mm(source)
    starts = [model.start_parameters(source._replace(radius_mm=scale * radius)) for scale in RADIUS_STARTS]
    return minimise(model, _best_start(model, starts))


def _best_start(model: LesionModel, starts: Sequence[FloatArray]) -> FloatArray:
    """Return the start, among some parameter vectors, at which the cost is least."""
    return min(starts, key=lambda p: evaluate_objective(model, p).cost)


def _is_ball(ball: FitState, spheroid_cost: float) -> bool:
    """Whether no other shape need be tried: a ball describes the core, or the fit is too weak to show a shape."""
    core_residual = ball.core_residual()
    # A small elongated body leaves little around a ball; a ball elongated that far costs more at once.
    if core_residual < MAX_BALL_CORE_RESIDUAL and spheroid_cost > ball.objective.cost:
        return True
    # A weak ball with a poor core is not nothing: it may be a large body of weak contrast.
    total = ball.parameters[LAYOUT.total]
    return bool(core_residual < MAX_PAIR_CORE_RESIDUAL and abs(total) < MIN_PRESENT_SD * ball.sandwich_sd())


def _fit_along_spheroid(ball: FitState, start: FloatArray) -> list[FitState]:
    """Fit a spheroid from some parameters, and a pair along its axis."""
    spheroid = minimise(ball.model.with_shape(SPHEROID), start, max_cost=ball.objective.cost)
    return [spheroid, _fit_pair_along(spheroid)]


def _best_shape(ball: FitState, others: Sequence[FitState]) -> FitState:
    """Return the fit of least cost among the ball and the shapes that also leave less residual around each body."""
    better = [
        other
        for other in others
        if residual_ratio(other, ball) < MAX_CORE_RESIDUAL_RATIO
        and _cost_drop(other, ball) > MIN_SHAPE_COST_DROP
    ]
    return min([ball, *better], key=lambda state: state.objective.cost)


def _cost_drop(other: FitState, ball: FitState) -> float:
    """Return by how much another shape's cost is below the ball's, squared SDs."""
    return ball.objective.cost - other.objective.cost


def residual_ratio(other: FitState, ball: FitState) -> float:
    """Return the largest ratio of another shape's residual to the ball's, around the ball and around each body.

    Parameters
    ----------
    other : FitState
        Fit of another shape.
    ball : FitState
        Fit of one ball.

    Returns
    -------
    float
        Below 1 where the other shape explains all of these core regions better; infinite where one of its bodies lies
        outside the mask, where no voxel could contradict it.

    Notes
    -----
    A second ball that describes something else nearby lowers the cost, but leaves the residual around the first.
    """
    if other.left_mask:
        return np.inf
    centres = [ball.source.centre_mm, *(triple(row[ROW_CENTRE]) for row in other.rows)]
    return max(other.core_residual(c) / max(ball.core_residual(c), 1e-9) for c in centres)


def shape_choice_sd(ball: FitState, others: Sequence[FitState]) -> float:
    """Return the SD of a ball's total susceptibility for shapes that lower the cost and may be right instead.

    Parameters
    ----------
    ball : FitState
        Fit of one ball.
    others : sequence of FitState
        Fits of other shapes.

    Returns
    -------
    float
        SD, ppm mm3; 0 where no shape both lowers the cost and leaves less residual.
    """
    total = ball.parameters[LAYOUT.total]
    changes = [
        min(abs(other.parameters[LAYOUT.total] - total), MAX_SHAPE_CHANGE_RATIO * abs(total))
        for other in others
        if _cost_drop(other, ball) > MIN_SHAPE_COST_DROP and residual_ratio(other, ball) < 1
    ]
    return MODEL_SELECTION_SD_FRACTION * float(max(changes, default=0.0))


def large_pair(radius_mm: float, sign: int) -> Source:
    """Return the start of a fit with two large balls of low susceptibility at the point.

    Parameters
    ----------
    radius_mm : float
        Radius of each ball, mm, > 0.
    sign : {1, -1}
        Sign of the susceptibility difference.

    Returns
    -------
    Source
        Total susceptibility of both balls (ppm mm3), centre, radius of each.

    Examples
    --------
    >>> round(large_pair(1.0, -1).total_chi_ppm_mm3, 2)
    -4.19
    """
    total = sign * 2 * 4 / 3 * np.pi * radius_mm**3 * LARGE_PAIR_CHI_PPM
    return Source(total, (0.0, 0.0, 0.0), radius_mm)


def _fit_pair_along(spheroid: FitState) -> FitState:
    """Fit two equal balls along a spheroid's axis, in its place."""
    p = spheroid.parameters
    half_axis = (
        PAIR_RADIUS_RATIO * np.exp(p[LAYOUT.log_radius]) * p[LAYOUT.axis] / np.linalg.norm(p[LAYOUT.axis])
    )
    start = _pair_start(np.delete(p, LAYOUT.axis), half_axis, p[LAYOUT.total], centre=p[LAYOUT.centre])
    return minimise(spheroid.model.with_shape(BALL_PAIR), start, max_cost=spheroid.objective.cost)


def _spheroid_start(ball: FitState) -> tuple[FloatArray, float]:
    """Return the parameters and the cost of a spheroid of the ball's volume, along the axis of least cost."""
    model, p = ball.model.with_shape(SPHEROID), ball.parameters
    focus = START_FOCUS_RATIO * np.exp(p[LAYOUT.log_radius])
    # The shape's own parameters follow the common ones, before the tissue's coefficients.
    starts = [np.concatenate([p[: LAYOUT.n_common], focus * u, p[LAYOUT.n_common :]]) for u in AXES]
    costs = [evaluate_objective(model, start).cost for start in starts]
    best = int(np.argmin(costs))
    return starts[best], costs[best]


def _pair_start(ball: FloatArray, half_axis: FloatArray, total: float, *, centre: FloatArray) -> FloatArray:
    """Return the parameters of a pair of touching balls from those of a ball."""
    # Half their distance is their radius where they touch.
    log_radius = np.log(np.linalg.norm(half_axis))
    return np.concatenate(
        [
            [total],
            centre,
            [log_radius],
            ball[LAYOUT.psf_width2 : LAYOUT.n_common],
            half_axis,
            ball[LAYOUT.n_common :],
        ]
    )
