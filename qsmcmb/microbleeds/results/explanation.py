"""Explanation of one lesion's number: voxels, fit and residual, map sum, echoes, estimators, flags in words.

The record is written as JSON; `explanation_records` has its keys. The slices of data, model and weight are drawn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.crosscheck.agreement import estimators_disagree
from qsmcmb.microbleeds.crosscheck.map_sum import MapSum
from qsmcmb.microbleeds.crosscheck.signal_loss import SignalLoss
from qsmcmb.microbleeds.fit.echo_totals import totals_per_echo
from qsmcmb.microbleeds.fit.model_comparison import ComparedModel
from qsmcmb.microbleeds.fit.vein import Vein
from qsmcmb.microbleeds.results.evidence import Evidence
from qsmcmb.microbleeds.results.evidence_table import evidence_records
from qsmcmb.microbleeds.results.explanation_records import (
    ComparedModelRecord,
    EstimateRecord,
    FitRecord,
    LesionRecord,
    MapSumRecord,
    MomentsRecord,
    PointSpreadRecord,
    SdPartRecord,
    SignalLossRecord,
    VeinRecord,
    VoxelRecord,
)
from qsmcmb.microbleeds.results.flags import FLAGS
from qsmcmb.microbleeds.results.measurement import FittedLesion
from qsmcmb.microbleeds.results.source_planes import SourcePlane, source_planes
from qsmcmb.microbleeds.signal.acquisition import Acquisition
from qsmcmb.microbleeds.signal.source_moments import REMAINDER_DISTANCES_MM, source_moments
from qsmcmb.model import Estimate
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray
from qsmcmb.units import PPM_MM3

__all__ = ["Explanation", "Slices", "explain_lesion"]

DOWNWEIGHTED = 0.5
"""Robust weight below which a voxel counts as downweighted: it counts less than half."""


class Slices(NamedTuple):
    """Axial slices through the lesion; voxels outside the fit are NaN."""

    data: ComplexArray
    """Signal (echo, x, y) relative to the median of the tissue's magnitude at the first echo."""
    model: ComplexArray
    """Fitted signal in the same unit."""
    weight: FloatArray
    """Robust weight (echo, x, y): 1 where a voxel counts in full, less where it lies far from the model."""
    extent_mm: tuple[float, float, float, float]
    """Ends of the slice along x and along y, mm from the point."""


class Explanation(NamedTuple):
    """Numbers as they go into JSON, and slices to draw."""

    record: LesionRecord
    """Numbers."""
    slices: Slices | None
    """Slices; None where nothing was fitted."""
    planes: tuple[SourcePlane, ...] = ()
    """Three planes through the fitted source; none where nothing was fitted."""


def explain_lesion(
    lesion: Microbleed,
    fitted: FittedLesion | None,
    total: MapSum | None = None,
    *,
    evidence: Evidence | None = None,
    command: str = "",
) -> Explanation:
    """Explain a lesion's number by everything that it rests on.

    Parameters
    ----------
    lesion : Microbleed
        The row of the table.
    fitted : FittedLesion or None
        Its fit, void and signal loss; None where nothing could be fitted.
    total : MapSum, optional
        Its sum over the map, where there is a map.
    evidence : Evidence, optional
        What says whether it is a microbleed.
    command : str, optional
        Command that makes the number again.

    Returns
    -------
    Explanation
        Record for JSON, slices of the fit, and planes through the fitted source.

    Examples
    --------
    >>> lesion = Microbleed(1, (0.0, 0.0, 90.0), flags=("outside-mask",))
    >>> explain_lesion(lesion, None).record["flags"][0]["meaning"]
    'The point lies outside the mask: no number.'
    """
    record: LesionRecord = {
        "label": lesion.label,
        "position_mm": [round(float(p), 3) for p in lesion.position_mm],
        "kind": lesion.kind,
        "certainty": lesion.certainty,
        "unit": PPM_MM3,
        "total_chi": _optional_record(lesion.total_chi_ppm_mm3),
        "detection_limit": lesion.detection_limit_ppm_mm3,
        "flags": [{"flag": f, "meaning": FLAGS.get(f, "")} for f in lesion.flags],
        "command": command,
    }
    if evidence is not None:
        record["evidence"] = evidence_records(evidence)
    if total is not None:
        record["map_sum"] = _map_sum_record(total)
    if fitted is None:
        return Explanation(record, None)
    record["voxels"] = _voxel_record(fitted)
    record["fit"] = _fit_record(fitted)
    if lesion.total_chi_ppm_mm3 is not None and np.isfinite(lesion.total_chi_ppm_mm3.sd):
        record["sd_parts"] = _sd_part_records(fitted)
    record["compared_models"] = [_compared_model_record(m) for m in fitted.fit.state.compared_models]
    record["moments"] = _moments_record(fitted)
    record["point_spread"] = _point_spread_record(fitted.fit.patch.acquisition, fitted.fit.psf_width2)
    record["per_echo"] = [
        {"te_s": te, **_estimate_record(m)}
        for te, m in zip(fitted.fit.patch.acquisition.te_s, totals_per_echo(fitted.fit.state), strict=True)
    ]
    if fitted.vein is not None:
        record["vein"] = _vein_record(fitted.vein)
    if fitted.adjacent_vein is not None:
        record["adjacent_vein"] = _vein_record(fitted.adjacent_vein)
    if fitted.signal_loss is not None:
        record["signal_loss"] = _signal_loss_record(fitted.signal_loss)
    record["estimators_agree"] = _estimators_agree(lesion, fitted, total)
    state, grid = fitted.fit.state, fitted.fit.patch.grid
    planes = source_planes(state.rows, state.source.centre_mm, grid.voxel_size_mm)
    return Explanation(record, _slices(fitted), planes)


def _voxel_record(fitted: FittedLesion) -> VoxelRecord:
    """Return how many voxels of the ball were used, and how many count less than half."""
    patch = fitted.fit.patch
    radius = np.sqrt((patch.coordinates_mm**2).sum(axis=0))
    # `robust` multiplies the error: its square is the weight.
    robust = fitted.fit.state.objective.robust.reshape(len(patch.acquisition.te_s), -1) ** 2
    used = int(patch.inside.sum())
    return {
        "used": used,
        "left_out": int((radius <= patch.radius_mm).sum()) - used,
        "n_downweighted": [int((r < DOWNWEIGHTED).sum()) for r in robust],
        "fraction_in_mask": patch.fraction_in_mask,
        "ball_radius_mm": patch.radius_mm,
    }


def _fit_record(fitted: FittedLesion) -> FitRecord:
    """Return shape, residuals and the parts of the SD of the refined fit."""
    fit, model = fitted.fit, fitted.fit.state.model
    return {
        "shape": model.shape.name,
        "signal_retaining_core": fit.signal_retaining,
        "tissue_prior": model.tissue.phase.size > model.polynomial.phase.size,
        "sources_ppm_mm3_mm": [[float(v) for v in row] for row in fit.state.rows],
        "residual": _finite(fit.residual),
        "core_residual": _finite(fit.core_residual),
        "sd": _finite(fit.sd_ppm_mm3),
        "noise_and_clutter_sd": _finite(fit.noise_sd_ppm_mm3),
        "psf_and_shape_sd": _finite(fit.shape_sd_ppm_mm3),
        "hidden_tissue_sd": _finite(fit.hidden_tissue_sd_ppm_mm3),
        "cramer_rao_sd": _finite(fit.cramer_rao_sd_ppm_mm3),
        "converged": fit.converged,
        "decay_hz": fit.state.decay_hz,
    }


def _sd_part_records(fitted: FittedLesion) -> list[SdPartRecord]:
    """Return the parts of the row's SD, the largest first."""
    parts = {**fitted.fit.sd_parts._asdict(), "systematic": fitted.systematic_sd_ppm_mm3}
    return [{"part": part, "sd": float(sd)} for part, sd in sorted(parts.items(), key=lambda item: -item[1])]


def _compared_model_record(model: ComparedModel) -> ComparedModelRecord:
    """Return what one of the compared models says."""
    return {
        "comparison": str(model.comparison),
        "shape": model.shape,
        "n_bodies": model.n_bodies,
        "total_chi_ppm_mm3": model.total_chi_ppm_mm3,
        "cost": _finite(model.cost),
        "core_residual": _finite(model.core_residual),
        "is_chosen": model.is_chosen,
    }


def _moments_record(fitted: FittedLesion) -> MomentsRecord:
    """Return the moments of the fitted source."""
    state = fitted.fit.state
    moments = source_moments(state.rows, fitted.fit.patch.grid.b0_dir)
    return {
        "dipole": moments.total_chi_ppm_mm3,
        "absolute": moments.absolute_chi_ppm_mm3,
        "principal_lengths_mm": list(moments.principal_lengths_mm),
        "elongation": moments.elongation,
        "long_axis": list(moments.long_axis),
        "remainder": [
            {"distance_mm": distance, "fraction": fraction}
            for distance, fraction in zip(REMAINDER_DISTANCES_MM, moments.remainder, strict=True)
        ],
    }


def _point_spread_record(acquisition: Acquisition, psf_width2: Estimate) -> PointSpreadRecord:
    """Return windows, slice profile and extra width of the point spread."""
    profile = acquisition.slice_profile
    return {
        "k_space_windows": [
            {"edge": w.edge, "taper": w.taper, "height": w.height} for w in acquisition.windows
        ],
        "slice_profile": {"axis": profile.axis, "thickness": profile.thickness} if profile else None,
        "voxel_means": acquisition.voxel_means,
        "psf_width2_mm2": _estimate_record(psf_width2),
    }


def _vein_record(vein: Vein) -> VeinRecord:
    """Return strength, radius, direction and evidence of a vein."""
    return {
        "strength_ppm_mm2": vein.strength_ppm_mm2,
        "radius_mm": vein.radius_mm,
        "axis": vein.axis,
        "bic_difference": vein.bic_difference,
    }


def _signal_loss_record(loss: SignalLoss) -> SignalLossRecord:
    """Return total susceptibility and lost volumes of the signal loss."""
    return {
        **_estimate_record(loss.estimate),
        "ball_radius_mm": loss.radius_mm,
        "te_s": loss.te_s.tolist(),
        "volume_mm3": loss.volume_mm3.tolist(),
        "volume_sd_mm3": loss.volume_sd_mm3.tolist(),
        "per_echo": loss.per_echo_ppm_mm3.tolist(),
    }


def _map_sum_record(total: MapSum) -> MapSumRecord:
    """Return sums and response of the map sum."""
    return {
        "raw": _finite(total.raw_ppm_mm3),
        "corrected": _optional_record(total.corrected),
        "response": _finite(total.response),
        "radius_mm": total.radius_mm,
        "radii_mm": total.radii_mm.tolist(),
        "growth": [_finite(float(v)) for v in total.growth_ppm_mm3],
        "response_growth": [_finite(float(v)) for v in total.response_growth_ppm_mm3],
    }


def _estimators_agree(lesion: Microbleed, fitted: FittedLesion, total: MapSum | None) -> bool | None:
    """Return whether the three estimators agree; None without a number."""
    others = [total.corrected if total else None, fitted.signal_loss.estimate if fitted.signal_loss else None]
    fit = lesion.total_chi_ppm_mm3
    return None if fit is None else not estimators_disagree(fit, others)


def _optional_record(value: Estimate | None) -> EstimateRecord | None:
    """Return an estimate with its interval; None where there is none."""
    return None if value is None else _estimate_record(value)


def _estimate_record(value: Estimate) -> EstimateRecord:
    """Return an estimate with its SD and interval."""
    return {
        "value": value.value,
        "sd": _finite(value.sd),
        "low": _finite(value.low),
        "high": _finite(value.high),
    }


def _finite(value: float) -> float | None:
    """Return a number, or None where it is not finite: JSON has no infinity."""
    return float(value) if np.isfinite(value) else None


def _slices(fitted: FittedLesion) -> Slices:
    """Return the axial slices of data, model and weight through the lesion's centre."""
    patch, objective = fitted.fit.patch, fitted.fit.state.objective
    inside = patch.inside
    z = int(np.argmin(np.abs(patch.axes_mm[2] - fitted.fit.source.centre_mm[2])))
    level = float(np.median(np.abs(patch.signal[0][inside])))
    model = _in_box(objective.signal.value / level, inside)[..., z]
    weight = _in_box(objective.robust**2, inside)[..., z]
    data = np.where(inside, patch.signal / level, np.nan)[..., z]
    x, y = patch.axes_mm[:2]
    half = [v / 2 for v in patch.grid.voxel_size_mm]
    # Images are drawn to the voxels' edges, half a voxel beyond their centres.
    extent = (x[0] - half[0], x[-1] + half[0], y[0] - half[1], y[-1] + half[1])
    ends = tuple(float(e) for e in extent)
    return Slices(data=data, model=model, weight=weight.real, extent_mm=(ends[0], ends[1], ends[2], ends[3]))


def _in_box(values: ComplexArray | FloatArray, inside: BoolArray) -> ComplexArray:
    """Return (echo and voxel inside) values as volumes (echo, x, y, z), NaN elsewhere."""
    echoes = len(values) // int(inside.sum())
    box = np.full((echoes, *inside.shape), np.nan, complex)
    box[:, inside] = values.reshape(echoes, -1)
    return box
