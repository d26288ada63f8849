"""Lesion fit in the complex domain: least squares over all echoes for total susceptibility, centre and shape.

Errors are not alike in all directions: the magnitude carries tissue texture, the phase carries the field of nearby
tissue, which grows with echo time; both are weighed as what they are. A rough fit, with polynomials for the tissue,
finds the lesion's shape: where the core does not fit, a spheroid or two equal balls with a free axis take the ball's
place. Lesions of a scan together say how far its point spread is wider than its voxels. The fit is then refined with
the tissue's processes. The field form (dipole on an unwrapped field map) starts it and stands by as a check.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.core.workers import run_each
from qsmcmb.microbleeds.lesion_model import Core, LesionModel, Source
from qsmcmb.microbleeds.misfit import evaluate, inverse_row, priors
from qsmcmb.microbleeds.neighbourhood import Neighbourhood
from qsmcmb.microbleeds.optimum import RADII_MM, Optimum, optimise, triple
from qsmcmb.microbleeds.point_spread import ROUGH_CELL_MM
from qsmcmb.microbleeds.source_shape import AXES, ONE_BALL, SPHEROID, TWO_BALLS
from qsmcmb.microbleeds.tissue import LEAST_TEXTURE
from qsmcmb.microbleeds.uncertainty import bound_of, places_sd
from qsmcmb.model import Estimate
from qsmcmb.typing import ComplexArray, FloatArray

BLUR = Estimate(0.16, 0.16, "mm2")
"""Squared width of the box that widens the point spread, before a scan is seen."""
BLUR_SPREAD_MM2 = 0.03
"""From lesion to lesion of a scan."""
BLUR_LESIONS = 6
"""Those of a scan that say most of its blur."""
MEDIAN_EFFICIENCY = 2 / np.pi
"""Precision of a median over that of a mean."""
DARK_PER_TESLA = Core(35.0, 0.8)
"""Bleeds are dark at late echoes, not at once."""
KEPT = Core(3.0, 1.5)
"""A lesion that keeps its signal."""
RADIUS_STARTS = (0.75, 1.0, 1.3)
FLOOR_PPM_MM3 = 0.005
PROCESS_PART = 0.225
USUAL_RESIDUAL = 0.6
CORE_POWER = 2
FIELD_POWER = 0.2
THICK_POWER = 0.75
"""The variance of noise and clutter: what the tissue's processes leave open, in part (a brain differs less from place
to place than they allow), what the residual and what the places around say, and a floor; more where the fit, the
core's above all, is poorer than usual, at a stronger field than 3 T, and the longer a voxel is."""
OVERSIZE_MM = 5.0
OVERSIZE_PART = 0.02
"""SD over total susceptibility of a body of which more than this radius is fitted: little tissue is left around it."""
HIDDEN_PART = 0.003
"""SD over total susceptibility: a lesion hides the more tissue the stronger it is, and nothing tells what that adds."""

TISSUE_MM = 6.0
"""Radius of the ball in which a lesion is refined among tissue: what is further out says little of it."""
LARGE_MM = 3.0
"""Radius of the lesions for which this is too little."""
CORE_RESIDUAL = 0.6
"""Above this weighted residual within CORE_MM one ball does not describe the lesion."""
PAIR_SHRINK = 0.8
"""Radius of two balls that fill the volume of one, and half their distance when they touch."""
BADLY = 1.0
"""Above this one a pair is looked for in all directions, too."""
PALE_MM, PALE_PPM = 2.2, 0.5
"""Radius and susceptibility of the two balls of a large and pale pair."""
SMALLER_MM = 1.5
"""Radius of those of a smaller one."""
SHAPE_GAIN = 15.0
"""Least drop of the cost for another shape: the evidence that three more parameters must bring."""
DRAWN_OUT = 0.8
"""Focal distance over radius from which a spheroid is started: a third as long again as wide."""
WEAK_SD = 10.0
"""Total susceptibility over the SD that its residual tells below which a fit is doubted."""
DOUBTFUL_CORE = 1.0
"""Weighted residual of the core from which a fit is doubted."""
UNLIKELY = 4.0
"""Distance in SDs of centre, contrast and decay together from what is expected, from which it is."""
FAR_SD = 4.0
"""Distance of a centre from the point, in the point's SDs, from which it is not the lesion's."""
POOR_TRUST = 0.02
"""Part of a difference of costs that counts where the model does not hold: its cost can't choose well."""
DOUBT_MM = 5.0
"""Radius of the ball in which a doubtful fit and its rivals are compared."""
SAME_MM = 0.5
"""From each other of the centres of two fits of one lesion."""
SMALL_PPM_MM3 = 1.0
"""Size of the lesions, of either sign, that a doubtful fit must beat."""
RIVAL_SD = 0.6
"""SD over the difference that a shape in doubt makes: its total susceptibility is within the 95 % interval."""
LARGEST_RIVAL = 1.5
"""Largest such difference, over the ball's total susceptibility: what is several times as large is something else."""
CORE_LEFT = 0.87
"""Largest weighted residual that another shape may leave around each of its bodies, over what one ball leaves."""


class LesionFit(NamedTuple):
    """Result of one fit."""

    source: Source
    sd_ppm_mm3: float
    noise_sd_ppm_mm3: float
    """SD from noise and clutter alone, without the choice of the model."""
    cramer_rao_sd_ppm_mm3: float
    """Smallest SD that white noise alone would allow for this model."""
    sandwich_sd_ppm_mm3: float
    """SD that the fit's own residual tells."""
    clutter_sd_ppm_mm3: float
    """SD that lesion-free places around would have caused; NaN with too few of them."""
    shape_sd_ppm_mm3: float
    """SD from what is not known of the scan's blur and of the lesion's shape."""
    hidden_sd_ppm_mm3: float
    """SD from the tissue that the lesion hides."""
    residual: float
    """Root mean square of the weighted residual; about 1 where the model holds."""
    core_residual: float
    """The same within 3 mm of the centre, all echoes."""
    blur: Estimate
    """Squared width of the box that widens the point spread, mm2."""
    decay_hz: float
    """R2* inside the lesion above the tissue's, 1/s."""
    optimum: Optimum

    @property
    def near(self) -> Neighbourhood:
        """What of the scan was fitted."""
        return self.optimum.model.near

    @property
    def kept(self) -> bool:
        """Whether a core that keeps its signal was fitted."""
        return self.optimum.model.core == KEPT

    @property
    def outgrown(self) -> bool:
        """Whether the body is larger than what fits into the ball that is looked at: nothing is known of it."""
        radius = self.source.radius_mm
        return radius > 0.99 * RADII_MM[1] or (radius > OVERSIZE_MM and not self.converged)

    @property
    def converged(self) -> bool:
        """Whether the last step changed nothing that matters."""
        return self.optimum.converged


def fit_lesion(
    near: Neighbourhood,
    source: Source,
    *,
    neighbours: ComplexArray | None = None,
    blur: Estimate = BLUR,
) -> LesionFit:
    """Fit one lesion: roughly, with the tissue as polynomials, then with its processes.

    Parameters
    ----------
    near : Neighbourhood
        The scan around the lesion.
    source : Source
        Where to start.
    neighbours : ndarray, optional
        Factor of other lesions on the signal, over (echo and voxel inside).
    blur : Estimate, optional
        What is known of the squared blur beyond the k-space crop, mm2.

    Returns
    -------
    LesionFit
    """
    return describe_fit(refine(rough_fit(near, source, neighbours=neighbours, blur=blur), blur))


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


def dark_core(b0_tesla: float) -> Core:
    """Return what is expected of the inside of a bleed."""
    return DARK_PER_TESLA.at(b0_tesla)


def refine(rough: Optimum, blur: Estimate) -> Optimum:
    """Return a rough fit's optimum with the tissue's processes and what is known of the scan's blur.

    Without the processes a weak lesion may have run away to a patch of tissue or to a sinus nearby. A fit that is in
    doubt must beat small lesions at the point itself, where the lesion is: further out a sinus has more to say. Where
    its core is not described it must beat a pale pair, too. Those that come near it in cost are part of the SD.
    """
    found = _among_tissue(rough, blur)
    if not _in_doubt(found):
        return found.with_rivals(rough.rivals_sd_ppm_mm3)
    near = found.model.near
    if near.texture > LEAST_TEXTURE or found.model.core != KEPT:
        near = near.within(DOUBT_MM)
    again = found.model.seen_by(near, found.source)
    trials = [optimise(*again.with_process(again.surrounded(found.parameters), blur))]
    for total in (SMALL_PPM_MM3, -SMALL_PPM_MM3):
        small = Source(total, (0.0, 0.0, 0.0), 0.0)
        small = small._replace(radius_mm=_usual_radius(small))
        model = _dark_ball(near, small, blur, again.neighbours)
        trials.append(optimise(*model.with_process(model.start(small), blur)))
    first = trials[0]
    trials = [t for t in trials if _at_the_point(t)] or trials
    shape_rivals = 0.0
    if found.outside or found.core_residual() > BADLY:
        pair = _pale_pair_among_tissue(near, blur, again.neighbours)
        one = min(trials, key=Optimum.evidence_cost)
        if _at_the_point(pair) and _left_around(pair, one) < CORE_LEFT:
            trials.append(pair)
        else:
            shape_rivals = _with_rivals(one, [pair]).rivals_sd_ppm_mm3
    costs = np.array([trial.evidence_cost() for trial in trials])
    best = trials[int(costs.argmin())]
    trust = 1.0 if best.core_residual() < DOUBTFUL_CORE else POOR_TRUST
    chance = np.exp(-0.5 * trust * (costs - costs.min()))
    moved = np.array([trial.parameters[0] - best.parameters[0] for trial in trials])
    rivals = float(np.hypot(np.sqrt((chance * moved**2).sum() / chance.sum()), shape_rivals))
    if best is first:
        return found.with_rivals(float(np.hypot(rough.rivals_sd_ppm_mm3, rivals)))
    # What is further out had misled the first fit; what it makes of this one, if that stays what it is, is in the SD.
    model = _dark_ball(found.model.near, best.source, blur, found.model.neighbours)
    model = model.with_shape(best.model.shape)
    wide = optimise(*model.with_process(model.surrounded(best.parameters), blur))
    change = wide.parameters[:4] - best.parameters[:4]
    further_out = abs(change[0]) if np.linalg.norm(change[1:]) < SAME_MM else 0.0
    return best.with_rivals(float(np.hypot(rivals, further_out)))


def _at_the_point(found: Optimum) -> bool:
    """Whether a fit ends near the point: what ends far from it is something else, a sinus or another lesion."""
    return not found.outside and bool(np.linalg.norm(_unlike(found)[:3]) < FAR_SD)


def _pale_pair_among_tissue(near: Neighbourhood, blur: Estimate, neighbours: ComplexArray | None) -> Optimum:
    """Fit a pale pair at the point: beside a sinus one ball is led astray before a second can be seen."""
    large, *_ = sources = [_pale_pair(radius, sign) for radius in (PALE_MM, SMALLER_MM) for sign in (1, -1)]
    model = _dark_ball(near, large, blur, neighbours).with_shape(TWO_BALLS)
    # To choose a start coarse cells do.
    coarse = model.seen_by(near, large, cell_mm=ROUGH_CELL_MM)
    starts = [coarse.start(source, source.radius_mm * u) for source in sources for u in AXES]
    return optimise(*model.with_process(min(starts, key=lambda p: evaluate(coarse, p).cost), blur))


def _pale_pair(radius_mm: float, sign: int) -> Source:
    total = sign * 2 * 4 / 3 * np.pi * radius_mm**3 * PALE_PPM
    return Source(total, (0.0, 0.0, 0.0), radius_mm)


def _dark_ball(
    near: Neighbourhood, source: Source, blur: Estimate, neighbours: ComplexArray | None
) -> LesionModel:
    return LesionModel(near, source, blur=blur, core=dark_core(near.b0_tesla), neighbours=neighbours)


def _among_tissue(rough: Optimum, blur: Estimate) -> Optimum:
    near = rough.model.near_as_found(rough.parameters)
    if near.texture > LEAST_TEXTURE and rough.source.radius_mm < LARGE_MM:
        near = near.within(TISSUE_MM)
    model = rough.model.seen_by(near, rough.source)
    return optimise(*model.with_process(model.surrounded(rough.parameters), blur))


def _in_doubt(found: Optimum) -> bool:
    """Whether a fit is weak, poor at its core or without one, or unlike what is expected of a lesion at the point."""
    weak = abs(found.parameters[0]) < WEAK_SD * found.sandwich()
    poor = found.outside or found.core_residual() >= DOUBTFUL_CORE
    return weak or poor or float(np.linalg.norm(_unlike(found))) >= UNLIKELY


def _unlike(found: Optimum) -> FloatArray:
    """Return centre, contrast and decay in SDs from what is expected."""
    known = priors(found.model, found.parameters)
    return known[[0, 1, 2, 3, 5]]


def scan_blur(rough: Sequence[Optimum]) -> Estimate:
    """Return a scan's squared blur (mm2) as the lesions that say most of it have it among their tissue."""
    converged = [o for o in rough if o.converged]
    telling = sorted(converged, key=_blur_sd)[:BLUR_LESIONS]
    return pooled_blur(run_each(lambda o: _among_tissue(o, BLUR), telling))


def pooled_blur(optima: Sequence[Optimum]) -> Estimate:
    """Return what the lesions of a scan say together of its blur: it is the scan's, not the lesion's.

    Their weighted median, since a lesion that is no ball shows it as blur, and what was known before.
    """
    found = np.array([[o.blur_mm2, _blur_sd(o)] for o in optima if o.converged]).reshape(-1, 2)
    # Each was found with the same knowledge; it may enter once.
    precision = found[:, 1] ** -2 - BLUR.sd**-2
    telling = precision > 0.5 * BLUR.sd**-2
    if not telling.any():
        return BLUR
    value, precision = found[telling, 0], precision[telling]
    value = value + (value - BLUR.value) * BLUR.sd**-2 / precision
    weight = 1 / (1 / precision + BLUR_SPREAD_MM2**2)
    order = np.argsort(value)
    middle = float(value[order][np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)])
    together = weight.sum() * MEDIAN_EFFICIENCY
    everything = together + BLUR.sd**-2
    pooled = (middle * together + BLUR.value * BLUR.sd**-2) / everything
    return Estimate(max(float(pooled), 0.0), float(np.hypot(everything**-0.5, BLUR_SPREAD_MM2)), "mm2")


def _usual_radius(source: Source) -> float:
    return float((3 * max(abs(source.total_chi_ppm_mm3), 0.2) / (4 * np.pi * ONE_BALL.dchi_ppm)) ** (1 / 3))


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


def describe_fit(optimum: Optimum, places: Sequence[Neighbourhood] = ()) -> LesionFit:
    """Return what a fit found and what it is worth.

    Parameters
    ----------
    optimum : Optimum
        The fit.
    places : sequence of Neighbourhood, optional
        Lesion-free places of the same shape around: what they would have caused is in the SD.
    """
    model, misfit = optimum.model, optimum.misfit
    influence, sandwich = optimum.influence, optimum.sandwich()
    clutter = places_sd(model, misfit, influence, places)
    left_open, shape_sd = np.sqrt([influence.variance, influence.shape_variance])
    told = [PROCESS_PART * left_open, sandwich, clutter, FLOOR_PPM_MM3]
    around = np.sqrt(np.nansum(np.square(told)))
    residual, core = optimum.residual, optimum.core_residual()
    poorer = max(1.0, residual / USUAL_RESIDUAL, (core / USUAL_RESIDUAL) ** CORE_POWER)
    size = model.near.grid.voxel_size_mm
    stronger = (model.near.b0_tesla / 3) ** FIELD_POWER
    thicker = (max(size) / min(size)) ** THICK_POWER
    total = optimum.source.total_chi_ppm_mm3
    noise_sd = float(around) * poorer * stronger * thicker / model.near.covered
    if optimum.source.radius_mm > OVERSIZE_MM:
        shape_sd = np.hypot(shape_sd, OVERSIZE_PART * total)
    hidden_sd = HIDDEN_PART * model.near.texture * abs(total)
    return LesionFit(
        source=optimum.source,
        sd_ppm_mm3=float(np.linalg.norm([noise_sd, shape_sd, hidden_sd, optimum.rivals_sd_ppm_mm3])),
        noise_sd_ppm_mm3=noise_sd,
        cramer_rao_sd_ppm_mm3=bound_of(model, misfit),
        clutter_sd_ppm_mm3=clutter,
        sandwich_sd_ppm_mm3=sandwich,
        shape_sd_ppm_mm3=float(shape_sd),
        hidden_sd_ppm_mm3=float(hidden_sd),
        residual=residual,
        core_residual=core,
        blur=Estimate(optimum.blur_mm2, _blur_sd(optimum), "mm2"),
        decay_hz=optimum.decay_hz,
        optimum=optimum.bare(),
    )


def _blur_sd(found: Optimum) -> float:
    return float(np.sqrt(inverse_row(found.model, found.linear.normal, 5)[5]))
