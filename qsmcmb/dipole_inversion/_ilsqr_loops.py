"""Loops of the streak estimate: a weighted Laplacian in image space, conjugate gradients in the cone of k-space."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._dipole_loops import TINY, dipole_at
from qsmcmb.core.compiled import compiled


@compiled(parallel=True)
def flat_differences(v: Any, flat: Any, weights: Any, out: Any) -> Any:
    """Gradient, kept where its bit is set, and its adjoint; return by plane the weighted sum of its squares."""
    nx, ny, nz = v.shape
    wx, wy, wz = weights
    sums = np.zeros(nx)
    zero = np.float32(0)
    for x in prange(nx):
        energy = 0.0
        for y in range(ny):
            for z in range(nz):
                here, bits = v[x, y, z], flat[x, y, z]
                gx = (v[x + 1, y, z] - here) * wx if bits & 1 else zero
                gy = (v[x, y + 1, z] - here) * wy if bits & 2 else zero
                gz = (v[x, y, z + 1] - here) * wz if bits & 4 else zero
                energy -= here * (gx + gy + gz)
                total = -gx - gy - gz
                if x > 0 and flat[x - 1, y, z] & 1:
                    total += (here - v[x - 1, y, z]) * wx
                if y > 0 and flat[x, y - 1, z] & 2:
                    total += (here - v[x, y - 1, z]) * wy
                if z > 0 and flat[x, y, z - 1] & 4:
                    total += (here - v[x, y, z - 1]) * wz
                out[x, y, z] = total
                energy += here * (total + gx + gy + gz)
        sums[x] = energy
    return sums


@compiled(parallel=True)
def shrink_residual(tables: Any, edge: Any, even: Any, length: Any, spectrum: Any, cg: Any) -> Any:
    """Take `length` times the product in `spectrum` from the residual; return by plane residual over S, squared.

    `cg` holds residual, direction and solution, of the cone |D| < `edge`; the solution goes on by `length`.
    """
    tx, ty, tz = tables
    residual, way, found = cg
    nx, ny, nz = spectrum.shape
    sums = np.zeros(nx)
    for x in prange(nx):
        total = 0.0
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            s = tx[3, x] + ty[3, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                if abs(d) < edge:
                    found[x, y, z] += length * way[x, y, z]
                    r = residual[x, y, z] - length * spectrum[x, y, z]
                    residual[x, y, z] = r
                    once = z == 0 or (even and z == nz - 1)
                    part = (r.real * r.real + r.imag * r.imag) / max(s + tz[3, z], TINY)
                    total += part if once else np.float32(2) * part
        sums[x] = total
    return sums


@compiled(parallel=True)
def turn_direction(tables: Any, keep: Any, scale: Any, spectrum: Any, cg: Any) -> None:
    """New direction, and times `scale` into `spectrum`; both are 0 where the residual is, outside the cone."""
    tx, ty, tz = tables
    residual, way, _ = cg
    nx, ny, nz = spectrum.shape
    for x in prange(nx):
        for y in range(ny):
            s = tx[3, x] + ty[3, y]
            for z in range(nz):
                new = residual[x, y, z] / max(s + tz[3, z], TINY) + keep * way[x, y, z]
                way[x, y, z] = new
                spectrum[x, y, z] = scale * new


@compiled(parallel=True)
def subtract_inside(chi: Any, streaks: Any, mask: Any, scale: Any, out: Any) -> None:
    nx, ny, nz = out.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                inside = mask[x, y, z]
                out[x, y, z] = chi[x, y, z] - scale * streaks[x, y, z] if inside else np.float32(0)
