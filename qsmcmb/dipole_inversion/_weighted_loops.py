"""Loops of total variation whose shrinking threshold differs from voxel to voxel; layout as in `_admm_loops`.

The threshold is `shrink` times `weights`, of shape (1 or 3, x, y, z): one weight for all axes, or one for each. Bytes
serve where it is all or nothing.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled
from qsmcmb.dipole_inversion._admm_loops import clip

__all__: tuple[str, ...] = ()


@compiled
def _vector_row(here: Any, ahead: Any, row: Any, w: Any, shrink: Any, factor: Any, keep: Any) -> None:
    """Update one row of the gradient's sum from the map's row and the one ahead, with a threshold by voxel."""
    for z in range(row.size):
        # Weights may be bytes: 0 or 1.
        u = clip(row[z], shrink * np.float32(w[z]))
        row[z] = factor * (ahead[z] - here[z]) + keep * (row[z] - u) + u


@compiled
def _add_change(old: Any, new: Any, w: Any, shrink: Any, change: Any, norm: Any) -> None:
    """Add the squared change and the square of a row's z to sums by voxel."""
    for z in range(new.size):
        t = shrink * np.float32(w[z])
        split = new[z] - clip(new[z], t)
        moved = split - (old[z] - clip(old[z], t))
        change[z] += moved * moved
        norm[z] += split * split


@compiled(parallel=True)
def update_vectors(
    chi: Any, g: Any, weights: Any, rows: Any, start: Any, shrink: Any, inverse_mm: Any, relax: Any
) -> Any:
    """Update the gradient splitting; return squared change and norm of z over every eighth row, by plane."""
    nx, ny = rows.shape[:2]
    keep = np.float32(1.0) - relax
    totals = np.zeros((nx, 2))
    for x in prange(nx):
        old, sums = np.empty(g.shape[3], np.float32), np.zeros((2, g.shape[3]))
        for y in range(ny):
            low, high = rows[x, y, 0], rows[x, y, 1]
            if low >= high:
                continue
            first, last, length = start[2] + low, start[2] + high, high - low
            here = chi[x + start[0], y + start[1], first:last]
            for axis in range(3):
                ax, ay, az = int(axis == 0), int(axis == 1), int(axis == 2)
                # Once a row: the relaxed gradient is one product a voxel.
                factor = relax * inverse_mm[axis]
                ahead = chi[x + start[0] + ax, y + start[1] + ay, first + az : last + az]
                row = g[axis, x + 1, y + 1, low + 1 : high + 1]
                # With one volume of weights all axes read it.
                w = weights[axis % weights.shape[0], x + 1, y + 1, low + 1 : high + 1]
                if (x + y) % 8:
                    _vector_row(here, ahead, row, w, shrink, factor, keep)
                else:
                    old[:length] = row
                    _vector_row(here, ahead, row, w, shrink, factor, keep)
                    _add_change(old[:length], row, w, shrink, sums[0], sums[1])
        totals[x, 0], totals[x, 1] = sums[0].sum(), sums[1].sum()
    return totals


@compiled
def _reflected(value: Any, w: Any, shrink: Any) -> Any:
    """Return z - u of a stored sum."""
    return value - np.float32(2.0) * clip(value, shrink * np.float32(w))


@compiled(parallel=True)
def reflected_adjoint(g: Any, weights: Any, start: Any, shrink: Any, inverse_mm: Any, out: Any) -> None:
    """Write the adjoint of the gradient applied to z - u, over the whole frame."""
    nx, ny, nz = g.shape[1] - 1, g.shape[2] - 1, g.shape[3] - 1
    ix, iy, iz = inverse_mm
    sx, sy, sz = start
    # The same: without copies of one volume of weights.
    wx, wy, wz = weights[0], weights[1 % weights.shape[0]], weights[2 % weights.shape[0]]
    for fx in prange(out.shape[0]):
        x = fx - sx
        for fy in range(out.shape[1]):
            y = fy - sy
            row = out[fx, fy]
            # Beside the box z - u is 0: there the penalty is quadratic.
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
