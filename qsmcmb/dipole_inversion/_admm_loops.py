"""Loops of the variational solvers: one pass each, in the engine's buffers.

A splitting variable z and its scaled dual u are stored as their sum v: the proximal step gives both back, u = v - z.
For the gradient z = v - clip(v, t) is the soft threshold, so u = clip(v, t). Vectors have one guard layer of zeros at
the low side of each axis.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._dipole_loops import TINY, dipole_at
from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled
def clip(value: Any, t: Any) -> Any:
    """Limit a value to -t up to t."""
    return min(max(value, -t), t)


@compiled(parallel=True)
def multiply_dipole(spectrum: Any, tables: Any, out: Any) -> None:
    """Write the field's spectrum from the map's, or the adjoint: the kernel is real."""
    nx, ny, nz = spectrum.shape
    tx, ty, tz = tables
    for x in prange(nx):
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                out[x, y, z] = spectrum[x, y, z] * d
    # The field has no mean of its own: the kernel at k = 0 is a convention.
    out[0, 0, 0] = 0.0


@compiled(parallel=True)
def copy(source: Any, out: Any) -> None:
    """Copy a volume, on all threads."""
    nx, ny, _ = source.shape
    for x in prange(nx):
        for y in range(ny):
            out[x, y] = source[x, y]


@compiled(parallel=True)
def solve_normal(spectrum: Any, data_k: Any, tables: Any, mu_data: Any, mu_gradient: Any, scale: Any) -> None:
    """Solve the normal equations: the map's spectrum, times `scale`, into `spectrum`, its field's into `data_k`."""
    nx, ny, nz = spectrum.shape
    tx, ty, tz = tables
    for x in prange(nx):
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            across = tx[3, x] + ty[3, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                # On the cone D is 0, and the gradient's symbol alone divides: it is 0 only at k = 0.
                divisor = mu_data * d * d + mu_gradient * (across + tz[3, z])
                factor = scale / max(divisor, TINY)
                # `spectrum` holds the adjoint of the gradient's aim, `data_k` D times the data's: both enter with
                # their penalty.
                value = (mu_gradient * spectrum[x, y, z] + mu_data * data_k[x, y, z]) * factor
                spectrum[x, y, z] = value
                data_k[x, y, z] = value * d
    spectrum[0, 0, 0] = 0.0
    data_k[0, 0, 0] = 0.0


@compiled
def _vector_row(here: Any, ahead: Any, row: Any, t: Any, inverse_mm: Any, relax: Any) -> None:
    """Update one row of the gradient's sum v from the map's row and the one ahead, over-relaxed."""
    keep = np.float32(1.0) - relax
    factor = relax * inverse_mm
    for z in range(row.size):
        # The dual u is what the soft threshold takes away, so z = row - u needs no volume.
        u = clip(row[z], t)
        # Over-relaxed: relax times the gradient and the rest of the old z, plus the dual.
        row[z] = factor * (ahead[z] - here[z]) + keep * (row[z] - u) + u


@compiled
def add_change(old: Any, new: Any, t: Any, change: Any) -> None:
    """Add the squared change of a row's z to sums by voxel: one sum would keep the loop scalar."""
    for z in range(new.size):
        # Change of z between iterations: it vanishes at the solution, unlike the sum's.
        moved = new[z] - clip(new[z], t) - (old[z] - clip(old[z], t))
        change[z] += moved * moved


@compiled
def add_norm(new: Any, t: Any, norm: Any) -> None:
    """Add the square of a row's z to sums by voxel."""
    for z in range(new.size):
        split = new[z] - clip(new[z], t)
        norm[z] += split * split


@compiled
def add_squares(row: Any, norm: Any) -> None:
    """Add the square of the row itself to sums by voxel."""
    for z in range(row.size):
        norm[z] += row[z] * row[z]


@compiled(parallel=True)
def update_vectors(chi: Any, g: Any, rows: Any, start: Any, t: Any, inverse_mm: Any, relax: Any) -> Any:
    """Update the gradient splitting; return squared change and norm of z by plane, so that sums do not depend on
    threads.

    Every eighth row is summed.
    """
    nx, ny = rows.shape[:2]
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
                ahead = chi[x + start[0] + ax, y + start[1] + ay, first + az : last + az]
                row = g[axis, x + 1, y + 1, low + 1 : high + 1]
                # Rows of a diagonal pattern: a regular sample of the box at an eighth of the cost.
                if (x + y) % 8:
                    _vector_row(here, ahead, row, t, inverse_mm[axis], relax)
                else:
                    old[:length] = row
                    _vector_row(here, ahead, row, t, inverse_mm[axis], relax)
                    add_change(old[:length], row, t, sums[0])
                    add_norm(row, t, sums[1])
        totals[x, 0], totals[x, 1] = sums[0].sum(), sums[1].sum()
    return totals


@compiled(parallel=True)
def reflected_adjoint(g: Any, start: Any, t: Any, inverse_mm: Any, out: Any) -> None:
    """Write the adjoint of the gradient applied to z - u, over the whole frame."""
    nx, ny, nz = g.shape[1] - 1, g.shape[2] - 1, g.shape[3] - 1
    ix, iy, iz = inverse_mm
    sx, sy, sz = start
    two = np.float32(2.0)
    for fx in prange(out.shape[0]):
        x = fx - sx
        for fy in range(out.shape[1]):
            y = fy - sy
            row = out[fx, fy]
            # Beside the box z - u is 0: there the penalty is quadratic.
            row[:] = 0.0
            if 0 <= x < nx and 0 <= y < ny:
                ax, bx = g[0, x, y + 1], g[0, x + 1, y + 1]
                ay, by = g[1, x + 1, y], g[1, x + 1, y + 1]
                gz = g[2, x + 1, y + 1]
                part = row[sz : sz + nz]
                for z in range(nz):
                    i = z + 1
                    # z - u is v - 2 clip(v, t); its adjoint gradient is the backward difference, negative.
                    total = (ax[i] - bx[i] - two * (clip(ax[i], t) - clip(bx[i], t))) * ix
                    total += (ay[i] - by[i] - two * (clip(ay[i], t) - clip(by[i], t))) * iy
                    total += (gz[z] - gz[i] - two * (clip(gz[z], t) - clip(gz[i], t))) * iz
                    part[z] = total


@compiled(parallel=True)
def update_data(field: Any, weight2: Any, v: Any, start: Any, mu: Any, relax: Any, real: Any) -> None:
    """Turn the map's field in `real` into what the next solve aims at, z - u, for the squared data term."""
    nx, ny, nz = field.shape
    keep = np.float32(1.0) - relax
    two = np.float32(2.0)
    for x in prange(nx):
        for y in range(ny):
            r = real[x + start[0], y + start[1], start[2] : start[2] + nz]
            f, w2, row = field[x, y], weight2[x, y], v[x, y]
            for z in range(nz):
                w = w2[z]
                # Without weight the splitting follows the model: r stays as it is.
                if w > 0:
                    factor = np.float32(1.0) / (w + mu)
                    # The proximal step of w (z - f)^2 / 2: a mean of datum and sum.
                    old = (w * f[z] + mu * row[z]) * factor
                    new = relax * r[z] + keep * old + row[z] - old
                    row[z] = new
                    # z - u = 2 z - v.
                    r[z] = two * (w * f[z] + mu * new) * factor - new
