"""One simulated session through the estimator: a row per lesion, truth beside estimate."""

from __future__ import annotations

from typing import Any

import numpy as np

from qsmcmb.microbleeds.detection.candidates import find_candidates
from qsmcmb.model import GreScan, Microbleed
from qsmcmb.phantoms.tissue_scan import PhantomSession, TruthRow
from qsmcmb.pipeline.points import quantify
from qsmcmb.pipeline.subject import ScanResult, run_scan
from qsmcmb.typing import FloatArray
from qsmcmb.validation.phantom_dataset import HAEMATOMA, READERS_KINDS
from qsmcmb.validation.visible import (
    CHI_PPM,
    R2STAR_HZ,
    bright_region,
    dark_region,
    mean_in_ball,
    volume_at_equal_te,
)

COLUMNS = (
    "experiment", "head", "session", "b0_tesla", "te_max_s", "voxel_mm3", "lesion", "kind", "shape", "truth_ppm_mm3",
    "estimate_ppm_mm3", "sd_ppm_mm3", "low_ppm_mm3", "high_ppm_mm3", "sum_ppm_mm3", "loss_ppm_mm3", "limit_ppm_mm3",
    "volume_mm3", "equal_te_mm3", "t2s_mm3", "swi_mm3", "r2s_mm3", "qsm_mm3", "qsm_mean_ppm", "roi_ppm",
    "seen_t2s", "seen_swi", "detected", "seconds", "flags",
)  # fmt: skip
TEXT = ("experiment", "head", "session", "kind", "shape", "flags")
POINT_ERROR_MM = 0.4
"""SD of the given positions along each axis."""
SAME_LESION_MM = 3.0
ROI_MM = 3.0


def points_of(session: PhantomSession, rng: np.random.Generator) -> FloatArray:
    """Return positions as a reader would give them, a little off."""
    where = np.array([t.place_mm for t in session.lesions]).reshape(-1, 3)
    return np.asarray(where + np.clip(POINT_ERROR_MM * rng.standard_normal(where.shape), -1, 1))


def measure_session(
    session: PhantomSession, *, rng: np.random.Generator, maps: bool = False
) -> list[dict[str, Any]]:
    """Measure all lesions of a session from its raw phase, positions given.

    Parameters
    ----------
    session : PhantomSession
        Simulated scan and truth.
    rng : Generator
        Makes the positions' errors.
    maps : bool, optional
        Run the whole pipeline and measure what is visible on its images, too.

    Returns
    -------
    list of dict
        One per lesion; keys are COLUMNS without experiment and head.
    """
    points_mm = points_of(session, rng)
    kinds = [READERS_KINDS.get(t.kind, t.kind) for t in session.lesions]
    stages: dict[str, float] = {}

    def note(_: str, stage: str, seconds: float) -> None:
        stages[stage] = stages.get(stage, 0.0) + seconds

    if maps:
        result = run_scan(session.scan, points_mm=points_mm, kinds=kinds, report=note)
        lesions, visible = result.lesions, _visible_rows(result, session.lesions)
    else:
        lesions = quantify(session.scan, points_mm, kinds=kinds, report=note).lesions
        visible = [{} for _ in lesions]
    rows, seconds = [], stages["quantify"] / max(len(lesions), 1)
    for truth, lesion, seen in zip(session.lesions, lesions, visible, strict=True):
        rows.append({**_row(session.scan, truth, lesion), **seen, "seconds": seconds})
    return [{"session": session.label, **row} for row in rows]


def _row(scan: GreScan, truth: TruthRow, lesion: Microbleed) -> dict[str, Any]:
    moment = lesion.total_chi_ppm_mm3
    return {
        "b0_tesla": scan.b0_tesla, "te_max_s": scan.te_s[-1], "voxel_mm3": scan.grid.voxel_volume_mm3,
        "lesion": truth.id, "kind": truth.kind, "shape": truth.shape, "truth_ppm_mm3": truth.S_ppm_mm3,
        "estimate_ppm_mm3": moment.value if moment else None, "sd_ppm_mm3": moment.sd if moment else None,
        "low_ppm_mm3": moment.low if moment else None, "high_ppm_mm3": moment.high if moment else None,
        "sum_ppm_mm3": lesion.total_chi_sum_ppm_mm3, "loss_ppm_mm3": lesion.total_chi_loss_ppm_mm3,
        "limit_ppm_mm3": lesion.detection_limit_ppm_mm3, "volume_mm3": lesion.volume_mm3,
        "equal_te_mm3": volume_at_equal_te(scan, truth.place_mm),
        "flags": ";".join(lesion.flags) or None,
    }  # fmt: skip


def _visible_rows(result: ScanResult, lesions: tuple[TruthRow, ...]) -> list[dict[str, Any]]:
    scan, grid = result.scan, result.scan.grid
    found = find_candidates(result.chi_ppm, scan.magnitude, result.chi_mask, grid)
    places = grid.to_world(np.array([c.voxel for c in found]).reshape(-1, 3))
    rows = []
    for truth in lesions:
        point = truth.place_mm
        further_mm = truth.a_mm if truth.kind == HAEMATOMA else 0.0
        signed = np.sign(truth.S_ppm_mm3) * result.chi_ppm
        chi = bright_region(signed, grid, point, above=CHI_PPM, further_mm=further_mm)
        t2s, swi = (
            dark_region(image, grid, point, further_mm=further_mm)
            for image in (scan.magnitude[-1], result.swi)
        )
        row: dict[str, Any] = {
            "t2s_mm3": t2s.volume_mm3,
            "swi_mm3": swi.volume_mm3,
            "qsm_mm3": chi.volume_mm3,
            "qsm_mean_ppm": chi.mean,
            "roi_ppm": mean_in_ball(result.chi_ppm, grid, point, radius_mm=ROI_MM),
            "seen_t2s": int(t2s.seen),
            "seen_swi": int(swi.seen),
            "detected": int(
                len(places) > 0 and np.linalg.norm(places - point, axis=1).min() < SAME_LESION_MM
            ),
        }
        if result.r2star_hz is not None:
            decay = bright_region(result.r2star_hz, grid, point, above=R2STAR_HZ, further_mm=further_mm)
            row["r2s_mm3"] = decay.volume_mm3
        rows.append(row)
    return rows
