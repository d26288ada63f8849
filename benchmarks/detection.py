"""Detection of microbleeds in simulated heads, from raw data: what is found, by condition.

    python benchmarks/detection.py [--conditions 3T 15T] [--seeds 82001:82021] [--stage candidates|table] [--out OUT]

A find is a row of kind microbleed, definite or possible, within 3 mm of the lesion; a false positive is such a row
without a lesion. Columns: finds of the lesions of 2 ppm mm3 and more, finds above the detection limit of the scan at
their place, false positives per head, share of the total susceptibility found, calcifications called microbleeds,
heads without a definite microbleed. The limit is that of the scan without its lesions' own fields: no lesion that is
missed hides itself. Seeds from 81001 are for development, from 82001 for scoring.

Heads (`detection_heads.py`) and their maps lie in benchmark-data/detection, tables of finished
heads in OUT: a stopped run goes on where it was, and several may share the work. OUT/scores.json holds the FROC points,
OUT/froc.png the curves by condition, and by shape and territory over the heads of all conditions together.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from detection_heads import CONDITIONS, Head, read_head
from detection_scores import summarise, summarise_groups, worst

import qsmcmb
from qsmcmb.microbleeds.detection.candidates import find_candidates
from qsmcmb.microbleeds.detection.examined import nearest_points
from qsmcmb.microbleeds.detection.limit_map import map_detection_limit
from qsmcmb.pipeline.intermediates import HELD_STEPS
from qsmcmb.pipeline.scan_result import ScanResult
from qsmcmb.pipeline.subject import run_scan
from qsmcmb.study.intermediates import IntermediateFiles
from qsmcmb.typing import FloatArray
from qsmcmb.units import hz_to_ppm

FOLDER = Path("benchmark-data/detection")
MAP_STAGES = (
    "core", "masking", "unwrapping", "field_mapping", "background_removal", "dipole_inversion", "relaxometry",
    "susceptibility_weighting",
)  # fmt: skip
"""Packages whose code the maps depend on."""
PUBLISHED = (("AI on SWI of patients (AAIC 2025)", 1.06, 146 / 158),)
"""Published detectors on other data: name, false positives per scan, fraction of the lesions found."""
MAX_FALSE = 3.0
"""False positives per head up to which curves are drawn."""
COLUMNS = (
    "condition", "heads", ">= 2 ppm mm3", "above limit", "false/head", "burden", "calcif. called", "no definite",
    "rows/head", "detect s", "quantify s",
)  # fmt: skip


def main() -> None:
    """Run the heads, print the table, write the FROC points and their figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=list(CONDITIONS))
    parser.add_argument("--seeds", nargs="+", default=["82001:82021"], help="seeds, or FIRST:AFTER_LAST")
    parser.add_argument("--stage", choices=("candidates", "table"), default="table")
    parser.add_argument("--out", type=Path, default=FOLDER / "scores")
    parser.add_argument("--worst", type=int, default=0, help="missed and false ones to be listed a condition")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    summaries, everything = {}, []
    print(" | ".join(COLUMNS), flush=True)
    for condition in options.conditions:
        records = [_record(condition, seed, options.stage, options.out) for seed in _seeds(options.seeds)]
        summaries[condition] = summarise(records)
        everything += records if "none" not in condition else []
        print(_row(condition, summaries[condition]), flush=True)
        for line in worst(records, options.worst):
            print("   ", line)
    groups = summarise_groups(everything)
    for name, group in groups.items():
        n, of = group["large"]
        print(f"{name}: {n}/{of} of 2 ppm mm3 and more, burden {group['burden_found']:.3f}")
    (options.out / "scores.json").write_text(json.dumps({**summaries, "groups": groups}, indent=1))
    draw(summaries, groups, options.out / "froc.png")


def _seeds(words: list[str]) -> list[int]:
    """Return the seeds that the words name."""
    seeds: list[int] = []
    for word in words:
        first, _, end = word.partition(":")
        seeds += range(int(first), int(end)) if end else [int(first)]
    return seeds


def _record(condition: str, seed: int, stage: str, out: Path) -> dict[str, Any]:
    """Return lesions and rows of one head, run where OUT does not hold them yet."""
    path = out / f"{stage}_{condition}_{seed}.json"
    if not path.exists():
        head = read_head(condition, seed, FOLDER)
        made = _candidates(head) if stage == "candidates" else _table(head)
        path.write_text(json.dumps({"name": head.name, **made}))
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def _table(head: Head) -> dict[str, Any]:
    """Run the whole pipeline."""
    result = run_scan(head.scan, intermediates=_steps_of(head))
    rows = [
        {
            "kind": m.kind, "certainty": m.certainty, "score": m.score, "position_mm": m.position_mm,
            "total_ppm_mm3": m.total_chi_ppm_mm3.value if m.total_chi_ppm_mm3 else None, "flags": ";".join(m.flags),
            "evidence": known and asdict(known),
        }
        for m, known in zip(result.lesions, result.table.evidence, strict=True)
    ]  # fmt: skip
    lesions = _lesions(head, _limit(head, result))
    for lesion in lesions:
        nearest = nearest_points(result.examined or (), np.array(lesion["position_mm"]), 1)
        lesion["verdict"] = "; ".join(f"{point.verdict}, {away_mm:.1f} mm off" for away_mm, point in nearest)
    return {"lesions": lesions, "rows": rows, "seconds": result.seconds}


def _candidates(head: Head) -> dict[str, Any]:
    """Run the detector on the maps of the pipeline."""
    maps = read_maps(head)
    scan = head.scan
    known = {
        "local_field_ppm": hz_to_ppm(maps["local_hz"], scan.b0_tesla),
        "field_sd_ppm": hz_to_ppm(maps["sd_hz"], scan.b0_tesla), "r2star_hz": maps["r2star_hz"],
    }  # fmt: skip
    asked = {k: v for k, v in known.items() if k in inspect.signature(find_candidates).parameters}
    start = time.process_time()
    found = find_candidates(maps["chi_ppm"], scan.magnitude, maps["mask"], scan.grid, **asked)
    seconds = {"detect": time.process_time() - start}
    rows = [
        {
            "kind": c.kind, "certainty": "possible", "score": c.score, "total_ppm_mm3": None,
            "position_mm": scan.grid.to_world(np.array([c.voxel]))[0].tolist(), "flags": getattr(c, "test", ""),
        }
        for c in found
    ]  # fmt: skip
    return {"lesions": _lesions(head, maps["limit"]), "rows": rows, "seconds": seconds}


def read_maps(head: Head) -> dict[str, Any]:
    """Return the maps that the detector sees, made where they are not kept for this code yet."""
    path = FOLDER / "maps" / f"{head.name}_{_code_key()}.npz"
    if not path.exists():
        scan = head.scan
        result = run_scan(scan, points_mm=np.zeros((0, 3)), intermediates=_steps_of(head))
        fields = result.fields
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{np.random.default_rng().integers(10**9)}.npz")
        np.savez(
            part, chi_ppm=result.chi_ppm, local_hz=fields.local_hz, sd_hz=fields.sd_hz, mask=result.masks.chi,
            r2star_hz=result.maps.r2star_hz,
            limit=_limit(head, result),
        )  # fmt: skip
        part.replace(path)
    with np.load(path) as kept:
        return {k: kept[k] for k in kept.files}


def _steps_of(head: Head) -> IntermediateFiles:
    """Return the store of a head's maps: a run of other weights starts from those that this code made."""
    return IntermediateFiles(FOLDER / "steps" / head.name, dict.fromkeys(HELD_STEPS, _code_key()))


def _code_key() -> str:
    """Return a part of a file's name that changes with the code that makes the maps."""
    root = Path(qsmcmb.__file__).parent
    digest = hashlib.sha256()
    for stage in MAP_STAGES:
        for source in sorted((root / stage).rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:8]


def _limit(head: Head, result: ScanResult) -> FloatArray:
    """Return the detection limit map without the lesions' own fields, ppm mm3."""
    b0_tesla, fields = head.scan.b0_tesla, result.fields
    return map_detection_limit(
        hz_to_ppm(fields.local_hz, b0_tesla), result.masks.chi, head.scan.grid,
        field_sd_ppm=hz_to_ppm(fields.sd_hz, b0_tesla), lesions=head.lesions,
    )  # fmt: skip


def _lesions(head: Head, limit: Any) -> list[dict[str, Any]]:
    """Return the truth of a head, with the limit at each place; infinite outside the mask of the map."""
    rows = []
    for lesion in head.lesions:
        voxel = tuple(np.rint(head.scan.grid.to_voxel(np.array(lesion.position_mm))).astype(int))
        rows.append({**lesion._asdict(), "limit_ppm_mm3": float(limit[voxel]) or float("inf")})
    return rows


def _row(condition: str, summary: dict[str, Any]) -> str:
    """Return a condition's row of the table."""

    cells = [condition, str(summary["heads"])]
    cells += [f"{n}/{of}" for n, of in (summary["large"], summary["above_limit"])]
    burden = summary["burden_found"]
    cells += [f"{summary['false_per_head']:.2f}", "-" if burden is None else f"{burden:.3f}"]
    cells += [f"{n}/{of}" for n, of in (summary["calcifications_called"], summary["heads_without_definite"])]
    cells += [f"{summary['candidates_per_head']:.1f}"]
    cells += [f"{summary[stage]:.2f}" for stage in ("detect_s", "quantify_s")]
    return " | ".join(cells)


def draw(summaries: dict[str, Any], groups: dict[str, Any], path: Path) -> None:
    """Draw sensitivity over false positives per head: by condition above, by shape and territory below."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(9, 7), sharex=True, sharey=True)
    columns = (("sensitivity", "lesions of 2 ppm mm3 and more"), ("burden", "total susceptibility"))
    for row, curves in zip(axes, (summaries, groups), strict=True):
        for axis, (key, title) in zip(row, columns, strict=True):
            for name, summary in curves.items():
                points = summary["froc"]
                if points and summary["large"][1]:
                    x, y = ([p[k] for p in points] for k in ("false_per_head", key))
                    axis.step(x, y, where="post", label=name)
            axis.set(title=title, ylim=(0, 1.02), xlim=(0, MAX_FALSE))
            axis.grid(alpha=0.3)
    for name, false_per_scan, found in PUBLISHED:
        axes[0, 0].plot(false_per_scan, found, "k*", label=f"{name}, other data")
    for axis in axes.ravel():
        axis.legend(loc="lower right", fontsize=7)
    for axis in axes[1]:
        axis.set_xlabel("false positives per head")
    for axis in axes[:, 0]:
        axis.set_ylabel("fraction found")
    figure.savefig(path, dpi=80, bbox_inches="tight")


if __name__ == "__main__":
    main()
