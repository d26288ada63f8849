"""TODO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.microbleeds.fit.levenberg_marquardt import Optimum, optimise, triple
from qsmcmb.microbleeds.fit.objective import evaluate
from qsmcmb.microbleeds.fit.priors import BLUR, KEPT, _usual_radius, dark_core
from qsmcmb.microbleeds.signal.model import Core, LesionModel, Source
from qsmcmb.microbleeds.signal.patch import Neighbourhood
from qsmcmb.microbleeds.signal.point_spread import ROUGH_CELL_MM
from qsmcmb.microbleeds.signal.source_shapes import AXES, SPHEROID, TWO_BALLS
from qsmcmb.model import Estimate
from qsmcmb.typing import ComplexArray, FloatArray

RADIUS_STARTS = (0.75, 1.0, 1.3)


CORE_RESIDUAL = 0.6
"""Above this weighted residual within CORE_MM one ball does not describe the lesion."""


PAIR_SHRINK = 0.8
"""Radius of two balls that fill the volume of one, and half their distance when they touch."""


BADLY = 1.0
"""Above this one a pair is looked for in all directions, too."""


PALE_MM, PALE_PPM = 2.2, 0.5
"""Radius and susceptibility of the two balls of a large and pale pair."""


SHAPE_GAIN = 15.0
"""Least drop of the cost for another shape: the evidence that three more parameters must bring."""


DRAWN_OUT = 0.8
"""Focal distance over radius from which a spheroid is started: a third as long again as wide."""


RIVAL_SD = 0.6
"""SD over the difference that a shape in doubt makes: its total susceptibility is within the 95 % interval."""


LARGEST_RIVAL = 1.5
"""Largest such difference, over the ball's total susceptibility: what is several times as large is something else."""


CORE_LEFT = 0.87
"""Largest weighted residual that another shape may leave around each of its bodies, over what one ball leaves."""


def rough_fit(
    near: Neighbourhood,
    source: Source,
    *,
    neighbours: ComplexArray | None = None,
    blur: Estimate = BLUR,
    core: Core | None = None,
) -> Optimum:
    """Fit one lesion, or a pair where one does not do, among tissue that polynomials describe.

    Parameters as for `fit_lesion`; `core` is what is expected of the inside, dark by default. A dark core hides its
    size: only there the radius of `source` says less than its total susceptibility.
    """
    core = core or dark_core(near.b0_tesla)
    model = LesionModel(near, source, blur=blur, core=core, neighbours=neighbours, cell_mm=ROUGH_CELL_MM)
    radius = source.radius_mm if core == KEPT else _usual_radius(source)
    starts = [model.start(source._replace(radius_mm=scale * radius)) for scale in RADIUS_STARTS]
    first = min(starts, key=lambda p: evaluate(model, p).cost)
    one = optimise(model, first)
    core_residual = one.core_residual()
    start, cost = _drawn_out(one)
    # What is small may be drawn out and leave little; a ball drawn out that far is worse at once.
    if core_residual < CORE_RESIDUAL and cost > one.misfit.cost:
        return one
    # Nothing there has no shape; a core that is poor is not nothing.
    if core_residual < BADLY and abs(one.parameters[0]) < 3 * one.sandwich():
        return one
    spheroid = optimise(one.model.with_shape(SPHEROID), start, give_up_above=one.misfit.cost)
    tried = [spheroid, _fit_pair_along(spheroid)]
    best = _best_of(one, tried)
    if best is one or best.core_residual() > BADLY:
        tried += _fit_pairs(one)
        best = _best_of(one, tried)
    if best.core_residual() > BADLY:
        tried.append(_fit_large_pair(one))
        best = _best_of(one, tried)
    return _with_rivals(one, tried) if best is one else best


def _best_of(one: Optimum, others: Sequence[Optimum]) -> Optimum:
    """Return the fit that explains a lesion best; one ball where the others do not explain more."""
    more = [
        other for other in others if _left_around(other, one) < CORE_LEFT and _gain(other, one) > SHAPE_GAIN
    ]
    return min([one, *more], key=lambda fit: fit.misfit.cost)


def _gain(other: Optimum, one: Optimum) -> float:
    return one.misfit.cost - other.misfit.cost


def _left_around(other: Optimum, one: Optimum) -> float:
    """Return the most that another shape leaves around the ball and around each of its bodies, over what the ball does.

    A second ball that describes something else nearby lowers the cost, but leaves what is around it as it is. One
    outside the mask leaves nothing that is seen: infinity.
    """
    if other.outside:
        return np.inf
    centres = [one.source.centre_mm, *(triple(row[1:4]) for row in other.rows)]
    return max(other.core_residual(c) / max(one.core_residual(c), 1e-9) for c in centres)


def _with_rivals(one: Optimum, others: Sequence[Optimum]) -> Optimum:
    """Return a ball whose SD knows of shapes that lower the cost, and may or may not be right."""
    total = one.parameters[0]
    moved = [
        min(abs(other.parameters[0] - total), LARGEST_RIVAL * abs(total))
        for other in others
        if _gain(other, one) > SHAPE_GAIN and _left_around(other, one) < 1
    ]
    return one.with_rivals(RIVAL_SD * float(max(moved, default=0.0)))


def _pale_pair(radius_mm: float, sign: int) -> Source:
    total = sign * 2 * 4 / 3 * np.pi * radius_mm**3 * PALE_PPM
    return Source(total, (0.0, 0.0, 0.0), radius_mm)


def _fit_pair_along(spheroid: Optimum) -> Optimum:
    """Fit two equal balls that lie along a spheroid, in its place."""
    p = spheroid.parameters
    half_axis = PAIR_SHRINK * np.exp(p[4]) * p[7:10] / np.linalg.norm(p[7:10])
    start = _pair_start(np.delete(p, np.s_[7:10]), half_axis, p[0], centre=p[1:4])
    return optimise(spheroid.model.with_shape(TWO_BALLS), start, give_up_above=spheroid.misfit.cost)


def _fit_pairs(one: Optimum) -> list[Optimum]:
    """Fit two equal balls in place of the ball fitted, and beside it: that one may be half of the lesion."""
    model, p = one.model.with_shape(TWO_BALLS), one.parameters
    whole, half = PAIR_SHRINK * np.exp(p[4]), np.exp(p[4])
    beside = [
        _pair_start(p, half * u, 2 * p[0], centre=p[1:4] + sign * half * u) for u in AXES for sign in (1, -1)
    ]
    instead = [_pair_start(p, whole * u, p[0], centre=p[1:4]) for u in AXES]
    best = [min(starts, key=lambda p: evaluate(model, p).cost) for starts in (beside, instead)]
    return [optimise(model, start, give_up_above=one.misfit.cost) for start in best]


def _fit_large_pair(one: Optimum) -> Optimum:
    """Fit two large balls of weak contrast: of a body so long and pale a ball finds neither size nor sign."""
    model, p = one.model.with_shape(TWO_BALLS), one.parameters
    totals = [_pale_pair(PALE_MM, sign).total_chi_ppm_mm3 for sign in (1, -1)]
    starts = [_pair_start(p, PALE_MM * u, total, centre=p[1:4]) for u in AXES for total in totals]
    first = min(starts, key=lambda p: evaluate(model, p).cost)
    return optimise(model, first, give_up_above=one.misfit.cost)


def _drawn_out(one: Optimum) -> tuple[FloatArray, float]:
    """Return the parameters of a spheroid of the ball's volume in its place, along the axis of least cost, and that."""
    model, p = one.model.with_shape(SPHEROID), one.parameters
    focus = DRAWN_OUT * np.exp(p[4])
    starts = [np.concatenate([p[:7], focus * u, p[7:]]) for u in AXES]
    costs = [evaluate(model, start).cost for start in starts]
    best = int(np.argmin(costs))
    return starts[best], costs[best]


def _pair_start(one: FloatArray, half_axis: FloatArray, total: float, *, centre: FloatArray) -> FloatArray:
    """Return a pair's parameters from a ball's; touching balls."""
    radius = np.log(np.linalg.norm(half_axis))
    return np.concatenate([[total], centre, [radius], one[5:7], half_axis, one[7:]])
