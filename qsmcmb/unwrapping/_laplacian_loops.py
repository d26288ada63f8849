"""Loops of the masked Poisson solver: a graph of voxels joined by weighted edges, and its coarser copies.

Volumes have a face of zeros on every side. On the finest level `w[x, y, z]` has a bit for each of a voxel's six edges
that does not leave the mask, to the next voxel along x, y, z (`NEXT_X` ...) and to the last (`LAST_X` ...): a byte
where weights would take twelve. On coarser ones `w[d, x, y, z]` weighs the edge from a voxel to the next along axis d,
0 where there is none. `steps` likewise is a table by a voxel's bits, or a volume. The operator is (A u)_i = sum over
neighbours of w_ij (u_i - u_j). Numba drops the branch that asks for the other number of axes.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

TURN = np.float32(2.0 * math.pi)
"""One turn, rad, in float32 as all angles are."""
PER_TURN = np.float32(0.5 / math.pi)
"""Turns in one rad, in float32: a product is faster than a division."""
DAMPING = np.float32(0.8)
"""Damping of Jacobi's step, a factor: near 6/7, which smooths best in three dimensions. Set by trial."""
NOTHING = np.float32(0)
"""Number 0 in float32, so that no branch makes a float64."""
NEXT = (1, 2, 4)
"""Bits of the edges to the next voxel along x, y, z."""
LAST = (8, 16, 32)
"""Bits of the edges to the last voxel along x, y, z."""
NEXT_X, NEXT_Y, NEXT_Z = NEXT
LAST_X, LAST_Y, LAST_Z = LAST


@compiled(parallel=True)
def join(mask: Any, out: Any) -> None:
    """Join neighbours of which both are in the mask."""
    nx, ny, nz = mask.shape
    for x in prange(1, nx - 1):
        for y in range(1, ny - 1):
            for z in range(1, nz - 1):
                # No face of the volume is in the mask, so no neighbour lies beyond it.
                if not mask[x, y, z]:
                    continue
                bits = NEXT_X if mask[x + 1, y, z] else 0
                bits += NEXT_Y if mask[x, y + 1, z] else 0
                bits += NEXT_Z if mask[x, y, z + 1] else 0
                bits += LAST_X if mask[x - 1, y, z] else 0
                bits += LAST_Y if mask[x, y - 1, z] else 0
                bits += LAST_Z if mask[x, y, z - 1] else 0
                out[x, y, z] = bits


@compiled
def _edge(w: Any, weight: Any, d: Any, x: Any, y: Any, z: Any) -> Any:
    """Return the weight of the edge from a voxel to the next along an axis."""
    if w.ndim == 3:
        # Bits of the three axes are in the order of the axes.
        return weight[d] if (w[x, y, z] >> d) & 1 else NOTHING
    else:
        return w[d, x, y, z]


@compiled(parallel=True)
def coarsen(w: Any, weight: Any, out: Any) -> None:
    """Write the edges between blocks of 2 x 2 x 2 voxels: the sum of those that cross."""
    nx, ny, nz = w.shape[-3:]
    for i in prange(1, out.shape[1] - 1):
        for j in range(1, out.shape[2] - 1):
            for k in range(1, out.shape[3] - 1):
                for x in range(2 * i - 1, min(2 * i + 1, nx)):
                    for y in range(2 * j - 1, min(2 * j + 1, ny)):
                        for z in range(2 * k - 1, min(2 * k + 1, nz)):
                            # Only edges from the block's last layer cross to the next block; the others are inside
                            # it.
                            out[0, i, j, k] += _edge(w, weight, 0, x, y, z) if x == 2 * i else NOTHING
                            out[1, i, j, k] += _edge(w, weight, 1, x, y, z) if y == 2 * j else NOTHING
                            out[2, i, j, k] += _edge(w, weight, 2, x, y, z) if z == 2 * k else NOTHING


@compiled
def step_table(weight: Any, out: Any) -> None:
    """Write the damped inverse of the diagonal for each set of edges of a voxel on the finest level; 0 where it has
    none.
    """
    for bits in range(out.size):
        # In the order in which `step_sizes` adds: both give the same last bits.
        sides = np.zeros(6, np.float32)
        for d in range(3):
            sides[d] = weight[d] if bits & (NEXT_X << d) else NOTHING
            sides[3 + d] = weight[d] if bits & (LAST_X << d) else NOTHING
        total = sides[0] + sides[3] + sides[1] + sides[4]
        total += sides[2] + sides[5]
        # A voxel without edges is a part of its own: it never moves.
        out[bits] = DAMPING / total if total > 0 else NOTHING


@compiled(parallel=True)
def step_sizes(w: Any, out: Any) -> None:
    """Write the damped inverse of the diagonal on a coarser level."""
    for x in prange(1, out.shape[0] - 1):
        for y in range(1, out.shape[1] - 1):
            for z in range(1, out.shape[2] - 1):
                total = w[0, x, y, z] + w[0, x - 1, y, z] + w[1, x, y, z] + w[1, x, y - 1, z]
                total += w[2, x, y, z] + w[2, x, y, z - 1]
                out[x, y, z] = DAMPING / total if total > 0 else 0.0


@compiled
def _wrapped(step: Any) -> Any:
    """Return a step in [-pi, pi)."""
    return step - TURN * np.floor(step * PER_TURN + np.float32(0.5))


@compiled(parallel=True)
def wrapped_laplacian(phase: Any, w: Any, weight: Any, out: Any) -> None:
    """Write the right side: the operator on the phase, its steps wrapped; what lies outside the mask is not used."""
    wx, wy, wz = weight[0], weight[1], weight[2]
    for x in prange(1, phase.shape[0] - 1):
        for y in range(1, phase.shape[1] - 1):
            for z in range(1, phase.shape[2] - 1):
                bits, here = w[x, y, z], phase[x, y, z]
                # Of voxels outside, of which nothing is known, no step is used.
                total = wx * (_wrapped(here - phase[x + 1, y, z]) if bits & NEXT_X else NOTHING)
                total += wx * (_wrapped(here - phase[x - 1, y, z]) if bits & LAST_X else NOTHING)
                total += wy * (_wrapped(here - phase[x, y + 1, z]) if bits & NEXT_Y else NOTHING)
                total += wy * (_wrapped(here - phase[x, y - 1, z]) if bits & LAST_Y else NOTHING)
                total += wz * (_wrapped(here - phase[x, y, z + 1]) if bits & NEXT_Z else NOTHING)
                total += wz * (_wrapped(here - phase[x, y, z - 1]) if bits & LAST_Z else NOTHING)
                out[x, y, z] = total


@compiled(parallel=True)
def mark_rows(members: Any, rows: Any) -> None:
    """Mark where the voxels above 0 of a row along z begin and end."""
    nx, ny, nz = members.shape
    for x in prange(1, nx - 1):
        for y in range(1, ny - 1):
            # An empty row begins and ends at 0.
            first, last = nz, 0
            for z in range(1, nz - 1):
                if members[x, y, z] > 0:
                    first, last = min(first, z), z + 1
            rows[x, y, 0], rows[x, y, 1] = min(first, last), last


@compiled(inline=True)
def _row(u: Any, w: Any, weight: Any, place: Any, out: Any) -> None:
    """Write (A u) for a part of a row; slices that begin at 0 let the compiler take eight voxels at a time."""
    x, y, a, b = place
    here, left, right = u[x, y, a:b], u[x, y, a - 1 : b - 1], u[x, y, a + 1 : b + 1]
    back, front, down, up = u[x - 1, y, a:b], u[x + 1, y, a:b], u[x, y - 1, a:b], u[x, y + 1, a:b]
    if w.ndim == 3:
        wx, wy, wz = weight[0], weight[1], weight[2]
        # The finest level: six bits and three weights in place of six weights.
        row = w[x, y, a:b]
        for z in range(here.size):
            bits, c = row[z], here[z]
            # A product with 0 in place of a branch.
            along_x = (wx if bits & LAST_X else NOTHING) * (c - back[z])
            along_x += (wx if bits & NEXT_X else NOTHING) * (c - front[z])
            along_y = (wy if bits & LAST_Y else NOTHING) * (c - down[z])
            along_y += (wy if bits & NEXT_Y else NOTHING) * (c - up[z])
            total = along_x + along_y + (wz if bits & LAST_Z else NOTHING) * (c - left[z])
            out[z] = total + (wz if bits & NEXT_Z else NOTHING) * (c - right[z])
    else:
        # An edge is stored with the voxel before it, so those behind are their neighbours'.
        w_back, w_front = w[0, x - 1, y, a:b], w[0, x, y, a:b]
        w_down, w_up = w[1, x, y - 1, a:b], w[1, x, y, a:b]
        w_left, w_right = w[2, x, y, a - 1 : b - 1], w[2, x, y, a:b]
        for z in range(here.size):
            c = here[z]
            total = w_back[z] * (c - back[z]) + w_front[z] * (c - front[z])
            total += w_down[z] * (c - down[z]) + w_up[z] * (c - up[z])
            out[z] = total + w_left[z] * (c - left[z]) + w_right[z] * (c - right[z])


@compiled(inline=True)
def _sizes(steps: Any, w: Any, place: Any, room: Any) -> Any:
    """Return the step sizes of a part of a row; from the table they are put into `room`."""
    x, y, a, b = place
    if steps.ndim == 1:
        row, found = w[x, y, a:b], room[: b - a]
        for z in range(found.size):
            # Gathered once, so that the loop that uses them runs in vector registers.
            found[z] = steps[row[z]]
    else:
        found = steps[x, y, a:b]
    return found


@compiled(inline=True)
def _smoothed(u: Any, b: Any, graph: Any, place: Any, room: Any, new: Any) -> None:
    """Take one damped Jacobi step on a part of a row."""
    w, weight, steps, _ = graph
    x, y, first, last = place
    _row(u, w, weight, place, new)
    size = _sizes(steps, w, place, room)
    old, rest = u[x, y, first:last], b[x, y, first:last]
    for z in range(new.size):
        # `new` held A u.
        new[z] = old[z] + size[z] * (rest[z] - new[z])


@compiled(parallel=True)
def apply_graph(u: Any, graph: Any, out: Any) -> Any:
    """Write A u; return its product with u.

    Sums are taken by z first: along the row they would bar it from vector registers.
    """
    w, weight, _, rows = graph
    nx, ny, nz = u.shape
    planes = np.zeros(nx)
    for x in prange(1, nx - 1):
        parts = np.zeros(nz)
        for y in range(1, ny - 1):
            a, b = rows[x, y, 0], rows[x, y, 1]
            if a < b:
                here, row, part = u[x, y, a:b], out[x, y, a:b], parts[a:b]
                _row(u, w, weight, (x, y, a, b), row)
                for z in range(row.size):
                    # In float64, as all sums.
                    part[z] += here[z] * row[z]
        planes[x] = parts.sum()
    return planes.sum()


@compiled(parallel=True)
def first_step(b: Any, graph: Any, out: Any) -> None:
    """Take the step of `smooth` from u = 0."""
    w, _, steps, rows = graph
    for x in prange(1, b.shape[0] - 1):
        line = np.empty(b.shape[2], np.float32)
        for y in range(1, b.shape[1] - 1):
            first, last = rows[x, y, 0], rows[x, y, 1]
            if first == last:
                continue
            size = _sizes(steps, w, (x, y, first, last), line)
            new, rest = out[x, y, first:last], b[x, y, first:last]
            for z in range(size.size):
                new[z] = size[z] * rest[z]


@compiled(parallel=True)
def advance(step: Any, p: Any, q: Any, rows: Any, start: Any, x: Any, r: Any) -> None:
    """Move along the direction `p`, of which `q` is A p; `x` has no faces, and the mask's box begins at `start` in
    it.
    """
    sx, sy, sz = start
    for i in prange(1, p.shape[0] - 1):
        for j in range(1, p.shape[1] - 1):
            a, b = rows[i, j, 0], rows[i, j, 1]
            rest, along, image = r[i, j, a:b], p[i, j, a:b], q[i, j, a:b]
            found = x[i - 1 + sx, j - 1 + sy, a - 1 + sz : b - 1 + sz]
            for k in range(rest.size):
                # Solution and residual in one pass.
                found[k] += step * along[k]
                rest[k] -= step * image[k]


@compiled(parallel=True)
def smooth(u: Any, b: Any, graph: Any, out: Any) -> None:
    """Take one damped Jacobi step towards A u = b."""
    rows = graph[3]
    for x in prange(1, u.shape[0] - 1):
        room = np.empty(u.shape[2], np.float32)
        for y in range(1, u.shape[1] - 1):
            first, last = rows[x, y, 0], rows[x, y, 1]
            if first < last:
                _smoothed(u, b, graph, (x, y, first, last), room, out[x, y, first:last])


@compiled(parallel=True)
def smooth_dot(u: Any, b: Any, graph: Any) -> Any:
    """Return the product of `b` with the result of `smooth`, which is not stored."""
    rows = graph[3]
    nx, ny, nz = u.shape
    planes = np.zeros(nx)
    for x in prange(1, nx - 1):
        line, room, parts = np.empty(nz, np.float32), np.empty(nz, np.float32), np.zeros(nz)
        for y in range(1, ny - 1):
            first, last = rows[x, y, 0], rows[x, y, 1]
            if first == last:
                continue
            left, right, part = b[x, y, first:last], line[: last - first], parts[first:last]
            _smoothed(u, b, graph, (x, y, first, last), room, right)
            for z in range(part.size):
                part[z] += left[z] * right[z]
        planes[x] = parts.sum()
    return planes.sum()


@compiled(parallel=True)
def smooth_turn(u: Any, b: Any, graph: Any, keep: Any, p: Any) -> None:
    """Make the new direction on the finest level: the result of `smooth`, and `keep` times the last one; 0 outside the
    mask.
    """
    w, _, _, rows = graph
    for x in prange(1, u.shape[0] - 1):
        line, room = np.empty(u.shape[2], np.float32), np.empty(u.shape[2], np.float32)
        for y in range(1, u.shape[1] - 1):
            first, last = rows[x, y, 0], rows[x, y, 1]
            if first == last:
                continue
            along, down, bits = p[x, y, first:last], line[: last - first], w[x, y, first:last]
            _smoothed(u, b, graph, (x, y, first, last), room, down)
            for z in range(along.size):
                new = down[z] + keep * along[z]
                # A voxel without edges has no phase to find.
                along[z] = new if bits[z] else NOTHING


@compiled
def smooth_often(u: Any, b: Any, graph: Any, spare: Any, times: Any) -> None:
    """Take `times` double steps, there and back: on the coarsest grid a call costs more than a step."""
    for _ in range(times):
        smooth(u, b, graph, spare)
        smooth(spare, b, graph, u)


@compiled(parallel=True)
def restrict_residual(u: Any, b: Any, graph: Any, coarse_rows: Any, out: Any) -> None:
    """Sum b - A u over blocks of 2 x 2 x 2."""
    w, weight, _, rows = graph
    nx, ny, nz = u.shape
    for i in prange(1, out.shape[0] - 1):
        # Two more than the row, so that an odd row's last block has a second voxel: 0.
        line, total = np.empty(nz, np.float32), np.zeros(nz + 2, np.float32)
        for j in range(1, out.shape[1] - 1):
            begin, end = coarse_rows[i, j, 0], coarse_rows[i, j, 1]
            if begin == end:
                continue
            total[:] = 0
            # The face takes index 0, so block i begins at 2 i - 1.
            for x in range(2 * i - 1, min(2 * i + 1, nx - 1)):
                for y in range(2 * j - 1, min(2 * j + 1, ny - 1)):
                    first, last = rows[x, y, 0], rows[x, y, 1]
                    if first == last:
                        continue
                    row, rest, part = line[: last - first], b[x, y, first:last], total[first:last]
                    _row(u, w, weight, (x, y, first, last), row)
                    for z in range(row.size):
                        part[z] += rest[z] - row[z]
            for k in range(begin, end):
                # The sum, not the mean: aggregation's restriction is the transpose of its prolongation.
                out[i, j, k] = total[2 * k - 1] + total[2 * k]


@compiled(parallel=True)
def add_coarse(u: Any, coarse: Any, factor: Any, rows: Any) -> None:
    """Add to each voxel what its block found."""
    for x in prange(1, u.shape[0] - 1):
        for y in range(1, u.shape[1] - 1):
            row, block = u[x, y], coarse[(x + 1) >> 1, (y + 1) >> 1]
            for z in range(rows[x, y, 0], rows[x, y, 1]):
                # Constant within a block, hence too stiff and stretched by `factor`.
                row[z] += factor * block[(z + 1) >> 1]


@compiled(parallel=True)
def dot(first: Any, second: Any, rows: Any) -> Any:
    """Return the sum of products."""
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
    # The mean on the circle: whole turns between both phases do not count.
    amount = np.float32(math.atan2(sums[:, 1].sum(), sums[:, 0].sum()))
    for i in prange(nx):
        for j in range(ny):
            for k in range(nz):
                if inside[i, j, k]:
                    unwrapped[i, j, k] += amount
