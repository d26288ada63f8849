"""Loops of the distance transform."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled


@compiled(parallel=True)
def distance2_along_z(mask: Any, step: Any, cap2: Any, out: Any) -> None:
    """Squared distance along z to the nearest voxel outside the mask or the edge, at most `cap2`."""
    nx, ny, nz = mask.shape
    # Sums of whole numbers wait for each other less than those of lengths.
    squares = np.empty(nz + 1, np.float32)
    length = np.float32(0.0)
    for n in range(nz + 1):
        squares[n] = min(length * length, cap2)
        length += step
    for x in prange(nx):
        before = np.empty(nz, np.int32)
        for y in range(ny):
            inside, row, run = mask[x, y], out[x, y], np.int32(0)
            for z in range(nz):
                run = run + np.int32(1) if inside[z] else np.int32(0)
                before[z] = run
            run = np.int32(0)
            for z in range(nz - 1, -1, -1):
                run = run + np.int32(1) if inside[z] else np.int32(0)
                row[z] = squares[min(run, before[z])]


@compiled(parallel=True)
def distance2_across_lines(squared: Any, axis: Any, step: Any, reach: Any, out: Any) -> None:
    """Lower envelope of parabolas along the first or second axis, from `reach` voxels on either side; edges are out.

    Outside the mask the distance is 0 and stays so: each row is worked on from its first to its last voxel inside.
    """
    nx, ny, nz = squared.shape
    size = nx if axis == 0 else ny
    for x in prange(nx):
        for y in range(ny):
            own, first, last = squared[x, y], 0, nz
            out[x, y, :] = np.float32(0)
            while first < nz and own[first] == 0:
                first += 1
            while last > first and own[last - 1] == 0:
                last -= 1
            best = out[x, y, first:last]
            best[:] = own[first:last]
            here = x if axis == 0 else y
            for j in range(max(here - reach, -1), min(here + reach, size) + 1):
                away = step * np.float32(j - here)
                away2 = away * away
                if 0 <= j < size:
                    beside = squared[j, y, first:last] if axis == 0 else squared[x, j, first:last]
                    for z in range(best.size):
                        best[z] = min(best[z], beside[z] + away2)
                else:
                    for z in range(best.size):
                        best[z] = min(best[z], away2)


@compiled(parallel=True)
def root(volume: Any) -> None:
    """Square root, in place."""
    for x in prange(volume.shape[0]):
        for y in range(volume.shape[1]):
            for z in range(volume.shape[2]):
                volume[x, y, z] = np.sqrt(volume[x, y, z])
