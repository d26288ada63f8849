"""Loops of re-weighted total variation: a threshold for each voxel, layout as in `_admm_loops`."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled


@compiled
def _clip(value: Any, t: Any) -> Any:
    return min(max(value, -t), t)


@compiled
def _vector_row(here: Any, ahead: Any, row: Any, t: Any, factor: Any, keep: Any) -> None:
    for z in range(row.size):
        u = _clip(row[z], t[z])
        row[z] = factor * (ahead[z] - here[z]) + keep * (row[z] - u) + u


@compiled
def _row_change(old: Any, new: Any, t: Any) -> Any:
    change, norm = 0.0, 0.0
    for z in range(new.size):
        split = new[z] - _clip(new[z], t[z])
        change += (split - (old[z] - _clip(old[z], t[z]))) ** 2
        norm += split * split
    return change, norm


@compiled(parallel=True)
def update_vectors(chi: Any, g: Any, t: Any, rows: Any, start: Any, inverse_mm: Any, relax: Any) -> Any:
    """Gradient splitting; squared change and norm of z over every eighth row, by plane."""
    nx, ny = rows.shape[:2]
    keep = np.float32(1.0) - relax
    sums = np.zeros((nx, 2))
    for x in prange(nx):
        for y in range(ny):
            low, high = rows[x, y, 0], rows[x, y, 1]
            if low < high:
                first, last = start[2] + low, start[2] + high
                here = chi[x + start[0], y + start[1], first:last]
                limit = t[x + 1, y + 1, low + 1 : high + 1]
                for axis in range(3):
                    ax, ay, az = int(axis == 0), int(axis == 1), int(axis == 2)
                    ahead = chi[x + start[0] + ax, y + start[1] + ay, first + az : last + az]
                    row = g[axis, x + 1, y + 1, low + 1 : high + 1]
                    factor = relax * inverse_mm[axis]
                    if (x + y) % 8:
                        _vector_row(here, ahead, row, limit, factor, keep)
                    else:
                        old = row.copy()
                        _vector_row(here, ahead, row, limit, factor, keep)
                        change, norm = _row_change(old, row, limit)
                        sums[x, 0] += change
                        sums[x, 1] += norm
    return sums


@compiled(parallel=True)
def reflected_adjoint(g: Any, t: Any, start: Any, inverse_mm: Any, out: Any) -> None:
    """Adjoint of the gradient applied to z - u, over the whole frame."""
    nx, ny, nz = t.shape[0] - 1, t.shape[1] - 1, t.shape[2] - 1
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
                ax, bx, tx = g[0, x, y + 1], g[0, x + 1, y + 1], t[x, y + 1]
                ay, by, ty = g[1, x + 1, y], g[1, x + 1, y + 1], t[x + 1, y]
                gz, here = g[2, x + 1, y + 1], t[x + 1, y + 1]
                part = row[sz : sz + nz]
                for z in range(nz):
                    i = z + 1
                    h = here[i]
                    total = (ax[i] - bx[i] - two * (_clip(ax[i], tx[i]) - _clip(bx[i], h))) * ix
                    total += (ay[i] - by[i] - two * (_clip(ay[i], ty[i]) - _clip(by[i], h))) * iy
                    part[z] = total + (gz[z] - gz[i] - two * (_clip(gz[z], here[z]) - _clip(gz[i], h))) * iz


@compiled(parallel=True)
def reweigh(chi: Any, rows: Any, start: Any, shrink: Any, edge: Any, inverse_mm: Any, t: Any) -> None:
    """Thresholds: `shrink` where the map is flat, less by 1 + |grad chi| / `edge`."""
    nx, ny = rows.shape[:2]
    ix, iy, iz = inverse_mm
    sx, sy, sz = start
    for x in prange(nx):
        for y in range(ny):
            for z in range(rows[x, y, 0], rows[x, y, 1]):
                here = chi[x + sx, y + sy, z + sz]
                dx = (chi[x + sx + 1, y + sy, z + sz] - here) * ix
                dy = (chi[x + sx, y + sy + 1, z + sz] - here) * iy
                dz = (chi[x + sx, y + sy, z + sz + 1] - here) * iz
                length = np.sqrt(dx * dx + dy * dy + dz * dz)
                t[x + 1, y + 1, z + 1] = shrink * edge / (edge + length)
