"""Volumes that candidates are judged on, and the judgements that regions of the map and dipole peaks share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.morphology import distance_inside_mm, shave
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray, IntArray

__all__: tuple[str, ...] = ()

SURROUNDINGS_MM = 4.0
"""Distance of the surroundings that a candidate is compared with, mm; SD of the Gaussian mean of the magnitude."""
CONTRAST_SD_MM = 4.0
"""SD of the Gaussian that gives the local mean of the map, mm: wider than a microbleed."""
MAX_MEAN_CHI_PPM = 0.1
"""Largest size of the susceptibility that enters the local mean, ppm: the lesions themselves shall not raise it."""
MAGNITUDE_SD_VOXELS = 0.5
"""SD of the Gaussian that takes noise off the last echo's magnitude, and off the shell's contrast, in voxels."""
FULL_MOMENT_PPM_MM3 = 2.0
"""Total susceptibility at which the size term of the score, 1 - exp(-m / this), is 0.63, ppm mm3; a convention."""
FULL_DARKENING = 0.4
"""Relative darkening above which a darker region scores no higher; a convention of the score."""
ROUND_ELONGATION = 1.5
"""Ratio of the principal SDs up to which a candidate counts as round; a convention of the score."""
ROUND_SHELL_RATIO = 0.25
"""Ratio of the shell's contrast to the point's up to which a candidate counts as round; a convention of the score."""
SURFACE_DEPTHS_MM = (1.0, 3.0)
"""Depths below the brain's surface between which the score rises from MIN_SURFACE_FACTOR to all of it, mm."""
MIN_SURFACE_FACTOR = 0.3
"""Least factor of the score, at the brain's surface; a convention of the score."""
MIN_BRAIN_RATIO = 0.3
"""Ratio of the first echo's magnitude to its median in the mask below which a surface voxel is bone or air: bleeds are
not dark there yet."""
BONE_LAYERS = 4
"""Largest number of layers of bone voxels that a mask is taken to hold."""
SHELL_PERCENTILE = 90
"""Percentile of the ratios of a shell, %, beside the largest: a vein leaves it through few directions."""
NEIGHBOURS = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
"""Offsets of a voxel and its neighbours, (27, 3)."""
_CUBE = np.stack(np.meshgrid(*[np.arange(-2.0, 3.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
_SURFACE = _CUBE[np.abs(_CUBE).max(axis=1) == 2]
DIRECTIONS = _SURFACE / np.linalg.norm(_SURFACE, axis=1, keepdims=True)
"""Directions in which the shell around a point is looked at, (98, 3)."""


class Scene(NamedTuple):
    """The volumes from which candidates are judged."""

    contrast_ppm: FloatArray
    """Susceptibility above its local mean, ppm."""
    last_echo: FloatArray
    """Smoothed magnitude of the last echo."""
    mask: BoolArray
    depth_mm: FloatArray
    """Depth below the brain's surface, mm."""
    size: FloatArray
    """Edge lengths of a voxel, mm."""


def make_scene(chi_ppm: FloatArray, magnitude: FloatArray, mask: BoolArray, grid: Grid) -> Scene:
    """Return the volumes from which candidates are judged."""
    size = np.array(grid.voxel_size_mm)
    # Bone and air at the mask's surface are dark at the first echo, where bleeds are not yet.
    bright = magnitude[0] >= MIN_BRAIN_RATIO * np.median(magnitude[0][mask])
    return Scene(
        contrast_ppm=_local_contrast(chi_ppm, mask, size),
        last_echo=ndimage.gaussian_filter(magnitude[-1].astype(np.float32), MAGNITUDE_SD_VOXELS),
        mask=mask,
        depth_mm=distance_inside_mm(shave(mask, bright, BONE_LAYERS), grid.voxel_size_mm),
        size=size,
    )


def _local_contrast(chi_ppm: FloatArray, mask: BoolArray, size: FloatArray) -> FloatArray:
    """Return the map minus its Gaussian mean within the mask, ppm; 0 outside."""
    clipped = np.clip(chi_ppm, -MAX_MEAN_CHI_PPM, MAX_MEAN_CHI_PPM)
    return np.where(mask, chi_ppm - local_mean(clipped, mask, CONTRAST_SD_MM / size), 0).astype(np.float32)


def local_mean(volume: FloatArray, mask: BoolArray, sd_voxels: FloatArray) -> FloatArray:
    """Return the Gaussian mean within the mask."""
    # Over the smoothed mask, so that the mean at its edge is that of the voxels inside.
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sd_voxels)
    values = ndimage.gaussian_filter((volume * mask).astype(np.float32), sd_voxels)
    return np.asarray(values / np.maximum(weight, 1e-3))


def darkness(scene: Scene) -> FloatArray:
    """Return the loss of magnitude against the local mean, as a fraction of that; 0 outside the mask."""
    mean = local_mean(scene.last_echo, scene.mask, SURROUNDINGS_MM / scene.size)
    relative = 1 - scene.last_echo / np.maximum(mean, np.float32(1e-6))
    return np.where(scene.mask, relative, 0).astype(np.float32)


def size_term(total_ppm_mm3: FloatArray | float) -> FloatArray:
    """Return the factor of the score by total susceptibility."""
    return np.asarray(1 - np.exp(-total_ppm_mm3 / FULL_MOMENT_PPM_MM3))


def surface_term(depth_mm: FloatArray | float) -> FloatArray:
    """Return the factor of the score by depth."""
    # The map reaches to the brain's edge, where the rest of the background field looks like a source.
    shallow, deep = SURFACE_DEPTHS_MM
    return np.asarray(np.clip((depth_mm - shallow) / (deep - shallow), MIN_SURFACE_FACTOR, 1))


def brightest_neighbours(volume: FloatArray, voxels: IntArray) -> IntArray:
    """Return of each voxel (n, 3) and its neighbours the one of the largest value."""
    around = np.clip(voxels[:, None] + NEIGHBOURS, 0, np.array(volume.shape) - 1)
    best = volume[tuple(np.moveaxis(around, -1, 0))].argmax(axis=1)
    return np.asarray(around[np.arange(len(voxels)), best])


class Shell(NamedTuple):
    """Values around points over those at them, each an array by point."""

    largest: FloatArray
    """Largest ratio."""
    upper: FloatArray
    """90th percentile of the ratios."""
    at: FloatArray
    """Value at the point: that of its brightest neighbour."""


def shell_around(
    volume: FloatArray, voxels: IntArray, size: FloatArray, *, reach: FloatArray | float = 1.0
) -> Shell:
    """Return what a volume shows SURROUNDINGS_MM times `reach` around voxels, over what it shows there.

    A ball leaves nothing there, a vein goes on. Half a voxel's extent is added to the distance: thick slices spread a
    ball over the next one.
    """
    if not len(voxels):
        return Shell(np.zeros(0), np.zeros(0), np.zeros(0))
    best = brightest_neighbours(volume, voxels)
    distance = SURROUNDINGS_MM * np.broadcast_to(reach, len(voxels))[:, None, None]
    offsets = DIRECTIONS * (distance + 0.5 * np.abs(DIRECTIONS * size).sum(axis=1)[:, None]) / size
    where = (best[:, None] + offsets).reshape(-1, 3).T
    around = ndimage.map_coordinates(volume, where, order=1, mode="constant").reshape(len(best), -1)
    at = volume[tuple(best.T)]
    ratio = np.maximum(around, 0) / np.maximum(at, np.float32(1e-6))[:, None]
    return Shell(ratio.max(axis=1), np.percentile(ratio, SHELL_PERCENTILE, axis=1), at)
