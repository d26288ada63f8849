"""Loops of the multigrid solver of Laplace's equation inside a mask.

`weights` are the inverse squared spacings of the three axes; unknowns are the voxels of `inside`, which never touch
the edge of the array.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled


@compiled(parallel=True)
def mark_interior(mask: Any, inside: Any) -> None:
    """Voxels whose six neighbours lie in the mask."""
    nx, ny, nz = mask.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                inner = 0 < x < nx - 1 and 0 < y < ny - 1 and 0 < z < nz - 1
                inside[x, y, z] = (
                    inner
                    and mask[x, y, z]
                    and mask[x - 1, y, z]
                    and mask[x + 1, y, z]
                    and mask[x, y - 1, z]
                    and mask[x, y + 1, z]
                    and mask[x, y, z - 1]
                    and mask[x, y, z + 1]
                )


@compiled(parallel=True)
def relax(u: Any, source: Any, inside: Any, weights: Any, colour: Any) -> None:
    """One half of a red-black Gauss-Seidel sweep of laplacian(u) = source."""
    nx, ny, nz = u.shape
    wx, wy, wz = weights
    inverse = np.float32(0.5) / (wx + wy + wz)
    for x in prange(1, nx - 1):
        for y in range(1, ny - 1):
            for z in range(1 + (x + y + colour + 1) % 2, nz - 1, 2):
                if inside[x, y, z]:
                    around = (
                        wx * (u[x - 1, y, z] + u[x + 1, y, z])
                        + wy * (u[x, y - 1, z] + u[x, y + 1, z])
                        + wz * (u[x, y, z - 1] + u[x, y, z + 1])
                    )
                    u[x, y, z] = (around - source[x, y, z]) * inverse


@compiled(parallel=True)
def residual(u: Any, source: Any, inside: Any, weights: Any, out: Any) -> Any:
    """Source minus laplacian(u), 0 where nothing is unknown; returns its squared norm by plane."""
    nx, ny, nz = u.shape
    wx, wy, wz = weights
    square = np.zeros(nx)
    for x in prange(nx):
        total = 0.0
        for y in range(ny):
            for z in range(nz):
                r: Any = np.float32(0.0)
                if inside[x, y, z]:
                    here = u[x, y, z] + u[x, y, z]
                    r = source[x, y, z] - (
                        wx * (u[x - 1, y, z] + u[x + 1, y, z] - here)
                        + wy * (u[x, y - 1, z] + u[x, y + 1, z] - here)
                        + wz * (u[x, y, z - 1] + u[x, y, z + 1] - here)
                    )
                out[x, y, z] = r
                total += r * r
        square[x] = total
    return square


@compiled(parallel=True)
def restrict(fine: Any, factors: Any, inside: Any, out: Any) -> None:
    """Full weighting of the residual on the points of the coarser grid."""
    nx, ny, nz = out.shape
    fx, fy, fz = factors
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                total: Any = np.float32(0.0)
                if inside[x, y, z]:
                    for i in range(1 - fx, fx):
                        for j in range(1 - fy, fy):
                            for k in range(1 - fz, fz):
                                part = np.float32(
                                    1.0 / ((fx + fx * abs(i)) * (fy + fy * abs(j)) * (fz + fz * abs(k)))
                                )
                                total += part * fine[x * fx + i, y * fy + j, z * fz + k]
                out[x, y, z] = total


@compiled(parallel=True)
def prolong(coarse: Any, factors: Any, inside: Any, u: Any) -> None:
    """Add the coarser grid's correction, interpolated linearly, where u is unknown."""
    nx, ny, nz = u.shape
    fx, fy, fz = factors
    for x in prange(nx):
        x0, x1 = x // fx, (x + fx - 1) // fx
        for y in range(ny):
            y0, y1 = y // fy, (y + fy - 1) // fy
            for z in range(nz):
                if inside[x, y, z]:
                    z0, z1 = z // fz, (z + fz - 1) // fz
                    low = coarse[x0, y0, z0] + coarse[x0, y0, z1] + coarse[x0, y1, z0] + coarse[x0, y1, z1]
                    high = coarse[x1, y0, z0] + coarse[x1, y0, z1] + coarse[x1, y1, z0] + coarse[x1, y1, z1]
                    u[x, y, z] += np.float32(0.125) * (low + high)


@compiled(parallel=True)
def extrapolate(u: Any, inside: Any, mask: Any) -> None:
    """Continue u straight to the rest of the mask, mean over the 26 directions that lead inside."""
    nx, ny, nz = u.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                if mask[x, y, z] and not inside[x, y, z]:
                    continued(u, inside, x, y, z)


@compiled
def continued(u: Any, inside: Any, x: Any, y: Any, z: Any) -> None:
    """Replace one value by its continuation, if any direction has two voxels inside."""
    nx, ny, nz = u.shape
    total, weight = 0.0, 0.0
    for i in range(-1, 2):
        for j in range(-1, 2):
            for k in range(-1, 2):
                far = (x + 2 * i, y + 2 * j, z + 2 * k)
                if not (0 <= far[0] < nx and 0 <= far[1] < ny and 0 <= far[2] < nz):
                    continue
                if inside[far] and inside[x + i, y + j, z + k]:
                    w = 1.0 / np.sqrt(i * i + j * j + k * k)
                    total += w * (2.0 * u[x + i, y + j, z + k] - u[far])
                    weight += w
    if weight > 0.0:
        u[x, y, z] = total / weight
