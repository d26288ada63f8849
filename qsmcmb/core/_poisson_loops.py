"""Loops of multigrid on a mask. Unknowns never touch the edge of the volume."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled(parallel=True)
def mark(inside: Any, colours: Any, rows: Any) -> None:
    """Colour each unknown on the chequerboard, 1 or 2, else 0, and note where each row's unknowns begin and end."""
    nx, ny, nz = inside.shape
    for x in prange(1, nx - 1):
        for y in range(1, ny - 1):
            first, last = nz, 0
            for z in range(1, nz - 1):
                if inside[x, y, z]:
                    colours[x, y, z] = 1 + (x + y + z) % 2
                    first, last = min(first, z), z + 1
            rows[x, y, 0], rows[x, y, 1] = min(first, last), last


@compiled(parallel=True)
def relax(u: Any, rhs: Any, colours: Any, rows: Any, weights: Any, sweeps: Any) -> None:
    """Take steps of red-black Gauss-Seidel.

    A whole row is computed and one colour of it written: registers take eight voxels at once, single ones take longer.
    """
    nx, ny, nz = u.shape
    wx, wy, wz = weights
    inverse = np.float32(0.5) / (wx + wy + wz)
    for half in range(2 * sweeps):
        now = np.uint8(1 + half % 2)
        for x in prange(1, nx - 1):
            line = np.empty(nz, np.float32)
            for y in range(1, ny - 1):
                first, last = rows[x, y, 0], rows[x, y, 1]
                if first == last:
                    continue
                here, known, colour = u[x, y, first:last], rhs[x, y, first:last], colours[x, y, first:last]
                left, right = u[x, y, first - 1 : last - 1], u[x, y, first + 1 : last + 1]
                back, front = u[x - 1, y, first:last], u[x + 1, y, first:last]
                down, up = u[x, y - 1, first:last], u[x, y + 1, first:last]
                new = line[: here.size]
                for z in range(here.size):
                    total = wx * (back[z] + front[z]) + wy * (down[z] + up[z])
                    relaxed = (total + wz * (left[z] + right[z]) - known[z]) * inverse
                    new[z] = relaxed if colour[z] == now else here[z]
                for z in range(here.size):
                    here[z] = new[z]


@compiled(parallel=True)
def residual(u: Any, rhs: Any, colours: Any, rows: Any, weights: Any, out: Any) -> Any:
    """Fill `out` with right-hand side minus Laplacian, 0 between unknowns, in their rows alone; return its squared norm
    by plane.

    Differences, not the sum of neighbours less six times the middle: the field's mean takes no digits.
    """
    nx, ny, nz = u.shape
    wx, wy, wz = weights
    norm = np.zeros(nx)
    for x in prange(1, nx - 1):
        squares = np.zeros(nz)
        for y in range(1, ny - 1):
            first, last = rows[x, y, 0], rows[x, y, 1]
            if first == last:
                continue
            here, known, colour = u[x, y, first:last], rhs[x, y, first:last], colours[x, y, first:last]
            left, right = u[x, y, first - 1 : last - 1], u[x, y, first + 1 : last + 1]
            back, front = u[x - 1, y, first:last], u[x + 1, y, first:last]
            down, up = u[x, y - 1, first:last], u[x, y + 1, first:last]
            rest, square = out[x, y, first:last], squares[first:last]
            for z in range(here.size):
                twice = here[z] + here[z]
                total = wx * (back[z] + front[z] - twice) + wy * (down[z] + up[z] - twice)
                rest[z] = known[z] - (total + wz * (left[z] + right[z] - twice))
            for z in range(here.size):
                value = rest[z] if colour[z] else np.float32(0.0)
                rest[z] = value
                square[z] += value * value
        norm[x] = squares.sum()
    return norm


@compiled(parallel=True)
def restrict(fine: Any, coarse: Any) -> None:
    """Fill the coarse grid with the mean over the children of each voxel."""
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
def prolong(coarse: Any, colours: Any, rows: Any, u: Any) -> None:
    """Add the coarse correction, linear between the centres of coarse voxels."""
    nx, ny, _ = u.shape
    far, near = np.float32(0.25), np.float32(0.75)
    for x in prange(1, nx - 1):
        line = np.empty(coarse.shape[2], np.float32)
        cx, ox = x // 2, x // 2 - 1 + 2 * (x % 2)
        for y in range(1, ny - 1):
            first, last = rows[x, y, 0], rows[x, y, 1]
            cy, oy = y // 2, y // 2 - 1 + 2 * (y % 2)
            for z in range((first - 1) // 2, last // 2 + 1):
                along_x = near * coarse[cx, cy, z] + far * coarse[ox, cy, z]
                line[z] = near * along_x + far * (near * coarse[cx, oy, z] + far * coarse[ox, oy, z])
            for z in range(first, last):
                if colours[x, y, z]:
                    cz = z // 2
                    u[x, y, z] += near * line[cz] + far * line[cz - 1 + 2 * (z % 2)]
