"""White matter of the cerebrum, divided by distances: lobes, deep white matter, capsules.

White matter belongs to the lobe of the nearest cortex, unless it is

- deep or periventricular: up to 13 mm from a lateral ventricle and more than 4 mm from the cortex, or more than 10 mm
  from the cortex (Kim 2008);
- internal capsule: between caudate nucleus or thalamus and putamen or pallidum;
- external capsule, with claustrum and extreme capsule: within 3 mm of the putamen, on its lateral side.

References
----------
Kim KW, MacFall JR, Payne ME. Classification of white matter lesions on magnetic resonance imaging in elderly persons.
Biol Psychiatry 2008;64:273-280. doi:10.1016/j.biopsych.2008.03.024
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmcmb.anatomy.regions import STRUCTURES
from qsmcmb.core.boxes import Box, bounding_box
from qsmcmb.core.midplane import Midplane
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray, IntArray

__all__ = (
    "DEEP_MM",
    "EXTERNAL_MM",
    "INTERNAL_MM",
    "JUXTACORTICAL_MM",
    "LATERAL_SPREAD",
    "PERIVENTRICULAR_MM",
    "name_white_matter",
)

PERIVENTRICULAR_MM, JUXTACORTICAL_MM, DEEP_MM = 13.0, 4.0, 10.0
"""Distance from a lateral ventricle up to which white matter is periventricular, and from the cortex up to which it is
juxtacortical (Kim 2008, doi:10.1016/j.biopsych.2008.03.024); from the cortex beyond which it is deep in any case; mm.
"""
INTERNAL_MM, EXTERNAL_MM = 15.0, 3.0
"""Largest sum of the distances to the nuclei on both sides of the internal capsule; largest distance from the putamen
of the external capsule, claustrum and extreme capsule with it; mm.
"""
LATERAL_SPREAD = 1.5
"""Largest ratio of the way along the brain to the way outward, from the putamen to what lies lateral of it."""
WHITE = STRUCTURES["cerebral white matter"].label
"""Label of white matter that has no other name yet."""
_BELOW = {"hippocampus": "temporal white matter", "amygdala": "temporal white matter"} | {
    name: name.replace("cortex", "white matter")
    for name in STRUCTURES
    if name.endswith("cortex") and name != "cerebellar cortex"
}
"""White matter below each grey structure of the lobes."""


def name_white_matter(
    structures: IntArray, ventricles: BoolArray, grid: Grid, *, midplane: Midplane
) -> IntArray:
    """Tell the white matter of a segmentation apart.

    Parameters
    ----------
    structures : ndarray of shape grid.shape, int
        Labels of `STRUCTURES`; those of "cerebral white matter" are replaced.
    ventricles : ndarray of shape grid.shape, bool
        Lateral ventricles.
    grid : Grid
        Geometry; distances are mm.
    midplane : Midplane
        Plane between the halves of the head.

    Returns
    -------
    ndarray of shape grid.shape, int32
        The labels, with white matter of a lobe, deep white matter, internal and external capsule.

    Examples
    --------
    >>> grid = Grid.isotropic((30, 8, 8), 1.0)
    >>> structures = np.full(grid.shape, STRUCTURES["cerebral white matter"].label)
    >>> structures[0] = STRUCTURES["frontal cortex"].label
    >>> plane = Midplane(np.array([1.0, 0.0, 0.0]), 0.0)
    >>> named = name_white_matter(structures, structures < 0, grid, midplane=plane)
    >>> names = list(STRUCTURES)
    >>> names[named[5, 4, 4] - 1], names[named[15, 4, 4] - 1]
    ('frontal white matter', 'deep white matter')
    """
    named = np.array(structures, dtype=np.int32)
    white = structures == WHITE
    if not white.any():
        return named
    cortex_mm = _name_lobes(named, structures, white, grid)
    deep = cortex_mm > DEEP_MM
    if ventricles.any():
        deep |= (_distance(ventricles, grid) <= PERIVENTRICULAR_MM) & (cortex_mm > JUXTACORTICAL_MM)
    named[white & deep] = STRUCTURES["deep white matter"].label
    _name_capsules(named, structures, grid, midplane)
    return named


def _name_lobes(named: IntArray, structures: IntArray, white: BoolArray, grid: Grid) -> FloatArray:
    """Name white matter by the nearest cortex; return the distance to it, mm."""
    below = np.zeros(len(STRUCTURES) + 1, np.int32)
    for cortex, lobe in _BELOW.items():
        below[STRUCTURES[cortex].label] = STRUCTURES[lobe].label
    grey = below[structures] > 0
    if not grey.any():
        return np.full(grid.shape, np.inf)
    cortex_mm, nearest = ndimage.distance_transform_edt(~grey, grid.voxel_size_mm, return_indices=True)
    named[white] = below[structures[tuple(nearest)][white]]
    return np.asarray(cortex_mm)


def _name_capsules(named: IntArray, structures: IntArray, grid: Grid, midplane: Midplane) -> None:
    """Name the internal and the external capsule."""
    medial, lateral, putamen = (
        np.isin(structures, [STRUCTURES[n].label for n in names])
        for names in (("caudate nucleus", "thalamus"), ("putamen", "pallidum"), ("putamen",))
    )
    if not lateral.any():
        return
    box = _around(bounding_box(lateral), INTERNAL_MM, grid)
    white = structures[box] == WHITE
    if medial[box].any():
        one, one_mm = _to_nearest(medial[box], grid)
        other, other_mm = _to_nearest(lateral[box], grid)
        between = (one * other).sum(axis=0) < 0
        named[box][white & between & (one_mm + other_mm <= INTERNAL_MM)] = STRUCTURES[
            "internal capsule"
        ].label
    if putamen.any():
        way, way_mm = _to_nearest(putamen[box], grid)
        near = white & (way_mm <= EXTERNAL_MM)
        voxels = np.argwhere(near) + [s.start for s in box]
        points = grid.to_world(voxels.astype(float))
        right = np.sign(points @ midplane.normal - midplane.offset_mm)
        outward = -(way[:, near].T @ midplane.normal) * right
        along = np.sqrt(np.maximum(way_mm[near] ** 2 - outward**2, 0))
        beside = (outward > 0) & (along <= LATERAL_SPREAD * outward)
        named[tuple(voxels[beside].T)] = STRUCTURES["external capsule"].label


def _to_nearest(structure: BoolArray, grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Return the way from each voxel to the nearest of a structure, scanner mm (3, ...), and its length, mm."""
    away, nearest = ndimage.distance_transform_edt(~structure, grid.voxel_size_mm, return_indices=True)
    steps = (nearest - np.indices(structure.shape)).astype(np.float32)
    way = np.einsum("ij,j...->i...", np.asarray(grid.affine)[:3, :3].astype(np.float32), steps)
    return way, np.asarray(away)


def _distance(where: BoolArray, grid: Grid) -> FloatArray:
    """Return the distance to a structure, mm."""
    return np.asarray(ndimage.distance_transform_edt(~where, grid.voxel_size_mm))


def _around(box: Box, margin_mm: float, grid: Grid) -> Box:
    """Return a box with a margin, as far as the grid reaches."""
    steps = [int(np.ceil(margin_mm / v)) for v in grid.voxel_size_mm]
    x, y, z = (
        slice(max(0, s.start - n), min(size, s.stop + n))
        for s, n, size in zip(box, steps, grid.shape, strict=True)
    )
    return x, y, z
