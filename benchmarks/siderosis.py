"""Superficial siderosis in simulated heads, from raw data: areas found, false areas, lengths.

    python benchmarks/siderosis.py [--with 86101:86113] [--without 86201:86207] [--chi 0.3 1] [--out OUT]

Heads are those of `detection_heads.py` at 3 T and 1 mm, with microbleeds, calcifications, iron, veins and air; those
of `--with` hold two areas of siderosis each. An area is found where voxels of a row lie within 3 mm of a fifth of it; a
row is false where less than a fifth of its voxels lies within 3 mm of any area. The heads are too small for the region
map, and lesions are not fitted: no row is left out as a nucleus or a microbleed. Seeds from 86001 are for development,
from 86101 and 86201 for scoring. Maps lie in benchmark-data/siderosis, scores in OUT.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from detection import MAP_STAGES
from detection_heads import CONDITIONS, LESIONS, SIZES
from scipy.spatial import cKDTree

import qsmcmb
from qsmcmb.microbleeds.siderosis.areas import find_areas
from qsmcmb.microbleeds.siderosis.table import siderosis_rows
from qsmcmb.model import Grid
from qsmcmb.phantoms.anatomies import make_anatomy
from qsmcmb.phantoms.build import lesions_of
from qsmcmb.phantoms.recipe import Protocol, Recipe, read_recipe
from qsmcmb.phantoms.scanner import pose_of
from qsmcmb.phantoms.siderosis import SiderosisRecipe
from qsmcmb.phantoms.tissue_scan import TissueScan
from qsmcmb.pipeline.config import make_config
from qsmcmb.pipeline.inversion import Inversion, local_field_of
from qsmcmb.pipeline.subject import map_scan_field
from qsmcmb.relaxometry.r2star import map_r2star

FOLDER = Path("benchmark-data/siderosis")
AREAS = 2
"""Areas of a head with siderosis."""
CHI_PPM = SiderosisRecipe().chi_ppm
"""Range of the susceptibility of the iron's layer, ppm."""
NEAR_MM = 3.0
"""Distance within which a point of an area and a voxel of a row are the same, mm."""
SHARE = 0.2
"""Least fraction of an area that a find covers, and least fraction of a row that is not false."""


def main() -> None:
    """Score the heads, print a line for each, and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--with", dest="stained", default="86101:86113", help="FIRST:AFTER_LAST")
    parser.add_argument("--without", dest="clean", default="86201:86207", help="FIRST:AFTER_LAST")
    parser.add_argument(
        "--chi", nargs=2, type=float, default=CHI_PPM, help="range of the iron's susceptibility, ppm"
    )
    parser.add_argument("--out", type=Path, default=FOLDER / "scores.json")
    options = parser.parse_args()
    records = []
    for seeds, areas in ((options.stained, AREAS), (options.clean, 0)):
        first, end = (int(word) for word in seeds.split(":"))
        for seed in range(first, end):
            records.append(score(seed, areas=areas, chi_ppm=tuple(options.chi)))
            print(json.dumps(records[-1]), flush=True)
    options.out.write_text(json.dumps(records, indent=1))
    truth = [area for r in records for area in r["areas"]]
    ratios = [a["found_mm"] / a["length_mm"] for a in truth if a["found_mm"]]
    print(f"areas found: {sum(a['found_mm'] > 0 for a in truth)} of {len(truth)}")
    for heads, name in ((options.stained, "with"), (options.clean, "without")):
        first, end = (int(word) for word in heads.split(":"))
        chosen = [r for r in records if first <= r["seed"] < end]
        print(f"heads {name} siderosis: {len(chosen)}, false rows: {sum(r['false'] for r in chosen)}, rows: "
              f"{sum(r['rows'] for r in chosen)}")  # fmt: skip
    if ratios:
        print(
            "length found over true, 10th, 50th, 90th percentile:",
            np.percentile(ratios, (10, 50, 90)).round(2),
        )


def score(seed: int, *, areas: int, chi_ppm: tuple[float, float]) -> dict[str, Any]:
    """Return what is found of a head's areas, and the rows that are false."""
    maps = read_maps(seed, areas=areas, chi_ppm=chi_ppm)
    grid = Grid.from_affine(maps["chi_ppm"].shape, maps["affine"])
    start = time.process_time()
    found = find_areas(maps["chi_ppm"], maps["r2star_hz"], maps["mask"], grid, b0_tesla=3.0)
    seconds = time.process_time() - start
    rows = [grid.to_world(area.voxels.astype(float)) for area in found]
    points = [maps[f"points{i}"] for i in range(areas)]
    truth = json.loads(str(maps["rows"]))
    for area, where in zip(truth, points, strict=True):
        covered = [np.mean(cKDTree(row).query(where)[0] < NEAR_MM) for row in rows]
        finds = [a.length_mm for a, c in zip(found, covered, strict=True) if c >= SHARE]
        area["found_mm"], area["rows"] = max(finds, default=0.0), len(finds)
    near = [np.mean(cKDTree(np.concatenate(points)).query(r)[0] < NEAR_MM) if areas else 0.0 for r in rows]
    false = [r for r, share in zip(siderosis_rows(found), near, strict=True) if share < SHARE]
    return {
        "seed": seed, "areas": truth, "rows": len(rows), "false": len(false), "false_rows": false,
        "seconds": round(seconds, 2),
    }  # fmt: skip


def recipe_of(seed: int, *, areas: int, chi_ppm: tuple[float, float]) -> tuple[Recipe, Protocol]:
    """Return a small head, and its session."""
    recipe = read_recipe("structured_smallhead")
    size, fov_mm = SIZES["small"]
    recipe = dataclasses.replace(
        recipe, seed=seed, size=size, fov_mm=fov_mm,
        lesions=dataclasses.replace(recipe.lesions, **LESIONS["small"]),
        siderosis=SiderosisRecipe(areas=areas, chi_ppm=chi_ppm),
    )  # fmt: skip
    rng = np.random.default_rng([seed, 11, 0])
    protocol = Protocol(
        label="3T", **CONDITIONS["3T"], rotation_deg=tuple(rng.uniform(-5, 5, 3)),
        shift_mm=tuple(rng.uniform(-2, 2, 3)), tilt_deg=float(rng.uniform(-15, 15)),
    )  # fmt: skip
    return recipe, protocol


def read_maps(seed: int, *, areas: int, chi_ppm: tuple[float, float] = CHI_PPM) -> dict[str, Any]:
    """Return maps and truth of a head, made where they are not stored for this code yet."""
    iron = "" if chi_ppm == CHI_PPM or not areas else f"_{chi_ppm[0]:g}-{chi_ppm[1]:g}"
    path = FOLDER / f"{seed}_{areas}{iron}_{_code_key()}.npz"
    if not path.exists():
        recipe, protocol = recipe_of(seed, areas=areas, chi_ppm=chi_ppm)
        anatomy = make_anatomy(recipe)
        rng = np.random.default_rng([seed, 12])
        session = TissueScan(recipe, protocol, anatomy).scan(lesions_of(recipe, anatomy), rng=rng)
        scan = session.scan
        config = make_config()
        phase = map_scan_field(scan, config)
        inversion = Inversion(scan, config, phase, local_field_of(phase, scan, config))
        chi_ppm = inversion.of_scan()
        r2star_hz = map_r2star(scan.magnitude, phase.mask, te_s=scan.te_s)
        pose = pose_of(recipe, protocol)
        points = [pose.to_world(a.head_mm) for a in anatomy.siderosis()]
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            path, chi_ppm=chi_ppm, r2star_hz=r2star_hz, mask=inversion.mask, affine=scan.grid.affine,
            rows=json.dumps([r._asdict() for r in session.siderosis]),
            lesions=json.dumps([r._asdict() for r in session.lesions]),
            **{f"points{i}": p for i, p in enumerate(points)},
        )  # fmt: skip
    with np.load(path) as stored:
        return {k: stored[k] for k in stored.files}


def _code_key() -> str:
    """Return a part of a file's name that changes with the code that makes heads and maps."""
    root = Path(qsmcmb.__file__).parent
    digest = hashlib.sha256()
    for stage in (*MAP_STAGES, "phantoms"):
        for source in sorted((root / stage).rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:8]


if __name__ == "__main__":
    main()
