"""Loops of the masked Poisson solver. Every volume has a frame of at least one voxel outside the mask."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled


@compiled(parallel=True)
def smooth(u: Any, rhs: Any, mask: Any, weights: Any, colour: Any) -> None:
    """Gauss-Seidel on one colour of the chequerboard: neighbours have the other colour."""
    nx, ny, nz = u.shape
    wx, wy, wz = weights
    inverse = np.float32(0.5) / (wx + wy + wz)
    for x in prange(1, nx - 1):
        for y in range(1, ny - 1):
            for z in range(1 + (x + y + 1 + colour) % 2, nz - 1, 2):
                if mask[x, y, z]:
                    total = wx * (u[x - 1, y, z] + u[x + 1, y, z]) + wy * (u[x, y - 1, z] + u[x, y + 1, z])
                    total += wz * (u[x, y, z - 1] + u[x, y, z + 1]) - rhs[x, y, z]
                    u[x, y, z] = total * inverse


@compiled(parallel=True)
def residual(u: Any, rhs: Any, mask: Any, weights: Any, out: Any) -> Any:
    """Right-hand side minus Laplacian, 0 outside; its squared norm by plane."""
    nx, ny, nz = u.shape
    wx, wy, wz = weights
    centre = np.float32(2.0) * (wx + wy + wz)
    norm = np.zeros(nx)
    for x in prange(1, nx - 1):
        for y in range(1, ny - 1):
            for z in range(1, nz - 1):
                value = np.float32(0.0)
                if mask[x, y, z]:
                    value = rhs[x, y, z] + centre * u[x, y, z]
                    value -= wx * (u[x - 1, y, z] + u[x + 1, y, z]) + wy * (u[x, y - 1, z] + u[x, y + 1, z])
                    value -= wz * (u[x, y, z - 1] + u[x, y, z + 1])
                out[x, y, z] = value
                norm[x] += value * value
    return norm


@compiled(parallel=True)
def restrict(fine: Any, coarse: Any) -> None:
    """Mean over the children of each voxel."""
    nx, ny, nz = coarse.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                total = np.float32(0.0)
                for i in range(2):
                    for j in range(2):
                        for k in range(2):
                            total += fine[2 * x + i, 2 * y + j, 2 * z + k]
                coarse[x, y, z] = total * np.float32(0.125)


@compiled(parallel=True)
def prolong(coarse: Any, mask: Any, u: Any) -> None:
    """Add the coarse correction, linear between the centres of coarse voxels."""
    nx, ny, nz = u.shape
    far, near = np.float32(0.25), np.float32(0.75)
    for x in prange(1, nx - 1):
        cx, ox = x // 2, x // 2 - 1 + 2 * (x % 2)
        for y in range(1, ny - 1):
            cy, oy = y // 2, y // 2 - 1 + 2 * (y % 2)
            for z in range(1, nz - 1):
                if mask[x, y, z]:
                    cz, oz = z // 2, z // 2 - 1 + 2 * (z % 2)
                    here = near * coarse[cx, cy, cz] + far * coarse[cx, cy, oz]
                    along_y = near * coarse[cx, oy, cz] + far * coarse[cx, oy, oz]
                    along_x = near * coarse[ox, cy, cz] + far * coarse[ox, cy, oz]
                    both = near * coarse[ox, oy, cz] + far * coarse[ox, oy, oz]
                    u[x, y, z] += near * (near * here + far * along_y) + far * (near * along_x + far * both)
