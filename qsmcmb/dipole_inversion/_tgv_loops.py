"""Loops of second-order total generalised variation, and of the Laplacian of wrapped phase.

Vectors and their guard layer are those of `_admm_loops`; `w` holds the dual tensor xx, yy, zz, xy, xz, yz in the
same layout. The vector field's own derivative takes backward differences.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._angle_loops import PER_TURN, ROUND, TURN
from qsmcmb.core.compiled import compiled
from qsmcmb.dipole_inversion._admm_loops import add_change, add_norm, clip

__all__: tuple[str, ...] = ()

AXES = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
"""Axes of each component of the tensor: xx, yy, zz, xy, xz, yz."""
TENSOR = ((0, 3, 4), (3, 1, 5), (4, 5, 2))
"""Component of the tensor by row and column."""


@compiled
def _vector_row(gradient: Any, pull: Any, g: Any, v: Any, ahead_v: Any, t: Any, relax: Any, rho: Any) -> None:
    """Take the vector step and the gradient splitting of one row; `ahead_v` becomes the extrapolated vector."""
    keep = np.float32(1.0) - relax
    # The vector's proximal step, a mean of its old value and of what the splitting wants.
    factor = np.float32(1.0) / (np.float32(1.0) + rho)
    for z in range(g.size):
        dual = clip(g[z], t)
        old = g[z] - dual
        new = (gradient[z] - old + dual + rho * v[z] - pull[z]) * factor
        g[z] = relax * (gradient[z] - new) + keep * old + dual
        # Extrapolated: the dual ascends along 2 v_new - v_old, as Chambolle and Pock's steps do.
        ahead_v[z] = np.float32(2.0) * new - v[z]
        v[z] = new


@compiled
def _slopes(ends: Any, along: Any, inverse_mm: Any, axis: Any, gradient: Any, pull: Any) -> None:
    """Write the map's difference along an axis and the tensor's divergence in one row; pairs are a row and the next."""
    here, ahead = ends
    (x0, x1), (y0, y1), (z0, z1) = along
    ix, iy, iz = inverse_mm
    step = inverse_mm[axis]
    for z in range(gradient.size):
        gradient[z] = (ahead[z] - here[z]) * step
        # Adjoint of a backward difference: a voxel less the one ahead.
        pull[z] = (x0[z] - x1[z]) * ix + (y0[z] - y1[z]) * iy + (z0[z] - z1[z]) * iz


@compiled
def _move_vectors(
    x: Any, chi: Any, state: Any, ahead: Any, rows: Any, start: Any, weights: Any, total: Any
) -> None:
    """Update vector field and gradient splitting of one plane; its extrapolated vectors into `ahead`.

    One axis after the other: few long streams come faster than many short ones.
    """
    g, v, w = state
    t, relax, rho, _, _, ix, iy, iz = weights
    inverse_mm = (ix, iy, iz)
    lines, sums = np.empty((3, g.shape[3]), np.float32), np.zeros((2, g.shape[3]))
    for axis in range(3):
        ax, ay, az = int(axis == 0), int(axis == 1), int(axis == 2)
        wx, wy, wz = w[TENSOR[axis][0]], w[TENSOR[axis][1]], w[TENSOR[axis][2]]
        for y in range(rows.shape[1]):
            low, high = rows[x, y, 0], rows[x, y, 1]
            if low >= high:
                continue
            a, b, i, j = low + 1, high + 1, x + 1, y + 1
            first, last = start[2] + low, start[2] + high
            here = chi[x + start[0], y + start[1], first:last]
            beyond = chi[x + start[0] + ax, y + start[1] + ay, first + az : last + az]
            along_x, along_y = (wx[i, j, a:b], wx[i + 1, j, a:b]), (wy[i, j, a:b], wy[i, j + 1, a:b])
            along = along_x, along_y, (wz[i, j, a:b], wz[i, j, a + 1 : b + 1])
            gradient, pull, old = lines[0, : b - a], lines[1, : b - a], lines[2, : b - a]
            _slopes((here, beyond), along, inverse_mm, axis, gradient, pull)
            row, vector, extrapolated = g[axis, i, j, a:b], v[axis, i, j, a:b], ahead[axis, j, a:b]
            if (x + y) % 8:
                _vector_row(gradient, pull, row, vector, extrapolated, t, relax, rho)
            else:
                old[:] = row
                _vector_row(gradient, pull, row, vector, extrapolated, t, relax, rho)
                add_change(old, row, t, sums[0])
                add_norm(row, t, sums[1])
    total[0], total[1] = sums[0].sum(), sums[1].sum()


@compiled
def _ascend(here: Any, behind: Any, step: Any, t: Any, w: Any) -> None:
    """Move a component of the tensor along a derivative, clipped to the weight."""
    for z in range(w.size):
        # The dual of an absolute value is a bound.
        w[z] = clip(w[z] + step * (here[z] - behind[z]), t)


@compiled
def _ascend_mixed(first: Any, second: Any, inverse_mm: Any, step: Any, t: Any, w: Any) -> None:
    """Move it along the mean of two derivatives, each of a row and the one behind."""
    (a, a_behind), (b, b_behind) = first, second
    ia, ib = inverse_mm
    for z in range(w.size):
        w[z] = clip(w[z] + step * (ia * (a[z] - a_behind[z]) + ib * (b[z] - b_behind[z])), t)


@compiled
def _move_tensors(x: Any, here: Any, behind: Any, w: Any, whole: Any, weights: Any) -> None:
    """Ascend in one plane along the symmetric derivative of its vectors and those of the plane behind.

    Where all differences exist; clipped to the weight. One component of a row after the other: few streams at a time
    go through vector registers without a check of which overlap.
    """
    _, _, _, t, sigma, ix, iy, iz = weights
    # The mixed components are means of two derivatives.
    half, i = np.float32(0.5) * sigma, x + 1
    for y in range(whole.shape[1]):
        low, high = whole[x, y, 0], whole[x, y, 1]
        if low >= high:
            continue
        j, a, b = y + 1, low + 1, high + 1
        vx, vy, vz = here[0, j, a:b], here[1, j, a:b], here[2, j, a:b]
        back_x, back_y, back_z = behind[0, j, a:b], behind[1, j, a:b], behind[2, j, a:b]
        down_x, down_y, down_z = here[0, j - 1, a:b], here[1, j - 1, a:b], here[2, j - 1, a:b]
        # Shifted by one along the row.
        left_x, left_y, left_z = here[0, j, low:high], here[1, j, low:high], here[2, j, low:high]
        _ascend(vx, back_x, sigma * ix, t, w[0, i, j, a:b])
        _ascend(vy, down_y, sigma * iy, t, w[1, i, j, a:b])
        _ascend(vz, left_z, sigma * iz, t, w[2, i, j, a:b])
        _ascend_mixed((vx, down_x), (vy, back_y), (iy, ix), half, t, w[3, i, j, a:b])
        _ascend_mixed((vx, left_x), (vz, back_z), (iz, ix), half, t, w[4, i, j, a:b])
        _ascend_mixed((vy, left_y), (vz, down_z), (iz, iy), half, t, w[5, i, j, a:b])


@compiled(parallel=True)
def update(chi: Any, state: Any, whole: Any, rows: Any, start: Any, weights: Any, ends: Any) -> Any:
    """Take the step of gradient splitting, vector field and tensor; return squared change and norm by plane.

    Every eighth row is summed. `state` holds the three; `ends` room for the extrapolated vectors of each block's first
    and last plane. Inside a block a plane's tensor follows its vectors at once, so that those of two planes are all
    that is stored; the next block's vectors need the old tensor of its first plane, which therefore comes last. `rows`
    and `whole` are the voxels of each row that have a vector, and a tensor.
    """
    w, blocks, nx = state[2], ends.shape[0], rows.shape[0]
    totals = np.zeros((nx, 2))
    for b in prange(blocks):
        block = np.int64(b)
        # Blocks are fixed, not the threads': sums and results do not depend on their number.
        low, high = block * nx // blocks, (block + 1) * nx // blocks
        first, last = ends[block, 0], ends[block, 1]
        between = np.empty_like(first)
        for x in range(low, high):
            # By turns; the first plane keeps its own, the last must end in `last`.
            even = (high - 1 - x) % 2 == 0
            here = first if x == low else (last if even else between)
            behind = first if x - 1 == low else (between if even else last)
            _move_vectors(x, chi, state, here, rows, start, weights, totals[x])
            # The first plane's tensor needs the vectors of the block before, which may not be there yet.
            if x > low:
                _move_tensors(x, here, behind, w, whole, weights)
        if high - low == 1:
            # The block after reads the last plane, which is the first here.
            last[:] = first
    for b in prange(1, blocks):
        block = np.int64(b)
        x = block * nx // blocks
        # Now that all blocks are through.
        _move_tensors(x, ends[block, 0], ends[block - 1, 1], w, whole, weights)
    return totals


@compiled(parallel=True)
def reflected_adjoint(g: Any, v: Any, start: Any, t: Any, inverse_mm: Any, out: Any) -> None:
    """Write the adjoint of the gradient applied to v + z - u, over the whole frame."""
    nx, ny, nz = g.shape[1] - 1, g.shape[2] - 1, g.shape[3] - 1
    ix, iy, iz = inverse_mm
    sx, sy, sz = start
    two = np.float32(2.0)
    for fx in prange(out.shape[0]):
        x = fx - sx
        for fy in range(out.shape[1]):
            y = fy - sy
            row = out[fx, fy]
            row[:] = 0.0
            if 0 <= x < nx and 0 <= y < ny:
                ax, bx = g[0, x, y + 1], g[0, x + 1, y + 1]
                ay, by = g[1, x + 1, y], g[1, x + 1, y + 1]
                gz, vz = g[2, x + 1, y + 1], v[2, x + 1, y + 1]
                cx, dx = v[0, x, y + 1], v[0, x + 1, y + 1]
                cy, dy = v[1, x + 1, y], v[1, x + 1, y + 1]
                part = row[sz : sz + nz]
                for z in range(nz):
                    i = z + 1
                    total = (ax[i] - bx[i] + cx[i] - dx[i] - two * (clip(ax[i], t) - clip(bx[i], t))) * ix
                    total += (ay[i] - by[i] + cy[i] - dy[i] - two * (clip(ay[i], t) - clip(by[i], t))) * iy
                    total += (gz[z] - gz[i] + vz[z] - vz[i] - two * (clip(gz[z], t) - clip(gz[i], t))) * iz
                    part[z] = total


@compiled
def _add_step(here: Any, there: Any, mag_here: Any, mag_there: Any, radians: Any, sums: Any) -> None:
    """Take in one echo's difference of the field between the voxels of two rows.

    Each echo is unwrapped by what the echoes before it say, and weighs as its noise allows.
    """
    total, weight = sums
    zero = np.float32(0.0)
    for z in range(here.size):
        # The step that earlier echoes predict, rad: this echo's turns are settled against it.
        expected = radians * total[z] / weight[z] if weight[z] > 0 else zero
        d = there[z] - here[z]
        # Adding a large number and taking it away rounds to whole turns, in vector registers.
        d -= TURN * (((d - expected) * PER_TURN + ROUND) - ROUND)
        a, b = mag_there[z] * mag_there[z], mag_here[z] * mag_here[z]
        # The inverse variance of a difference of two phases.
        both = a * b / (a + b) if a + b > 0 else zero
        total[z] += both * radians * d
        # In the unit of the field, a later echo counts for its squared time.
        weight[z] += both * radians * radians


@compiled
def _add_second(
    phase: Any, magnitude: Any, radians: Any, ends: Any, sums: Any, factor: Any, out: Any
) -> None:
    """Add `factor` times the difference of the field between the rows at two places (x, y, first z)."""
    total, weight = sums
    (ax, ay, az), (bx, by, bz) = ends
    total[:], weight[:] = np.float32(0.0), np.float32(0.0)
    for e in range(phase.shape[0]):
        here, there = phase[e, ax, ay, az : az + out.size], phase[e, bx, by, bz : bz + out.size]
        mag_here, mag_there = (
            magnitude[e, ax, ay, az : az + out.size],
            magnitude[e, bx, by, bz : bz + out.size],
        )
        _add_step(here, there, mag_here, mag_there, radians[e], sums)
    for z in range(out.size):
        out[z] += factor * total[z] / weight[z] if weight[z] > 0 else np.float32(0.0)


@compiled(parallel=True)
def phase_laplacian(phase: Any, magnitude: Any, radians: Any, mask: Any, weights: Any, out: Any) -> None:
    """Write the Laplacian of the field (its unit per mm2) inside a mask that does not touch the volume's edge."""
    _, nx, ny, nz = phase.shape
    for x in prange(1, nx - 1):
        buffers = np.empty((3, nz - 2), np.float32)
        sums, row = (buffers[0], buffers[1]), buffers[2]
        for y in range(1, ny - 1):
            inside = mask[x, y, 1:-1]
            if inside.any():
                row[:] = np.float32(0.0)
                for axis in range(3):
                    # The Laplacian is the sum of the steps to the six neighbours.
                    for side in (-1, 1):
                        there = (
                            x + side * int(axis == 0),
                            y + side * int(axis == 1),
                            1 + side * int(axis == 2),
                        )
                        ends = ((x, y, 1), there)
                        _add_second(phase, magnitude, radians, ends, sums, weights[axis], row)
                for z in range(nz - 2):
                    if inside[z]:
                        out[x, y, z + 1] = row[z]
