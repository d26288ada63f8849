"""Loops of Huber-regularised total variation; layout as in `_admm_loops`.

Of the sum v of a splitting variable z and its dual u, u = s v with one factor s from 0 to 1 for the three components of
a voxel's gradient: the proximal step of the Huber function, which does not depend on direction. The factors are stored.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled
from qsmcmb.dipole_inversion._admm_loops import clip

__all__: tuple[str, ...] = ()

TINY = np.float32(1e-20)
"""Smallest length of a gradient that is divided by, unit of the gradient."""
ONE, TWO = np.float32(1.0), np.float32(2.0)
"""Numbers 1 and 2 in float32, so that no product becomes float64."""


@compiled
def _component(here: Any, ahead: Any, row: Any, factors: Any, factor: Any, keep: Any) -> None:
    """Update one component of a row's sum v from the map's row and the one ahead, over-relaxed."""
    for z in range(row.size):
        u = factors[z] * row[z]
        row[z] = factor * (ahead[z] - here[z]) + keep * (row[z] - u) + u


@compiled
def _factors(v: Any, weights: Any, thresholds: Any, factors: Any) -> None:
    """Write the share s of each sum that is dual: t / (t + knee) up to the knee, t / |v| beyond."""
    shrink, knee = thresholds
    for z in range(factors.size):
        t = shrink * weights[z]
        length = np.sqrt(v[0][z] * v[0][z] + v[1][z] * v[1][z] + v[2][z] * v[2][z])
        factors[z] = min(t / (t + knee), t / max(length, TINY))


@compiled
def _add_sums(old: Any, new: Any, was: Any, factors: Any, sums: Any) -> None:
    """Add the squared change and the square of one component's z to sums by voxel."""
    for z in range(new.size):
        split = (ONE - factors[z]) * new[z]
        moved = split - (ONE - was[z]) * old[z]
        sums[0, z] += moved * moved
        sums[1, z] += split * split


@compiled(parallel=True)
def update_vectors(
    chi: Any, g: Any, held: Any, rows: Any, start: Any, thresholds: Any, inverse_mm: Any, relax: Any
) -> Any:
    """Update the gradient splitting; return squared change and norm of z over every eighth row, by plane."""
    weights, factors = held
    nx, ny = rows.shape[:2]
    keep = ONE - relax
    totals = np.zeros((nx, 2))
    for x in prange(nx):
        sums = np.zeros((2, g.shape[3]))
        old = np.empty((3, g.shape[3]), np.float32)
        was = np.empty(g.shape[3], np.float32)
        for y in range(ny):
            low, high = rows[x, y, 0], rows[x, y, 1]
            if low >= high:
                continue
            first, last, length = start[2] + low, start[2] + high, high - low
            here = chi[x + start[0], y + start[1], first:last]
            v = g[:, x + 1, y + 1, low + 1 : high + 1]
            shares = factors[x + 1, y + 1, low + 1 : high + 1]
            # Rows of a diagonal pattern: a regular sample of the box at an eighth of the cost.
            sampled = (x + y) % 8 == 0
            if sampled:
                old[:, :length] = v
                was[:length] = shares
            for axis in range(3):
                ax, ay, az = int(axis == 0), int(axis == 1), int(axis == 2)
                ahead = chi[x + start[0] + ax, y + start[1] + ay, first + az : last + az]
                _component(here, ahead, v[axis], shares, relax * inverse_mm[axis], keep)
            _factors(v, weights[0, x + 1, y + 1, low + 1 : high + 1], thresholds, shares)
            if sampled:
                for axis in range(3):
                    _add_sums(old[axis, :length], v[axis], was[:length], shares, sums)
        totals[x, 0], totals[x, 1] = sums[0].sum(), sums[1].sum()
    return totals


@compiled(parallel=True)
def reflected_adjoint(g: Any, factors: Any, start: Any, inverse_mm: Any, out: Any) -> None:
    """Write the adjoint of the gradient applied to z - u, over the whole frame."""
    nx, ny, nz = g.shape[1] - 1, g.shape[2] - 1, g.shape[3] - 1
    ix, iy, iz = inverse_mm
    sx, sy, sz = start
    for fx in prange(out.shape[0]):
        x = fx - sx
        for fy in range(out.shape[1]):
            y = fy - sy
            row = out[fx, fy]
            # Beside the box z - u is 0: there the penalty is quadratic.
            row[:] = 0.0
            if 0 <= x < nx and 0 <= y < ny:
                ax, bx, low_x = g[0, x, y + 1], g[0, x + 1, y + 1], factors[x, y + 1]
                ay, by, low_y = g[1, x + 1, y], g[1, x + 1, y + 1], factors[x + 1, y]
                gz, s = g[2, x + 1, y + 1], factors[x + 1, y + 1]
                part = row[sz : sz + nz]
                for z in range(nz):
                    i = z + 1
                    # z - u is (1 - 2 s) v; its adjoint gradient is the backward difference, negative.
                    own = ONE - TWO * s[i]
                    total = ((ONE - TWO * low_x[i]) * ax[i] - own * bx[i]) * ix
                    total += ((ONE - TWO * low_y[i]) * ay[i] - own * by[i]) * iy
                    part[z] = total + ((ONE - TWO * s[z]) * gz[z] - own * gz[i]) * iz


@compiled(parallel=True)
def add_residual(field: Any, weight2: Any, start: Any, limit: Any, real: Any, aim: Any) -> None:
    """Add what the map's field in `real` leaves of the field to the data term's aim, where there are data.

    No more than `limit` over the weight: a larger residual is an error of the field, beside a void or a wrap.
    """
    nx, ny, nz = field.shape
    for x in prange(nx):
        for y in range(ny):
            model = real[x + start[0], y + start[1], start[2] : start[2] + nz]
            for z in range(nz):
                if weight2[x, y, z] > 0:
                    most = limit / np.sqrt(weight2[x, y, z])
                    aim[x, y, z] += clip(field[x, y, z] - model[z], most)
