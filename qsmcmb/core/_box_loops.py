"""Loops between a whole grid and the box or frame that methods work on."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._robust_loops import span
from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled(parallel=True)
def occupied(mask: Any) -> Any:
    """Return by plane first and last row that is not empty, first and last column; first beyond last where all are."""
    nx, ny, nz = mask.shape
    found = np.empty((nx, 4), np.int64)
    for x in prange(nx):
        across = np.zeros(nz, np.uint8)
        found[x] = ny, -1, nz, -1
        for y in range(ny):
            row, some = mask[x, y], np.uint8(0)
            for z in range(nz):
                across[z] |= row[z]
                some |= row[z]
            if some:
                found[x, 0], found[x, 1] = min(found[x, 0], y), y
        for z in range(nz):
            if across[z]:
                found[x, 2], found[x, 3] = min(found[x, 2], z), z
    return found


@compiled(parallel=True)
def sum_inside(volume: Any, mask: Any, start: Any) -> Any:
    """Sum by plane over a box's mask, which begins at `start` in the volume; by z first, for vector registers."""
    nx, ny, nz = mask.shape
    sx, sy, sz = start
    total = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            row, inside = volume[x + sx, y + sy, sz : sz + nz], mask[x, y]
            for z in range(nz):
                parts[z] += row[z] if inside[z] else np.float32(0)
        total[x] = parts.sum()
    return total


@compiled(parallel=True)
def copy_inside(volume: Any, start: Any, mask: Any, offset: Any, place: Any, out: Any) -> Any:
    """Copy the box of the mask, which begins at `start` in the volume, less `offset` to `place` in `out`.

    In the box, 0 outside the mask; what lies outside the box is left alone. Products would keep NaN. Return by plane
    how many values in the mask are not finite.
    """
    nx, ny, nz = mask.shape
    sx, sy, sz = start
    px, py, pz = place
    broken = np.zeros(nx, np.int64)
    for x in prange(nx):
        bad = np.int32(0)
        for y in range(ny):
            source, inside = volume[x + sx, y + sy, sz : sz + nz], mask[x, y]
            row = out[x + px, y + py, pz : pz + nz]
            for z in range(nz):
                value = np.float32(source[z] - offset) if inside[z] else np.float32(0)
                row[z] = value
                bad += np.int32(value - value != np.float32(0))
        broken[x] = bad
    return broken


@compiled(parallel=True)
def scale_inside(volume: Any, mask: Any, scale: Any, out: Any) -> None:
    """Write scale times the volume inside the mask, 0 outside."""
    for x in prange(out.shape[0]):
        for y in range(out.shape[1]):
            # What the mask does not cross is not read.
            a, b = span(mask[x, y])
            source, inside, row = volume[x, y, a:b], mask[x, y, a:b], out[x, y, a:b]
            out[x, y, :a], out[x, y, b:] = np.float32(0), np.float32(0)
            for z in range(row.size):
                row[z] = source[z] * scale if inside[z] else np.float32(0)
