"""Uncertainty of a fitted lesion's total susceptibility M.

    SD^2 = noise^2 + shape^2 + hidden^2 + selection^2 + discrepancy^2
    noise = s sqrt((0.225 process)^2 + sandwich^2 + clutter^2 + floor^2)

process is what noise and the tissue's Gaussian process leave open of M, sandwich what the fit's own residual says,
clutter what the tissue of the reference patches would have caused; s rises where the fit is poorer than usual, the
field stronger than 3 T, the voxel elongated, or a part of the patch missing. shape is the variance that the priors of
psf width and shape carry (and a term of bodies that nearly fill their patch), hidden that of the tissue within the
lesion, which no scan shows, selection that of the choice of the model, discrepancy that of a shape that does not
describe the lesion's core. `sd_parts.SdParts` has them one by one. Each part alone misses some lesions. The factors
were set on the development heads (docs/explanation/lesion-fit.md) and are measured, not derived. The lesion table adds
one more variance, the systematic SD (`results.measurement`): SD of the row = sqrt(this SD^2 + systematic^2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.fit.free_source_fit import is_described, is_free
from qsmcmb.microbleeds.fit.influence import cramer_rao_bound, reference_patch_sd
from qsmcmb.microbleeds.fit.levenberg_marquardt import LARGE_BODY_RADIUS_MM, FitState
from qsmcmb.microbleeds.fit.priors import (
    CENTRE_PRIORS,
    DCHI_PRIOR,
    DECAY_PRIOR,
    N_COMMON_PRIORS,
    PSF_WIDTH_PRIOR,
    SIGNAL_RETAINING_CORE,
)
from qsmcmb.microbleeds.fit.sd_parts import SdParts
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import Source
from qsmcmb.model import Estimate
from qsmcmb.typing import FloatArray

__all__ = ["HIDDEN_TISSUE_SD_FRACTION", "LesionFit", "noise_scale", "summarise_fit"]

MIN_SD_PPM_MM3 = 0.005
"""Floor of the SD of noise and clutter, ppm mm3, added to its parts as a square: no lesion is known better."""
GP_SD_FRACTION = 0.225
"""Fraction at which the SD left open by noise and the Gaussian process counts: real tissue varies less than the process
allows. Set on the development heads."""
TYPICAL_RESIDUAL = 0.6
"""Weighted residual, SDs, above which the SD of noise and clutter rises: the fit is poorer than usual."""
CORE_RESIDUAL_EXPONENT = 2
"""Exponent of the rise of the SD with the core residual over TYPICAL_RESIDUAL (that of the whole patch has 1): a poor
core says more of an error than poor surroundings."""
FIELD_STRENGTH_EXPONENT = 0.2
"""Exponent of the rise of the SD with field strength over 3 T: at 7 T less of the error is noise and tissue."""
REFERENCE_FIELD_TESLA = 3.0
"""Field strength at which the factors were set, T."""
ANISOTROPY_EXPONENT = 0.75
"""Exponent of the rise of the SD with the ratio of a voxel's longest to its shortest edge: measured, unexplained."""
LARGE_BODY_SD_FRACTION = 0.02
"""Ratio to the total susceptibility of the SD that a body above LARGE_BODY_RADIUS_MM has in addition, because little
tissue tells its field from the background."""
HIDDEN_TISSUE_SD_FRACTION = 0.003
"""Ratio of the SD for hidden tissue to the total susceptibility, in tissue: errors of one lesion at 1.5, 3 and 7 T have
0.45 to 0.7 % of it in common at every size."""
FREE_SOURCE_SD_FRACTION = 0.006
"""Ratio of a free source's discrepancy SD to the sum of its balls' |M_i|: balls of one susceptibility describe no body
exactly. Set on heads of irregular lesions (docs/notes/2026-11-29-any-shape.md)."""
MIXED_SOURCE_SD_FRACTION = 0.012
"""The same of balls of either sign: their sum is a difference, and where one ends and the other begins the void hides.
Set on three heads of such lesions (docs/notes/2026-11-29-iron-beside-calcium.md)."""
DESCRIBED_CORE_RESIDUAL = 0.4
"""Core residual, SDs, up to which nothing is left of a lesion that its shape does not describe."""
CORE_DISCREPANCY_SD_FRACTION = 0.033
"""Rise of the discrepancy SD with the core residual above that, ratio to the sum of |M_i| per SD: set on these heads,
too."""
MIN_LOST_CORE_RESIDUAL, LOST_SHAPE_SD_FRACTION = 0.8, 0.2
"""Core residual, SDs, above which a simple shape that no free source could better may have missed a part of the lesion,
and the discrepancy SD that it then has, ratio to the sum of |M_i|: such lesions read up to 50 % wrong."""
MAX_UNFLAGGED_CORE_RESIDUAL = 0.6
"""Core residual, SDs, up to which a lesion counts as described in the table: below it totals of balls, pairs and free
sources were right within their intervals."""


class LesionFit(NamedTuple):
    """Result of one lesion's fit: its total susceptibility, and what that is worth."""

    source: Source
    """Total susceptibility (ppm mm3), centre (mm from the point), radius (mm)."""
    sd_ppm_mm3: float
    """SD of the total susceptibility, all parts together, ppm mm3."""
    sd_parts: SdParts
    """Parts of it."""
    cramer_rao_sd_ppm_mm3: float
    """Smallest SD that white noise alone allows for this model, ppm mm3."""
    sandwich_sd_ppm_mm3: float
    """SD by the fit's own residual, ppm mm3."""
    clutter_sd_ppm_mm3: float
    """SD that the reference patches' tissue would have caused, ppm mm3; NaN with too few of them."""
    residual: float
    """Root mean square of the weighted residual, SDs; about 1 where the model holds."""
    core_residual: float
    """Root mean square of the weighted residual within 3 mm of the centre, all echoes, SDs."""
    is_described: bool
    """Whether the shape describes the lesion's core as well as its surroundings are described."""
    psf_width2: Estimate
    """Squared width of the box that widens the point spread, mm2."""
    decay_hz: float
    """R2* inside the lesion above the tissue's, 1/s."""
    state: FitState
    """State in which the fit has ended."""

    @property
    def noise_sd_ppm_mm3(self) -> float:
        """SD from noise and clutter alone, without the choice of the model, ppm mm3."""
        return self.sd_parts.noise_and_clutter

    @property
    def shape_sd_ppm_mm3(self) -> float:
        """SD by the priors of the scan's psf width and of the lesion's centre and shape, ppm mm3."""
        return self.sd_parts.priors

    @property
    def hidden_tissue_sd_ppm_mm3(self) -> float:
        """SD from the tissue that the lesion hides, ppm mm3."""
        return self.sd_parts.hidden_tissue

    @property
    def discrepancy_sd_ppm_mm3(self) -> float:
        """SD for what the shape does not describe of the lesion, ppm mm3."""
        return self.sd_parts.discrepancy

    @property
    def patch(self) -> Patch:
        """Patch that was fitted."""
        return self.state.model.patch

    @property
    def signal_retaining(self) -> bool:
        """Whether a core that retains its signal was fitted."""
        return self.state.model.core_decay == SIGNAL_RETAINING_CORE

    @property
    def exceeds_patch(self) -> bool:
        """Whether the body is larger than what fits into its patch: nothing is known of it."""
        return self.state.exceeds_patch

    @property
    def converged(self) -> bool:
        """Whether the last step of the fit changed nothing that matters."""
        return self.state.converged


def summarise_fit(state: FitState, reference_patches: Sequence[Patch] = ()) -> LesionFit:
    """Summarise a fit: its total susceptibility, the parts of its SD, its residuals.

    Parameters
    ----------
    state : FitState
        The fit.
    reference_patches : sequence of Patch, optional
        Patches without a lesion, of the fitted voxels (`find_reference_patches`): what their tissue would have caused
        is in the SD.

    Returns
    -------
    LesionFit
        Source, SD and its parts, residuals.
    """
    model, objective = state.model, state.objective
    clutter_sd = reference_patch_sd(model, objective, state.influence, reference_patches)
    parts = _sd_parts(state, clutter_sd)
    return LesionFit(
        source=state.source,
        sd_ppm_mm3=parts.total,
        sd_parts=parts,
        cramer_rao_sd_ppm_mm3=cramer_rao_bound(model, objective),
        clutter_sd_ppm_mm3=clutter_sd,
        sandwich_sd_ppm_mm3=state.sandwich_sd(),
        residual=state.residual,
        core_residual=state.core_residual(),
        is_described=is_described(state, max_core_residual=MAX_UNFLAGGED_CORE_RESIDUAL),
        psf_width2=state.psf_width2,
        decay_hz=state.decay_hz,
        state=state.without_cache(),
    )


def _sd_parts(state: FitState, clutter_sd: float) -> SdParts:
    """Return the parts of the SD; variances of parts that each miss some errors are added, though they overlap."""
    scale = noise_scale(state)
    by_prior = state.influence.prior_variances
    size = abs(state.source.total_chi_ppm_mm3)
    is_large = state.source.radius_mm > LARGE_BODY_RADIUS_MM
    return SdParts(
        process=scale * GP_SD_FRACTION * float(np.sqrt(state.influence.variance)),
        sandwich=scale * state.sandwich_sd(),
        clutter=0.0 if np.isnan(clutter_sd) else scale * clutter_sd,
        floor=scale * MIN_SD_PPM_MM3,
        centre=_root_sum(by_prior[CENTRE_PRIORS]),
        susceptibility_difference=_root_sum(by_prior[DCHI_PRIOR]),
        psf_width=_root_sum(by_prior[PSF_WIDTH_PRIOR]),
        decay=_root_sum(by_prior[DECAY_PRIOR]),
        shape=_root_sum(by_prior[N_COMMON_PRIORS:]),
        large_body=LARGE_BODY_SD_FRACTION * size if is_large else 0.0,
        hidden_tissue=HIDDEN_TISSUE_SD_FRACTION * state.model.patch.acquisition.heterogeneity * size,
        model_selection=state.model_selection_sd_ppm_mm3,
        discrepancy=_discrepancy_sd(state),
    )


def _root_sum(variances: FloatArray) -> float:
    """Return the SD that some variances have together."""
    return float(np.sqrt(np.sum(variances)))


def _discrepancy_sd(state: FitState) -> float:
    """Return the SD, ppm mm3, for what the shape does not describe.

    A model discrepancy as of Kennedy and O'Hagan 2001, doi:10.1111/1467-9868.00294.
    """
    rise = CORE_DISCREPANCY_SD_FRACTION * max(state.core_residual() - DESCRIBED_CORE_RESIDUAL, 0.0)
    own = 0.0
    if is_free(state):
        own = MIXED_SOURCE_SD_FRACTION if np.ptp(np.sign(state.rows[:, 0])) else FREE_SOURCE_SD_FRACTION
    if not is_free(state) and state.core_residual() > MIN_LOST_CORE_RESIDUAL and not is_described(state):
        own = LOST_SHAPE_SD_FRACTION
    return float(np.hypot(rise, own) * np.abs(state.rows[:, 0]).sum())


def noise_scale(state: FitState) -> float:
    """Return the factor on the SDs of noise and clutter, by residual, field, voxel and lack of patch.

    Parameters
    ----------
    state : FitState
        The fit.

    Returns
    -------
    float
        Factor, > 0: 1 of a usual fit at 3 T.
    """
    patch = state.model.patch
    by_residual = max(
        1.0,
        state.residual / TYPICAL_RESIDUAL,
        (state.core_residual() / TYPICAL_RESIDUAL) ** CORE_RESIDUAL_EXPONENT,
    )
    by_field = (patch.acquisition.b0_tesla / REFERENCE_FIELD_TESLA) ** FIELD_STRENGTH_EXPONENT
    size = patch.grid.voxel_size_mm
    by_anisotropy = (max(size) / min(size)) ** ANISOTROPY_EXPONENT
    return float(by_residual * by_field * by_anisotropy / patch.fraction_in_mask)
