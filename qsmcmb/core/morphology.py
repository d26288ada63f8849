"""Mask operations in mm, built on scipy.ndimage."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmcmb.core import _morphology_loops as loops
from qsmcmb.typing import BoolArray, FloatArray

Triple = tuple[float, float, float]


def ball_footprint(radius_mm: float, voxel_size_mm: Triple) -> BoolArray:
    """Return the voxels whose centre lies within `radius_mm` of the middle one.

    Examples
    --------
    >>> int(ball_footprint(1.0, (1.0, 1.0, 1.0)).sum())
    7
    """
    half = [int(radius_mm / v + 1e-6) for v in voxel_size_mm]
    axes = np.ogrid[tuple(slice(-h, h + 1) for h in half)]
    r2 = sum((a * v) ** 2 for a, v in zip(axes, voxel_size_mm, strict=True))
    return np.asarray(r2 <= radius_mm**2 * (1 + 1e-6))


def distance_inside_mm(mask: BoolArray, voxel_size_mm: Triple) -> FloatArray:
    """Return for each voxel of the mask the distance in mm to the nearest voxel outside it or the edge."""
    padded = np.pad(mask, 1)
    distance = ndimage.distance_transform_edt(padded, sampling=voxel_size_mm)
    return np.asarray(distance[1:-1, 1:-1, 1:-1], dtype=np.float32)


def capped_distance_inside_mm(mask: BoolArray, voxel_size_mm: Triple, cap_mm: float) -> FloatArray:
    """Return `distance_inside_mm` where it is below `cap_mm`, and `cap_mm` elsewhere.

    Exact and many times faster for caps of a few voxels; works in two volumes.

    Examples
    --------
    >>> capped_distance_inside_mm(np.ones((3, 3, 3), bool), (1.0, 1.0, 1.0), 9.0)[1, 1].tolist()
    [1.0, 2.0, 1.0]
    """
    first, second = np.empty((2, *mask.shape), np.float32)
    sx, sy, sz = (np.float32(v) for v in voxel_size_mm)
    reach = [int(np.ceil(cap_mm / v)) for v in voxel_size_mm]
    loops.distance2_along_z(mask, sz, np.float32(cap_mm**2), first)
    loops.distance2_across_lines(first, sy, reach[1], second)
    loops.distance2_across_lines(second.swapaxes(0, 1), sx, reach[0], first.swapaxes(0, 1))
    return np.sqrt(first, out=first)


def erode(mask: BoolArray, radius_mm: float, voxel_size_mm: Triple) -> BoolArray:
    """Return the voxels that lie more than `radius_mm` inside the mask; the volume's edge is outside."""
    return mask & (distance_inside_mm(mask, voxel_size_mm) > radius_mm)


def dilate(mask: BoolArray, radius_mm: float, voxel_size_mm: Triple) -> BoolArray:
    """Return the voxels within `radius_mm` of the mask."""
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=voxel_size_mm) <= radius_mm)


def fill_holes(mask: BoolArray) -> BoolArray:
    """Return the mask with its enclosed cavities filled."""
    return np.asarray(ndimage.binary_fill_holes(mask))


def largest_component(mask: BoolArray) -> BoolArray:
    """Return the largest 6-connected part of the mask."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask.copy()
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def bounding_box(mask: BoolArray, margin: int = 0) -> tuple[slice, slice, slice]:
    """Return the box around a mask that is not empty, `margin` voxels wider where the volume allows."""
    slices = []
    for axis in range(3):
        profile = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        slices.append(slice(max(0, profile[0] - margin), min(mask.shape[axis], profile[-1] + 1 + margin)))
    return slices[0], slices[1], slices[2]
