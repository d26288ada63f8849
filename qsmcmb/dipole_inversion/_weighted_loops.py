"""Loops of total variation whose shrinking threshold differs from voxel to voxel; layout as in `_admm_loops`.

The threshold is `shrink` times `weights`, of shape (1 or 3, x, y, z): one weight for all axes, or one for each. Bytes
serve where it is all or nothing.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled


@compiled
def _clip(value: Any, t: Any) -> Any:
    return min(max(value, -t), t)


@compiled
def _vector_row(here: Any, ahead: Any, row: Any, w: Any, shrink: Any, factor: Any, keep: Any) -> None:
    for z in range(row.size):
        u = _clip(row[z], shrink * np.float32(w[z]))
        row[z] = factor * (ahead[z] - here[z]) + keep * (row[z] - u) + u


@compiled
def _row_change(old: Any, new: Any, w: Any, shrink: Any) -> Any:
    change, norm = 0.0, 0.0
    for z in range(new.size):
        t = shrink * np.float32(w[z])
        split = new[z] - _clip(new[z], t)
        change += (split - (old[z] - _clip(old[z], t))) ** 2
        norm += split * split
    return change, norm


@compiled(parallel=True)
def update_vectors(
    chi: Any, g: Any, weights: Any, rows: Any, start: Any, shrink: Any, inverse_mm: Any, relax: Any
) -> Any:
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
                for axis in range(3):
                    ax, ay, az = int(axis == 0), int(axis == 1), int(axis == 2)
                    ahead = chi[x + start[0] + ax, y + start[1] + ay, first + az : last + az]
                    row = g[axis, x + 1, y + 1, low + 1 : high + 1]
                    w = weights[axis % weights.shape[0], x + 1, y + 1, low + 1 : high + 1]
                    factor = relax * inverse_mm[axis]
                    if (x + y) % 8:
                        _vector_row(here, ahead, row, w, shrink, factor, keep)
                    else:
                        old = row.copy()
                        _vector_row(here, ahead, row, w, shrink, factor, keep)
                        change, norm = _row_change(old, row, w, shrink)
                        sums[x, 0] += change
                        sums[x, 1] += norm
    return sums


@compiled
def _reflected(value: Any, w: Any, shrink: Any) -> Any:
    """Return z - u of a kept sum."""
    return value - np.float32(2.0) * _clip(value, shrink * np.float32(w))


@compiled(parallel=True)
def reflected_adjoint(g: Any, weights: Any, start: Any, shrink: Any, inverse_mm: Any, out: Any) -> None:
    """Adjoint of the gradient applied to z - u, over the whole frame."""
    nx, ny, nz = g.shape[1] - 1, g.shape[2] - 1, g.shape[3] - 1
    ix, iy, iz = inverse_mm
    sx, sy, sz = start
    wx, wy, wz = weights[0], weights[1 % weights.shape[0]], weights[2 % weights.shape[0]]
    for fx in prange(out.shape[0]):
        x = fx - sx
        for fy in range(out.shape[1]):
            y = fy - sy
            row = out[fx, fy]
            row[:] = 0.0
            if 0 <= x < nx and 0 <= y < ny:
                ax, bx, low_x, high_x = g[0, x, y + 1], g[0, x + 1, y + 1], wx[x, y + 1], wx[x + 1, y + 1]
                ay, by, low_y, high_y = g[1, x + 1, y], g[1, x + 1, y + 1], wy[x + 1, y], wy[x + 1, y + 1]
                gz, w = g[2, x + 1, y + 1], wz[x + 1, y + 1]
                part = row[sz : sz + nz]
                for z in range(nz):
                    i = z + 1
                    total = (_reflected(ax[i], low_x[i], shrink) - _reflected(bx[i], high_x[i], shrink)) * ix
                    total += (_reflected(ay[i], low_y[i], shrink) - _reflected(by[i], high_y[i], shrink)) * iy
                    part[z] = total + (_reflected(gz[z], w[z], shrink) - _reflected(gz[i], w[i], shrink)) * iz
