"""Loops of the distance transform."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._robust_loops import span
from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

PART = 2048
"""Voxels of a plane that are handled at once while planes pass: three such rows of float32 lie in the nearest cache."""


@compiled
def _is_whole(inside: Any) -> Any:
    """Say whether all of a row is inside."""
    count = np.int32(0)
    for z in range(inside.size):
        count += np.int32(inside[z])
    return count == inside.size


@compiled
def _along_run(step: Any, cap2: Any, row: Any) -> None:
    """Fill a row with the squared distance to the nearer end of one run."""
    size = np.int32(row.size)
    for z in range(size):
        length = step * np.float32(min(z + np.int32(1), size - z))
        row[z] = min(length * length, cap2)


@compiled
def _along_runs(inside: Any, step: Any, cap2: Any, before: Any, row: Any) -> None:
    """Fill a row with the squared distance to the nearer end of each of its runs."""
    run = np.int32(0)
    for z in range(row.size):
        run = run + np.int32(1) if inside[z] else np.int32(0)
        before[z] = run
    run = np.int32(0)
    for z in range(row.size - 1, -1, -1):
        run = run + np.int32(1) if inside[z] else np.int32(0)
        length = step * np.float32(min(run, before[z]))
        row[z] = min(length * length, cap2)


@compiled(parallel=True)
def distance2_along_z(mask: Any, step: Any, cap2: Any, out: Any) -> None:
    """Fill `out` with the squared distance along z to the nearest voxel outside the mask or the edge, at most
    `cap2`.
    """
    nx, ny, nz = mask.shape
    for x in prange(nx):
        before = np.empty(nz, np.int32)
        for y in range(ny):
            row = out[x, y]
            first, last = span(mask[x, y])
            row[:first], row[last:] = np.float32(0), np.float32(0)
            inside = mask[x, y, first:last]
            # Most rows cross the mask once: these run in vector registers.
            if _is_whole(inside):
                _along_run(step, cap2, row[first:last])
            else:
                _along_runs(inside, step, cap2, before, row[first:last])


@compiled
def _square(step: Any, voxels: Any) -> Any:
    """Return the squared length of some voxels."""
    away = step * np.float32(voxels)
    return away * away


@compiled
def _lower_to(best: Any, away2: Any) -> None:
    """Lower an envelope to the outside, so far away."""
    for z in range(best.size):
        best[z] = min(best[z], away2)


@compiled
def _lower(best: Any, beside: Any, away2: Any) -> None:
    """Lower an envelope to the parabolas on the voxels beside these."""
    for z in range(best.size):
        best[z] = min(best[z], beside[z] + away2)


@compiled
def _lower_both(best: Any, before: Any, behind: Any, away2: Any) -> None:
    """Lower an envelope to the parabolas on the voxels equally far on either side."""
    for z in range(best.size):
        best[z] = min(best[z], min(before[z], behind[z]) + away2)


@compiled
def _lower_across_rows(own: Any, size: Any, step: Any, reach: Any, best: Any) -> None:
    """Lower a plane's rows of `size` voxels, as one line each: short rows cost more than long ones."""
    best[:] = own
    last = own.size
    for n in range(1, min(reach, last // size) + 1):
        away2, k = _square(step, n), n * size
        one_sided = min(k, last - k)
        _lower_both(best[k : max(last - k, k)], own[: max(last - 2 * k, 0)], own[min(2 * k, last) :], away2)
        _lower(best[:one_sided], own[k : k + one_sided], away2)
        _lower(best[last - one_sided :], own[last - one_sided - k : last - k], away2)
        _lower_to(best[k - size : k], away2)
        _lower_to(best[last - k : last - k + size], away2)


@compiled
def _lower_across_planes(planes: Any, x: Any, part: Any, step: Any, reach: Any, best: Any) -> None:
    """Lower a part of plane x to the planes before and behind it."""
    a, b = part
    best[:] = planes[x, a:b]
    for n in range(1, reach + 1):
        away2, low, high = _square(step, n), x - n, x + n
        if low >= 0 and high < planes.shape[0]:
            _lower_both(best, planes[low, a:b], planes[high, a:b], away2)
        elif low >= 0:
            _lower(best, planes[low, a:b], away2)
        elif high < planes.shape[0]:
            _lower(best, planes[high, a:b], away2)
        if low == -1 or high == planes.shape[0]:
            _lower_to(best, away2)


@compiled(parallel=True)
def distance2_across_rows(squared: Any, step: Any, reach: Any, out: Any) -> None:
    """Lower the envelope of parabolas along the second axis, from `reach` voxels on either side; edges are outside.

    Outside the mask the distance is 0 and stays so.
    """
    nx, ny, nz = squared.shape
    for x in prange(nx):
        _lower_across_rows(squared[x].reshape(ny * nz), nz, step, reach, out[x].reshape(ny * nz))


@compiled(parallel=True)
def distance2_across_planes(squared: Any, step: Any, reach: Any, out: Any) -> None:
    """Lower the envelope of parabolas in the same way along the first axis."""
    nx, ny, nz = squared.shape
    planes, into = squared.reshape(nx, ny * nz), out.reshape(nx, ny * nz)
    for x in prange(nx):
        # Parts that stay in the nearest cache while planes pass.
        for a in range(0, ny * nz, PART):
            b = min(a + PART, ny * nz)
            _lower_across_planes(planes, np.int64(x), (a, b), step, reach, into[x, a:b])


@compiled(parallel=True)
def root(volume: Any) -> None:
    """Take the square root, in place."""
    for x in prange(volume.shape[0]):
        for y in range(volume.shape[1]):
            for z in range(volume.shape[2]):
                volume[x, y, z] = np.sqrt(volume[x, y, z])


@compiled(parallel=True)
def beyond(squared: Any, distance: Any, out: Any) -> None:
    """Mark the voxels at which the root of a volume is larger than a distance."""
    for x in prange(squared.shape[0]):
        for y in range(squared.shape[1]):
            for z in range(squared.shape[2]):
                out[x, y, z] = np.sqrt(squared[x, y, z]) > distance


@compiled(parallel=True)
def keep_surrounded(mask: Any, out: Any) -> None:
    """Mark the voxels of the mask whose six neighbours lie in it, none at the volume's edge."""
    nx, ny, nz = mask.shape
    for x in prange(nx):
        out[x] = False
        if x == 0 or x == nx - 1:
            continue
        for y in range(1, ny - 1):
            here, row = mask[x, y], out[x, y]
            back, front, down, up = mask[x - 1, y], mask[x + 1, y], mask[x, y - 1], mask[x, y + 1]
            for z in range(1, nz - 1):
                across = back[z] & front[z] & down[z] & up[z]
                row[z] = across & here[z - 1] & here[z] & here[z + 1]
