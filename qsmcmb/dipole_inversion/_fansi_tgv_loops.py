"""Loops of second-order total generalised variation, layout as in `_admm_loops`.

`v` is the vector field that the map's gradient may follow for free, with its guard layer at both sides of each
axis: voxel (x, y, z) of the box is [x + 1, y + 1, z + 1]. Its symmetrised gradient has six components: xx, yy, zz,
and half the sums of xy, xz, yz, which count twice.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

HALF = np.float32(0.5)
TWO = np.float32(2.0)


@compiled
def _clip(value: Any, t: Any) -> Any:
    return min(max(value, -t), t)


@compiled(parallel=True)
def follow(chi: Any, g: Any, v: Any, rest: Any, rows: Any, start: Any, parameters: Any) -> None:
    """Move v down the slope of both splittings.

    `rest` is the symmetrised gradient of v less what its splitting aims at; `parameters` are the inverse voxel
    edges, the threshold of the first splitting, the step and the second penalty, both over the first.
    """
    ix, iy, iz, t, step, ratio = parameters
    for x in prange(rows.shape[0]):
        for y in range(rows.shape[1]):
            for z in range(rows[x, y, 0], rows[x, y, 1]):
                fx, fy, fz = x + start[0], y + start[1], z + start[2]
                i, j, k = x + 1, y + 1, z + 1
                here = chi[fx, fy, fz]
                # Adjoint of the symmetrised gradient; components off the diagonal stand for two halves.
                ax = (rest[0, i - 1, j, k] - rest[0, i, j, k]) * ix + (
                    rest[3, i, j - 1, k] - rest[3, i, j, k]
                ) * iy
                ax += (rest[4, i, j, k - 1] - rest[4, i, j, k]) * iz
                ay = (rest[1, i, j - 1, k] - rest[1, i, j, k]) * iy + (
                    rest[3, i - 1, j, k] - rest[3, i, j, k]
                ) * ix
                ay += (rest[5, i, j, k - 1] - rest[5, i, j, k]) * iz
                az = (rest[2, i, j, k - 1] - rest[2, i, j, k]) * iz + (
                    rest[4, i - 1, j, k] - rest[4, i, j, k]
                ) * ix
                az += (rest[5, i, j - 1, k] - rest[5, i, j, k]) * iy
                gx, gy, gz = g[0, i, j, k], g[1, i, j, k], g[2, i, j, k]
                bx = v[0, i, j, k] - (chi[fx + 1, fy, fz] - here) * ix + gx - TWO * _clip(gx, t)
                by = v[1, i, j, k] - (chi[fx, fy + 1, fz] - here) * iy + gy - TWO * _clip(gy, t)
                bz = v[2, i, j, k] - (chi[fx, fy, fz + 1] - here) * iz + gz - TWO * _clip(gz, t)
                v[0, i, j, k] -= step * (bx + ratio * ax)
                v[1, i, j, k] -= step * (by + ratio * ay)
                v[2, i, j, k] -= step * (bz + ratio * az)


@compiled(parallel=True)
def update_first(chi: Any, g: Any, v: Any, rows: Any, start: Any, t: Any, inverse_mm: Any, relax: Any) -> Any:
    """Splitting of grad chi - v; squared change and norm of z + v by plane."""
    nx, ny = rows.shape[:2]
    ix, iy, iz = inverse_mm
    keep = np.float32(1.0) - relax
    sums = np.zeros((nx, 2))
    for x in prange(nx):
        for y in range(ny):
            for z in range(rows[x, y, 0], rows[x, y, 1]):
                fx, fy, fz = x + start[0], y + start[1], z + start[2]
                i, j, k = x + 1, y + 1, z + 1
                here = chi[fx, fy, fz]
                for axis in range(3):
                    if axis == 0:
                        slope = (chi[fx + 1, fy, fz] - here) * ix
                    elif axis == 1:
                        slope = (chi[fx, fy + 1, fz] - here) * iy
                    else:
                        slope = (chi[fx, fy, fz + 1] - here) * iz
                    old = g[axis, i, j, k]
                    u = _clip(old, t)
                    new = relax * (slope - v[axis, i, j, k]) + keep * (old - u) + u
                    g[axis, i, j, k] = new
                    split = new - _clip(new, t)
                    sums[x, 0] += (split - old + u) ** 2
                    sums[x, 1] += slope * slope
    return sums


@compiled(parallel=True)
def update_second(v: Any, h: Any, rest: Any, rows: Any, t: Any, inverse_mm: Any, relax: Any) -> None:
    """Splitting of the symmetrised gradient of v; leaves in `rest` what `follow` needs."""
    ix, iy, iz = inverse_mm
    keep = np.float32(1.0) - relax
    for x in prange(rows.shape[0]):
        for y in range(rows.shape[1]):
            for z in range(rows[x, y, 0], rows[x, y, 1]):
                i, j, k = x + 1, y + 1, z + 1
                vx, vy, vz = v[0, i, j, k], v[1, i, j, k], v[2, i, j, k]
                e = (
                    (v[0, i + 1, j, k] - vx) * ix,
                    (v[1, i, j + 1, k] - vy) * iy,
                    (v[2, i, j, k + 1] - vz) * iz,
                    HALF * ((v[0, i, j + 1, k] - vx) * iy + (v[1, i + 1, j, k] - vy) * ix),
                    HALF * ((v[0, i, j, k + 1] - vx) * iz + (v[2, i + 1, j, k] - vz) * ix),
                    HALF * ((v[1, i, j, k + 1] - vy) * iz + (v[2, i, j + 1, k] - vz) * iy),
                )
                for part in range(6):
                    old = h[part, i, j, k]
                    u = _clip(old, t)
                    new = relax * e[part] + keep * (old - u) + u
                    h[part, i, j, k] = new
                    rest[part, i, j, k] = e[part] - new + TWO * _clip(new, t)


@compiled(parallel=True)
def reflected_adjoint(g: Any, v: Any, start: Any, t: Any, inverse_mm: Any, out: Any) -> None:
    """Adjoint of the gradient applied to z - u + v, over the whole frame."""
    nx, ny, nz = g.shape[1] - 1, g.shape[2] - 1, g.shape[3] - 1
    sx, sy, sz = start
    for fx in prange(out.shape[0]):
        x = fx - sx
        for fy in range(out.shape[1]):
            y = fy - sy
            row = out[fx, fy]
            row[:] = 0.0
            if 0 <= x < nx and 0 <= y < ny:
                part = row[sz : sz + nz]
                for axis in range(3):
                    bx, by, bz = x + int(axis != 0), y + int(axis != 1), int(axis != 2)
                    behind, here = g[axis, bx, by, bz : bz + nz], g[axis, x + 1, y + 1, 1 : nz + 1]
                    v_behind, v_here = v[axis, bx, by, bz : bz + nz], v[axis, x + 1, y + 1, 1 : nz + 1]
                    for z in range(nz):
                        aim = behind[z] - TWO * _clip(behind[z], t) + v_behind[z]
                        aim -= here[z] - TWO * _clip(here[z], t) + v_here[z]
                        part[z] += aim * inverse_mm[axis]
