"""TODO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.fit.influence import bound_of, places_sd
from qsmcmb.microbleeds.fit.levenberg_marquardt import RADII_MM, Optimum
from qsmcmb.microbleeds.fit.objective import inverse_row
from qsmcmb.microbleeds.fit.priors import KEPT
from qsmcmb.microbleeds.signal.model import Source
from qsmcmb.microbleeds.signal.patch import Neighbourhood
from qsmcmb.model import Estimate

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
