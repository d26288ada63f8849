"""Measurement of one point: its fit with void and signal loss, and the row of the lesion table made of them.

A row is assembled once, when the whole scan is known. Its SD joins the fit's SD and a systematic SD, the difference to
a model that explains the scan better (a vein, a ball that keeps its signal), as a root of squares. Kind and certainty
follow from sign, significance and residual, from a vein's BIC, and from the probability of each kind (`mimics`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.crosscheck.agreement import estimators_disagree
from qsmcmb.microbleeds.crosscheck.map_sum import MapSum
from qsmcmb.microbleeds.crosscheck.signal_loss import SignalLoss, measure_signal_loss
from qsmcmb.microbleeds.crosscheck.visible_void import VisibleVoid, measure_void
from qsmcmb.microbleeds.fit.field_fit import fit_signal_retaining_ball, retains_signal
from qsmcmb.microbleeds.fit.screening import Screening
from qsmcmb.microbleeds.fit.uncertainty import LesionFit
from qsmcmb.microbleeds.fit.vein import Vein
from qsmcmb.microbleeds.results.evidence import Evidence
from qsmcmb.microbleeds.results.flags import Flag
from qsmcmb.microbleeds.results.naming import FitFacts, is_significant, name_lesion, name_screened
from qsmcmb.microbleeds.signal.patch import Patch, ScanFields
from qsmcmb.model import Estimate, Grid
from qsmcmb.typing import BoolArray
from qsmcmb.units import PPM_MM3

__all__ = [
    "CLEAR_SIGNIFICANCE",
    "POOR_FIT",
    "FittedLesion",
    "LesionMeasurement",
    "SceneContext",
    "ScreenedCandidate",
    "assemble_lesion",
    "describe_screened",
    "measure_fitted",
]

CLEAR_SIGNIFICANCE = 5.0
"""Ratio of total susceptibility to its SD above which a lesion has a number even in a patch that is dark throughout;
also that of `fit_noise_limit_ppm_mm3` and of the detection limit map."""
MIN_UNFLAGGED_IN_MASK = 0.9
"""Fraction of the patch in the mask below which the row is flagged."""
DIFFERENCE_RELATIVE_SD = 0.06
"""SD of the total susceptibility, relative, that a phase difference leaves open: it does not tell voxels that are means
over their volume from samples of k-space, and read as samples they are up to 10 % low."""
POOR_FIT = 1.0
"""Weighted residual, of all or of the core, above which the model does not hold."""


class FittedLesion(NamedTuple):
    """Fit of one lesion, with its void and its signal loss."""

    patch: Patch
    """The scan around the point as it was cut."""
    fit: LesionFit
    """The refined fit."""
    signal_loss: SignalLoss | None
    """Total susceptibility by the signal loss; None where it is unknown."""
    vein: Vein | None
    """A vein that explains the scan better than a lesion."""
    adjacent_vein: Vein | None
    """A vein that explains the scan better together with the lesion."""
    void: VisibleVoid
    """The void on the longest echo; of volume 0 where none is seen."""
    region: BoolArray
    """Voxels of the patch's box that show the lesion."""
    total_chi_ppm_mm3: Estimate
    """Total susceptibility, ppm mm3; its SD holds the systematic SD."""
    systematic_sd_ppm_mm3: float
    """Systematic SD: the difference to a model that explains the scan better; 0 where there is none, ppm mm3."""
    position_mm: tuple[float, float, float]
    """Fitted centre, scanner RAS+ mm."""
    r2star_hz: float | None
    """Median R2* in the region, 1/s."""

    @property
    def is_found(self) -> bool:
        """Whether the total susceptibility differs from 0 (`naming.is_significant`)."""
        return is_significant(self.total_chi_ppm_mm3)


class ScreenedCandidate(NamedTuple):
    """Candidate that was turned away before the fit: what signal, field map and magnitude say of it."""

    screening: Screening
    """Total susceptibility by signal and by field map."""
    void: VisibleVoid
    """The void on the longest echo; of volume 0 where none is seen."""
    region: BoolArray
    """Voxels of the patch's box that show the candidate."""
    r2star_hz: float | None
    """Median R2* in the region, 1/s."""


@dataclass(frozen=True)
class LesionMeasurement:
    """One point: as its source states it, with its fit."""

    label: int
    """Number of the point in the label image, from 1."""
    point_mm: tuple[float, float, float]
    """The point as given, scanner RAS+ mm."""
    stated_kind: str | None
    """Kind by its source; None where none is stated."""
    source: str
    """Source of the point: "reader" or "detector"."""
    fitted: FittedLesion | None
    """The fit; None where there is no number."""
    reason: Flag | None
    """Flag that says why nothing was fitted; None where there is a fit."""
    screened: ScreenedCandidate | None = None
    """What is known of a candidate that was turned away before the fit; None for others."""
    evidence: Evidence | None = None
    """What says whether it is a microbleed; None where too little of it lies in the mask."""

    @property
    def position_mm(self) -> tuple[float, float, float]:
        """Fitted centre, or the point itself, scanner RAS+ mm."""
        return self.fitted.position_mm if self.fitted else self.point_mm

    @property
    def total_chi_ppm_mm3(self) -> Estimate | None:
        """Total susceptibility by the lesion fit, ppm mm3."""
        return self.fitted.total_chi_ppm_mm3 if self.fitted else None

    @property
    def diameter_mm(self) -> float | None:
        """Visible diameter, mm."""
        return self.fitted.void.diameter_mm if self.fitted else None


class SceneContext(NamedTuple):
    """Facts of a lesion that only the whole scan shows; None where unknown."""

    map_sum: MapSum | None = None
    """Sum over the susceptibility map."""
    detection_limit_ppm_mm3: float | None = None
    """Value of the detection limit map, ppm mm3."""
    side: str | None = None
    """Left, right or midline."""
    territory: str | None = None
    """Lobar, deep or infratentorial."""
    mars_region: str | None = None
    """Region of the Microbleed Anatomical Rating Scale."""
    bombs_region: str | None = None
    """Region of the Brain Observer Microbleed Scale."""
    territory_border: bool = False
    """Whether another territory begins within a few millimetres."""
    is_duplicate: bool = False
    """Whether another point ended on the same lesion."""
    phase_filtered: bool = False
    """Whether the phase was high-pass filtered: the number has no interval, and nothing is definite."""
    phase_difference: bool = False
    """Whether the phase is the difference of two echoes."""
    magnitude_is_shared: bool = False
    """Whether one magnitude serves several echoes."""


def measure_fitted(
    patch: Patch,
    fit: LesionFit,
    fields: ScanFields,
    grid: Grid,
    *,
    vein: Vein | None,
    adjacent_vein: Vein | None,
) -> FittedLesion:
    """Complete a fit by the void, the signal loss and R2* of its patch.

    Parameters
    ----------
    patch : Patch
        The scan around the point as it was cut.
    fit : LesionFit
        The refined fit.
    fields : ScanFields
        R2* of the scan.
    grid : Grid
        Geometry of the scan.
    vein, adjacent_vein : Vein or None
        Veins that explain the scan better than, or together with, the lesion.

    Returns
    -------
    FittedLesion
        The fit with void (mm3), signal loss (ppm mm3), R2* (1/s), position (mm) and total susceptibility (ppm mm3).

    Notes
    -----
    SD^2 = fit's SD^2 + systematic SD^2.
    """
    void, region, r2star_hz = _visible(patch, fields)
    shift = np.array(fit.source.centre_mm) / np.array(grid.voxel_size_mm)
    x, y, z = (float(v) for v in grid.to_world(patch.centre_voxel + shift))
    systematic_sd = _systematic_sd(patch, fit, vein)
    sd = float(np.hypot(fit.sd_ppm_mm3, systematic_sd))
    return FittedLesion(
        patch=patch,
        fit=fit,
        # A magnitude of another echo time loses another signal.
        signal_loss=None if patch.acquisition.phase_alone else measure_signal_loss(patch, fit.source),
        vein=vein,
        adjacent_vein=adjacent_vein,
        void=void,
        region=region,
        total_chi_ppm_mm3=Estimate(fit.source.total_chi_ppm_mm3, sd, PPM_MM3),
        systematic_sd_ppm_mm3=systematic_sd,
        position_mm=(x, y, z),
        r2star_hz=r2star_hz,
    )


def describe_screened(patch: Patch, screening: Screening, fields: ScanFields) -> ScreenedCandidate:
    """Describe a candidate that is turned away by the void and R2* of its patch.

    Parameters
    ----------
    patch : Patch
        The scan around the candidate.
    screening : Screening
        What signal and field map say of it.
    fields : ScanFields
        R2* of the scan.

    Returns
    -------
    ScreenedCandidate
        Total susceptibility (ppm mm3), void (mm3), R2* (1/s).
    """
    return ScreenedCandidate(screening, *_visible(patch, fields))


def _visible(patch: Patch, fields: ScanFields) -> tuple[VisibleVoid, BoolArray, float | None]:
    """Return the void of a patch, the voxels that show the lesion, and their median R2*, 1/s."""
    void = measure_void(patch)
    radius = np.sqrt((patch.coordinates_mm**2).sum(axis=0))
    # Without a void the voxels nearest to the point stand for the lesion.
    region = void.mask if void.mask.any() else radius <= max(patch.grid.voxel_size_mm)
    decay_hz = None if fields.r2star_hz is None else float(np.median(fields.r2star_hz[patch.box][region]))
    return void, region, decay_hz


def assemble_lesion(measured: LesionMeasurement, context: SceneContext) -> Microbleed:
    """Assemble the row of the lesion table from a point's measurement and the whole scan's facts of it.

    Parameters
    ----------
    measured : LesionMeasurement
        The point.
    context : SceneContext
        Facts of it that only the whole scan shows.

    Returns
    -------
    Microbleed
        The row; without a number where nothing was fitted.

    Examples
    --------
    >>> from qsmcmb.microbleeds.results.flags import Flag
    >>> outside = LesionMeasurement(
    ...     label=1, point_mm=(0.0, 0.0, 90.0), stated_kind=None, source="reader", fitted=None,
    ...     reason=Flag.OUTSIDE_MASK,
    ... )
    >>> assemble_lesion(outside, SceneContext()).flags
    ('outside-mask',)
    """
    fitted = measured.fitted
    if measured.screened is not None:
        return _screened_lesion(measured, measured.screened, context)
    if fitted is None:
        return Microbleed(
            label=measured.label,
            position_mm=measured.point_mm,
            kind=measured.stated_kind or "other",
            detection_limit_ppm_mm3=context.detection_limit_ppm_mm3,
            side=context.side,
            territory=context.territory,
            mars_region=context.mars_region,
            bombs_region=context.bombs_region,
            source=measured.source,
            flags=(*((str(measured.reason),) if measured.reason else ()), *_place_flags(context)),
        )
    loss, total, map_sum = fitted.signal_loss, fitted.total_chi_ppm_mm3, context.map_sum
    facts = FitFacts(total, fitted.fit.residual, fitted.patch.fraction_in_mask, fitted.vein is not None)
    named = name_lesion(
        facts, measured.evidence, stated_kind=measured.stated_kind, of_reader=measured.source == "reader"
    )
    certainty, bombs_certainty = named.certainty, named.bombs_certainty
    if context.phase_difference:
        total = replace(total, sd=math.hypot(total.sd, DIFFERENCE_RELATIVE_SD * total.value))
    if context.phase_filtered:
        total = replace(total, sd=math.nan, interval=None)
        certainty, bombs_certainty = "possible" if certainty == "definite" else certainty, "uncertain"
    return Microbleed(
        label=measured.label,
        position_mm=fitted.position_mm,
        kind=named.kind,
        certainty=certainty,
        bombs_certainty=bombs_certainty,
        score=named.score,
        total_chi_ppm_mm3=total,
        total_chi_sum_ppm_mm3=map_sum.corrected.value if map_sum and map_sum.corrected else None,
        total_chi_sum_raw_ppm_mm3=_finite(map_sum.raw_ppm_mm3) if map_sum else None,
        total_chi_loss_ppm_mm3=loss.total_chi_ppm_mm3 if loss else None,
        detection_limit_ppm_mm3=context.detection_limit_ppm_mm3,
        volume_mm3=fitted.void.volume_mm3,
        diameter_mm=fitted.void.diameter_mm,
        r2star_hz=fitted.r2star_hz,
        side=context.side,
        territory=context.territory,
        mars_region=context.mars_region,
        bombs_region=context.bombs_region,
        source=measured.source,
        flags=_flags(fitted, context),
        fit_noise_limit_ppm_mm3=CLEAR_SIGNIFICANCE * fitted.fit.noise_sd_ppm_mm3,
        shape=fitted.fit.state.model.shape.name,
    )


def _screened_lesion(
    measured: LesionMeasurement, screened: ScreenedCandidate, context: SceneContext
) -> Microbleed:
    """Return the row of a candidate that was turned away before the fit: rejected, with the number of one ball."""
    total = screened.screening.total_chi_ppm_mm3
    named = name_screened(measured.evidence, stated_kind=measured.stated_kind)
    if context.phase_filtered:
        total = replace(total, sd=math.nan, interval=None)
    return Microbleed(
        label=measured.label,
        position_mm=measured.point_mm,
        kind=named.kind,
        certainty=named.certainty,
        score=named.score,
        total_chi_ppm_mm3=total,
        detection_limit_ppm_mm3=context.detection_limit_ppm_mm3,
        volume_mm3=screened.void.volume_mm3,
        diameter_mm=screened.void.diameter_mm,
        r2star_hz=screened.r2star_hz,
        side=context.side,
        territory=context.territory,
        mars_region=context.mars_region,
        bombs_region=context.bombs_region,
        source=measured.source,
        flags=(str(measured.reason), *_scan_flags(context), *_place_flags(context)),
    )


def _systematic_sd(patch: Patch, fit: LesionFit, vein: Vein | None) -> float:
    """Return the difference, ppm mm3, to a model that explains the scan better: a signal-retaining ball, or a vein.

    A body that is dark at its centre has no ball that keeps its signal for a rival. A fit that finds a signal-retaining
    ball and does not converge has a ball too large for the patch, and a vein's total susceptibility depends on where it
    is taken to end: both are known to their own size only.
    """
    total = fit.source.total_chi_ppm_mm3
    if vein is not None:
        return abs(total)
    exceeds = fit.signal_retaining and not fit.converged
    poor = fit.residual > POOR_FIT or (fit.core_residual > POOR_FIT and not fit.signal_retaining)
    rivalled = exceeds or (poor and retains_signal(patch, fit.source))
    ball = fit_signal_retaining_ball(patch, patch.field_hz) if rivalled else None
    if ball is None:
        return 0.0
    return max(abs(ball.total_chi_ppm_mm3 - total), abs(total) if exceeds else 0.0)


def _flags(fitted: FittedLesion, context: SceneContext) -> tuple[str, ...]:
    """Return the words of the flags that a fitted lesion raises."""
    patch, fit, map_sum = fitted.patch, fitted.fit, context.map_sum
    others = [
        map_sum.corrected if map_sum else None,
        fitted.signal_loss.estimate if fitted.signal_loss else None,
    ]
    raised = {
        Flag.NEAR_MASK_EDGE: patch.fraction_in_mask < MIN_UNFLAGGED_IN_MASK,
        Flag.SINGLE_ECHO: len(patch.acquisition.te_s) == 1,
        Flag.NOT_CONVERGED: not fit.converged,
        Flag.POOR_FIT: max(fit.residual, fit.core_residual) > POOR_FIT,
        Flag.IRREGULAR: fitted.is_found and fitted.vein is None and not fit.is_described,
        Flag.VEIN_LIKE: fitted.vein is not None,
        Flag.NOT_ABOVE_NOISE: not fitted.is_found,
        Flag.MAP_SUM_UNRELIABLE: map_sum is not None and map_sum.corrected is None,
        Flag.ESTIMATORS_DISAGREE: estimators_disagree(fitted.total_chi_ppm_mm3, others),
        Flag.SAME_LESION: context.is_duplicate,
    }
    return (*_names(raised), *_scan_flags(context), *_place_flags(context))


def _scan_flags(context: SceneContext) -> tuple[str, ...]:
    """Return the flags of every lesion of a scan whose phase or magnitude is not one of each echo."""
    return _names(
        {
            Flag.FILTERED_PHASE: context.phase_filtered,
            Flag.PHASE_DIFFERENCE: context.phase_difference,
            Flag.ONE_MAGNITUDE: context.magnitude_is_shared,
        }
    )


def _place_flags(context: SceneContext) -> tuple[str, ...]:
    """Return the flags that a lesion's place raises."""
    return _names({Flag.TERRITORY_BORDER: context.territory_border})


def _names(raised: dict[Flag, bool]) -> tuple[str, ...]:
    """Return the names of the flags that are raised, in their order."""
    return tuple(str(flag) for flag, is_raised in raised.items() if is_raised)


def _finite(value: float) -> float | None:
    """Return a number, or None where it is not finite."""
    return value if np.isfinite(value) else None
