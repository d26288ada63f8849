"""Candidates without training: compact, strong sources on the map that darken the magnitude."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.morphology import distance_inside_mm, shave
from qsmcmb.core.validate import check_mask, check_range, check_volume
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

MAX_DIAMETER_MM = 11.0
SURROUND_MM = 4.0
RIM_MM = (1.0, 3.0)
RIM_SCORE = 0.3
"""Part of the score that is left at the brain's edge; all of it from the second depth on."""

BONE = 0.3
"""Magnitude of the first echo over its median in the mask below which a surface voxel is no brain."""
BONE_LAYERS = 4
"""Voxels that a mask may hold of it."""

Box = tuple[slice, slice, slice]


class Candidate(NamedTuple):
    """A possible lesion: voxel position, score 0 to 1, and what its sign says."""

    voxel: tuple[float, float, float]
    score: float
    kind: str


def find_candidates(
    chi_ppm: FloatArray,
    magnitude: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    threshold_ppm: float = 0.12,
    min_darkening: float = 0.12,
    max_elongation: float = 3.0,
    min_score: float = 0.3,
    max_candidates: int = 100,
) -> list[Candidate]:
    """Find candidates on map and magnitude.

    Parameters
    ----------
    chi_ppm : ndarray of shape grid.shape
        Susceptibility map, ppm.
    magnitude : ndarray of shape (echo, x, y, z)
        Magnitude; the last echo shows the void.
    mask : ndarray of bool
        Where the map is defined.
    grid : Grid
        Geometry.
    threshold_ppm : float, optional
        Least contrast to the local median, ppm.
    min_darkening : float, optional
        Least relative loss of magnitude, 0 to 1.
    max_elongation : float, optional
        Largest ratio of the principal standard deviations; veins are longer.
    min_score : float, optional
        Least score, 0 to 1.
    max_candidates : int, optional
        The best this many are returned.

    Returns
    -------
    list of Candidate
        Best first.
    """
    check_mask(mask, grid)
    check_volume("chi_ppm", chi_ppm, grid)
    check_range("threshold_ppm", threshold_ppm, 0.0, 10.0)
    size = np.array(grid.voxel_size_mm)
    contrast = _local_contrast(chi_ppm, mask, size)
    last = ndimage.gaussian_filter(magnitude[-1].astype(np.float32), 0.5)
    # Bone and air at the mask's surface are dark at the first echo, where bleeds are not yet.
    bright = magnitude[0] >= BONE * np.median(magnitude[0][mask])
    depth_mm = distance_inside_mm(shave(mask, bright, BONE_LAYERS), grid.voxel_size_mm)
    scene = _Scene(contrast, last, mask, depth_mm, size)
    found = []
    for sign, kind in ((1, "microbleed"), (-1, "calcification")):
        labels, _ = ndimage.label((sign * contrast > threshold_ppm) & mask, np.ones((3, 3, 3)))
        for index, box in enumerate(ndimage.find_objects(labels), start=1):
            shape = _shape(labels[box] == index, box, scene, sign)
            if shape is None or shape.elongation > max_elongation or shape.darkening < min_darkening:
                continue
            candidate = Candidate(shape.voxel, _score(shape), kind)
            if candidate.score >= min_score:
                found.append(candidate)
    found.sort(key=lambda c: -c.score)
    return _apart(found, size)[:max_candidates]


class _Scene(NamedTuple):
    contrast: FloatArray
    last_echo: FloatArray
    mask: BoolArray
    depth_mm: FloatArray
    size: FloatArray


class _Shape(NamedTuple):
    voxel: tuple[float, float, float]
    elongation: float
    darkening: float
    depth_mm: float
    moment: float


def _local_contrast(chi_ppm: FloatArray, mask: BoolArray, size: FloatArray) -> FloatArray:
    """Map minus its smooth surroundings, normalised inside the mask."""
    sigma = 4.0 / size
    clipped = np.clip(chi_ppm, -0.1, 0.1) * mask
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(clipped.astype(np.float32), sigma) / np.maximum(weight, 1e-3)
    return np.where(mask, chi_ppm - smooth, 0).astype(np.float32)


def _shape(region: BoolArray, box: Box, scene: _Scene, sign: int) -> _Shape | None:
    """Return what one connected region looks like, or None where it is too large or a single voxel."""
    where = np.argwhere(region)
    extent = (where.max(axis=0) - where.min(axis=0) + 1) * scene.size
    if extent.max() > MAX_DIAMETER_MM or len(where) < 2:
        return None
    weight = sign * scene.contrast[box][region]
    middle = (where * weight[:, None]).sum(axis=0) / weight.sum()
    spread = ((where - middle) * scene.size).T * np.sqrt(weight / weight.sum())
    variances = np.linalg.eigvalsh(spread @ spread.T + np.diag(scene.size**2 / 12))
    x, y, z = (float(m + s.start) for m, s in zip(middle, box, strict=True))
    return _Shape(
        (x, y, z),
        float(np.sqrt(variances[-1] / variances[0])),
        _darkening(region, box, scene),
        float(scene.depth_mm[round(x), round(y), round(z)]),
        float(weight.sum() * np.prod(scene.size)),
    )


def _darkening(region: BoolArray, box: Box, scene: _Scene) -> float:
    """Return how much darker the region is than its surroundings, relative."""
    reach = [max(1, round(SURROUND_MM / v)) for v in scene.size]
    before = [min(s.start, r) for s, r in zip(box, reach, strict=True)]
    wide = tuple(slice(s.start - b, s.stop + r) for s, b, r in zip(box, before, reach, strict=True))
    values, inside = scene.last_echo[wide], scene.mask[wide]
    here = np.zeros(values.shape, bool)
    here[tuple(slice(b, b + n) for b, n in zip(before, region.shape, strict=True))] = region
    here = ndimage.binary_dilation(here)
    around = inside & ~ndimage.binary_dilation(here)
    if not around.any():
        return 0.0
    return float(1 - np.percentile(values[here], 10) / max(float(np.median(values[around])), 1e-6))


def _score(shape: _Shape) -> float:
    size = 1 - np.exp(-shape.moment / 2)
    score = size * np.clip(shape.darkening / 0.4, 0, 1) * (1.5 / max(shape.elongation, 1.5))
    # The map reaches to the brain's edge, where what is left of the background looks like a source.
    rim = np.clip((shape.depth_mm - RIM_MM[0]) / (RIM_MM[1] - RIM_MM[0]), RIM_SCORE, 1)
    return float(rim * score)


def _apart(candidates: list[Candidate], size: FloatArray, distance_mm: float = 5.0) -> list[Candidate]:
    """Drop candidates within `distance_mm` of a better one (streaks of opposite sign beside a lesion)."""
    kept: list[Candidate] = []
    for c in candidates:
        if all(np.linalg.norm((np.array(c.voxel) - k.voxel) * size) > distance_mm for k in kept):
            kept.append(c)
    return kept
