"""Loops of the streak estimate: a weighted Laplacian in image space, conjugate gradients in the cone of k-space."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._dipole_loops import TINY, dipole_at
from qsmcmb.core.compiled import compiled


@compiled
def _across_row(rows: Any, flat: Any, behind_flat: Any, bit: Any, weight: Any, out: Any) -> None:
    """Add the second difference across rows: `rows` are this one, the one ahead and the one behind."""
    here, ahead, behind = rows
    zero = np.float32(0)
    for z in range(out.size):
        gain = (here[z] - behind[z]) * weight if behind_flat[z] & bit else zero
        out[z] += gain - ((ahead[z] - here[z]) * weight if flat[z] & bit else zero)


@compiled
def _along_row(here: Any, flat: Any, weight: Any, steps: Any, out: Any) -> None:
    """Set the second difference along the row; `steps` has one place more, 0 at both ends."""
    ahead, inner = here[1:], steps[1:-1]
    for z in range(inner.size):
        inner[z] = (ahead[z] - here[z]) * weight if flat[z] & 4 else np.float32(0)
    low, high = steps[:-1], steps[1:]
    for z in range(out.size):
        out[z] = low[z] - high[z]


@compiled(parallel=True)
def flat_differences(v: Any, flat: Any, weights: Any, out: Any) -> Any:
    """Gradient, kept where its bit is set, and its adjoint; return by plane the weighted sum of its squares.

    No bit is set where there is no voxel ahead.
    """
    nx, ny, nz = v.shape
    wx, wy, wz = weights
    sums = np.zeros(nx)
    for x in prange(nx):
        parts, steps, none = np.zeros(nz), np.zeros(nz + 1, np.float32), np.zeros(nz, np.uint8)
        for y in range(ny):
            here, bits, row = v[x, y], flat[x, y], out[x, y]
            _along_row(here, bits, wz, steps, row)
            rows = (here, v[min(x + 1, nx - 1), y], v[max(x - 1, 0), y])
            _across_row(rows, bits, flat[x - 1, y] if x > 0 else none, 1, wx, row)
            rows = (here, v[x, min(y + 1, ny - 1)], v[x, max(y - 1, 0)])
            _across_row(rows, bits, flat[x, y - 1] if y > 0 else none, 2, wy, row)
            for z in range(nz):
                parts[z] += here[z] * row[z]
        sums[x] = parts.sum()
    return sums


@compiled(parallel=True)
def shrink_residual(tables: Any, edge: Any, even: Any, length: Any, spectrum: Any, cg: Any) -> Any:
    """Take `length` times the product in `spectrum` from the residual; return by plane residual over S, squared.

    `cg` holds residual, direction and solution, 0 outside the cone |D| < `edge`; the solution goes on by `length`.
    """
    tx, ty, tz = tables
    residual, way, found = cg
    nx, ny, nz = spectrum.shape
    sums = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            s = tx[3, x] + ty[3, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                inside = np.float32(1) if abs(d) < edge else np.float32(0)
                factor = np.float32(1) / max(s + tz[3, z], TINY)
                found[x, y, z] += length * way[x, y, z]
                r = inside * (residual[x, y, z] - length * spectrum[x, y, z])
                residual[x, y, z] = r
                parts[z] += factor * (r.real * r.real + r.imag * r.imag)
        total = 2.0 * parts.sum() - parts[0]
        sums[x] = total - parts[-1] if even else total
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
                inverse = np.float32(1) / max(s + tz[3, z], TINY)
                new = residual[x, y, z] * inverse + keep * way[x, y, z]
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
