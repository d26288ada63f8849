"""Loops of second-order total generalised variation, layout as in `_admm_loops`.

`v` is the vector field that the map's gradient may follow for free, with its guard layer at both sides of each
axis: voxel (x, y, z) of the box is [x + 1, y + 1, z + 1]. Its symmetrised gradient has six components: xx, yy, zz,
and half the sums of xy, xz, yz, which count twice.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled
from qsmcmb.dipole_inversion._admm_loops import add_change, add_squares, clip
from qsmcmb.dipole_inversion._tgv_loops import AXES, TENSOR

__all__: tuple[str, ...] = ()

HALF = np.float32(0.5)
"""Number 1/2 in float32, so that no sum becomes float64."""
TWO = np.float32(2.0)
"""Number 2 in float32, for the same reason."""


@compiled
def _differences(here: Any, ahead: Any, inverse_mm: Any, out: Any) -> None:
    """Write the differences of two rows, per mm."""
    for z in range(out.size):
        out[z] = (ahead[z] - here[z]) * inverse_mm


@compiled
def _mixed_differences(ends: Any, others: Any, inverse_mm: Any, other_mm: Any, out: Any) -> None:
    """Write half the sum of two components' differences, per mm."""
    (here, ahead), (there, beyond) = ends, others
    for z in range(out.size):
        out[z] = HALF * ((ahead[z] - here[z]) * inverse_mm + (beyond[z] - there[z]) * other_mm)


@compiled
def _divergence(along_x: Any, along_y: Any, along_z: Any, inverse_mm: Any, out: Any) -> None:
    """Write the adjoint of the symmetrised gradient for one component of v: each pair is the row behind and the row
    itself.
    """
    (x0, x1), (y0, y1), (z0, z1) = along_x, along_y, along_z
    ix, iy, iz = inverse_mm
    for z in range(out.size):
        out[z] = (x0[z] - x1[z]) * ix + (y0[z] - y1[z]) * iy + (z0[z] - z1[z]) * iz


@compiled
def _first_row(slope: Any, pull: Any, g: Any, v: Any, scale: Any) -> None:
    """Take the step of v and of the splitting of slope - v in one row."""
    t, step, ratio, relax = scale
    keep = np.float32(1.0) - relax
    for z in range(g.size):
        old = g[z]
        # As for total variation: the stored sum holds variable and dual.
        u = clip(old, t)
        # One step of gradient descent, preconditioned by the bound of both operators' norms.
        vector = v[z] - step * (v[z] - slope[z] + old - TWO * u + ratio * pull[z])
        v[z], g[z] = vector, relax * (slope[z] - vector) + keep * (old - u) + u


@compiled(parallel=True)
def update_first(
    chi: Any, g: Any, v: Any, rest: Any, rows: Any, start: Any, scale: Any, inverse_mm: Any
) -> Any:
    """Move v down the slope of both splittings, then the one of grad chi - v; return squared change and norm by plane.

    The change of the split gradient, the norm of the map's, over every eighth row. `rest` is the symmetrised gradient
    of v less what its splitting aims at; `scale` holds the threshold, the step, the second penalty over the first and
    the relaxation. One axis after the other: few long streams come faster than many short ones.
    """
    nx, ny = rows.shape[:2]
    totals = np.zeros((nx, 2))
    for x in prange(nx):
        lines, sums = np.empty((3, g.shape[3]), np.float32), np.zeros((2, g.shape[3]))
        for axis in range(3):
            ax, ay, az = int(axis == 0), int(axis == 1), int(axis == 2)
            # Components off the diagonal stand for two halves.
            rx, ry, rz = rest[TENSOR[axis][0]], rest[TENSOR[axis][1]], rest[TENSOR[axis][2]]
            for y in range(ny):
                low, high = rows[x, y, 0], rows[x, y, 1]
                if low >= high:
                    continue
                a, b, i, j = low + 1, high + 1, x + 1, y + 1
                first, last = start[2] + low, start[2] + high
                here = chi[x + start[0], y + start[1], first:last]
                ahead = chi[x + start[0] + ax, y + start[1] + ay, first + az : last + az]
                slope, pull, old = lines[0, : b - a], lines[1, : b - a], lines[2, : b - a]
                along_x = rx[i - 1, j, a:b], rx[i, j, a:b]
                along_y = ry[i, j - 1, a:b], ry[i, j, a:b]
                along_z = rz[i, j, a - 1 : b - 1], rz[i, j, a:b]
                _differences(here, ahead, inverse_mm[axis], slope)
                _divergence(along_x, along_y, along_z, inverse_mm, pull)
                row = g[axis, i, j, a:b]
                if (x + y) % 8:
                    _first_row(slope, pull, row, v[axis, i, j, a:b], scale)
                else:
                    # Only rows that are sampled need their old values.
                    old[:] = row
                    _first_row(slope, pull, row, v[axis, i, j, a:b], scale)
                    add_change(old, row, scale[0], sums[0])
                    add_squares(slope, sums[1])
        totals[x, 0], totals[x, 1] = sums[0].sum(), sums[1].sum()
    return totals


@compiled
def _second_row(e: Any, h: Any, rest: Any, t: Any, relax: Any) -> None:
    """Take the step of the splitting of the symmetrised gradient in one row; leave what the next step of v needs."""
    keep = np.float32(1.0) - relax
    for z in range(e.size):
        u = clip(h[z], t)
        # Over-relaxed as the first order is.
        new = relax * e[z] + keep * (h[z] - u) + u
        h[z] = new
        # E v - (z - u): what the next step of v moves against.
        rest[z] = e[z] - new + TWO * clip(new, t)


@compiled(parallel=True)
def update_second(v: Any, h: Any, rest: Any, rows: Any, t: Any, inverse_mm: Any, relax: Any) -> None:
    """Update the splitting of the symmetrised gradient of v; leave in `rest` what the next step of v needs."""
    for x in prange(rows.shape[0]):
        line = np.empty(v.shape[3], np.float32)
        for part in range(6):
            # Component p differentiated along q, and q along p.
            p, q = AXES[part]
            px, py, pz = int(q == 0), int(q == 1), int(q == 2)
            for y in range(rows.shape[1]):
                low, high = rows[x, y, 0], rows[x, y, 1]
                if low >= high:
                    continue
                a, b, i, j = low + 1, high + 1, x + 1, y + 1
                e = line[: b - a]
                # A forward difference, as the map's gradient is.
                here, ahead = v[p, i, j, a:b], v[p, i + px, j + py, a + pz : b + pz]
                if p == q:
                    _differences(here, ahead, inverse_mm[q], e)
                else:
                    qx, qy, qz = int(p == 0), int(p == 1), int(p == 2)
                    others = v[q, i, j, a:b], v[q, i + qx, j + qy, a + qz : b + qz]
                    _mixed_differences((here, ahead), others, inverse_mm[q], inverse_mm[p], e)
                _second_row(e, h[part, i, j, a:b], rest[part, i, j, a:b], t, relax)


@compiled(parallel=True)
def reflected_adjoint(g: Any, v: Any, start: Any, t: Any, inverse_mm: Any, out: Any) -> None:
    """Write the adjoint of the gradient applied to z - u + v, over the whole frame."""
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
                        # The map's gradient is to be z - u + v.
                        aim = behind[z] - TWO * clip(behind[z], t) + v_behind[z]
                        aim -= here[z] - TWO * clip(here[z], t) + v_here[z]
                        part[z] += aim * inverse_mm[axis]
