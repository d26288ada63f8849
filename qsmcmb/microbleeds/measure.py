"""Measure lesions at given points: calibrate the scan, then fit each lesion beside its neighbours.

1. A patch is cut around each point. All are screened by signal and field map (`fit.screening`), which is evidence of
   what they are. Candidates of the detector that are turned away, by their probability or without one by screening,
   keep the number of one ball and are fitted no further; a reader's point never is.
2. `calibrate` finds the scan's properties and an initial fit of each lesion.
3. `joint_fit` refines all lesions, each beside its neighbours, and compares them with veins.
4. Void, signal loss and SD complete each fit; points without a number carry the flag that says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from qsmcmb.core.length_scale import length_scale
from qsmcmb.errors import InvalidInputError
from qsmcmb.lesion import read_kind
from qsmcmb.microbleeds.calibration.calibrate import calibrate
from qsmcmb.microbleeds.crosscheck.visible_void import dark_beyond_ball
from qsmcmb.microbleeds.fit.screening import Screening, TurnedAway
from qsmcmb.microbleeds.joint_fit import FitJob, RefinedFit, fit_all_lesions
from qsmcmb.microbleeds.results.evidence import Evidence
from qsmcmb.microbleeds.results.flags import Flag
from qsmcmb.microbleeds.results.measurement import (
    CLEAR_SIGNIFICANCE,
    FittedLesion,
    LesionMeasurement,
    describe_screened,
    measure_fitted,
)
from qsmcmb.microbleeds.results.naming import MIN_SIGNIFICANCE, may_be_lesion, min_named_significance
from qsmcmb.microbleeds.results.point_evidence import describe_points, screen_points
from qsmcmb.microbleeds.signal.acquisition import Acquisition
from qsmcmb.microbleeds.signal.patch import PATCH_RADIUS_MM, Patch, ScanFields, cut_patch
from qsmcmb.model import GreScan
from qsmcmb.typing import BoolArray, FloatArray, IntArray

__all__ = ["MeasuredLesions", "Targets", "gather_all_evidence", "measure_lesions"]

REASONS = {TurnedAway.NO_DIPOLE: Flag.NO_DIPOLE, TurnedAway.NOT_COMPACT: Flag.NOT_COMPACT}
"""Flag by the reason for which a candidate is turned away before the fit."""
MIN_FRACTION_IN_MASK = 0.2
"""Least fraction of the ball in the mask for a fit: a convention of the table."""
MIN_VOXELS = 80
"""Least voxels for a fit: about four times the parameters of ball and polynomials."""


class Targets(NamedTuple):
    """Points to be measured: those of readers first, then those of the detector."""

    points_mm: FloatArray
    """(n, 3), scanner RAS+ mm."""
    kinds: Sequence[str | None]
    """Kind of each point, where its source states one."""
    scores: Sequence[float | None]
    """Detector's score of each point, 0 to 1; None for a reader's."""
    n_reader_points: int
    """Number of the points that readers gave; those of the detector follow them."""

    @classmethod
    def of_readers(cls, points_mm: FloatArray, kinds: Sequence[str | None] | None = None) -> Targets:
        """Return a reader's points as targets.

        Parameters
        ----------
        points_mm : array_like of shape (n, 3)
            Positions, scanner RAS+ mm; n may be 0.
        kinds : sequence of str or None, optional
            Kind of each point, where the reader states one.

        Returns
        -------
        Targets
            The points without scores.

        Raises
        ------
        InvalidInputError
            POINTS for a word that is no kind.

        Examples
        --------
        >>> Targets.of_readers([[0.0, 1.0, 2.0]]).points_mm.shape
        (1, 3)
        """
        points = np.asarray(points_mm, dtype=float).reshape(-1, 3) if np.size(points_mm) else np.zeros((0, 3))
        n = len(points)
        named = [kind and read_kind(kind, "kinds") for kind in (kinds or [None] * n)]
        return cls(points_mm=points, kinds=named, scores=[None] * n, n_reader_points=n)


class MeasuredLesions(NamedTuple):
    """Measurement of each point, and the label image of the visible lesions."""

    lesions: tuple[LesionMeasurement, ...]
    """Measurements in the order of the points."""
    labels: IntArray
    """Label image on the scan's grid: number of the point from 1, 0 elsewhere; the earlier point has a shared voxel."""

    @property
    def fitted(self) -> tuple[FittedLesion | None, ...]:
        """The fit at each point; None where there is no number."""
        return tuple(lesion.fitted for lesion in self.lesions)

    @property
    def evidence(self) -> tuple[Evidence | None, ...]:
        """The evidence of each point; None where too little of it lies in the mask."""
        return tuple(lesion.evidence for lesion in self.lesions)


# The matrices are small: more BLAS threads only wait for each other, and their count would show in the last bits.
@threadpool_limits.wrap(limits=1, user_api="blas")
def measure_lesions(
    scan: GreScan,
    targets: Targets,
    fields: ScanFields,
    acquisition: Acquisition,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> MeasuredLesions:
    """Measure the total susceptibility of lesions at given points.

    Parameters
    ----------
    scan : GreScan
        The scan; its wrapped phase (rad) and magnitude are fitted.
    targets : Targets
        Positions within about 2 mm of the lesions.
    fields : ScanFields
        Results of the earlier stages on `scan.grid`.
    acquisition : Acquisition
        Echo times, field strength, noise and k-space windows, before calibration.
    progress : callable, optional
        Called after each lesion with the number of lesions done and that of all.

    Returns
    -------
    MeasuredLesions
        Total susceptibility (ppm mm3) with SD at each point, or the flag that says why there is none.

    Raises
    ------
    InvalidInputError
        POINTS when `targets.points_mm` is not finite.
    """
    points_mm = targets.points_mm
    if not np.isfinite(points_mm).all():
        raise InvalidInputError(
            "POINTS", "points_mm", field="x_mm, y_mm, z_mm", found="values that are not finite",
            expected="finite scanner coordinates in mm", fix="correct the table of points",
        )  # fmt: skip
    job = FitJob(scan, fields, scan.grid.to_voxel(points_mm))
    patches = [_patch_at(job, voxel, acquisition) for voxel in job.voxels]
    screened = screen_points(patches, job.positions_mm, reach_mm=job.reach_mm)
    evidence = describe_points(
        patches, screened, fields, scan.grid, points_mm=points_mm, scores=targets.scores
    )
    turned_away = [
        None if i < targets.n_reader_points else _reason_to_turn_away(screened[i], evidence[i])
        for i in range(len(patches))
    ]
    to_fit = [None if reason else patch for patch, reason in zip(patches, turned_away, strict=True)]
    calibration = calibrate(to_fit, acquisition, job.reference_patches)
    # The costly search for a shape is for what can still be named, and for readers' points.
    least = [
        MIN_SIGNIFICANCE if i < targets.n_reader_points else min_named_significance(found)
        for i, found in enumerate(evidence)
    ]
    fits = fit_all_lesions(job, calibration, least, progress)
    labels = np.zeros(scan.grid.shape, np.int32)
    lesions = []
    for i, (patch, found) in enumerate(zip(patches, fits, strict=True)):
        x, y, z = (float(value) for value in points_mm[i])
        stated = LesionMeasurement(
            label=i + 1,
            point_mm=(x, y, z),
            stated_kind=targets.kinds[i],
            source="reader" if i < targets.n_reader_points else "detector",
            fitted=None,
            reason=None,
            evidence=evidence[i],
        )
        away = turned_away[i]
        if patch is not None and away is not None:
            measured, region = _screened(job, stated, patch, screened[i], away)
        else:
            measured, region = _complete(job, stated, patch, found)
        if patch is not None and region is not None:
            box = labels[patch.box]
            box[region & (box == 0)] = i + 1
        lesions.append(measured)
    return MeasuredLesions(tuple(lesions), labels)


def gather_all_evidence(
    scan: GreScan, targets: Targets, fields: ScanFields, acquisition: Acquisition
) -> list[Evidence | None]:
    """Gather the evidence of points without fitting any: what `measure_lesions` knows before it fits.

    Parameters
    ----------
    scan : GreScan
        The scan.
    targets : Targets
        Positions within about 2 mm of the candidates.
    fields : ScanFields
        Results of the earlier stages on `scan.grid`.
    acquisition : Acquisition
        Echo times, field strength, noise and k-space windows, before calibration.

    Returns
    -------
    list of Evidence or None
        One per point; None where too little of it lies in the mask.
    """
    job = FitJob(scan, fields, scan.grid.to_voxel(targets.points_mm))
    patches = [_patch_at(job, voxel, acquisition) for voxel in job.voxels]
    screened = screen_points(patches, job.positions_mm, reach_mm=job.reach_mm)
    return describe_points(
        patches, screened, fields, scan.grid, points_mm=targets.points_mm, scores=targets.scores
    )


def _reason_to_turn_away(screening: Screening | None, evidence: Evidence | None) -> Flag | None:
    """Return the flag that says why a candidate of the detector is not fitted; None where it is."""
    chance = may_be_lesion(evidence)
    if chance:
        # All figures together know more than the two of the screening, which are wide in thick slices.
        return None
    if screening is not None and screening.turned_away is not None:
        return REASONS[screening.turned_away]
    return None if chance is None else Flag.UNLIKELY


def _screened(
    job: FitJob, stated: LesionMeasurement, patch: Patch, screening: Screening | None, reason: Flag
) -> tuple[LesionMeasurement, BoolArray | None]:
    """Return the measurement of a candidate that is not fitted, and the voxels of its patch's box that show it."""
    assert screening is not None
    screened = describe_screened(patch, screening, job.fields)
    evidence = stated.evidence and replace(
        stated.evidence, diameter_mm=screened.void.diameter_mm, r2star_hz=screened.r2star_hz
    )
    return replace(stated, reason=reason, screened=screened, evidence=evidence), screened.region


def _complete(
    job: FitJob, stated: LesionMeasurement, patch: Patch | None, found: RefinedFit | None
) -> tuple[LesionMeasurement, BoolArray | None]:
    """Return the measurement of a point, and the voxels of its patch's box that show it."""
    reason = _reason_without_number(job, stated.label - 1, found)
    if reason is not None or patch is None or found is None:
        return replace(stated, reason=reason), None
    fitted = measure_fitted(
        patch, found.fit, job.fields, job.scan.grid, vein=found.vein, adjacent_vein=found.adjacent_vein
    )
    evidence = stated.evidence and stated.evidence.with_fit(
        found.fit, fitted.total_chi_ppm_mm3, found.vein,
        diameter_mm=fitted.void.diameter_mm, r2star_hz=fitted.r2star_hz,
    )  # fmt: skip
    return replace(stated, fitted=fitted, evidence=evidence), fitted.region


def _patch_at(job: FitJob, voxel: FloatArray, acquisition: Acquisition) -> Patch | None:
    """Return the patch around a point; None where too little of it lies in volume and mask."""
    if not _in_volume(job.scan, voxel):
        return None
    patch = cut_patch(job.scan, voxel, job.fields, acquisition)
    enough = patch.fraction_in_mask > MIN_FRACTION_IN_MASK and patch.inside.sum() > MIN_VOXELS
    return patch if enough else None


def _reason_without_number(job: FitJob, i: int, refined: RefinedFit | None) -> Flag | None:
    """Return the flag that says why a point has no number; None where it has one."""
    if refined is None:
        return Flag.OUTSIDE_MASK if _in_volume(job.scan, job.voxels[i]) else Flag.OUTSIDE_VOLUME
    fit = refined.fit
    # Above a sinus all of the ball may be dark, too, and yet a clear lesion be seen in the phase.
    clear = abs(fit.source.total_chi_ppm_mm3) > CLEAR_SIGNIFICANCE * fit.sd_ppm_mm3
    reach_mm = PATCH_RADIUS_MM * length_scale(job.scan.grid)
    hidden = not clear and dark_beyond_ball(job.scan, job.voxels[i], job.fields.mask, reach_mm)
    return Flag.TOO_LARGE if fit.exceeds_patch or hidden else None


def _in_volume(scan: GreScan, voxel: FloatArray) -> bool:
    """Whether a point lies in a voxel of the scan; a voxel reaches half its size around its centre."""
    return bool(np.all(voxel >= -0.5) and np.all(voxel <= np.array(scan.grid.shape) - 0.5))
