"""Evidence of the candidates of a training head with what each of them is, made once and stored."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mimic_heads import MimicHead, read_mimic_head

from qsmcmb.microbleeds.calibration.k_space_spectrum import find_k_space_windows
from qsmcmb.microbleeds.detection.candidates import find_candidates
from qsmcmb.microbleeds.measure import Targets, gather_all_evidence
from qsmcmb.microbleeds.signal.patch import ScanFields
from qsmcmb.pipeline.config import make_config
from qsmcmb.pipeline.detection import DetectorMaps, detect_beside_readers
from qsmcmb.pipeline.inversion import Inversion, local_field_of
from qsmcmb.pipeline.subject import map_scan_field

NEAR_MM = 3.0
"""Distance within which a candidate is a lesion of the truth, mm."""
VEIN_MM, MIN_VEIN_MM3 = 2.0, 1.0
"""Radius within which veins are summed, mm, and the volume from which the candidate is one, mm3: a radius of 0.3 mm."""
EDGE_MM = 4.0
"""Depth, mm, above which a candidate that is nothing else is called an artefact of the surface."""
MAX_POINTS, N_PEAKS, PEAK_SPACING_MM, JITTER_MM = 120, 40, 6.0, 0.5
"""Points of a head at most; peaks of its map, and their distance, mm; SD of the points of lesions, mm."""
TRUE_KINDS = {"air": "artefact", "flow-void": "artefact"}
LOW = {"threshold_ppm": 0.06, "min_darkening": 0.05, "min_score": 0.02, "max_candidates": 40}
"""A detector of the map that lets more pass than the pipeline's: the classifier sees what is far from the decision,
too."""


class HeadMaps(NamedTuple):
    """What the pipeline makes of a head before it looks for candidates."""

    fields: ScanFields
    """Results that the evidence is gathered from."""
    detector: DetectorMaps
    """Maps that the detector looks at."""


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
    """Map a head, find candidates, and gather the evidence of each.

    Those that the pipeline proposes come first, with the evidence that it has of them: the dipoles of its other
    candidates beside them, and no more.
    """
    scan, maps = head.scan, _maps(head, folder)
    acquisition = find_k_space_windows(scan, maps.fields.mask)
    proposed, _ = detect_beside_readers(scan, maps.detector, Targets.of_readers([]))
    mapped, chi_mask = maps.detector.chi_ppm, maps.detector.mask
    lenient = find_candidates(mapped, scan.magnitude, chi_mask, scan.grid, **LOW)
    more = [
        _points_of_lesions(head),
        scan.grid.to_world(np.array([c.voxel for c in lenient]).reshape(-1, 3)),
        _peaks(mapped, chi_mask, scan.grid),
    ]
    points = np.concatenate([proposed.points_mm, _far_from(proposed.points_mm, np.concatenate(more))])[
        :MAX_POINTS
    ]
    n = len(proposed.points_mm)
    targets = Targets(points, [None] * len(points), [*proposed.scores, *[None] * (len(points) - n)], 0)
    evidence = gather_all_evidence(scan, proposed, maps.fields, acquisition)
    evidence += gather_all_evidence(scan, targets, maps.fields, acquisition)[n:]
    truth = [_truth_of(head, maps.fields.mask, p) for p in points]
    return [
        {
            **asdict(e),
            "true_kind": kind,
            "true_ppm_mm3": total,
            "position_mm": p.tolist(),
            "is_proposed": i < n,
        }
        for i, (e, (kind, total), p) in enumerate(zip(evidence, truth, points, strict=True))
        if e is not None
    ]


def _maps(head: MimicHead, folder: Path) -> HeadMaps:
    """Return the maps of a head, made where the folder does not hold them yet."""
    stored = folder / f"maps_{head.name}.npz"
    if not stored.exists():
        phase = map_scan_field(head.scan, config := make_config())
        inversion = Inversion(head.scan, config, phase, local_field_of(phase, head.scan, config))
        np.savez(
            stored, field_hz=phase.total_field_hz, offset_rad=phase.offset_rad, mask=phase.mask,
            sd_hz=phase.field_sd_hz, chi_ppm=(chi_ppm := inversion.of_scan()), chi_mask=inversion.mask,
            local_hz=inversion.local_field_hz(chi_ppm),
        )  # fmt: skip
    with np.load(stored) as m:
        fields = ScanFields(m["field_hz"], m["offset_rad"], m["mask"], None, m["chi_ppm"])
        return HeadMaps(fields, DetectorMaps(fields.chi_ppm, m["local_hz"], m["sd_hz"], m["chi_mask"]))


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
