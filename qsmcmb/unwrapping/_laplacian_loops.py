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


@compiled(parallel=True)
def mark_rows(steps: Any, rows: Any) -> None:
    """Where the voxels with neighbours begin and end along each row; beyond, all volumes stay 0."""
    nx, ny, nz = steps.shape
    for x in prange(1, nx - 1):
        for y in range(1, ny - 1):
            first, last = nz, 0
            for z in range(1, nz - 1):
                if steps[x, y, z] > 0:
                    first, last = min(first, z), z + 1
            rows[x, y, 0], rows[x, y, 1] = min(first, last), last


@compiled
def _row(u: Any, w: Any, place: Any, out: Any) -> None:
    """(A u) of a part of a row; slices that begin at 0 let the compiler take eight voxels at a time."""
    x, y, a, b = place
    here, left, right = u[x, y, a:b], u[x, y, a - 1 : b - 1], u[x, y, a + 1 : b + 1]
    back, front, down, up = u[x - 1, y, a:b], u[x + 1, y, a:b], u[x, y - 1, a:b], u[x, y + 1, a:b]
    w_back, w_front = w[0, x - 1, y, a:b], w[0, x, y, a:b]
    w_down, w_up = w[1, x, y - 1, a:b], w[1, x, y, a:b]
    w_left, w_right = w[2, x, y, a - 1 : b - 1], w[2, x, y, a:b]
    for z in range(here.size):
        c = here[z]
        total = w_back[z] * (c - back[z]) + w_front[z] * (c - front[z])
        total += w_down[z] * (c - down[z]) + w_up[z] * (c - up[z])
        out[z] = total + w_left[z] * (c - left[z]) + w_right[z] * (c - right[z])


@compiled(parallel=True)
def apply_graph(u: Any, w: Any, rows: Any, out: Any) -> Any:
    """A u, and its product with u. Sums are taken by z first: along the row they would keep it out of registers."""
    nx, ny, nz = u.shape
    planes = np.zeros(nx)
    for x in prange(1, nx - 1):
        parts = np.zeros(nz)
        for y in range(1, ny - 1):
            a, b = rows[x, y, 0], rows[x, y, 1]
            if a < b:
                here, row, part = u[x, y, a:b], out[x, y, a:b], parts[a:b]
                _row(u, w, (x, y, a, b), row)
                for z in range(row.size):
                    part[z] += here[z] * row[z]
        planes[x] = parts.sum()
    return planes.sum()


@compiled(parallel=True)
def first_step(b: Any, steps: Any, rows: Any, out: Any) -> None:
    """What `smooth` gives from u = 0."""
    for x in prange(1, b.shape[0] - 1):
        for y in range(1, b.shape[1] - 1):
            new, rest, size = out[x, y], b[x, y], steps[x, y]
            for z in range(rows[x, y, 0], rows[x, y, 1]):
                new[z] = size[z] * rest[z]


@compiled(parallel=True)
def advance(step: Any, p: Any, q: Any, rows: Any, x: Any, r: Any) -> None:
    """Along the direction `p`, of which `q` is A p."""
    for i in prange(x.shape[0]):
        for j in range(x.shape[1]):
            a, b = rows[i, j, 0], rows[i, j, 1]
            found, rest, along, image = x[i, j, a:b], r[i, j, a:b], p[i, j, a:b], q[i, j, a:b]
            for k in range(found.size):
                found[k] += step * along[k]
                rest[k] -= step * image[k]


@compiled(parallel=True)
def turn(z: Any, keep: Any, rows: Any, p: Any) -> None:
    """New direction."""
    for i in prange(p.shape[0]):
        for j in range(p.shape[1]):
            a, b = rows[i, j, 0], rows[i, j, 1]
            along, down = p[i, j, a:b], z[i, j, a:b]
            for k in range(along.size):
                along[k] = down[k] + keep * along[k]


@compiled(parallel=True)
def smooth(u: Any, b: Any, w: Any, steps: Any, rows: Any, out: Any) -> None:
    """One damped Jacobi step towards A u = b."""
    for x in prange(1, u.shape[0] - 1):
        line = np.empty(u.shape[2], np.float32)
        for y in range(1, u.shape[1] - 1):
            first, last = rows[x, y, 0], rows[x, y, 1]
            if first == last:
                continue
            row = line[: last - first]
            _row(u, w, (x, y, first, last), row)
            new, old = out[x, y, first:last], u[x, y, first:last]
            rest, size = b[x, y, first:last], steps[x, y, first:last]
            for z in range(row.size):
                new[z] = old[z] + size[z] * (rest[z] - row[z])


@compiled
def smooth_often(u: Any, b: Any, w: Any, steps: Any, rows: Any, spare: Any, times: Any) -> None:
    """Take `times` double steps, there and back: on the coarsest grid a call costs more than a step."""
    for _ in range(times):
        smooth(u, b, w, steps, rows, spare)
        smooth(spare, b, w, steps, rows, u)


@compiled(parallel=True)
def restrict_residual(u: Any, b: Any, w: Any, rows: Any, coarse_rows: Any, out: Any) -> None:
    """Sum b - A u over blocks of 2 x 2 x 2."""
    nx, ny, nz = u.shape
    for i in prange(1, out.shape[0] - 1):
        # Two more than the row, so that an odd row's last block has a second voxel: 0.
        line, total = np.empty(nz, np.float32), np.zeros(nz + 2, np.float32)
        for j in range(1, out.shape[1] - 1):
            begin, end = coarse_rows[i, j, 0], coarse_rows[i, j, 1]
            if begin == end:
                continue
            total[:] = 0
            for x in range(2 * i - 1, min(2 * i + 1, nx - 1)):
                for y in range(2 * j - 1, min(2 * j + 1, ny - 1)):
                    first, last = rows[x, y, 0], rows[x, y, 1]
                    if first == last:
                        continue
                    row, rest, part = line[: last - first], b[x, y, first:last], total[first:last]
                    _row(u, w, (x, y, first, last), row)
                    for z in range(row.size):
                        part[z] += rest[z] - row[z]
            for k in range(begin, end):
                out[i, j, k] = total[2 * k - 1] + total[2 * k]


@compiled(parallel=True)
def add_coarse(u: Any, coarse: Any, factor: Any, rows: Any) -> None:
    """Add to each voxel what its block found."""
    for x in prange(1, u.shape[0] - 1):
        for y in range(1, u.shape[1] - 1):
            row, block = u[x, y], coarse[(x + 1) >> 1, (y + 1) >> 1]
            for z in range(rows[x, y, 0], rows[x, y, 1]):
                row[z] += factor * block[(z + 1) >> 1]


@compiled(parallel=True)
def dot(first: Any, second: Any, rows: Any) -> Any:
    """Sum of products."""
    nx, ny, nz = first.shape
    planes = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            a, b = rows[x, y, 0], rows[x, y, 1]
            left, right, part = first[x, y, a:b], second[x, y, a:b], parts[a:b]
            for z in range(part.size):
                part[z] += left[z] * right[z]
        planes[x] = parts.sum()
    return planes.sum()


@compiled(parallel=True)
def settle(wrapped: Any, inside: Any, unwrapped: Any) -> None:
    """Give the unwrapped phase of one part the wrapped phase's mean on the circle."""
    nx, ny, nz = inside.shape
    sums = np.zeros((nx, 2))
    for i in prange(nx):
        x, y = 0.0, 0.0
        for j in range(ny):
            for k in range(nz):
                if inside[i, j, k]:
                    rest = wrapped[i, j, k] - unwrapped[i, j, k]
                    x += math.cos(rest)
                    y += math.sin(rest)
        sums[i, 0], sums[i, 1] = x, y
    amount = np.float32(math.atan2(sums[:, 1].sum(), sums[:, 0].sum()))
    for i in prange(nx):
        for j in range(ny):
            for k in range(nz):
                if inside[i, j, k]:
                    unwrapped[i, j, k] += amount
