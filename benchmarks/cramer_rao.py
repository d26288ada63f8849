"""How near the lesion fit comes to the Cramer-Rao bound: balls in water, scans that differ in noise alone.

    python benchmarks/cramer_rao.py [--scans 12] [--snr 120 40]

Prints for each ball the SD of its estimates over the bound of the model that is fitted, at the noise that was added,
and the bias in percent; last the root mean square over the balls.
"""

from __future__ import annotations

import argparse
import dataclasses
import json

import numpy as np


def main() -> None:
    """Simulate, fit, compare."""
    from qsmcmb.phantoms.anatomies import make_anatomy
    from qsmcmb.phantoms.build import lesions_of
    from qsmcmb.phantoms.tissue_scan import TissueScan
    from qsmcmb.pipeline.points import measure_points
    from qsmcmb.validation.experiments import QUICK, all_experiments
    from qsmcmb.validation.simulate_and_measure import points_of

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=int, default=12)
    parser.add_argument("--snr", type=float, nargs="+", default=[120.0, 40.0], help="of unit signal in 1 mm3")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    recipe = next(e for e in all_experiments(QUICK) if e.name == "water").recipes[0]
    anatomy = make_anatomy(recipe)
    water, lesions = TissueScan(recipe, recipe.sessions[0], anatomy), lesions_of(recipe, anatomy)
    for snr in options.snr:
        protocol = dataclasses.replace(recipe.sessions[0], snr=snr)
        silent = water.scan(lesions, rng=None, protocol=protocol)
        points = points_of(silent, np.random.default_rng(options.seed))
        truth = np.array([row.S_ppm_mm3 for row in silent.lesions])
        found, bounds = [], []
        for number in range(options.scans):
            rng = np.random.default_rng([options.seed, number])
            scan = water.scan(lesions, rng=rng, protocol=protocol).scan
            added = float(np.std((scan.magnitude - silent.scan.magnitude)[0][silent.brain]))
            table, fitted = measure_points(scan, points)
            found.append([m.total_chi_ppm_mm3.value for m in table.lesions if m.total_chi_ppm_mm3])
            # The printed bound is of the noise that the scan shows, ringing included.
            bounds.append(
                [f.fit.cramer_rao_sd_ppm_mm3 * added / f.patch.acquisition.noise_sd for f in fitted if f]
            )
        ratio = np.std(found, axis=0, ddof=1) / np.mean(bounds, axis=0)
        bias = 100 * (np.mean(found, axis=0) / truth - 1)
        print(json.dumps({
            "snr": snr, "truth_ppm_mm3": truth.round(2).tolist(), "sd_over_bound": ratio.round(2).tolist(),
            "bias_percent": bias.round(2).tolist(), "rms_sd_over_bound": round(float(np.sqrt(np.mean(ratio**2))), 3),
        }))  # fmt: skip


if __name__ == "__main__":
    main()
