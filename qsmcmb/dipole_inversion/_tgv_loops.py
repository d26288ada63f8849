"""Loops of second-order total generalised variation, and of the Laplacian of wrapped phase.

Vectors and their guard layer are those of `_admm_loops`; `w` holds the dual tensor xx, yy, zz, xy, xz, yz in the
same layout. The vector field's own derivative takes backward differences.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._angle_loops import PER_TURN, ROUND, TURN
from qsmcmb.core.compiled import compiled

TENSOR = ((0, 3, 4), (3, 1, 5), (4, 5, 2))
"""Component of the tensor by row and column."""


@compiled
def _clip(value: Any, t: Any) -> Any:
    return min(max(value, -t), t)


@compiled
def _vector_row(gradient: Any, pull: Any, g: Any, v: Any, ahead_v: Any, t: Any, relax: Any, rho: Any) -> None:
    """Vector step and gradient splitting of one row; `ahead_v` becomes the extrapolated vector."""
    keep = np.float32(1.0) - relax
    factor = np.float32(1.0) / (np.float32(1.0) + rho)
    for z in range(g.size):
        dual = _clip(g[z], t)
        old = g[z] - dual
        new = (gradient[z] - old + dual + rho * v[z] - pull[z]) * factor
        g[z] = relax * (gradient[z] - new) + keep * old + dual
        ahead_v[z] = np.float32(2.0) * new - v[z]
        v[z] = new


@compiled
def _row_change(old: Any, new: Any, t: Any) -> Any:
    change, norm = 0.0, 0.0
    for z in range(new.size):
        split = new[z] - _clip(new[z], t)
        change += (split - (old[z] - _clip(old[z], t))) ** 2
        norm += split * split
    return change, norm


@compiled(parallel=True)
def update_vectors(
    chi: Any, g: Any, v: Any, ahead_v: Any, w: Any, rows: Any, start: Any, weights: Any
) -> Any:
    """Vector field and gradient splitting; squared change and norm over every eighth row, by plane."""
    nx, ny = rows.shape[:2]
    t, relax, rho, ix, iy, iz = weights
    inverse_mm = (ix, iy, iz)
    sums = np.zeros((nx, 2))
    for x in prange(nx):
        gradient = np.empty(g.shape[3], np.float32)
        pull = np.empty(g.shape[3], np.float32)
        for y in range(ny):
            low, high = rows[x, y, 0], rows[x, y, 1]
            if low >= high:
                continue
            first, last = start[2] + low, start[2] + high
            here = chi[x + start[0], y + start[1], first:last]
            a, b = low + 1, high + 1
            for axis in range(3):
                ax, ay, az = int(axis == 0), int(axis == 1), int(axis == 2)
                ahead = chi[x + start[0] + ax, y + start[1] + ay, first + az : last + az]
                wx, wy, wz = w[TENSOR[axis][0]], w[TENSOR[axis][1]], w[TENSOR[axis][2]]
                x0, x1 = wx[x + 1, y + 1, a:b], wx[x + 2, y + 1, a:b]
                y0, y1 = wy[x + 1, y + 1, a:b], wy[x + 1, y + 2, a:b]
                z0, z1 = wz[x + 1, y + 1, a:b], wz[x + 1, y + 1, a + 1 : b + 1]
                for z in range(b - a):
                    gradient[z] = (ahead[z] - here[z]) * inverse_mm[axis]
                    pull[z] = (x0[z] - x1[z]) * ix + (y0[z] - y1[z]) * iy + (z0[z] - z1[z]) * iz
                row = g[axis, x + 1, y + 1, a:b]
                vector, extrapolated = v[axis, x + 1, y + 1, a:b], ahead_v[axis, x + 1, y + 1, a:b]
                if (x + y) % 8:
                    _vector_row(gradient, pull, row, vector, extrapolated, t, relax, rho)
                else:
                    old = row.copy()
                    _vector_row(gradient, pull, row, vector, extrapolated, t, relax, rho)
                    change, norm = _row_change(old, row, t)
                    sums[x, 0] += change
                    sums[x, 1] += norm
    return sums


@compiled(parallel=True)
def update_tensors(v: Any, w: Any, whole: Any, rows: Any, t: Any, sigma: Any, inverse_mm: Any) -> None:
    """Ascend along the vector field's symmetric derivative where all its differences exist; clip to the weight."""
    nx, ny = rows.shape[:2]
    ix, iy, iz = inverse_mm
    half = np.float32(0.5)
    for x in prange(nx):
        for y in range(ny):
            low, high = rows[x, y, 0], rows[x, y, 1]
            i, j = x + 1, y + 1
            for k in range(low + 1, high + 1):
                if whole[i, j, k]:
                    vx, vy, vz = v[0, i, j, k], v[1, i, j, k], v[2, i, j, k]
                    w[0, i, j, k] = _clip(w[0, i, j, k] + sigma * ix * (vx - v[0, i - 1, j, k]), t)
                    w[1, i, j, k] = _clip(w[1, i, j, k] + sigma * iy * (vy - v[1, i, j - 1, k]), t)
                    w[2, i, j, k] = _clip(w[2, i, j, k] + sigma * iz * (vz - v[2, i, j, k - 1]), t)
                    xy = iy * (vx - v[0, i, j - 1, k]) + ix * (vy - v[1, i - 1, j, k])
                    xz = iz * (vx - v[0, i, j, k - 1]) + ix * (vz - v[2, i - 1, j, k])
                    yz = iz * (vy - v[1, i, j, k - 1]) + iy * (vz - v[2, i, j - 1, k])
                    w[3, i, j, k] = _clip(w[3, i, j, k] + sigma * half * xy, t)
                    w[4, i, j, k] = _clip(w[4, i, j, k] + sigma * half * xz, t)
                    w[5, i, j, k] = _clip(w[5, i, j, k] + sigma * half * yz, t)


@compiled(parallel=True)
def reflected_adjoint(g: Any, v: Any, start: Any, t: Any, inverse_mm: Any, out: Any) -> None:
    """Adjoint of the gradient applied to v + z - u, over the whole frame."""
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
                    total = (ax[i] - bx[i] + cx[i] - dx[i] - two * (_clip(ax[i], t) - _clip(bx[i], t))) * ix
                    total += (ay[i] - by[i] + cy[i] - dy[i] - two * (_clip(ay[i], t) - _clip(by[i], t))) * iy
                    total += (gz[z] - gz[i] + vz[z] - vz[i] - two * (_clip(gz[z], t) - _clip(gz[i], t))) * iz
                    part[z] = total


@compiled
def _add_step(here: Any, there: Any, mag_here: Any, mag_there: Any, radians: Any, sums: Any) -> None:
    """Take in one echo's difference of the field between the voxels of two rows.

    Each echo is unwrapped by what the echoes before it say, and weighs as its noise allows.
    """
    total, weight = sums
    zero = np.float32(0.0)
    for z in range(here.size):
        expected = radians * total[z] / weight[z] if weight[z] > 0 else zero
        d = there[z] - here[z]
        d -= TURN * (((d - expected) * PER_TURN + ROUND) - ROUND)
        a, b = mag_there[z] * mag_there[z], mag_here[z] * mag_here[z]
        both = a * b / (a + b) if a + b > 0 else zero
        total[z] += both * radians * d
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
    """Laplacian of the field (its unit per mm2) inside a mask that does not touch the volume's edge."""
    _, nx, ny, nz = phase.shape
    for x in prange(1, nx - 1):
        buffers = np.empty((3, nz - 2), np.float32)
        sums, row = (buffers[0], buffers[1]), buffers[2]
        for y in range(1, ny - 1):
            inside = mask[x, y, 1:-1]
            if inside.any():
                row[:] = np.float32(0.0)
                for axis in range(3):
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
