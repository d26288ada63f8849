"""Mean susceptibility of a simulated head's nuclei on the map and in truth, over the same voxels: the nuclei's own.

    qsmcmb phantom smallhead BIDS
    qsmcmb run BIDS OUT participant
    python benchmarks/region_means.py smallhead BIDS-truth OUT

Labels are those that the head was painted from, so that neither registration nor region map has a part in the error.
Two means are compared: against the mean of the brain at least 4 mm below its surface, and against a shell around the
nucleus, 1 to 4 voxels from all nuclei. A difference of the first alone is an error that varies slowly over the map.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage

from qsmcmb.anatomy.region_table import without_lesions
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults
from qsmcmb.phantoms.anatomies import make_anatomy
from qsmcmb.phantoms.head_anatomy import NUCLEI, HeadAnatomy
from qsmcmb.phantoms.recipe import Protocol, Recipe, read_recipe
from qsmcmb.phantoms.scanner import pose_of
from qsmcmb.phantoms.structured_anatomy import StructuredAnatomy
from qsmcmb.typing import FloatArray, IntArray

DEPTH_MM = 4.0
"""Depth from which on voxels count for the brain's mean, mm: the outer ones hold bone."""
SHELL_VOXELS = (1, 4)
"""Distance of the shell around a nucleus, voxels."""


def nuclei_at(recipe: Recipe, protocol: Protocol, points_mm: FloatArray) -> IntArray:
    """Return the nucleus at points (n, 3), scanner mm: its number in NUCLEI from 1, negative on the left; else 0."""
    anatomy = make_anatomy(recipe)
    assert isinstance(anatomy, HeadAnatomy | StructuredAnatomy)
    pose = pose_of(recipe, protocol)
    head_mm = (points_mm - pose.centre - pose.shift) @ pose.rotation + pose.centre
    x, y, z = anatomy._template(head_mm.T)
    found = np.zeros(len(points_mm), np.int32)
    for number, (centre, radii, *_) in enumerate(NUCLEI.values(), 1):
        away = [(v - c) / r for v, c, r in zip((np.abs(x), y, z), centre, radii, strict=True)]
        inside = away[0] ** 2 + away[1] ** 2 + away[2] ** 2 <= 1
        found[inside] = np.where(x[inside] > 0, number, -number)
    return found


def compare(recipe: Recipe, protocol: Protocol, truth: Path, out: Path) -> None:
    """Print a row for each nucleus of a session."""
    label = protocol.label
    scan = SessionResults(Place.of_session(out, recipe.subject, label), recipe.subject, label)
    true = SessionResults(
        Place(truth / f"sub-{recipe.subject}" / f"ses-{label}", scan.place.prefix), recipe.subject, label
    )
    chi, grid = scan.image("Chimap")
    true_chi, brain = true.image("Chimap")[0], true.image("desc-brain_mask")[0] > 0
    inside = (scan.image("desc-detectionlimit_map")[0] != 0) & brain
    inside = without_lesions(inside, scan.image("desc-cmb_dseg")[0].astype(np.int32), scan.lesions())
    deep = inside & (ndimage.distance_transform_edt(brain, grid.voxel_size_mm) > DEPTH_MM)
    voxels = np.argwhere(inside)
    labels = np.zeros(grid.shape, np.int32)
    labels[tuple(voxels.T)] = nuclei_at(recipe, protocol, grid.to_world(voxels.astype(float)))
    beside = ndimage.distance_transform_edt(labels == 0) > SHELL_VOXELS[0]
    print(f"| {label} | nucleus | voxels | map | truth | error | against shell: map | truth | error |")
    print("|---|---|---|---|---|---|---|---|---|")
    for number, name in enumerate(NUCLEI, 1):
        for side, sign in (("left", -1), ("right", 1)):
            own = labels == sign * number
            if not own.any():
                continue
            near = ndimage.distance_transform_edt(~own)
            shell = inside & beside & (near <= SHELL_VOXELS[1])
            rows = []
            for base in (deep, shell):
                mine, its = (float(m[own].mean() - m[base].mean()) for m in (chi, true_chi))
                rows += [f"{mine:.3f}", f"{its:.3f}", f"{100 * (mine / its - 1):+.0f} %"]
            print(f"| {label} | {name} {side} | {int(own.sum())} | {' | '.join(rows)} |")


def main() -> None:
    """Compare all sessions of a head."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("truth", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    recipe = read_recipe(given.recipe)
    for protocol in recipe.sessions:
        compare(recipe, protocol, given.truth, given.out)


if __name__ == "__main__":
    main()
