"""The labels that FreeSurfer would give to the template's own head, from the region map."""

from __future__ import annotations

import numpy as np

from qsmcmb.anatomy.region_map import load_region_map, load_template
from qsmcmb.anatomy.regions import STRUCTURES
from qsmcmb.anatomy.segmentation_labels import SEGMENTATION_LABELS
from qsmcmb.model import Grid
from qsmcmb.typing import IntArray

GYRUS = {"frontal": 1028, "parietal": 1029, "temporal": 1030, "occipital": 1011, "insular": 1035}
"""A gyrus of each lobe, on the left."""
VENTRICLE_MM = ((0.0, -10.0, 16.0), (34.0, 52.0, 22.0))
"""Centre and radii of an ellipsoid whose fluid is that of the lateral ventricles, MNI mm."""


def freesurfer_numbers(*, gyri: bool = True) -> IntArray:
    """Return the number on the left of each structure of the region map, by its label."""
    first = {
        s.structure: n for n, s in reversed(SEGMENTATION_LABELS.items()) if n < 1000 and s.side != "right"
    }
    numbers = np.zeros(len(STRUCTURES) + 1, np.int32)
    for name, structure in STRUCTURES.items():
        lobe, _, kind = name.partition(" ")
        if lobe in GYRUS and kind == "cortex":
            numbers[structure.label] = GYRUS[lobe] if gyri else 3
        elif structure in first:
            numbers[structure.label] = first[structure]
        else:
            numbers[structure.label] = {"brainstem": 16, "cerebellum": 7}.get(structure.mars or "", 2)
    return numbers


def segmented_head(grid: Grid, *, gyri: bool = True) -> IntArray:
    """Return the labels of the template's head on a grid whose scanner space is MNI space."""
    voxels = np.moveaxis(np.indices(grid.shape, dtype=float), 0, -1).reshape(-1, 3)
    points = grid.to_world(voxels)
    numbers = freesurfer_numbers(gyri=gyri)[load_region_map().at(points)]
    template = load_template()
    index = np.rint(template.grid.to_voxel(points)).astype(int)
    inside = ((index >= 0) & (index < template.grid.shape)).all(axis=1)
    index[~inside] = 0
    tissue = template.tissues[(slice(None), *index.T)]
    brain = inside & (tissue.sum(axis=0) > 0.5)
    fluid = brain & (tissue[2] > 0.5)
    middle, radii = np.array(VENTRICLE_MM)
    central = (((points - middle) / radii) ** 2).sum(axis=1) < 1
    numbers = np.where(fluid, np.where(central, 4, 24), numbers) * brain
    pairs = {}
    for n, label in SEGMENTATION_LABELS.items():
        if label.side == "left":
            pairs[n] = n + 1000 if 1000 <= n < 2000 else _partner(n)
    right = points[:, 0] > 0
    for n in np.unique(numbers[right]):
        numbers[right & (numbers == n)] = pairs.get(int(n), int(n))
    return numbers.reshape(grid.shape).astype(np.int32)


def _partner(number: int) -> int:
    """Return the number on the right of one on the left."""
    name = SEGMENTATION_LABELS[number].name.replace("Left", "Right")
    return next(n for n, label in SEGMENTATION_LABELS.items() if label.name == name)
