"""Evidence of the candidates of a training head with what each of them is, made once and stored."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from mimic_heads import MimicHead, read_mimic_head

NEAR_MM = 3.0
"""Distance within which a candidate is a lesion of the truth, mm."""
VEIN_MM, MIN_VEIN_MM3 = 2.0, 1.0
"""Radius within which veins are summed, mm, and the volume from which the candidate is one, mm3: a radius of 0.3 mm."""
EDGE_MM = 4.0
"""Depth, mm, above which a candidate that is nothing else is called an artefact of the surface."""
MAX_POINTS, N_PEAKS, PEAK_SPACING_MM, JITTER_MM = 75, 40, 6.0, 0.5
"""Points of a head at most; peaks of its map, and their distance, mm; SD of the points of lesions, mm."""
TRUE_KINDS = {"air": "artefact", "flow-void": "artefact"}
LOW = {"threshold_ppm": 0.06, "min_darkening": 0.05, "min_score": 0.02, "max_candidates": 40}
"""A detector that lets more pass than the pipeline's: the classifier sees what is far from the decision, too."""


def read_features(protocol: str, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Return the candidates of a head: evidence, kind and total susceptibility by the truth."""
    path = folder / f"features_{protocol}_{seed}.json"
    if not path.exists():
        head = read_mimic_head(protocol, seed, folder)
        start = time.process_time()
        rows = _features(head, folder)
        print(head.name, len(rows), f"candidates, {time.process_time() - start:.0f} s", flush=True)
        path.write_text(json.dumps(rows))
    rows = json.loads(path.read_text())
    return [{**row, "head": f"{protocol}_{seed}"} for row in rows]


def _features(head: MimicHead, folder: Path) -> list[dict[str, Any]]:
    """Map a head, find candidates, and gather the evidence of each."""
    from qsmcmb.microbleeds.calibration.k_space_spectrum import find_k_space_windows
    from qsmcmb.microbleeds.detection.candidates import find_candidates
    from qsmcmb.microbleeds.measure import Targets, gather_all_evidence
    from qsmcmb.microbleeds.signal.patch import ScanFields
    from qsmcmb.pipeline.config import make_config
    from qsmcmb.pipeline.inversion import Inversion, local_field_of
    from qsmcmb.pipeline.subject import map_scan_field

    scan, config = head.scan, make_config()
    stored = folder / f"maps_{head.name}.npz"
    if not stored.exists():
        phase = map_scan_field(scan, config)
        inversion = Inversion(scan, config, phase, local_field_of(phase, scan, config))
        np.savez(
            stored, field_hz=phase.total_field_hz, offset_rad=phase.offset_rad, mask=phase.mask,
            chi_ppm=inversion.of_scan(), chi_mask=inversion.mask,
        )  # fmt: skip
    with np.load(stored) as maps:
        fields = ScanFields(maps["field_hz"], maps["offset_rad"], maps["mask"], None, maps["chi_ppm"])
        chi_mask = maps["chi_mask"]
    found = find_candidates(fields.chi_ppm, scan.magnitude, chi_mask, scan.grid, **LOW)
    points = scan.grid.to_world(np.array([c.voxel for c in found]).reshape(-1, 3))
    scores: list[float | None] = [c.score for c in found]
    added = _far_from(
        points, np.concatenate([_points_of_lesions(head), _peaks(fields.chi_ppm, chi_mask, scan.grid)])
    )
    points = np.concatenate([points, added])[:MAX_POINTS]
    scores = (scores + [None] * len(added))[:MAX_POINTS]
    targets = Targets(points, [None] * len(points), scores, 0)
    acquisition = find_k_space_windows(scan, fields.mask)
    evidence = gather_all_evidence(scan, targets, fields, acquisition)
    truth = [_truth_of(head, fields.mask, p) for p in points]
    return [
        {**asdict(e), "true_kind": kind, "true_ppm_mm3": total, "position_mm": p.tolist()}
        for e, (kind, total), p in zip(evidence, truth, points, strict=True)
        if e is not None
    ]


def _points_of_lesions(head: MimicHead) -> np.ndarray:
    """Return the places of everything in the truth table, moved at random by as much as a detector errs, mm."""
    places = np.array([(r["x_mm"], r["y_mm"], r["z_mm"]) for r in head.lesions]).reshape(-1, 3)
    return places + np.random.default_rng(1).normal(0, JITTER_MM, places.shape)


def _peaks(chi_ppm: np.ndarray, mask: np.ndarray, grid: Any) -> np.ndarray:
    """Return where the map stands out most from its surroundings, with either sign, scanner mm."""
    from scipy import ndimage

    size = np.array(grid.voxel_size_mm)
    values = np.where(mask, chi_ppm, 0)
    contrast = ndimage.gaussian_filter(values, 0.7 / size) - ndimage.gaussian_filter(values, 4 / size)
    strength = np.abs(contrast) * mask
    reach = [2 * max(1, round(PEAK_SPACING_MM / 2 / v)) + 1 for v in size]
    peaks = np.argwhere((strength == ndimage.maximum_filter(strength, reach)) & (strength > 0))
    order = np.argsort(-strength[tuple(peaks.T)])[:N_PEAKS]
    return np.asarray(grid.to_world(peaks[order].astype(float)))


def _far_from(known: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the points that lie apart from known ones and from each other."""
    chosen = list(known)
    n_known = len(chosen)
    for point in points:
        if not chosen or np.linalg.norm(np.array(chosen) - point, axis=1).min() > NEAR_MM:
            chosen.append(point)
    return np.array(chosen[n_known:]).reshape(-1, 3)


def _truth_of(head: MimicHead, mask: np.ndarray, point_mm: np.ndarray) -> tuple[str, float]:
    """Return what a candidate is, and its total susceptibility, ppm mm3; 0 of what is no lesion."""
    from qsmcmb.core.boxes import ball_box

    places = np.array([(r["x_mm"], r["y_mm"], r["z_mm"]) for r in head.lesions]).reshape(-1, 3)
    distance = np.linalg.norm(places - point_mm, axis=1)
    if len(distance) and distance.min() <= NEAR_MM:
        row = head.lesions[int(distance.argmin())]
        return TRUE_KINDS.get(row["kind"], row["kind"]), row["S_ppm_mm3"]
    near = np.linalg.norm(head.veins_mm - point_mm, axis=1) < VEIN_MM
    if head.vein_volumes_mm3[near].sum() > MIN_VEIN_MM3:
        return "vein", 0.0
    box, radius = ball_box(head.scan.grid, head.scan.grid.to_voxel(point_mm), NEAR_MM)
    if (head.nuclei[box] > 0)[radius <= NEAR_MM].mean() > 0.3:
        return "iron", 0.0
    box, radius = ball_box(head.scan.grid, head.scan.grid.to_voxel(point_mm), EDGE_MM)
    return ("other" if mask[box][radius <= EDGE_MM].all() else "artefact"), 0.0
