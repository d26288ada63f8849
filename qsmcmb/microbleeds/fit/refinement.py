"""Lesion fit in the complex domain: least squares over all echoes for total susceptibility, centre and shape.

Errors are not alike in all directions: the magnitude carries tissue texture, the phase carries the field of nearby
tissue, which grows with echo time; both are weighed as what they are. A rough fit, with polynomials for the tissue,
finds the lesion's shape: where the core does not fit, a spheroid or two equal balls with a free axis take the ball's
place. Lesions of a scan together say how far its point spread is wider than its voxels. The fit is then refined with
the tissue's processes. The field form (dipole on an unwrapped field map) starts it and stands by as a check.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.microbleeds.fit.levenberg_marquardt import Optimum, optimise
from qsmcmb.microbleeds.fit.objective import evaluate
from qsmcmb.microbleeds.fit.priors import BLUR, KEPT, _usual_radius, dark_core, priors
from qsmcmb.microbleeds.fit.shape_selection import (
    BADLY,
    CORE_LEFT,
    PALE_MM,
    _left_around,
    _pale_pair,
    _with_rivals,
    rough_fit,
)
from qsmcmb.microbleeds.fit.uncertainty import LesionFit, describe_fit
from qsmcmb.microbleeds.signal.model import LesionModel, Source
from qsmcmb.microbleeds.signal.patch import Neighbourhood
from qsmcmb.microbleeds.signal.point_spread import ROUGH_CELL_MM
from qsmcmb.microbleeds.signal.source_shapes import AXES, TWO_BALLS
from qsmcmb.microbleeds.signal.tissue import LEAST_TEXTURE
from qsmcmb.model import Estimate
from qsmcmb.typing import ComplexArray, FloatArray

TISSUE_MM = 6.0
"""Radius of the ball in which a lesion is refined among tissue: what is further out says little of it."""
LARGE_MM = 3.0
"""Radius of the lesions for which this is too little."""
SMALLER_MM = 1.5
"""Radius of those of a smaller one."""
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
