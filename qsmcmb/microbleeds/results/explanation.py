"""What one lesion's number rests on: voxels, fit and residual, map sum, echoes, estimators, flags in words."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qsmcmb.microbleeds.crosscheck.agreement import estimators_disagree
from qsmcmb.microbleeds.crosscheck.map_sum import MapSum
from qsmcmb.microbleeds.results.flags import FLAGS
from qsmcmb.microbleeds.results.measurement import FittedLesion
from qsmcmb.microbleeds.signal.source_shapes import LAYOUT
from qsmcmb.model import Estimate, Microbleed
from qsmcmb.typing import BoolArray, ComplexArray, FloatArray
from qsmcmb.units import PPM_MM3

HALF_WEIGHT = 0.5


class Slices(NamedTuple):
    """Axial slices through the lesion; voxels outside the fit are NaN."""

    data: ComplexArray
    """(echo, x, y), over the median of the tissue's magnitude."""
    model: ComplexArray
    weight: FloatArray
    """(echo, x, y): 1 where a voxel counts in full, less where it lies far from the model."""
    extent_mm: tuple[float, float, float, float]


class Explanation(NamedTuple):
    """All numbers as they go into JSON, and slices to draw."""

    record: dict[str, Any]
    slices: Slices | None


def explain_lesion(
    lesion: Microbleed, fitted: FittedLesion | None, total: MapSum | None = None, *, command: str = ""
) -> Explanation:
    """Return what a lesion's number rests on.

    Parameters
    ----------
    lesion : Microbleed
        The row of the table.
    fitted : Detail or None
        Its neighbourhood, fit and signal loss; None where nothing could be fitted.
    total : MapSum, optional
        Its sum over the map, where there is a map.
    command : str, optional
        What recomputes the number.

    Returns
    -------
    Explanation
    """
    record: dict[str, Any] = {
        "label": lesion.label,
        "position_mm": [round(float(p), 3) for p in lesion.position_mm],
        "kind": lesion.kind,
        "certainty": lesion.certainty,
        "unit": PPM_MM3,
        "total_chi": _estimate(lesion.total_chi_ppm_mm3),
        "detection_limit": lesion.detection_limit_ppm_mm3,
        "flags": [{"flag": f, "meaning": FLAGS.get(f, "")} for f in lesion.flags],
        "command": command,
    }
    if total is not None:
        record["map_sum"] = _sum_record(total)
    if fitted is None:
        return Explanation(record, None)
    record |= _fit_record(fitted) | _agreement(lesion, fitted, total)
    return Explanation(record, _slices(fitted))


def totals_per_echo(fitted: FittedLesion) -> list[Estimate]:
    """Return the total susceptibility that each echo asks for by itself: centre and shape held, polynomials free.

    A point source gives the same at every echo time; the SD holds noise and texture of that echo alone.
    """
    state = fitted.fit.state
    model, objective, linear = state.model, state.objective, state.linear
    amplitude = linear.by_log_magnitude.reshape(-1, 1) * model.polynomial.amplitude.dense()
    phase = linear.by_phase.reshape(-1, 1) * model.polynomial.phase.dense()
    real = np.concatenate([linear.source.real[:, :1], 0 * phase, amplitude], axis=1)
    imaginary = np.concatenate([linear.source.imag[:, :1], phase, 0 * amplitude], axis=1)
    error_real = objective.magnitude_weight * objective.robust * objective.error.real
    error_imaginary = objective.phase_weight * objective.robust * objective.error.imag
    out = []
    for rows in np.split(np.arange(len(error_real)), len(fitted.patch.acquisition.te_s)):
        stacked = np.concatenate([real[rows], imaginary[rows]])
        error = np.concatenate([error_real[rows], error_imaginary[rows]])
        # Of one echo, some background terms are alike: the shortest step among those that fit.
        inverse = np.linalg.pinv(stacked.T @ stacked, rcond=1e-10, hermitian=True)
        step = -inverse @ (stacked.T @ error)
        sd = float(np.sqrt(max(inverse[0, 0], 0.0)) * max(1.0, float(np.sqrt(np.mean(error**2)))))
        out.append(Estimate(float(state.parameters[LAYOUT.total] + step[0]), sd, PPM_MM3))
    return out


def _fit_record(fitted: FittedLesion) -> dict[str, Any]:
    fit, loss = fitted.fit, fitted.signal_loss
    patch, model = fit.patch, fit.state.model
    radius = np.sqrt((patch.coordinates_mm**2).sum(axis=0))
    robust = fit.state.objective.robust.reshape(len(patch.acquisition.te_s), -1) ** 2
    used = int(patch.inside.sum())
    record: dict[str, Any] = {
        "voxels": {
            "used": used,
            "left_out": int((radius <= patch.radius_mm).sum()) - used,
            "counting_less_than_half": [int((r < HALF_WEIGHT).sum()) for r in robust],
            "part_of_ball_covered": patch.fraction_in_mask,
            "ball_radius_mm": patch.radius_mm,
        },
        "fit": {
            "shape": model.shape.name,
            "signal_retaining_core": fit.signal_retaining,
            "tissue_prior": model.tissue.phase.size > model.polynomial.phase.size,
            "sources_ppm_mm3_mm": [[float(v) for v in row] for row in fit.state.rows],
            "residual": _finite(fit.residual),
            "core_residual": _finite(fit.core_residual),
            "sd": _finite(fit.sd_ppm_mm3),
            "noise_and_clutter_sd": _finite(fit.noise_sd_ppm_mm3),
            "blur_and_shape_sd": _finite(fit.shape_sd_ppm_mm3),
            "hidden_tissue_sd": _finite(fit.hidden_tissue_sd_ppm_mm3),
            "cramer_rao_sd": _finite(fit.cramer_rao_sd_ppm_mm3),
            "converged": fit.converged,
        },
        "point_spread": {
            "k_space_windows": [w._asdict() for w in patch.acquisition.windows],
            "slice_profile": patch.acquisition.slice_profile._asdict()
            if patch.acquisition.slice_profile
            else None,
            "blur_mm2": _estimate_record(fit.psf_width2),
        },
        "per_echo": [
            {"te_s": te, **_estimate_record(m)}
            for te, m in zip(patch.acquisition.te_s, totals_per_echo(fitted), strict=True)
        ],
    }
    for name, line in (("vein", fitted.vein), ("vein_beside", fitted.adjacent_vein)):
        if line is not None:
            record[name] = line._asdict()
    if loss is not None:
        record["signal_loss"] = {
            **_estimate_record(loss.estimate),
            "ball_radius_mm": loss.radius_mm,
            "te_s": loss.te_s.tolist(),
            "volume_mm3": loss.volume_mm3.tolist(),
            "volume_sd_mm3": loss.volume_sd_mm3.tolist(),
            "per_echo": loss.per_echo_ppm_mm3.tolist(),
        }
    return record


def _sum_record(total: MapSum) -> dict[str, Any]:
    return {
        "raw": _finite(total.raw_ppm_mm3),
        "corrected": _estimate(total.corrected),
        "response": _finite(total.response),
        "radius_mm": total.radius_mm,
        "radii_mm": total.radii_mm.tolist(),
        "growth": [_finite(float(v)) for v in total.growth_ppm_mm3],
        "response_growth": [_finite(float(v)) for v in total.response_growth_ppm_mm3],
    }


def _agreement(lesion: Microbleed, fitted: FittedLesion, total: MapSum | None) -> dict[str, Any]:
    others = [total.corrected if total else None, fitted.signal_loss.estimate if fitted.signal_loss else None]
    fit = lesion.total_chi_ppm_mm3
    return {"estimators_agree": None if fit is None else not estimators_disagree(fit, others)}


def _estimate(value: Estimate | None) -> dict[str, float | None] | None:
    return None if value is None else _estimate_record(value)


def _estimate_record(value: Estimate) -> dict[str, float | None]:
    return {
        "value": value.value,
        "sd": _finite(value.sd),
        "low": _finite(value.low),
        "high": _finite(value.high),
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _slices(fitted: FittedLesion) -> Slices:
    patch, objective = fitted.fit.patch, fitted.fit.state.objective
    inside = patch.inside
    z = int(np.argmin(np.abs(patch.axes_mm[2] - fitted.fit.source.centre_mm[2])))
    level = float(np.median(np.abs(patch.signal[0][inside])))
    model = _placed(objective.signal.value / level, inside)[..., z]
    weight = _placed(objective.robust**2, inside)[..., z]
    data = np.where(inside, patch.signal / level, np.nan)[..., z]
    x, y = patch.axes_mm[:2]
    half = [v / 2 for v in patch.grid.voxel_size_mm]
    extent = (x[0] - half[0], x[-1] + half[0], y[0] - half[1], y[-1] + half[1])
    ends = tuple(float(e) for e in extent)
    return Slices(data, model, weight.real, (ends[0], ends[1], ends[2], ends[3]))


def _placed(values: ComplexArray | FloatArray, inside: BoolArray) -> ComplexArray:
    """Return (echo and voxel) values in their box, NaN elsewhere."""
    echoes = len(values) // int(inside.sum())
    box = np.full((echoes, *inside.shape), np.nan, complex)
    box[:, inside] = values.reshape(echoes, -1)
    return box
