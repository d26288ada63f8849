"""At what total susceptibility lesions are found: inserted into a lesion-free small head, found by the pipeline.

    python benchmarks/detection.py [--scans 6] [--session 3T]

Prints where half and 95 % of the lesions are found, with 95 % intervals, and the part found among those above the
detection limit map's value at their place.
"""

from __future__ import annotations

import argparse
import dataclasses
import json

import numpy as np

RANGE_PPM_MM3 = (0.2, 10.0)
NEAR_MM = 3.0


def main() -> None:
    """Insert, run, fit the curve."""
    from qsmcmb.microbleeds.detection.detection_curve import fit_detection_curve
    from qsmcmb.phantoms.anatomies import make_anatomy
    from qsmcmb.phantoms.draw import draw_lesions
    from qsmcmb.phantoms.recipe import read_recipe
    from qsmcmb.phantoms.tissue_scan import TissueScan
    from qsmcmb.pipeline.subject import run_scan

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=int, default=6)
    parser.add_argument("--session", default="3T")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    recipe = read_recipe("smallhead")
    protocol = next(s for s in recipe.sessions if s.label == options.session)
    wanted = dataclasses.replace(
        recipe.lesions, microbleeds=12, calcifications=0, range_ppm_mm3=RANGE_PPM_MM3, ellipsoids=0.0
    )
    anatomy = make_anatomy(recipe)
    head, places = TissueScan(recipe, protocol, anatomy), anatomy.lesion_positions()
    total, found, limit = [], [], []
    for number in range(options.scans):
        rng = np.random.default_rng([options.seed, number])
        session = head.scan(draw_lesions(wanted, places, rng), rng=rng)
        result = run_scan(session.scan, mask=session.brain)
        named = np.array([m.position_mm for m in result.lesions if m.kind == "microbleed"]).reshape(-1, 3)
        for row in session.lesions:
            place = row.centre_mm
            total.append(row.S_ppm_mm3)
            found.append(bool((np.linalg.norm(named - place, axis=1) < NEAR_MM).any()))
            voxel = tuple(np.rint(session.scan.grid.to_voxel(place)).astype(int))
            limit.append(float(result.maps.detection_limit_ppm_mm3[voxel]))
    above = np.array(total) > np.array(limit)
    curve = fit_detection_curve(np.array(total), np.array(found))
    print(json.dumps({
        **curve._asdict(), "session": options.session, "median_limit_ppm_mm3": float(np.median(limit)),
        "found_above_limit": float(np.mean(np.array(found)[above])) if above.any() else None,
        "found_below_limit": float(np.mean(np.array(found)[~above])) if not above.all() else None,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
