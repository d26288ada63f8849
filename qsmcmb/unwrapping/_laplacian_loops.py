"""Loops of the masked Poisson solver: a graph of voxels joined by weighted edges, and its coarser copies.

Volumes have a face of zeros on every side. `w[d, x, y, z]` weighs the edge from a voxel to the next along axis d: 0
where it leaves the mask. The operator is (A u)_i = sum over neighbours of w_ij (u_i - u_j).
"""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

TURN = np.float32(2.0 * math.pi)
PER_TURN = np.float32(0.5 / math.pi)
DAMPING = np.float32(0.8)


@compiled(parallel=True)
def join(mask: Any, weight: Any, w: Any) -> None:
    """Join neighbours of which both are in the mask."""
    nx, ny, nz = mask.shape
    for x in prange(nx - 1):
        for y in range(ny - 1):
            for z in range(nz - 1):
                here = mask[x, y, z]
                w[0, x, y, z] = weight[0] if here and mask[x + 1, y, z] else 0.0
                w[1, x, y, z] = weight[1] if here and mask[x, y + 1, z] else 0.0
                w[2, x, y, z] = weight[2] if here and mask[x, y, z + 1] else 0.0


@compiled(parallel=True)
def coarsen(w: Any, out: Any) -> None:
    """Edges between blocks of 2 x 2 x 2 voxels: the sum of those that cross."""
    _, nx, ny, nz = w.shape
    for i in prange(1, out.shape[1] - 1):
        for j in range(1, out.shape[2] - 1):
            for k in range(1, out.shape[3] - 1):
                for x in range(2 * i - 1, min(2 * i + 1, nx)):
                    for y in range(2 * j - 1, min(2 * j + 1, ny)):
                        for z in range(2 * k - 1, min(2 * k + 1, nz)):
                            out[0, i, j, k] += w[0, x, y, z] if x == 2 * i else 0
                            out[1, i, j, k] += w[1, x, y, z] if y == 2 * j else 0
                            out[2, i, j, k] += w[2, x, y, z] if z == 2 * k else 0


@compiled(parallel=True)
def step_sizes(w: Any, out: Any) -> None:
    """Damped inverse of the diagonal; 0 where a voxel has no neighbour."""
    for x in prange(1, out.shape[0] - 1):
        for y in range(1, out.shape[1] - 1):
            for z in range(1, out.shape[2] - 1):
                total = w[0, x, y, z] + w[0, x - 1, y, z] + w[1, x, y, z] + w[1, x, y - 1, z]
                total += w[2, x, y, z] + w[2, x, y, z - 1]
                out[x, y, z] = DAMPING / total if total > 0 else 0.0


@compiled
def _wrapped(step: Any) -> Any:
    return step - TURN * np.floor(step * PER_TURN + np.float32(0.5))


@compiled(parallel=True)
def wrapped_laplacian(phase: Any, w: Any, out: Any) -> None:
    """Right side: the operator on the phase, its steps wrapped."""
    for x in prange(1, phase.shape[0] - 1):
        for y in range(1, phase.shape[1] - 1):
            for z in range(1, phase.shape[2] - 1):
                here = phase[x, y, z]
                total = w[0, x, y, z] * _wrapped(here - phase[x + 1, y, z])
                total += w[0, x - 1, y, z] * _wrapped(here - phase[x - 1, y, z])
                total += w[1, x, y, z] * _wrapped(here - phase[x, y + 1, z])
                total += w[1, x, y - 1, z] * _wrapped(here - phase[x, y - 1, z])
                total += w[2, x, y, z] * _wrapped(here - phase[x, y, z + 1])
                total += w[2, x, y, z - 1] * _wrapped(here - phase[x, y, z - 1])
                out[x, y, z] = total


@compiled
def _row(u: Any, w: Any, x: Any, y: Any, out: Any) -> None:
    """(A u) of one row; slices that begin at 0 let the compiler take eight voxels at a time."""
    here, left, right = u[x, y, 1:-1], u[x, y, :-2], u[x, y, 2:]
    back, front, down, up = u[x - 1, y, 1:-1], u[x + 1, y, 1:-1], u[x, y - 1, 1:-1], u[x, y + 1, 1:-1]
    w_back, w_front = w[0, x - 1, y, 1:-1], w[0, x, y, 1:-1]
    w_down, w_up = w[1, x, y - 1, 1:-1], w[1, x, y, 1:-1]
    w_left, w_right = w[2, x, y, :-2], w[2, x, y, 1:-1]
    for z in range(here.size):
        c = here[z]
        total = w_back[z] * (c - back[z]) + w_front[z] * (c - front[z])
        total += w_down[z] * (c - down[z]) + w_up[z] * (c - up[z])
        out[z] = total + w_left[z] * (c - left[z]) + w_right[z] * (c - right[z])


@compiled(parallel=True)
def apply_graph(u: Any, w: Any, out: Any, planes: Any) -> Any:
    """A u, and its product with u."""
    for x in prange(1, u.shape[0] - 1):
        total = 0.0
        for y in range(1, u.shape[1] - 1):
            here, row = u[x, y, 1:-1], out[x, y, 1:-1]
            _row(u, w, x, y, row)
            for z in range(row.size):
                total += here[z] * row[z]
        planes[x] = total
    return planes[1:-1].sum()


@compiled(parallel=True)
def first_step(b: Any, steps: Any, out: Any) -> None:
    """What `smooth` gives from u = 0."""
    for x in prange(1, b.shape[0] - 1):
        for y in range(1, b.shape[1] - 1):
            new, rest, size = out[x, y], b[x, y], steps[x, y]
            for z in range(1, new.size - 1):
                new[z] = size[z] * rest[z]


@compiled(parallel=True)
def advance(step: Any, p: Any, q: Any, x: Any, r: Any) -> None:
    """Along the direction `p`, of which `q` is A p."""
    for i in prange(x.shape[0]):
        for j in range(x.shape[1]):
            for k in range(x.shape[2]):
                x[i, j, k] += step * p[i, j, k]
                r[i, j, k] -= step * q[i, j, k]


@compiled(parallel=True)
def turn(z: Any, keep: Any, p: Any) -> None:
    """New direction."""
    for i in prange(p.shape[0]):
        for j in range(p.shape[1]):
            for k in range(p.shape[2]):
                p[i, j, k] = z[i, j, k] + keep * p[i, j, k]


@compiled(parallel=True)
def smooth(u: Any, b: Any, w: Any, steps: Any, out: Any) -> None:
    """One damped Jacobi step towards A u = b."""
    for x in prange(1, u.shape[0] - 1):
        row = np.empty(u.shape[2] - 2, np.float32)
        for y in range(1, u.shape[1] - 1):
            _row(u, w, x, y, row)
            new, old, rest, size = out[x, y, 1:-1], u[x, y, 1:-1], b[x, y, 1:-1], steps[x, y, 1:-1]
            for z in range(row.size):
                new[z] = old[z] + size[z] * (rest[z] - row[z])


@compiled(parallel=True)
def restrict_residual(u: Any, b: Any, w: Any, out: Any) -> None:
    """Sum b - A u over blocks of 2 x 2 x 2."""
    nx, ny, nz = u.shape
    for i in prange(1, out.shape[0] - 1):
        # One more than the row, so that an odd row's last block has a second voxel: 0.
        row, total = np.zeros(nz - 1, np.float32), np.empty(nz - 1, np.float32)
        for j in range(1, out.shape[1] - 1):
            total[:] = 0
            for x in range(2 * i - 1, min(2 * i + 1, nx - 1)):
                for y in range(2 * j - 1, min(2 * j + 1, ny - 1)):
                    _row(u, w, x, y, row[:-1])
                    rest = b[x, y, 1:-1]
                    for z in range(rest.size):
                        total[z] += rest[z] - row[z]
            for k in range(out.shape[2] - 2):
                out[i, j, k + 1] = total[2 * k] + total[2 * k + 1]


@compiled(parallel=True)
def add_coarse(u: Any, coarse: Any, factor: Any) -> None:
    for x in prange(1, u.shape[0] - 1):
        for y in range(1, u.shape[1] - 1):
            row, block = u[x, y, 1:-1], coarse[(x + 1) >> 1, (y + 1) >> 1, 1:-1]
            for z in range(row.size):
                row[z] += factor * block[z >> 1]


@compiled(parallel=True)
def dot(a: Any, b: Any, planes: Any) -> Any:
    for x in prange(a.shape[0]):
        total = 0.0
        for y in range(a.shape[1]):
            for z in range(a.shape[2]):
                total += a[x, y, z] * b[x, y, z]
        planes[x] = total
    return planes.sum()
