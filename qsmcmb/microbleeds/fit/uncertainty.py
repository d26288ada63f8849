"""TODO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.fit.influence import cramer_rao_bound, reference_patch_sd
from qsmcmb.microbleeds.fit.levenberg_marquardt import RADII_MM, FitState
from qsmcmb.microbleeds.fit.priors import SIGNAL_RETAINING_CORE
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import Source
from qsmcmb.model import Estimate

MIN_SD_PPM_MM3 = 0.005


GP_VARIANCE_FRACTION = 0.225


TYPICAL_RESIDUAL = 0.6


CORE_RESIDUAL_EXPONENT = 2


FIELD_STRENGTH_EXPONENT = 0.2


ANISOTROPY_EXPONENT = 0.75
"""The variance of noise and clutter: what the tissue's processes leave open, in part (a brain differs less from place
to place than they allow), what the residual and what the places around say, and a floor; more where the fit, the
core's above all, is poorer than usual, at a stronger field than 3 T, and the longer a voxel is."""


LARGE_BODY_RADIUS_MM = 5.0


LARGE_BODY_SD_FRACTION = 0.02
"""SD over total susceptibility of a body of which more than this radius is fitted: little tissue is left around it."""


HIDDEN_TISSUE_SD_FRACTION = 0.003
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
    hidden_tissue_sd_ppm_mm3: float
    """SD from the tissue that the lesion hides."""
    residual: float
    """Root mean square of the weighted residual; about 1 where the model holds."""
    core_residual: float
    """The same within 3 mm of the centre, all echoes."""
    psf_width2: Estimate
    """Squared width of the box that widens the point spread, mm2."""
    decay_hz: float
    """R2* inside the lesion above the tissue's, 1/s."""
    state: FitState

    @property
    def patch(self) -> Patch:
        """What of the scan was fitted."""
        return self.state.model.patch

    @property
    def signal_retaining(self) -> bool:
        """Whether a core that keeps its signal was fitted."""
        return self.state.model.core_decay == SIGNAL_RETAINING_CORE

    @property
    def exceeds_patch(self) -> bool:
        """Whether the body is larger than what fits into the ball that is looked at: nothing is known of it."""
        radius = self.source.radius_mm
        return radius > 0.99 * RADII_MM[1] or (radius > LARGE_BODY_RADIUS_MM and not self.converged)

    @property
    def converged(self) -> bool:
        """Whether the last step changed nothing that matters."""
        return self.state.converged


def summarise_fit(state: FitState, places: Sequence[Patch] = ()) -> LesionFit:
    """Return what a fit found and what it is worth.

    Parameters
    ----------
    state : FitState
        The fit.
    places : sequence of Patch, optional
        Lesion-free places of the same shape around: what they would have caused is in the SD.
    """
    model, objective = state.model, state.objective
    influence, sandwich_sd = state.influence, state.sandwich_sd()
    clutter = reference_patch_sd(model, objective, influence, places)
    left_open, shape_sd = np.sqrt([influence.variance, influence.shape_variance])
    told = [GP_VARIANCE_FRACTION * left_open, sandwich_sd, clutter, MIN_SD_PPM_MM3]
    around = np.sqrt(np.nansum(np.square(told)))
    residual, core = state.residual, state.core_residual()
    poorer = max(1.0, residual / TYPICAL_RESIDUAL, (core / TYPICAL_RESIDUAL) ** CORE_RESIDUAL_EXPONENT)
    size = model.patch.grid.voxel_size_mm
    stronger = (model.patch.acquisition.b0_tesla / 3) ** FIELD_STRENGTH_EXPONENT
    thicker = (max(size) / min(size)) ** ANISOTROPY_EXPONENT
    total = state.source.total_chi_ppm_mm3
    noise_sd = float(around) * poorer * stronger * thicker / model.patch.fraction_in_mask
    if state.source.radius_mm > LARGE_BODY_RADIUS_MM:
        shape_sd = np.hypot(shape_sd, LARGE_BODY_SD_FRACTION * total)
    hidden_tissue_sd = HIDDEN_TISSUE_SD_FRACTION * model.patch.acquisition.heterogeneity * abs(total)
    return LesionFit(
        source=state.source,
        sd_ppm_mm3=float(
            np.linalg.norm([noise_sd, shape_sd, hidden_tissue_sd, state.model_selection_sd_ppm_mm3])
        ),
        noise_sd_ppm_mm3=noise_sd,
        cramer_rao_sd_ppm_mm3=cramer_rao_bound(model, objective),
        clutter_sd_ppm_mm3=clutter,
        sandwich_sd_ppm_mm3=sandwich_sd,
        shape_sd_ppm_mm3=float(shape_sd),
        hidden_tissue_sd_ppm_mm3=float(hidden_tissue_sd),
        residual=residual,
        core_residual=core,
        psf_width2=state.psf_width2,
        decay_hz=state.decay_hz,
        state=state.without_cache(),
    )
