"""Similarity of two registered sessions: whether they show the same brain.

Both maps are sampled on a grid over the fixed session, and each is compared with its own surroundings: b = g - h with
Gaussian means g (0.7 mm) and h (5 mm) over the brain. The bands hold veins, sulci and nuclei, whose places are those of
one person, and neither the map's reference nor its scale. The similarity is their correlation over the brain's inside.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmcmb.registration.rigid import Image
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("MIN_SIMILARITY", "brain_similarity")

MIN_SIMILARITY = 0.45
"""Similarity below which two sessions are not taken for one person's. Simulated heads: one person at 1.5, 3 and 7 T 0.8
or more, two persons 0.3 or less.
"""
STEP_MM = 2.0
"""Distance of the sampled points, mm: coarse enough for thick slices."""
FINE_MM = 0.7
"""Gaussian width of the fine mean, mm."""
COARSE_MM = 5.0
"""Gaussian width of the mean of the surroundings, mm."""
RIM_MM = 3.0
"""Distance from the brain's surface, mm, within which nothing is compared: the rims of two masks differ."""
MIN_SHARED_POINTS = 100
"""Least number of points inside both brains for a similarity."""
INSIDE = 0.99
"""Value of an interpolated mask from which a point lies inside it."""
LEAST_WEIGHT = 1e-3
"""Least fraction of a mean's weight that lies in the brain."""


def brain_similarity(fixed: Image, moving: Image, matrix: FloatArray) -> float:
    """Return how alike two registered sessions are.

    Parameters
    ----------
    fixed, moving : Image
        Sessions.
    matrix : ndarray of shape (4, 4)
        From fixed to moving scanner coordinates, RAS+, mm.

    Returns
    -------
    float
        Correlation of the structure of 0.7 to 5 mm, -1 to 1; 0 where the brains hardly share a point.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((24, 24, 24), 2.0)
    >>> mask = np.zeros(grid.shape, bool)
    >>> mask[3:-3, 3:-3, 3:-3] = True
    >>> one, other = (
    ...     Image(1 + np.random.default_rng(seed).random(grid.shape).astype(np.float32), mask, grid, "")
    ...     for seed in (1, 2)
    ... )
    >>> brain_similarity(one, one, np.eye(4)) > 0.99, abs(brain_similarity(one, other, np.eye(4))) < 0.2
    (True, True)
    """
    points = fixed.grid.to_world(np.argwhere(fixed.mask).astype(np.float64))
    low, high = points.min(axis=0), points.max(axis=0)
    axes = [np.arange(a, b + STEP_MM, STEP_MM) for a, b in zip(low, high, strict=True)]
    world = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    one, inside_one = _band(fixed, world)
    two, inside_two = _band(moving, world @ matrix[:3, :3].T + matrix[:3, 3])
    shared = inside_one & inside_two
    if shared.sum() < MIN_SHARED_POINTS:
        return 0.0
    a, b = one[shared] - one[shared].mean(), two[shared] - two[shared].mean()
    power = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / power if power > 0 else 0.0


def _band(image: Image, world: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return the contrast to the surroundings at points, and which points lie inside the brain."""
    voxels = np.moveaxis(image.grid.to_voxel(world), -1, 0)

    def sampled(data: FloatArray) -> FloatArray:
        return np.asarray(ndimage.map_coordinates(data.astype(np.float64), voxels, order=1))

    brain = (sampled(image.mask.astype(np.float64)) > 0.5).astype(np.float64)
    values = sampled(np.where(image.mask, image.data, 0)) * brain
    means = []
    for width in (FINE_MM, COARSE_MM):
        weight = ndimage.gaussian_filter(brain, width / STEP_MM)
        means.append(ndimage.gaussian_filter(values, width / STEP_MM) / np.maximum(weight, LEAST_WEIGHT))
    depth = ndimage.distance_transform_edt(image.mask, sampling=image.grid.voxel_size_mm)
    return means[0] - means[1], sampled((depth > RIM_MM).astype(np.float64)) > INSIDE
