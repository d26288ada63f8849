"""Mask operations with distances in mm, exact up to the radius; labels by scipy.ndimage."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmcmb.core import _morphology_loops as loops
from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.memory import empty
from qsmcmb.typing import BoolArray, FloatArray, Triple

__all__ = (
    "ball_footprint",
    "capped_distance_inside_mm",
    "close_gaps",
    "deeper_than",
    "dilate",
    "distance_inside_mm",
    "erode",
    "fill_holes",
    "largest_component",
    "shave",
    "without_surface",
)


def ball_footprint(radius_mm: float, voxel_size_mm: Triple) -> BoolArray:
    """Return the voxels whose centre lies within a radius of the middle one.

    Parameters
    ----------
    radius_mm : float
        Radius, mm, >= 0.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.

    Returns
    -------
    ndarray of bool
        Odd shape, just as large as the ball.

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
    """Return the distance of each voxel of a mask to the nearest voxel outside it or the volume's edge.

    Parameters
    ----------
    mask : ndarray of shape (x, y, z), bool
        The mask.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        Distance between voxel centres, mm; 0 outside the mask.

    Examples
    --------
    >>> distance_inside_mm(np.ones((3, 3, 3), bool), (1.0, 1.0, 2.0))[1, 1].tolist()
    [2.0, 2.0, 2.0]
    """
    padded = np.pad(mask, 1)
    distance = ndimage.distance_transform_edt(padded, sampling=voxel_size_mm)
    return np.asarray(distance[1:-1, 1:-1, 1:-1], dtype=np.float32)


def capped_distance_inside_mm(mask: BoolArray, voxel_size_mm: Triple, cap_mm: float) -> FloatArray:
    """Return `distance_inside_mm` where it is below a cap, and the cap elsewhere.

    It is exact and many times faster for caps of a few voxels, and works in two volumes.

    Parameters
    ----------
    mask : ndarray of shape (x, y, z), bool
        The mask.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.
    cap_mm : float
        Largest distance, mm, > 0.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        Distance between voxel centres, mm, 0 to `cap_mm`; 0 outside the mask.

    Examples
    --------
    >>> capped_distance_inside_mm(np.ones((3, 3, 3), bool), (1.0, 1.0, 1.0), 9.0)[1, 1].tolist()
    [1.0, 2.0, 1.0]
    """
    distance = _squared_distance(mask, voxel_size_mm, cap_mm)
    loops.root(distance)
    return distance


def deeper_than(mask: BoolArray, radius_mm: float, voxel_size_mm: Triple) -> BoolArray:
    """Return the voxels that lie more than a radius inside the mask, whose box the volume should be.

    Parameters
    ----------
    mask : ndarray of shape (x, y, z), bool
        The mask; the volume's edge is outside.
    radius_mm : float
        Radius, mm, >= 0.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.

    Returns
    -------
    ndarray of shape (x, y, z), bool
        True where the nearest voxel outside lies further away than `radius_mm`.

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
    """Return the squared distance to the outside, mm2, at most the cap's square."""
    first, second = empty(mask.shape), empty(mask.shape)
    sx, sy, sz = (np.float32(v) for v in voxel_size_mm)
    # A step of the cap or more lowers nothing, and none leads beyond the volume.
    reach = [min(int(np.ceil(cap_mm / v)) - 1, n) for v, n in zip(voxel_size_mm, mask.shape, strict=True)]
    loops.distance2_along_z(mask, sz, np.float32(cap_mm**2), first)
    loops.distance2_across_rows(first, sy, reach[1], second)
    loops.distance2_across_planes(second, sx, reach[0], first)
    return first


def erode(mask: BoolArray, radius_mm: float, voxel_size_mm: Triple) -> BoolArray:
    """Return the voxels that lie more than a radius inside the mask; the volume's edge is outside.

    Parameters
    ----------
    mask : ndarray of shape (x, y, z), bool
        The mask; it may be empty.
    radius_mm : float
        Radius, mm, >= 0.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.

    Returns
    -------
    ndarray of shape (x, y, z), bool
        The eroded mask.

    Examples
    --------
    >>> int(erode(np.ones((5, 5, 5), bool), 2.0, (1.0, 1.0, 1.0)).sum())
    1
    """
    out = np.zeros(mask.shape, bool)
    if mask.any():
        box = bounding_box(mask)
        inner = np.ascontiguousarray(mask[box])
        out[box] = inner & deeper_than(inner, radius_mm, voxel_size_mm)
    return out


def dilate(mask: BoolArray, radius_mm: float, voxel_size_mm: Triple) -> BoolArray:
    """Return the voxels within a radius of the mask.

    Parameters
    ----------
    mask : ndarray of shape (x, y, z), bool
        The mask; it may be empty.
    radius_mm : float
        Radius, mm, >= 0.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.

    Returns
    -------
    ndarray of shape (x, y, z), bool
        The dilated mask.

    Examples
    --------
    >>> mask = np.zeros((5, 5, 5), bool)
    >>> mask[2, 2, 2] = True
    >>> int(dilate(mask, 1.0, (1.0, 1.0, 1.0)).sum())
    7
    """
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
    """Return the mask with its gaps narrower than twice a radius closed, as if the volume went on.

    Parameters
    ----------
    mask : ndarray of shape (x, y, z), bool
        The mask; it may be empty.
    radius_mm : float
        Radius, mm, >= 0.
    voxel_size_mm : tuple of float
        Edge lengths, mm, > 0.

    Returns
    -------
    ndarray of shape (x, y, z), bool
        The mask dilated, then eroded.

    Examples
    --------
    >>> mask = np.ones((7, 7, 7), bool)
    >>> mask[3, 3, 3] = False
    >>> bool(close_gaps(mask, 1.0, (1.0, 1.0, 1.0)).all())
    True
    """
    if not mask.any():
        return mask.copy()
    pad = int(radius_mm / min(voxel_size_mm)) + 2
    box = bounding_box(mask)
    padded = np.pad(mask[box], pad)
    closed = erode(dilate(padded, radius_mm, voxel_size_mm), radius_mm, voxel_size_mm)
    out = mask.copy()
    out[box] |= closed[pad:-pad, pad:-pad, pad:-pad]
    return out


def fill_holes(mask: BoolArray, max_fraction: float = np.inf) -> BoolArray:
    """Return the mask with its enclosed cavities filled.

    Parameters
    ----------
    mask : ndarray of shape (x, y, z), bool
        The mask; it may be empty.
    max_fraction : float, optional
        Largest volume of a cavity that is filled, over that of the mask.

    Returns
    -------
    ndarray of shape (x, y, z), bool
        The mask and all that is not joined to the volume's edge outside it, by faces.

    Examples
    --------
    >>> mask = np.ones((5, 5, 5), bool)
    >>> mask[2, 2, 2] = False
    >>> bool(fill_holes(mask).all())
    True
    """
    out = mask.copy()
    if mask.any():
        box = bounding_box(mask)
        # The frame joins everything outside into one part; what is not joined to it is enclosed.
        labels, _ = ndimage.label(np.pad(~mask[box], 1, constant_values=True))
        filled = np.bincount(labels.ravel()) <= max_fraction * mask.sum()
        filled[[0, labels[0, 0, 0]]] = False
        out[box] |= filled[labels[1:-1, 1:-1, 1:-1]]
    return out


def largest_component(mask: BoolArray) -> BoolArray:
    """Return the largest 6-connected component of the mask.

    Parameters
    ----------
    mask : ndarray of shape (x, y, z), bool
        The mask; it may be empty.

    Returns
    -------
    ndarray of shape (x, y, z), bool
        One component; of two of the same size the one that comes first.

    Examples
    --------
    >>> mask = np.zeros((1, 1, 6), bool)
    >>> mask[0, 0, [0, 2, 3]] = True
    >>> largest_component(mask).ravel().astype(int).tolist()
    [0, 0, 1, 1, 0, 0]
    """
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

    Parameters
    ----------
    mask : ndarray of shape (x, y, z), bool
        The mask; it may be empty.

    Returns
    -------
    ndarray of shape (x, y, z), bool
        The mask without its outermost layer.

    Examples
    --------
    >>> int(without_surface(np.ones((3, 3, 3), bool)).sum())
    1
    """
    out = np.empty(mask.shape, bool)
    loops.keep_surrounded(mask, out)
    return out


def shave(mask: BoolArray, good: BoolArray, layers: int) -> BoolArray:
    """Return the mask without surface voxels that are not good, taken off layer by layer.

    The volume's edge is no surface.

    Parameters
    ----------
    mask : ndarray of shape (x, y, z), bool
        The mask.
    good : ndarray of shape (x, y, z), bool
        Voxels that are never taken off.
    layers : int
        Layers to take off at most, >= 0.

    Returns
    -------
    ndarray of shape (x, y, z), bool
        The shaved mask.

    Examples
    --------
    >>> mask = np.array([[[False, True, True, True, True, False]]])
    >>> good = np.array([[[False, False, True, True, True, False]]])
    >>> shave(mask, good, 2).ravel().astype(int).tolist()
    [0, 0, 1, 1, 1, 0]
    """
    out = mask.copy()
    for _ in range(layers):
        loose = out & ~ndimage.binary_erosion(out, border_value=1) & ~good
        if not loose.any():
            break
        out &= ~loose
    return out
