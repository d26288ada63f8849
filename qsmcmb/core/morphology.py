"""Mask operations in mm, exact up to the radius; labels by scipy.ndimage."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmcmb.core import _box_loops as boxes
from qsmcmb.core import _morphology_loops as loops
from qsmcmb.core.memory import empty
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
    distance = _squared_distance(mask, voxel_size_mm, cap_mm)
    loops.root(distance)
    return distance


def deeper_than(mask: BoolArray, radius_mm: float, voxel_size_mm: Triple) -> BoolArray:
    """Return the voxels that lie more than `radius_mm` inside the mask, whose box the volume should be.

    Examples
    --------
    >>> deeper_than(np.ones((3, 3, 3), bool), 1.0, (1.0, 1.0, 1.0)).sum()
    np.int64(1)
    """
    out = empty(mask.shape, bool)
    distance2 = _squared_distance(mask, voxel_size_mm, radius_mm + min(voxel_size_mm))
    loops.beyond(distance2, np.float32(radius_mm), out)
    return out


def _squared_distance(mask: BoolArray, voxel_size_mm: Triple, cap_mm: float) -> FloatArray:
    first, second = empty(mask.shape), empty(mask.shape)
    sx, sy, sz = (np.float32(v) for v in voxel_size_mm)
    # A step of the cap or more lowers nothing, and none leads beyond the volume.
    reach = [min(int(np.ceil(cap_mm / v)) - 1, n) for v, n in zip(voxel_size_mm, mask.shape, strict=True)]
    loops.distance2_along_z(mask, sz, np.float32(cap_mm**2), first)
    loops.distance2_across_rows(first, sy, reach[1], second)
    loops.distance2_across_planes(second, sx, reach[0], first)
    return first


def erode(mask: BoolArray, radius_mm: float, voxel_size_mm: Triple) -> BoolArray:
    """Return the voxels that lie more than `radius_mm` inside the mask; the volume's edge is outside."""
    out = np.zeros(mask.shape, bool)
    if mask.any():
        box = bounding_box(mask)
        inner = np.ascontiguousarray(mask[box])
        out[box] = inner & deeper_than(inner, radius_mm, voxel_size_mm)
    return out


def dilate(mask: BoolArray, radius_mm: float, voxel_size_mm: Triple) -> BoolArray:
    """Return the voxels within `radius_mm` of the mask."""
    out = np.zeros(mask.shape, bool)
    if mask.any():
        reach = int(radius_mm / min(voxel_size_mm)) + 1
        box = bounding_box(mask, reach)
        # Distances are taken to the volume's edge too: it is moved out of reach.
        outside = ~np.pad(mask[box], reach)
        inner = tuple(slice(reach, -reach) for _ in range(3))
        out[box] = ~(outside & deeper_than(outside, radius_mm, voxel_size_mm))[inner]
    return out


def close_gaps(mask: BoolArray, radius_mm: float, voxel_size_mm: Triple) -> BoolArray:
    """Return the mask with its gaps narrower than twice `radius_mm` closed, as if the volume went on."""
    if not mask.any():
        return mask.copy()
    pad = int(radius_mm / min(voxel_size_mm)) + 2
    box = bounding_box(mask)
    padded = np.pad(mask[box], pad)
    closed = erode(dilate(padded, radius_mm, voxel_size_mm), radius_mm, voxel_size_mm)
    out = mask.copy()
    out[box] |= closed[pad:-pad, pad:-pad, pad:-pad]
    return out


def fill_holes(mask: BoolArray) -> BoolArray:
    """Return the mask with its enclosed cavities filled."""
    out = mask.copy()
    if mask.any():
        box = bounding_box(mask)
        # The frame joins everything outside into one part; what is not joined to it is enclosed.
        labels, _ = ndimage.label(np.pad(~mask[box], 1, constant_values=True))
        out[box] |= (labels > 0)[1:-1, 1:-1, 1:-1] & (labels != labels[0, 0, 0])[1:-1, 1:-1, 1:-1]
    return out


def largest_component(mask: BoolArray) -> BoolArray:
    """Return the largest 6-connected part of the mask."""
    if not mask.any():
        return mask.copy()
    box = bounding_box(mask)
    labels, _ = ndimage.label(mask[box])
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    out = np.zeros(mask.shape, bool)
    out[box] = labels == sizes.argmax()
    return out


def without_surface(mask: BoolArray) -> BoolArray:
    """Return the voxels of the mask whose six neighbours lie in it; the volume's edge is outside.

    Examples
    --------
    >>> int(without_surface(np.ones((3, 3, 3), bool)).sum())
    1
    """
    out = np.empty(mask.shape, bool)
    loops.keep_surrounded(mask, out)
    return out


def shave(mask: BoolArray, good: BoolArray, layers: int) -> BoolArray:
    """Return the mask without surface voxels that are not `good`, taken off layer by layer."""
    out = mask.copy()
    for _ in range(layers):
        loose = out & ~ndimage.binary_erosion(out, border_value=1) & ~good
        if not loose.any():
            break
        out &= ~loose
    return out


def bounding_box(mask: BoolArray, margin: int = 0) -> tuple[slice, slice, slice]:
    """Return the box around a mask that is not empty, `margin` voxels wider where the volume allows."""
    planes = boxes.occupied(mask.view(np.uint8))
    filled = np.flatnonzero(planes[:, 1] >= 0)
    first = (filled[0], planes[filled, 0].min(), planes[filled, 2].min())
    last = (filled[-1], planes[filled, 1].max(), planes[filled, 3].max())
    x, y, z = (
        slice(max(0, int(a) - margin), min(n, int(b) + 1 + margin))
        for a, b, n in zip(first, last, mask.shape, strict=True)
    )
    return x, y, z
