"""Regions of the susceptibility map above one threshold, and above higher ones where a region is no candidate.

A lesion that touches a vein or a nucleus is part of a large or long region; above a higher threshold it is alone. A
region that fails a gate is looked at again above each next threshold, RATIO times the one before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.boxes import Box
from qsmcmb.microbleeds.detection.examined import ExaminedPoint, Gate
from qsmcmb.microbleeds.detection.scene import (
    FULL_DARKENING,
    ROUND_ELONGATION,
    ROUND_SHELL_RATIO,
    SURROUNDINGS_MM,
    Scene,
    shell_around,
    size_term,
    surface_term,
)
from qsmcmb.typing import BoolArray, FloatArray, IntArray

__all__: tuple[str, ...] = ()

MAX_DIAMETER_MM = 11.0
"""Largest extent of a candidate along an axis, mm: microbleeds are 2 to 10 mm across."""
MIN_REGION_VOXELS = 2
"""Least number of voxels of a candidate: a single one may be noise."""
RATIO = 1.5
"""Ratio of a threshold to the one before."""
MAX_LEVELS = 8
"""Largest number of thresholds: 0.12 to 2 ppm."""
DARK_PERCENTILE = 10
"""Percentile of a candidate's magnitude, %, that stands for its darkest part."""
MAX_SHELL_RATIO = 0.6
"""Largest ratio of the contrast around a candidate to its own, where it is not alone at the lowest threshold."""


class Limits(NamedTuple):
    """Values that a region or peak needs to be a candidate."""

    threshold_ppm: float
    min_darkening: float
    max_elongation: float
    min_score: float


class Judged(NamedTuple):
    """A point with its position in voxels."""

    voxel: tuple[float, float, float]
    point: ExaminedPoint


_GateValues = tuple[Gate | None, float | None, float | None]
"""Gate that a point failed, value found and value needed; None of them where it passed."""


class _Features(NamedTuple):
    """Features of the regions of one labelling, each an array by region."""

    n_voxels: IntArray
    """Voxels."""
    moment_ppm_mm3: FloatArray
    """Sum of the contrast, ppm mm3."""
    centre: FloatArray
    """Centre, weighted by the contrast, fractional voxel indices, (n, 3)."""
    extent_mm: FloatArray
    """Largest extent along an axis, mm."""
    elongation: FloatArray
    """Least ratio of the largest to the smallest principal SD that the voxels leave."""


def find_regions(scene: Scene, sign: int, limits: Limits) -> list[Judged]:
    """Return the regions of one sign that are candidates or came close, each with the gate that it failed."""
    contrast = sign * scene.contrast_ppm
    judged: list[Judged] = []
    active, threshold = scene.mask, limits.threshold_ppm
    for level in range(MAX_LEVELS):
        labels, count = ndimage.label(active & (contrast > threshold), np.ones((3, 3, 3)))
        if not count:
            break
        boxes = ndimage.find_objects(labels)
        features = _describe(labels, boxes, contrast, scene.size)
        # The weakest can have no score at all: they are looked at no further, at any threshold.
        strong = size_term(features.moment_ppm_mm3) >= limits.min_score
        numbers = np.flatnonzero(strong & (features.n_voxels >= MIN_REGION_VOXELS))
        centres = np.rint(features.centre[numbers]).astype(int)
        shells = shell_around(contrast, centres, scene.size).largest if level else None
        failed = np.zeros(count + 1, bool)
        for i, number in enumerate(numbers):
            box = boxes[number]
            region = _Region(
                labels[box] == number + 1, box, level, sign, None if shells is None else float(shells[i])
            )
            found = _judge(region, _row(features, number), scene, limits)
            judged.append(found)
            failed[number + 1] = found.point.gate is not None
        if not failed.any():
            break
        active, threshold = failed[labels], threshold * RATIO
    return judged


class _Region(NamedTuple):
    """One region: its voxels in a box, how many thresholds it lies above, its sign, and the shell around it."""

    voxels: BoolArray
    box: Box
    level: int
    sign: int
    shell: float | None


class _RegionFeatures(NamedTuple):
    """Features of one region."""

    centre: FloatArray
    moment_ppm_mm3: float
    extent_mm: float
    elongation: float


def _row(features: _Features, number: Any) -> _RegionFeatures:
    """Return the features of one region."""
    return _RegionFeatures(
        features.centre[number],
        float(features.moment_ppm_mm3[number]),
        float(features.extent_mm[number]),
        float(features.elongation[number]),
    )


def _describe(labels: IntArray, boxes: list[Box], contrast: FloatArray, size: FloatArray) -> _Features:
    """Return the features of all regions of a labelling at once."""
    flat = np.flatnonzero(labels)
    which = labels.ravel()[flat] - 1
    n = len(boxes)
    weight = contrast.ravel()[flat].astype(np.float64)
    index = np.array(np.unravel_index(flat, labels.shape), dtype=np.float64)
    total = np.bincount(which, weight, n)
    centre = np.array([np.bincount(which, weight * axis, n) for axis in index]) / total
    away = (index - centre[:, which]) * size[:, None]
    spread = np.empty((n, 3, 3))
    for a in range(3):
        for b in range(a + 1):
            spread[:, a, b] = spread[:, b, a] = np.bincount(which, weight * away[a] * away[b], n) / total
    extent = np.array([[s.stop - s.start for s in box] for box in boxes]) * size
    return _Features(
        n_voxels=np.bincount(which, minlength=n),
        moment_ppm_mm3=total * np.prod(size),
        centre=centre.T,
        extent_mm=extent.max(axis=1),
        elongation=_elongation(spread, size),
    )


def _elongation(spread: FloatArray, size: FloatArray) -> FloatArray:
    """Return the least ratio of the principal SDs that the voxels leave, 1 or more, from spreads of their centres, mm2.

    A voxel's own variance is size^2 / 12: without it a row of voxels would be infinitely elongated. Where voxels are
    longer along one axis, a point between two of them has a spread of size^2 / 4 there: that much is no length.
    """
    longest = spread + np.diag(size.min() ** 2 / 12 - (size**2 - size.min() ** 2) / 4)
    shortest = spread + np.diag(size**2 / 12)
    ratio = np.linalg.eigvalsh(longest)[:, -1] / np.linalg.eigvalsh(shortest)[:, 0]
    return np.asarray(np.sqrt(np.maximum(ratio, 1.0)))


def _judge(region: _Region, features: _RegionFeatures, scene: Scene, limits: Limits) -> Judged:
    """Return a region with the first gate that it fails."""
    x, y, z = (float(v) for v in features.centre)
    depth_mm = float(scene.depth_mm[round(x), round(y), round(z)])
    point = ExaminedPoint(
        (0.0, 0.0, 0.0),
        kind="microbleed" if region.sign > 0 else "calcification",
        test="threshold" if region.level else "map",
        total_ppm_mm3=region.sign * features.moment_ppm_mm3,
        extent_mm=features.extent_mm,
        elongation=features.elongation,
        shell_ratio=region.shell,
        depth_mm=depth_mm,
    )

    if features.extent_mm > MAX_DIAMETER_MM:
        gate: _GateValues = (Gate.TOO_LARGE, features.extent_mm, MAX_DIAMETER_MM)
    elif features.elongation > limits.max_elongation:
        gate = (Gate.ELONGATED, features.elongation, limits.max_elongation)
    elif region.shell is not None and region.shell > MAX_SHELL_RATIO:
        gate = (Gate.NOT_ROUND, region.shell, MAX_SHELL_RATIO)
    else:
        gate, point = _judge_score(point, region, scene, limits)
    return Judged((x, y, z), replace(point, gate=gate[0], found=gate[1], needed=gate[2]))


def _judge_score(
    point: ExaminedPoint, region: _Region, scene: Scene, limits: Limits
) -> tuple[_GateValues, ExaminedPoint]:
    """Return the gate that darkness and score fail, and the point with both."""
    elongation, moment = point.elongation or 1.0, abs(point.total_ppm_mm3 or 0.0)
    roundness = ROUND_ELONGATION / max(elongation, ROUND_ELONGATION)
    if region.shell is not None:
        roundness *= ROUND_SHELL_RATIO / max(region.shell, ROUND_SHELL_RATIO)
    largest = float(size_term(moment) * surface_term(point.depth_mm or 0.0)) * roundness
    if largest < limits.min_score:
        # No darkness would bring it above the limit: the dilations that measure it are spared.
        return (Gate.SCORE, largest, limits.min_score), point
    dark = darkening(region.voxels, region.box, scene)
    point = replace(point, darkening=dark)
    if dark < limits.min_darkening:
        return (Gate.NOT_DARK, dark, limits.min_darkening), point
    score = largest * float(np.clip(dark / FULL_DARKENING, 0, 1))
    point = replace(point, score=score)
    if score < limits.min_score:
        return (Gate.SCORE, score, limits.min_score), point
    return (None, None, None), point


def darkening(region: BoolArray, box: Box, scene: Scene) -> float:
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
