"""Loops of the multigrid solver of Laplace's equation: between grids, and at the mask's edge.

Unknowns never touch the edge of the array; `colours` and `rows` say where they are (`core.poisson.Unknowns`).
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled(parallel=True)
def mark_interior(mask: Any, inside: Any) -> None:
    """Mark the voxels whose six neighbours lie in the mask."""
    nx, ny, nz = mask.shape
    for x in prange(nx):
        for y in range(ny):
            inside[x, y] = False
            # A voxel at the volume's edge lacks a neighbour, whatever the mask.
            if x in (0, nx - 1) or y in (0, ny - 1) or nz < 3:
                continue
            row, here = inside[x, y, 1:-1], mask[x, y]
            back, front, down, up = mask[x - 1, y], mask[x + 1, y], mask[x, y - 1], mask[x, y + 1]
            for z in range(row.size):
                # Bitwise and: `and` would branch, and a branch keeps the row out of vector registers.
                across = back[z + 1] & front[z + 1] & down[z + 1] & up[z + 1]
                row[z] = here[z] & here[z + 1] & here[z + 2] & across


@compiled(parallel=True)
def shift(volume: Any, amount: Any, mask: Any, out: Any) -> None:
    """Write the volume plus `amount` in the mask, 0 outside."""
    nx, ny, nz = out.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                out[x, y, z] = volume[x, y, z] + amount if mask[x, y, z] else np.float32(0.0)


@compiled(parallel=True)
def difference(volume: Any, taken: Any, mask: Any, out: Any) -> None:
    """Write the volume less what is `taken` in the mask, 0 outside."""
    nx, ny, nz = out.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                out[x, y, z] = volume[x, y, z] - taken[x, y, z] if mask[x, y, z] else np.float32(0.0)


@compiled(parallel=True)
def restrict(fine: Any, factors: Any, scale: Any, colours: Any, rows: Any, out: Any) -> None:
    """Write the full weighting of the residual on the points of the coarser grid, times `scale`."""
    nx, ny, _ = out.shape
    fx, fy, fz = factors
    half, quarter = np.float32(0.5), np.float32(0.25)
    for x in prange(nx):
        line = np.empty(fine.shape[2], np.float32)
        for y in range(ny):
            first, last = rows[x, y, 0], rows[x, y, 1]
            if first == last:
                continue
            # The fine voxels that the coarse points of this row see.
            begin, end = first * fz - (fz - 1), last * fz
            total = line[begin:end]
            total[:] = 0
            for i in range(1 - fx, fx):
                for j in range(1 - fy, fy):
                    # 1/2 in the middle and 1/4 beside it along a coarsened axis, 1 along one that is not.
                    part = scale / np.float32((fx + fx * abs(i)) * (fy + fy * abs(j)))
                    row = fine[x * fx + i, y * fy + j, begin:end]
                    for z in range(row.size):
                        total[z] += part * row[z]
            for z in range(first, last):
                if colours[x, y, z] == 0:
                    out[x, y, z] = 0
                elif fz == 1:
                    out[x, y, z] = line[z]
                else:
                    # The same along the row itself.
                    out[x, y, z] = half * line[2 * z] + quarter * (line[2 * z - 1] + line[2 * z + 1])


@compiled(parallel=True)
def prolong(coarse: Any, factors: Any, colours: Any, rows: Any, u: Any) -> None:
    """Add the coarser grid's correction, interpolated linearly, where u is unknown."""
    nx, ny, _ = u.shape
    fx, fy, fz = factors
    eighth = np.float32(0.125)
    for x in prange(nx):
        line = np.zeros(coarse.shape[2] + 1, np.float32)
        correction = np.empty(fz * line.size, np.float32)
        # The same point twice where a fine voxel lies on a coarse point: no branch is needed.
        x0, x1 = x // fx, (x + fx - 1) // fx
        for y in range(ny):
            first, last = rows[x, y, 0], rows[x, y, 1]
            if first == last:
                continue
            y0, y1 = y // fy, (y + fy - 1) // fy
            low, lower = coarse[x0, y0], coarse[x0, y1]
            high, higher = coarse[x1, y0], coarse[x1, y1]
            for z in range(low.size):
                # An eighth, and twice below: a quarter of four points, half of each of two along the row.
                line[z] = eighth * ((low[z] + lower[z]) + (high[z] + higher[z]))
            if fz == 1:
                for z in range(low.size):
                    correction[z] = line[z] + line[z]
            else:
                for z in range(low.size):
                    correction[2 * z] = line[z] + line[z]
                    correction[2 * z + 1] = line[z] + line[z + 1]
            here, colour, added = u[x, y, first:last], colours[x, y, first:last], correction[first:last]
            for z in range(here.size):
                # Known voxels of the row get 0 added: cheaper than a branch around them.
                here[z] += added[z] if colour[z] else np.float32(0.0)


@compiled(parallel=True)
def extrapolate(u: Any, inside: Any, mask: Any, reached: Any) -> None:
    """Continue u straight to the next layer of the mask, mean over the 26 directions that lead inside."""
    nx, ny, nz = u.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                reached[x, y, z] = inside[x, y, z]
                # Only known voxels are read, so the order of threads does not matter.
                if mask[x, y, z] and not inside[x, y, z]:
                    reached[x, y, z] = continued(u, inside, x, y, z)


@compiled
def continued(u: Any, inside: Any, x: Any, y: Any, z: Any) -> Any:
    """Replace one value by its continuation, if any direction has two voxels inside; return whether one has."""
    nx, ny, nz = u.shape
    total, weight = 0.0, 0.0
    for i in range(-1, 2):
        for j in range(-1, 2):
            for k in range(-1, 2):
                far = (x + 2 * i, y + 2 * j, z + 2 * k)
                if not (0 <= far[0] < nx and 0 <= far[1] < ny and 0 <= far[2] < nz):
                    continue
                if inside[far] and inside[x + i, y + j, z + k]:
                    # Nearer neighbours say more.
                    w = 1.0 / np.sqrt(i * i + j * j + k * k)
                    # The straight line through two voxels behind each other.
                    total += w * (2.0 * u[x + i, y + j, z + k] - u[far])
                    weight += w
    if weight > 0.0:
        u[x, y, z] = total / weight
    return weight > 0.0
