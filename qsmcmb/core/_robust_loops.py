"""Loops over the voxels of a mask: counts that find a rank exactly, moments, and weights from a standard deviation."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

BLOCKS = 8
HALF_KEYS = 2**16


@compiled
def _key(value: Any, centre: Any, fold: Any) -> Any:
    """Integer with the order of value - centre, or of its size."""
    away = value - centre
    bits = np.float32(abs(away) if fold else away).view(np.int32)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@compiled
def _span(inside: Any) -> Any:
    """Where the mask's part of a row begins and ends."""
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
def count_high(volume: Any, mask: Any, centre: Any, fold: Any) -> Any:
    """Count inside the mask by the upper half of the key; integers, so that blocks may differ from threads."""
    nx, ny, _ = volume.shape
    counts = np.zeros((BLOCKS, HALF_KEYS), np.int32)
    for block in prange(BLOCKS):
        for x in range(block * nx // BLOCKS, (block + 1) * nx // BLOCKS):
            for y in range(ny):
                first, last = _span(mask[x, y])
                for z in range(first, last):
                    if mask[x, y, z]:
                        key = _key(volume[x, y, z], centre, fold)
                        counts[block, (key >> 16) + HALF_KEYS // 2] += 1
    return counts


@compiled(parallel=True)
def count_low(volume: Any, mask: Any, centre: Any, fold: Any, high: Any) -> Any:
    """Count by the lower half of the key those whose upper half is `high`."""
    nx, ny, _ = volume.shape
    counts = np.zeros((BLOCKS, HALF_KEYS), np.int32)
    for block in prange(BLOCKS):
        for x in range(block * nx // BLOCKS, (block + 1) * nx // BLOCKS):
            for y in range(ny):
                first, last = _span(mask[x, y])
                for z in range(first, last):
                    if mask[x, y, z]:
                        key = _key(volume[x, y, z], centre, fold)
                        if (key >> 16) + HALF_KEYS // 2 == high:
                            counts[block, key & 0xFFFF] += 1
    return counts


@compiled(parallel=True)
def moments(volume: Any, mask: Any, centre: Any) -> Any:
    """By plane: voxels of the mask, sum and sum of squares of value - centre, in float64."""
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
def divide_capped(middle: Any, sd: Any, usable: Any, cap: Any, squared: Any, out: Any) -> None:
    """Middle over SD, at most the cap, or that squared; 0 where not usable."""
    nx, ny, nz = sd.shape
    one = np.float32(1)
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                part = min(middle / sd[x, y, z], cap)
                out[x, y, z] = part * (part if squared else one) if usable[x, y, z] else np.float32(0)
