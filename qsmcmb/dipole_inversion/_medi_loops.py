"""Loops of MEDI: a gradient splitting that leaves edges free, and a model with a k-space filter.

Layout and meaning of the volumes are those of `_admm_loops`; bit 0, 1, 2 of `edges` frees the difference along
x, y, z, and the shrinking threshold is 0 there.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._dipole_loops import TINY
from qsmcmb.core.compiled import compiled


@compiled
def _clip(value: Any, t: Any, edge: Any, axis: Any) -> Any:
    limit = t * np.float32(1 - ((edge >> axis) & 1))
    return min(max(value, -limit), limit)


@compiled
def _vector_row(
    here: Any, ahead: Any, row: Any, edge: Any, axis: Any, t: Any, factor: Any, keep: Any
) -> None:
    for z in range(row.size):
        u = _clip(row[z], t, edge[z], axis)
        row[z] = factor * (ahead[z] - here[z]) + keep * (row[z] - u) + u


@compiled
def _row_change(old: Any, new: Any, edge: Any, axis: Any, t: Any) -> Any:
    change, norm = 0.0, 0.0
    for z in range(new.size):
        split = new[z] - _clip(new[z], t, edge[z], axis)
        change += (split - (old[z] - _clip(old[z], t, edge[z], axis))) ** 2
        norm += split * split
    return change, norm


@compiled(parallel=True)
def update_vectors(
    chi: Any, g: Any, edges: Any, rows: Any, start: Any, t: Any, inverse_mm: Any, relax: Any
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
                edge = edges[x + 1, y + 1, low + 1 : high + 1]
                for axis in range(3):
                    ax, ay, az = int(axis == 0), int(axis == 1), int(axis == 2)
                    ahead = chi[x + start[0] + ax, y + start[1] + ay, first + az : last + az]
                    row = g[axis, x + 1, y + 1, low + 1 : high + 1]
                    factor = relax * inverse_mm[axis]
                    if (x + y) % 8:
                        _vector_row(here, ahead, row, edge, axis, t, factor, keep)
                    else:
                        old = row.copy()
                        _vector_row(here, ahead, row, edge, axis, t, factor, keep)
                        change, norm = _row_change(old, row, edge, axis, t)
                        sums[x, 0] += change
                        sums[x, 1] += norm
    return sums


@compiled(parallel=True)
def reflected_adjoint(g: Any, edges: Any, start: Any, t: Any, inverse_mm: Any, out: Any) -> None:
    """Adjoint of the gradient applied to z - u, over the whole frame."""
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
                ax, bx, ex = g[0, x, y + 1], g[0, x + 1, y + 1], edges[x, y + 1]
                ay, by, ey = g[1, x + 1, y], g[1, x + 1, y + 1], edges[x + 1, y]
                gz, e = g[2, x + 1, y + 1], edges[x + 1, y + 1]
                part = row[sz : sz + nz]
                for z in range(nz):
                    i = z + 1
                    clipped = _clip(ax[i], t, ex[i], 0) - _clip(bx[i], t, e[i], 0)
                    total = (ax[i] - bx[i] - two * clipped) * ix
                    clipped = _clip(ay[i], t, ey[i], 1) - _clip(by[i], t, e[i], 1)
                    total += (ay[i] - by[i] - two * clipped) * iy
                    clipped = _clip(gz[z], t, e[z], 2) - _clip(gz[i], t, e[i], 2)
                    part[z] = total + (gz[z] - gz[i] - two * clipped) * iz


@compiled(parallel=True)
def multiply(spectrum: Any, kernel: Any, out: Any) -> None:
    nx, ny, nz = spectrum.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                out[x, y, z] = spectrum[x, y, z] * kernel[x, y, z]


@compiled(parallel=True)
def solve(
    spectrum: Any, data_k: Any, kernel: Any, tables: Any, mu_data: Any, mu_gradient: Any, scale: Any
) -> None:
    """Normal equations: the map's spectrum, times `scale`, into `spectrum`, its field's into `data_k`."""
    nx, ny, nz = spectrum.shape
    tx, ty, tz = tables
    for x in prange(nx):
        for y in range(ny):
            across = tx[3, x] + ty[3, y]
            for z in range(nz):
                d = kernel[x, y, z]
                divisor = mu_data * d * d + mu_gradient * (across + tz[3, z])
                value = mu_gradient * spectrum[x, y, z] + mu_data * data_k[x, y, z]
                value *= scale / max(divisor, TINY)
                spectrum[x, y, z] = value
                data_k[x, y, z] = value * d
    spectrum[0, 0, 0] = 0.0
    data_k[0, 0, 0] = 0.0
