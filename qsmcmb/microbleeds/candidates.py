"""Candidates without training: compact, strong sources on the map that darken the magnitude."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.morphology import distance_inside_mm
from qsmcmb.core.validate import check_mask, check_range, check_volume
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

MAX_DIAMETER_MM = 11.0


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
    max_candidates: int = 150,
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
    around = ndimage.median_filter(last, size=tuple(2 * int(round(4 / v)) + 1 for v in np.maximum(size, 1.0)))
    dark = 1 - last / np.maximum(around, 1e-6)
    depth = distance_inside_mm(mask, grid.voxel_size_mm)
    found = []
    for sign, kind in ((1, "microbleed"), (-1, "calcification")):
        labels, _ = ndimage.label((sign * contrast > threshold_ppm) & mask, np.ones((3, 3, 3)))
        for index, box in enumerate(ndimage.find_objects(labels), start=1):
            candidate = _judge(labels, index, box, sign * contrast, dark, depth, size, kind)
            if candidate and candidate[1] >= min_darkening and candidate[2] <= max_elongation:
                found.append(candidate[0])
    found.sort(key=lambda c: -c.score)
    return _apart(found, size)[:max_candidates]


def _local_contrast(chi_ppm: FloatArray, mask: BoolArray, size: FloatArray) -> FloatArray:
    """Map minus its smooth surroundings, normalised inside the mask."""
    sigma = 4.0 / size
    clipped = np.clip(chi_ppm, -0.1, 0.1) * mask
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(clipped.astype(np.float32), sigma) / np.maximum(weight, 1e-3)
    return np.where(mask, chi_ppm - smooth, 0).astype(np.float32)


def _judge(labels, index, box, contrast, dark, depth, size, kind):  # type: ignore[no-untyped-def]
    """Return (candidate, darkening, elongation) of one connected region, or None."""
    region = labels[box] == index
    where = np.argwhere(region)
    extent = (where.max(axis=0) - where.min(axis=0) + 1) * size
    if extent.max() > MAX_DIAMETER_MM or len(where) < 2:
        return None
    weight = contrast[box][region]
    middle = (where * weight[:, None]).sum(axis=0) / weight.sum()
    spread = ((where - middle) * size).T * np.sqrt(weight / weight.sum())
    variances = np.linalg.eigvalsh(spread @ spread.T + np.diag(size**2 / 12))
    elongation = float(np.sqrt(variances[-1] / variances[0]))
    grown = ndimage.binary_dilation(region)
    darkening = float(np.percentile(dark[box][grown], 90))
    voxel = middle + [s.start for s in box]
    inside = float(depth[tuple(np.round(voxel).astype(int))])
    moment = float(weight.sum() * np.prod(size))
    score = (1 - np.exp(-moment / 2)) * np.clip(darkening / 0.4, 0, 1) * (1.5 / max(elongation, 1.5))
    if inside < 2.0:
        score *= 0.3
    return (
        Candidate((float(voxel[0]), float(voxel[1]), float(voxel[2])), float(score), kind),
        darkening,
        elongation,
    )


def _apart(candidates: list[Candidate], size: FloatArray, distance_mm: float = 5.0) -> list[Candidate]:
    """Drop candidates within `distance_mm` of a better one (streaks of opposite sign beside a lesion)."""
    kept: list[Candidate] = []
    for c in candidates:
        if all(np.linalg.norm((np.array(c.voxel) - k.voxel) * size) > distance_mm for k in kept):
            kept.append(c)
    return kept
