"""Loops of preconditioned conjugate gradients with the map and the direction kept in k-space."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._dipole_loops import dipole_at
from qsmcmb.core.compiled import compiled


@compiled(parallel=True)
def scaled(volume: Any, factor: Any, out: Any) -> None:
    nx, ny, nz = volume.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                out[x, y, z] = factor * volume[x, y, z]


@compiled(parallel=True)
def curvature(forward: Any, difference: Any, weight2: Any, nonlinear: Any) -> Any:
    """Return by plane the Gauss-Newton curvature of the cost along a direction whose field is given."""
    nx, ny, nz = forward.shape
    total = np.zeros(nx)
    for x in prange(nx):
        t = 0.0
        for y in range(ny):
            for z in range(nz):
                w = weight2[x, y, z]
                if w > 0:
                    d = forward[x, y, z]
                    # Where the phase is off by more than a right angle the cost is concave: half is a safe step.
                    bend = max(np.cos(difference[x, y, z]), np.float32(0.5)) if nonlinear else np.float32(1)
                    t += w * bend * d * d
        total[x] = t
    return total


@compiled(parallel=True)
def step(forward: Any, length: Any, weight2: Any, nonlinear: Any, difference: Any) -> Any:
    """Advance the model minus the field; leave the weighted residual in `forward`; return the cost by plane."""
    nx, ny, nz = forward.shape
    cost = np.zeros(nx)
    for x in prange(nx):
        c = 0.0
        for y in range(ny):
            for z in range(nz):
                w = weight2[x, y, z]
                d = difference[x, y, z] + length * forward[x, y, z]
                difference[x, y, z] = d
                if w > 0:
                    if nonlinear:
                        forward[x, y, z] = w * np.sin(d)
                        c += w * (np.float32(2) - np.float32(2) * np.cos(d))
                    else:
                        forward[x, y, z] = w * d
                        c += w * d * d
                else:
                    forward[x, y, z] = np.float32(0)
        cost[x] = c
    return cost


@compiled(parallel=True)
def gradient_norm(tx: Any, ty: Any, tz: Any, damping: Any, even: Any, spectrum: Any) -> Any:
    """Return by plane the gradient times its preconditioned self, of a residual's spectrum."""
    nx, ny, nz = spectrum.shape
    total = np.zeros(nx)
    for x in prange(nx):
        t = 0.0
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                value = spectrum[x, y, z]
                energy = value.real * value.real + value.imag * value.imag
                once = z == 0 or (even and z == nz - 1)
                part = energy * (d * d / (d * d + damping))
                t += part if once else np.float32(2) * part
        total[x] = t
    return total


@compiled(parallel=True)
def start(tables: Any, damping: Any, scale: Any, gain: Any, spectrum: Any, way: Any) -> None:
    """First direction, down from a map of 0: `gain` times the field's spectrum is the residual's; leave its field's."""
    tx, ty, tz = tables
    nx, ny, nz = spectrum.shape
    for x in prange(nx):
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                new = spectrum[x, y, z] * (gain * d / (d * d + damping))
                way[x, y, z] = new
                spectrum[x, y, z] = new * (d * scale)


@compiled(parallel=True)
def turn(
    tables: Any, damping: Any, scale: Any, length: Any, keep: Any, spectrum: Any, chi: Any, way: Any
) -> None:
    """Advance the map along the old direction, make the new one, and leave its field's spectrum."""
    tx, ty, tz = tables
    nx, ny, nz = spectrum.shape
    for x in prange(nx):
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                old = way[x, y, z]
                chi[x, y, z] += length * old
                new = keep * old - spectrum[x, y, z] * (d / (d * d + damping))
                way[x, y, z] = new
                spectrum[x, y, z] = new * (d * scale)


@compiled(parallel=True)
def advance(length: Any, way: Any, chi: Any, scale: Any, out: Any) -> None:
    """Last step, into the transform's buffer."""
    nx, ny, nz = chi.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                out[x, y, z] = scale * (chi[x, y, z] + length * way[x, y, z])
