"""TODO."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.microbleeds.crosscheck.signal_loss import SignalLoss
from qsmcmb.microbleeds.crosscheck.visible_void import measure_void
from qsmcmb.microbleeds.fit.field_fit import fit_signal_retaining_ball
from qsmcmb.microbleeds.fit.uncertainty import LesionFit
from qsmcmb.microbleeds.fit.vein import Vein
from qsmcmb.microbleeds.measure import FOUND_SD, LIMIT_SD, UNIT, ScanFields
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.model import Estimate, GreScan, Microbleed
from qsmcmb.typing import IntArray

DEFINITE_SCORE = 0.5


POOR_FIT = 1.0
"""Weighted residual, of all or of the core, above which the model does not hold."""


class LesionMeasurement(NamedTuple):
    """What a lesion's numbers rest on."""

    patch: Patch
    fit: LesionFit
    loss: SignalLoss | None
    vein: Vein | None = None
    """What explains the scan better than a lesion."""
    beside: Vein | None = None
    """What explains the scan better together with the lesion."""


def describe_lesion(
    scan: GreScan, label: int, detail: LesionMeasurement, data: ScanFields, *,
    kind: str | None, score: float | None, source: str, labels: IntArray,
) -> Microbleed:  # fmt: skip
    patch, fit, loss, vein, _ = detail
    moment = fit.source.total_chi_ppm_mm3
    void = measure_void(patch)
    shift = np.array(fit.source.centre_mm) / np.array(scan.grid.voxel_size_mm)
    origin = (
        np.array([s.start for s in patch.box])
        - np.array([a[0] for a in patch.axes_mm]) / scan.grid.voxel_size_mm
    )
    centre = scan.grid.to_world(origin + shift)
    radius = np.sqrt((patch.coordinates_mm**2).sum(axis=0))
    region = void.mask if void.mask.any() else radius <= max(patch.grid.voxel_size_mm)
    box = labels[patch.box]
    box[region & (box == 0)] = label
    estimate = Estimate(moment, float(np.hypot(fit.sd_ppm_mm3, _systematic_sd(detail))), UNIT)
    limit = LIMIT_SD * fit.noise_sd_ppm_mm3
    r2star = None if data.r2star_hz is None else float(np.median(data.r2star_hz[patch.box][region]))
    found = abs(moment) > FOUND_SD * estimate.sd
    if vein is not None and source != "reader":
        kind = "vein"
    kind = kind or ("vein" if vein else "calcification" if moment < 0 and found else "microbleed")
    clear = score is None or score >= DEFINITE_SCORE
    definite = found and clear and fit.residual < 1.5 and patch.fraction_in_mask > 0.6
    return Microbleed(
        label=label,
        position_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        kind=kind,
        certainty=("definite" if definite else "possible") if found or source == "reader" else "rejected",
        bombs_certainty="certain" if definite else "uncertain",
        score=score,
        total_chi_ppm_mm3=estimate,
        total_chi_loss_ppm_mm3=loss.total_chi_ppm_mm3 if loss else None,
        detection_limit_ppm_mm3=limit,
        volume_mm3=void.volume_mm3,
        diameter_mm=void.diameter_mm,
        r2star_hz=r2star,
        source=source,
        flags=_flags(detail, found=found),
    )


def _systematic_sd(detail: LesionMeasurement) -> float:
    """Return by how much what explains the scan better differs from the fit: a ball that keeps its signal, or a vein.

    A fit that finds such a ball and does not settle has a ball too large for the neighbourhood, and a vein's total
    susceptibility depends on where it is taken to end: nothing is known.
    """
    patch, fit = detail.patch, detail.fit
    if detail.vein is not None:
        return abs(fit.source.total_chi_ppm_mm3)
    lost = fit.kept and not fit.converged
    missed = fit.residual > POOR_FIT or (fit.core_residual > POOR_FIT and not fit.kept)
    ball = fit_signal_retaining_ball(patch, patch.field_hz) if lost or missed else None
    if ball is None:
        return 0.0
    moment = fit.source.total_chi_ppm_mm3
    return max(abs(ball.total_chi_ppm_mm3 - moment), abs(moment) if lost else 0.0)


def _flags(detail: LesionMeasurement, *, found: bool) -> tuple[str, ...]:
    patch, fit, flags = detail.patch, detail.fit, []
    if patch.fraction_in_mask < 0.9:
        flags.append("near-mask-edge")
    if len(patch.te_s) == 1:
        flags.append("single-echo")
    if not fit.converged:
        flags.append("not-converged")
    if max(fit.residual, fit.core_residual) > POOR_FIT:
        flags.append("poor-fit")
    if detail.vein is not None:
        flags.append("vein-like")
    if not found:
        flags.append("not-above-noise")
    return tuple(flags)
