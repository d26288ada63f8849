"""Loops over the voxels of a mask: values around a rank, moments, and weights from a standard deviation."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled
def span(inside: Any) -> Any:
    """Return where the mask begins and ends in a row."""
    some = np.uint8(0)
    for z in range(inside.size):
        some |= inside[z]
    first, last = 0, inside.size if some else 0
    while first < last and not inside[first]:
        first += 1
    while last > first and not inside[last - 1]:
        last -= 1
    return first, last


@compiled(parallel=True)
def row_spans(mask: Any, out: Any) -> None:
    """Fill `out` with where the mask begins and ends in each row."""
    for x in prange(mask.shape[0]):
        for y in range(mask.shape[1]):
            out[x, y, 0], out[x, y, 1] = span(mask[x, y])


@compiled
def _counts(value: Any, inside: Any, positive: Any) -> Any:
    """Say whether a value inside the mask is counted: all are, or those that are positive and finite."""
    return inside & ((not positive) | (np.float32(0) < value) & (value < np.float32(np.inf)))


@compiled
def _size(value: Any, way: Any) -> Any:
    """Return a value less the centre, or the size of that."""
    away = value - way[0]
    return abs(away) if way[1] else away


@compiled
def _flag_row(row: Any, inside: Any, way: Any, limits: Any, flags: Any) -> Any:
    """Flag the values between the limits; return how many are below, and in all."""
    low, high = limits
    below, count = np.int32(0), np.int32(0)
    for z in range(row.size):
        value = _size(row[z], way)
        good = _counts(row[z], inside[z], way[2])
        flags[z] = good & (low <= value) & (value <= high)
        below += np.int32(good & (value < low))
        count += np.int32(good)
    return below, count


@compiled
def _gather_flagged(row: Any, way: Any, flags: Any, out: Any) -> Any:
    """Put the flagged values first in `out`; return how many they are.

    Flags are looked at eight at a time, for few are set; where some are each voxel writes, so that no branch is
    foretold wrong.
    """
    between, words = 0, flags.view(np.uint64)
    for word in range((row.size + 7) // 8):
        if words[word]:
            for z in range(8 * word, min(8 * word + 8, row.size)):
                out[between] = _size(row[z], way)
                between += int(flags[z])
    return between


@compiled(parallel=True)
def gather(volume: Any, mask: Any, way: Any, limits: Any, step: Any, out: Any) -> Any:
    """Gather by plane the values between two limits, in every so many rows; return how many below, between, in all.

    `way` is the centre that is taken off, whether sizes count alone, and whether positive, finite values do. A plane of
    `out` has room for one value more than a plane has voxels.
    """
    nx, ny, nz = volume.shape
    found = np.zeros((nx, 3), np.int64)
    for x in prange(nx):
        flags = np.empty(8 * (nz // 8 + 1), np.uint8)
        for y in range(ny):
            if (np.int64(x) * ny + y) % step == 0:
                a, b = span(mask[x, y])
                row = volume[x, y, a:b]
                flags[b - a :] = 0
                below, count = _flag_row(row, mask[x, y, a:b], way, limits, flags)
                found[x, 0] += below
                found[x, 1] += _gather_flagged(row, way, flags, out[x, found[x, 1] :])
                found[x, 2] += count
    return found


@compiled(parallel=True)
def moments(volume: Any, mask: Any, centre: Any) -> Any:
    """Return by plane voxels of the mask, sum and sum of squares of value - centre, in float64."""
    nx, ny, nz = volume.shape
    sums = np.zeros((nx, 3))
    for x in prange(nx):
        count, total, square = 0.0, 0.0, 0.0
        for y in range(ny):
            for z in range(nz):
                if mask[x, y, z]:
                    value = volume[x, y, z] - centre
                    count += 1.0
                    total += value
                    square += value * value
        sums[x, 0], sums[x, 1], sums[x, 2] = count, total, square
    return sums


@compiled(parallel=True)
def mark_positive(volume: Any, mask: Any, out: Any) -> Any:
    """Mark the voxels of the mask whose value is positive and finite; return how many, by plane."""
    nx, ny, nz = volume.shape
    counts = np.zeros(nx, np.int64)
    for x in prange(nx):
        count = np.int32(0)
        for y in range(ny):
            for z in range(nz):
                value = volume[x, y, z]
                good = mask[x, y, z] & (value > np.float32(0)) & (value < np.float32(np.inf))
                out[x, y, z] = good
                count += np.int32(good)
        counts[x] = count
    return counts


@compiled(parallel=True)
def divide_capped(middle: Any, sd: Any, mask: Any, cap: Any, squared: Any, out: Any) -> None:
    """Fill `out` with middle / SD, at most the cap, or that squared; 0 outside the mask and where the SD is not
    positive and finite.
    """
    nx, ny, nz = sd.shape
    one = np.float32(1)
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                part = min(middle / sd[x, y, z], cap)
                usable = _counts(sd[x, y, z], mask[x, y, z], True)
                out[x, y, z] = part * (part if squared else one) if usable else np.float32(0)
