"""Quality of a scan by stage: each number with its limits and verdict, and what was done instead where a stage gave up.

Nothing is refused or corrected here: the numbers are those that the stages leave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qsmcmb.core.morphology import erode
from qsmcmb.core.noise import MAD_OF_NORMAL, noise_from_magnitude
from qsmcmb.io.quality_records import MeasureRecord, QualityRecord, StageRecord
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.results.flags import Flag
from qsmcmb.pipeline.checks import dark_fraction
from qsmcmb.pipeline.quality_limits import LIMITS, Limit
from qsmcmb.pipeline.scan_result import ScanResult
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.units import hz_to_ppm

__all__ = ["quality_of", "with_lesions"]

ORDER: tuple[str, ...] = ("n/a", "good", "look", "bad")
"""Verdicts from the one that says least to the worst."""
RIM_MM = 4.0
"""Depth of the rim of the mask in which the field that the background leaves is measured, mm."""


def quality_of(result: ScanResult) -> QualityRecord:
    """Return the quality of a scan by stage.

    Parameters
    ----------
    result : ScanResult
        Result of `run_scan`.

    Returns
    -------
    QualityRecord
        Numbers, limits, verdicts and what was done instead.

    Examples
    --------
    >>> from qsmcmb.model import GreScan, Grid
    >>> from qsmcmb.pipeline.config import make_config
    >>> from qsmcmb.pipeline.subject import run_scan
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> ones = np.ones(grid.shape, np.float32)
    >>> scan = GreScan(phase_rad=0 * ones[None], magnitude=ones[None], te_s=(0.02,), b0_tesla=3.0, grid=grid)
    >>> config = make_config({"invert": {"method": "tkd"}})
    >>> record = quality_of(run_scan(scan, config, mask=ones > 0, points_mm=np.zeros((0, 3))))
    >>> record["Stages"]["load"]["Verdict"], record["Stages"]["r2star"]["FallBacks"]
    ('look', ['no R2*: one echo shows no decay'])
    """
    snr = _snr(result)
    values = {**_of_signal(result, snr), **_of_fields(result, snr), **_of_map(result), **_of_lesions(result)}
    instead = _fall_backs(result)
    stages: dict[str, StageRecord] = {}
    for name, limit in LIMITS.items():
        stage = stages.setdefault(limit.stage, StageRecord(Verdict="n/a", Measures=[], FallBacks=[]))
        stage["Measures"].append(_measure(name, values.get(name)))
    for name, stage in stages.items():
        stage["FallBacks"] = instead.get(name, [])
        stage["Verdict"] = _verdict_of(stage)
    residuals = list(result.checks.phase.echo_residual_rad) if result.checks else []
    verdict = _worst([stage["Verdict"] for stage in stages.values()])
    return QualityRecord(Verdict=verdict, Stages=stages, SNR=snr, EchoResidual=residuals)


def with_lesions(record: Mapping[str, Any], lesions: Sequence[Microbleed]) -> dict[str, Any]:
    """Return the quality of a scan with the number that its lesions decide.

    Parameters
    ----------
    record : mapping
        Quality record; other keys stay.
    lesions : sequence of Microbleed
        Rows of the lesion table, say after verdicts of readers.

    Returns
    -------
    dict
        The record with the fraction of poor fits, and the verdicts that follow.

    Examples
    --------
    >>> stage = {"Verdict": "n/a", "Measures": [{"Name": "poor_fit_fraction"}], "FallBacks": []}
    >>> with_lesions({"Verdict": "n/a", "Stages": {"quantify": stage}}, [])["Verdict"]
    'n/a'
    """
    now = _measure("poor_fit_fraction", _poor_fit_fraction(lesions))
    stages = {}
    for name, stage in record["Stages"].items():
        measures = [now if m["Name"] == now["Name"] else m for m in stage["Measures"]]
        changed = {**stage, "Measures": measures}
        stages[name] = {**changed, "Verdict": _verdict_of(changed)} if now in measures else stage
    return {**record, "Verdict": _worst([s["Verdict"] for s in stages.values()]), "Stages": stages}


def _verdict_of(stage: Mapping[str, Any]) -> str:
    """Return the verdict of a stage: that of its worst number, or "look" where something was done instead."""
    verdict = _worst([measure["Verdict"] for measure in stage["Measures"]])
    return "look" if stage["FallBacks"] and verdict in ("n/a", "good") else verdict


def _measure(name: str, value: float | None) -> MeasureRecord:
    """Return the record of a number."""
    limit: Limit = LIMITS[name]
    value = None if value is None or np.isnan(value) else float(value)
    return {
        "Name": name, "Description": limit.description, "Value": value,
        "Unit": limit.unit, "Good": list(limit.good), "Usable": list(limit.usable), "Verdict": limit.verdict(value),
    }  # fmt: skip


def _worst(verdicts: list[str]) -> str:
    """Return the worst of some verdicts."""
    return max(verdicts, key=ORDER.index, default="n/a")


def _snr(result: ScanResult) -> list[float]:
    """Return the SNR of the magnitude by echo."""
    brain = result.masks.brain
    if not brain.any():
        return []
    return [float(np.median(m[brain]) / noise_from_magnitude(m, brain)) for m in result.scan.magnitude]


def _of_signal(result: ScanResult, snr: list[float]) -> dict[str, float | None]:
    """Return the numbers of load and mask."""
    brain, scan = result.masks.brain, result.scan
    n_brain = int(brain.sum())
    return {
        "n_echoes": scan.n_echoes,
        "echoes_missing": len(scan.read_as.get("EchoesMissing", ())),
        "snr_first_echo": snr[0] if snr else None,
        "snr_last_echo": snr[-1] if snr else None,
        "mask_ml": n_brain * scan.grid.voxel_volume_mm3 / 1e3,
        "dark_fraction": dark_fraction(brain, scan),
        "unreliable_fraction": 1 - float(result.masks.reliable.sum()) / n_brain if n_brain else None,
    }


def _of_fields(result: ScanResult, snr: list[float]) -> dict[str, float | None]:
    """Return the numbers of unwrap, fieldmap and background."""
    b0_tesla, brain = result.scan.b0_tesla, result.masks.brain
    found: dict[str, float | None] = {
        "field_sd_ppb": 1e3 * hz_to_ppm(_median(result.fields.sd_hz, brain), b0_tesla),
        "rim_field_ppb": 1e3 * hz_to_ppm(_rim_field(result), b0_tesla),
    }
    if result.checks is None:
        return found
    phase = result.checks.phase
    found["longest_fringe_line_mm"] = phase.longest_line_mm
    if phase.echo_residual_rad:
        pairs = zip(phase.echo_residual_rad, snr, strict=True)
        # The phase's own noise is 1 / SNR.
        found["echo_residual_rad"] = max(
            max(residual**2 - ratio**-2, 0.0) ** 0.5 for residual, ratio in pairs
        )
    return found


def _rim_field(result: ScanResult) -> float:
    """Return the median size of the local field in the rim of the mask, Hz."""
    mask, grid = result.masks.chi, result.scan.grid
    # At least one voxel deep.
    rim = mask & ~erode(mask, max(RIM_MM, *grid.voxel_size_mm), grid.voxel_size_mm)
    return _median(np.abs(result.fields.local_hz), rim)


def _of_map(result: ScanResult) -> dict[str, float | None]:
    """Return the numbers of invert and r2star."""
    maps, mask = result.maps, result.masks.chi
    middle = _median(maps.chi_ppm, mask)
    sign = result.checks.sign.deciding if result.checks else {}
    voxel_ml = result.scan.grid.voxel_volume_mm3 / 1e3
    return {
        "map_spread_ppm": _median(np.abs(maps.chi_ppm - np.float32(middle)), mask) / MAD_OF_NORMAL,
        "dark_contrast_sd": sign.get("dark_sd"),
        "iron_contrast_ppm": sign.get("iron_ppm"),
        "reference_ml": maps.reference.n_voxels * voxel_ml,
        "r2star_median_hz": None if maps.r2star_hz is None else _median(maps.r2star_hz, mask),
    }


def _of_lesions(result: ScanResult) -> dict[str, float | None]:
    """Return the numbers of quantify and anatomy."""
    limit, mask = result.maps.detection_limit_ppm_mm3, result.masks.chi
    regions = result.regions
    return {
        "detection_limit_ppm_mm3": _median(limit, mask & np.isfinite(limit)),
        "poor_fit_fraction": _poor_fit_fraction(result.lesions),
        "registration_dice": regions.dice if regions else None,
        "registration_correlation": regions.correlation if regions else None,
    }


def _poor_fit_fraction(lesions: Sequence[Microbleed]) -> float | None:
    """Return the fraction of the measured lesions whose fit is poor or did not converge; None without any."""
    measured = [set(m.flags) for m in lesions if m.total_chi_ppm_mm3 and m.certainty != "rejected"]
    faulty = {Flag.NOT_CONVERGED.value, Flag.POOR_FIT.value}
    return sum(bool(f & faulty) for f in measured) / len(measured) if measured else None


def _median(values: FloatArray, where: BoolArray) -> float:
    """Return the median over some voxels; NaN over none."""
    return float(np.median(values[where])) if where.any() else float("nan")


def _fall_backs(result: ScanResult) -> dict[str, list[str]]:
    """Return what was done instead where a stage could not do its work, by stage."""
    scan, steps = result.scan, dict(result.table.provenance.steps)
    found: dict[str, list[str]] = {}
    if scan.magnitude_is_shared:
        found["load"] = ["one magnitude serves several echoes: no SNR of its own, no R2*"]
    if scan.phase_filtered:
        found.setdefault("load", []).append(
            "phase was high-pass filtered before export: numbers of lesions are too low"
        )
    if scan.n_echoes == 1 and not scan.phase_difference:
        found["unwrap"] = ["receive phase of one echo: a smooth polynomial alone is removed"]
    if steps.get("r2star", {}).get("method") == "none":
        found["r2star"] = [f"no R2*: {steps['r2star']['reason']}"]
    if result.regions is None:
        found["anatomy"] = ["scan and template do not fit: territory and region are n/a"]
    return found
