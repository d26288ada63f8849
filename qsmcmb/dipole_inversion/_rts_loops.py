"""Loops of the rapid two-step method: conjugate gradients whose vectors stay in k-space, and the second step's solve.

The normal operator is D F w F^-1 D: with the kernel and the preconditioner in k-space an iteration is one
transform pair.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._dipole_loops import dipole_at
from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

PRECONDITIONER = np.float32(0.02)
"""Number added to D^2 in the preconditioner: near the cone an iteration moves the map no further than this allows."""


@compiled
def _half(parts: Any, even: Any) -> Any:
    """Return half the sum over the whole spectrum from a sum by z over half of it, whose end planes stand for
    themselves alone.

    A sum along the row would bar a loop from vector registers.
    """
    # Half of Parseval's sum, as all products here are: their ratios count.
    total = parts.sum() - 0.5 * parts[0]
    return total - 0.5 * parts[-1] if even else total


@compiled(parallel=True)
def weigh(weight2: Any, start: Any, real: Any) -> Any:
    """Multiply by weights of the mask's box, 0 outside it; return the weighted squared norm by plane."""
    nx, ny, nz = weight2.shape
    sx, sy, sz = start
    sums = np.zeros(real.shape[0])
    for fx in prange(real.shape[0]):
        total = 0.0
        for fy in range(real.shape[1]):
            row = real[fx, fy]
            x, y = fx - sx, fy - sy
            if 0 <= x < nx and 0 <= y < ny:
                # Beside the box nothing was measured.
                row[:sz] = 0.0
                row[sz + nz :] = 0.0
                part, w = row[sz : sz + nz], weight2[x, y]
                for z in range(nz):
                    value = part[z]
                    part[z] = w[z] * value
                    # The curvature of the direction, whose field this is.
                    total += part[z] * value
            else:
                row[:] = 0.0
        sums[fx] = total
    return sums


@compiled(parallel=True)
def residual_step(
    spectrum: Any, tables: Any, step: Any, damping: Any, direction: Any, chi: Any, residual: Any, even: Any
) -> Any:
    """Move the map along the direction and the residual back by what `spectrum` says of it.

    Leave the preconditioned residual in `spectrum` and return its inner product with the residual, by plane.
    """
    nx, ny, nz = spectrum.shape
    tx, ty, tz = tables
    sums = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                p = direction[x, y, z]
                chi[x, y, z] += step * p
                # The normal operator on the direction: D on the weighted field, and the damping.
                r = residual[x, y, z] - step * (d * spectrum[x, y, z] + damping * p)
                residual[x, y, z] = r
                # Nearly the inverse of the operator where all weights are 1.
                factor = np.float32(1.0) / (d * d + PRECONDITIONER)
                spectrum[x, y, z] = r * factor
                parts[z] += factor * (r.real * r.real + r.imag * r.imag)
        sums[x] = _half(parts, even)
    return sums


@compiled(parallel=True)
def turn_direction(spectrum: Any, tables: Any, turn: Any, scale: Any, direction: Any, even: Any) -> Any:
    """Make the new direction from the preconditioned residual in `spectrum`; leave its field there, times `scale`.

    Return the direction's squared norm by plane.
    """
    nx, ny, nz = spectrum.shape
    tx, ty, tz = tables
    sums = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            for z in range(nz):
                # `turn` is the usual beta of conjugate gradients.
                p = spectrum[x, y, z] + turn * direction[x, y, z]
                direction[x, y, z] = p
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                spectrum[x, y, z] = p * d * scale
                parts[z] += p.real * p.real + p.imag * p.imag
        sums[x] = _half(parts, even)
    spectrum[0, 0, 0] = 0.0
    return sums


@compiled(parallel=True)
def solve_trusted(spectrum: Any, trusted: Any, tables: Any, threshold: Any, mu: Any, scale: Any) -> None:
    """Solve the normal equations of the second step: the first step's map where |D| is above the threshold."""
    nx, ny, nz = spectrum.shape
    tx, ty, tz = tables
    for x in prange(nx):
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            across = tx[3, x] + ty[3, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                # A factor of 0 or 1 in place of a branch.
                known = np.float32(1.0) if abs(d) > threshold else np.float32(0.0)
                # In the cone the gradient's aim alone decides.
                factor = scale / (known + mu * (across + tz[3, z]))
                spectrum[x, y, z] = (mu * spectrum[x, y, z] + known * trusted[x, y, z]) * factor
    spectrum[0, 0, 0] = 0.0
