"""One simulated session through the estimator: a row per lesion, truth beside estimate."""

from __future__ import annotations

import numpy as np

from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.detection.candidates import find_candidates
from qsmcmb.model import Grid
from qsmcmb.phantoms.truth import PhantomSession, TruthRow
from qsmcmb.pipeline.points import quantify
from qsmcmb.pipeline.scan_result import ScanResult
from qsmcmb.pipeline.subject import run_scan
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.validation.acceptance_criteria import ResultRow, Rows
from qsmcmb.validation.phantom_dataset import HAEMATOMA, READERS_KINDS
from qsmcmb.validation.visible import (
    CHI_PPM,
    R2STAR_HZ,
    bright_region,
    dark_region,
    mean_in_ball,
    volume_at_equal_te,
)

__all__ = ("points_of",)

POINT_ERROR_MM = 0.4
"""SD of the given positions along each axis, mm: a reader clicks within half a voxel."""
DETECTION_DISTANCE_MM = 3.0
"""Largest distance of a candidate from a true centre, mm, at which the lesion counts as found: a lesion's size, and
far less than lesions are apart.
"""
ROI_MM = 3.0
"""Radius of a reader's region of interest, mm: a ball inside a microbleed's blur."""


def points_of(session: PhantomSession, rng: np.random.Generator) -> FloatArray:
    """Return positions as a reader would give them, a little off.

    Parameters
    ----------
    session : PhantomSession
        Simulated scan and truth.
    rng : Generator
        Makes the errors.

    Returns
    -------
    ndarray of shape (n, 3)
        Points, scanner RAS+, mm; up to 1 mm off along each axis.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from qsmcmb.phantoms.build import build_phantom
    >>> from qsmcmb.phantoms.recipe import LesionRecipe, read_recipe
    >>> small = replace(read_recipe("sphere"), fov_mm=(40.0, 40.0, 40.0), voxel_mm=4.0, lesions=LesionRecipe())
    >>> points_of(build_phantom(small)[0], np.random.default_rng(1)).shape
    (0, 3)
    """
    where = np.array([t.centre_mm for t in session.lesions]).reshape(-1, 3)
    return np.asarray(where + np.clip(POINT_ERROR_MM * rng.standard_normal(where.shape), -1, 1))


def measure_session(
    session: PhantomSession, *, rng: np.random.Generator, maps: bool = False, mask: BoolArray | None = None
) -> Rows:
    """Measure all lesions of a session from its raw phase, positions given.

    Parameters
    ----------
    session : PhantomSession
        Simulated scan and truth.
    rng : Generator
        Makes the positions' errors.
    maps : bool, optional
        Run the whole pipeline and measure what is visible on its images, too.
    mask : ndarray of bool, optional
        Brain mask; made from the scan by default.

    Returns
    -------
    list of ResultRow
        One per lesion; experiment and head are left to the caller.
    """
    points_mm = points_of(session, rng)
    kinds = [READERS_KINDS.get(t.kind, t.kind) for t in session.lesions]
    stages: dict[str, float] = {}

    def note(_: str, stage: str, seconds: float) -> None:
        stages[stage] = stages.get(stage, 0.0) + seconds

    if maps:
        result = run_scan(session.scan, points_mm=points_mm, kinds=kinds, mask=mask, report=note)
        lesions, visible = result.lesions, _visible_rows(result, session.lesions)
    else:
        lesions = quantify(session.scan, points_mm, kinds=kinds, mask=mask, report=note).lesions
        visible = [ResultRow() for _ in lesions]
    rows: Rows = []
    seconds = stages["quantify"] / max(len(lesions), 1)
    for truth, lesion, seen in zip(session.lesions, lesions, visible, strict=True):
        rows.append({**_row(session, truth, lesion), **seen, "seconds": seconds})
    return rows


def _row(session: PhantomSession, truth: TruthRow, lesion: Microbleed) -> ResultRow:
    """Return truth and estimates of one lesion."""
    scan, total_chi = session.scan, lesion.total_chi_ppm_mm3
    return {
        "session": session.label, "b0_tesla": scan.b0_tesla, "te_max_s": scan.te_s[-1],
        "voxel_mm3": scan.grid.voxel_volume_mm3,
        "lesion": truth.id, "kind": truth.kind, "shape": truth.shape, "truth_ppm_mm3": truth.S_ppm_mm3,
        "truth_abs_ppm_mm3": truth.S_abs_ppm_mm3,
        "estimate_ppm_mm3": total_chi.value if total_chi else None, "sd_ppm_mm3": total_chi.sd if total_chi else None,
        "low_ppm_mm3": total_chi.low if total_chi else None, "high_ppm_mm3": total_chi.high if total_chi else None,
        "sum_ppm_mm3": lesion.total_chi_sum_ppm_mm3, "loss_ppm_mm3": lesion.total_chi_loss_ppm_mm3,
        "limit_ppm_mm3": lesion.detection_limit_ppm_mm3, "volume_mm3": lesion.volume_mm3,
        "equal_te_mm3": volume_at_equal_te(scan, truth.centre_mm),
        "flags": ";".join(lesion.flags) or None,
    }  # fmt: skip


def detected(
    chi_ppm: FloatArray, magnitude: FloatArray, mask: BoolArray, grid: Grid, centres_mm: FloatArray
) -> BoolArray:
    """Return which centres (n, 3), scanner mm, have a candidate of the detector near them."""
    found = find_candidates(chi_ppm, magnitude, mask, grid)
    if not found:
        return np.zeros(len(centres_mm), bool)
    candidates_mm = grid.to_world(np.array([c.voxel for c in found]))
    distance_mm = np.linalg.norm(candidates_mm[None] - centres_mm[:, None], axis=2)
    return np.asarray(distance_mm.min(axis=1) < DETECTION_DISTANCE_MM)


def _visible_rows(result: ScanResult, lesions: tuple[TruthRow, ...]) -> Rows:
    """Return what is visible of each lesion on the pipeline's images."""
    scan = result.scan
    centres_mm = np.array([t.centre_mm for t in lesions]).reshape(-1, 3)
    found = detected(result.chi_ppm, scan.magnitude, result.masks.chi, scan.grid, centres_mm)
    return [_visible_row(result, t, bool(f)) for t, f in zip(lesions, found, strict=True)]


def _visible_row(result: ScanResult, truth: TruthRow, found: bool) -> ResultRow:
    """Return what is visible of one lesion on the pipeline's images."""
    scan, grid, point = result.scan, result.scan.grid, truth.centre_mm
    further_mm = truth.a_mm if truth.kind == HAEMATOMA else 0.0
    signed = np.sign(truth.S_ppm_mm3) * result.chi_ppm
    chi = bright_region(signed, grid, point, above=CHI_PPM, further_mm=further_mm)
    t2s, swi = (
        dark_region(image, grid, point, further_mm=further_mm)
        for image in (scan.magnitude[-1], result.maps.swi)
    )
    row: ResultRow = {
        "t2s_mm3": t2s.volume_mm3,
        "swi_mm3": swi.volume_mm3,
        "qsm_mm3": chi.volume_mm3,
        "qsm_mean_ppm": chi.mean,
        "roi_ppm": mean_in_ball(result.chi_ppm, grid, point, radius_mm=ROI_MM),
        "seen_t2s": int(t2s.seen),
        "seen_swi": int(swi.seen),
        "detected": int(found),
    }
    if result.maps.r2star_hz is not None:
        decay = bright_region(result.maps.r2star_hz, grid, point, above=R2STAR_HZ, further_mm=further_mm)
        row["r2s_mm3"] = decay.volume_mm3
    return row
