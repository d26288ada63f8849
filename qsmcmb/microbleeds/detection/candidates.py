"""Candidates: compact sources on the susceptibility map that darken the magnitude, found without training.

The map's contrast c is chi minus its Gaussian mean (SD 4 mm) within the mask. Connected regions with |c| above a
threshold are candidates where they are small, not elongated and darker than their surroundings on the last echo. With
the moment m = sum |c| v (ppm mm3), the relative darkening d, the ratio e of the principal SDs and the depth z,

    score = (1 - exp(-m / 2)) min(d / 0.4, 1) (1.5 / max(e, 1.5)) g(z),

where g falls from 1 to 0.3 towards the brain's surface: the map reaches to the edge, where the rest of
the background field looks like a source.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.morphology import distance_inside_mm, shave
from qsmcmb.core.validate import check_mask, check_range, check_volume
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["Candidate", "find_candidates"]

MAX_DIAMETER_MM = 11.0
"""Largest extent of a candidate along an axis, mm: microbleeds are 2 to 10 mm across."""
MIN_REGION_VOXELS = 2
"""Least number of voxels of a candidate: a single one may be noise."""
SURROUNDINGS_MM = 4.0
"""Width of the surroundings that a candidate's magnitude is compared with, mm."""
CONTRAST_SD_MM = 4.0
"""SD of the Gaussian that gives the local mean of the map, mm: wider than a microbleed."""
MAX_MEAN_CHI_PPM = 0.1
"""Largest size of the susceptibility that enters the local mean, ppm: the lesions themselves shall not raise it."""
DARK_PERCENTILE = 10
"""Percentile of a candidate's magnitude, %, that stands for its darkest part."""
MAGNITUDE_SD_VOXELS = 0.5
"""SD of the Gaussian that takes noise off the last echo's magnitude, in voxels."""
FULL_MOMENT_PPM_MM3 = 2.0
"""Moment m at which the size term of the score, 1 - exp(-m / this), is 0.63, ppm mm3; a convention of the score."""
FULL_DARKENING = 0.4
"""Relative darkening above which a darker region scores no higher; a convention of the score."""
ROUND_ELONGATION = 1.5
"""Ratio of the principal SDs up to which a candidate counts as round; a convention of the score."""
SURFACE_DEPTHS_MM = (1.0, 3.0)
"""Depths below the brain's surface between which the score rises from MIN_SURFACE_FACTOR to all of it, mm."""
MIN_SURFACE_FACTOR = 0.3
"""Least factor of the score, at the brain's surface; a convention of the score."""
MIN_BRAIN_RATIO = 0.3
"""Ratio of the first echo's magnitude to its median in the mask below which a surface voxel is bone or air: bleeds are
not dark there yet."""
BONE_LAYERS = 4
"""Largest number of layers of bone voxels that a mask is taken to hold."""
MIN_SPACING_MM = 5.0
"""Least distance of two candidates, mm: nearer ones are streaks of opposite sign beside a lesion."""

Box = tuple[slice, slice, slice]
"""Slices of the three axes."""


class Candidate(NamedTuple):
    """Position at which a lesion may lie."""

    voxel: tuple[float, float, float]
    """Position, fractional voxel indices."""
    score: float
    """Measure of how much it looks like a lesion, 0 to 1."""
    kind: str
    """Kind by its sign: "microbleed" (paramagnetic) or "calcification" (diamagnetic)."""


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
    """Find candidates on susceptibility map and magnitude.

    Parameters
    ----------
    chi_ppm : ndarray of shape grid.shape
        Susceptibility map, ppm.
    magnitude : ndarray of shape (echo, x, y, z)
        Magnitude, arbitrary unit; the first echo shows bone, the last one the void.
    mask : ndarray of shape grid.shape, bool
        Voxels where the map is defined.
    grid : Grid
        Geometry.
    threshold_ppm : float, optional
        Least contrast of the map to its local mean, ppm, 0 to 10.
    min_darkening : float, optional
        Least relative loss of magnitude, 0 to 1.
    max_elongation : float, optional
        Largest ratio of the principal standard deviations, >= 1; veins are longer.
    min_score : float, optional
        Least score, 0 to 1.
    max_candidates : int, optional
        Largest number of candidates, the best ones.

    Returns
    -------
    list of Candidate
        Best first.

    Raises
    ------
    InvalidInputError
        SHAPE, MASK-EMPTY or ARGUMENT: arrays that are not on the grid, an empty mask, a threshold out of range.

    Examples
    --------
    >>> grid = Grid.isotropic((24, 24, 24), 1.0)
    >>> x, y, z = np.indices(grid.shape) - 12.0
    >>> ball = x**2 + y**2 + z**2 < 2.0**2
    >>> magnitude = np.where(ball, 0.1, 1.0)[None].repeat(2, axis=0)
    >>> magnitude[0] = 1.0
    >>> [found] = find_candidates(0.6 * ball, magnitude, np.ones(grid.shape, bool), grid)
    >>> found.kind, [round(v, 3) for v in found.voxel]
    ('microbleed', [12.0, 12.0, 12.0])
    """
    check_mask(mask, grid)
    check_volume("chi_ppm", chi_ppm, grid)
    check_range("threshold_ppm", threshold_ppm, 0.0, 10.0)
    size = np.array(grid.voxel_size_mm)
    contrast = _local_contrast(chi_ppm, mask, size)
    last = ndimage.gaussian_filter(magnitude[-1].astype(np.float32), MAGNITUDE_SD_VOXELS)
    # Bone and air at the mask's surface are dark at the first echo, where bleeds are not yet.
    bright = magnitude[0] >= MIN_BRAIN_RATIO * np.median(magnitude[0][mask])
    depth_mm = distance_inside_mm(shave(mask, bright, BONE_LAYERS), grid.voxel_size_mm)
    scene = _Scene(contrast, last, mask, depth_mm, size)
    found = []
    for sign, kind in ((1, "microbleed"), (-1, "calcification")):
        labels, _ = ndimage.label((sign * contrast > threshold_ppm) & mask, np.ones((3, 3, 3)))
        for index, box in enumerate(ndimage.find_objects(labels), start=1):
            shape = _describe_region(labels[box] == index, box, scene, sign)
            if shape is None or shape.elongation > max_elongation or shape.darkening < min_darkening:
                continue
            candidate = Candidate(shape.voxel, _score(shape), kind)
            if candidate.score >= min_score:
                found.append(candidate)
    found.sort(key=lambda c: -c.score)
    return _without_close(found, size)[:max_candidates]


class _Scene(NamedTuple):
    """The volumes from which regions are judged."""

    contrast_ppm: FloatArray
    """Susceptibility above its local mean, ppm."""
    last_echo: FloatArray
    """Smoothed magnitude of the last echo."""
    mask: BoolArray
    depth_mm: FloatArray
    """Depth below the brain's surface, mm."""
    size: FloatArray
    """Edge lengths of a voxel, mm."""


class _Region(NamedTuple):
    """Features of one connected region."""

    voxel: tuple[float, float, float]
    """Centre, weighted by the contrast, fractional voxel indices."""
    elongation: float
    """Ratio of the largest to the smallest principal SD."""
    darkening: float
    """Relative loss of magnitude against the surroundings."""
    depth_mm: float
    """Depth of the centre below the brain's surface, mm."""
    moment_ppm_mm3: float
    """Sum of the contrast over the region, ppm mm3."""


def _local_contrast(chi_ppm: FloatArray, mask: BoolArray, size: FloatArray) -> FloatArray:
    """Return the map minus its Gaussian mean within the mask, ppm; 0 outside."""
    sigma = CONTRAST_SD_MM / size
    clipped = np.clip(chi_ppm, -MAX_MEAN_CHI_PPM, MAX_MEAN_CHI_PPM) * mask
    # Over the smoothed mask, so that the mean at its edge is that of the voxels inside.
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(clipped.astype(np.float32), sigma) / np.maximum(weight, 1e-3)
    return np.where(mask, chi_ppm - smooth, 0).astype(np.float32)


def _describe_region(region: BoolArray, box: Box, scene: _Scene, sign: int) -> _Region | None:
    """Return the features of one connected region; None where it is too large or a single voxel."""
    index = np.argwhere(region)
    extent = (index.max(axis=0) - index.min(axis=0) + 1) * scene.size
    if extent.max() > MAX_DIAMETER_MM or len(index) < MIN_REGION_VOXELS:
        return None
    weight = sign * scene.contrast_ppm[box][region]
    middle = (index * weight[:, None]).sum(axis=0) / weight.sum()
    # A voxel's own variance is size^2 / 12: without it a row of voxels would be infinitely elongated.
    spread = ((index - middle) * scene.size).T * np.sqrt(weight / weight.sum())
    variances = np.linalg.eigvalsh(spread @ spread.T + np.diag(scene.size**2 / 12))
    x, y, z = (float(m + s.start) for m, s in zip(middle, box, strict=True))
    return _Region(
        voxel=(x, y, z),
        elongation=float(np.sqrt(variances[-1] / variances[0])),
        darkening=_darkening(region, box, scene),
        depth_mm=float(scene.depth_mm[round(x), round(y), round(z)]),
        moment_ppm_mm3=float(weight.sum() * np.prod(scene.size)),
    )


def _darkening(region: BoolArray, box: Box, scene: _Scene) -> float:
    """Return how much darker the region is than its surroundings, as a fraction of these."""
    reach = [max(1, round(SURROUNDINGS_MM / v)) for v in scene.size]
    before = [min(s.start, r) for s, r in zip(box, reach, strict=True)]
    wide = tuple(slice(s.start - b, s.stop + r) for s, b, r in zip(box, before, reach, strict=True))
    values, inside = scene.last_echo[wide], scene.mask[wide]
    lesion = np.zeros(values.shape, bool)
    lesion[tuple(slice(b, b + n) for b, n in zip(before, region.shape, strict=True))] = region
    # The void exceeds the region on the map: one layer counts as lesion, and one more as neither.
    lesion = ndimage.binary_dilation(lesion)
    surroundings = inside & ~ndimage.binary_dilation(lesion)
    if not surroundings.any():
        return 0.0
    darkest = np.percentile(values[lesion], DARK_PERCENTILE)
    return float(1 - darkest / max(float(np.median(values[surroundings])), 1e-6))


def _score(region: _Region) -> float:
    """Return how much a region looks like a lesion, 0 to 1."""
    size = 1 - np.exp(-region.moment_ppm_mm3 / FULL_MOMENT_PPM_MM3)
    roundness = ROUND_ELONGATION / max(region.elongation, ROUND_ELONGATION)
    score = size * np.clip(region.darkening / FULL_DARKENING, 0, 1) * roundness
    # The map reaches to the brain's edge, where the rest of the background field looks like a source.
    shallow, deep = SURFACE_DEPTHS_MM
    surface = np.clip((region.depth_mm - shallow) / (deep - shallow), MIN_SURFACE_FACTOR, 1)
    return float(surface * score)


def _without_close(candidates: list[Candidate], size: FloatArray) -> list[Candidate]:
    """Return the candidates without those within MIN_SPACING_MM of a better one, best first."""
    chosen: list[Candidate] = []
    for c in candidates:
        if all(np.linalg.norm((np.array(c.voxel) - k.voxel) * size) > MIN_SPACING_MM for k in chosen):
            chosen.append(c)
    return chosen
