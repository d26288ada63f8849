"""Loops of the methods that divide the spectrum once.

Each multiplies the spectrum by its inverse of the kernel and returns, by plane, the sum of kernel times
inverse over the whole spectrum: that over its size is the response to a point source.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._dipole_loops import dipole_at
from qsmcmb.core.compiled import compiled


@compiled(parallel=True)
def divide_above(tx: Any, ty: Any, tz: Any, threshold: Any, below: Any, even: Any, spectrum: Any) -> Any:
    """Divide by D where |D| is at least the threshold; elsewhere multiply by sign(D) times `below`."""
    nx, ny, nz = spectrum.shape
    response = np.zeros(nx)
    for x in prange(nx):
        total = 0.0
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                inverse = np.float32(1.0) / d if abs(d) >= threshold else np.copysign(below, d)
                spectrum[x, y, z] *= inverse
                once = z == 0 or (even and z == nz - 1)
                total += d * inverse if once else np.float32(2.0) * d * inverse
        response[x] = total
    return response


@compiled(parallel=True)
def divide_damped(tx: Any, ty: Any, tz: Any, weight: Any, order: Any, even: Any, spectrum: Any) -> Any:
    """Multiply by D / (D^2 + weight S^order), S the squared symbol of the difference."""
    nx, ny, nz = spectrum.shape
    response = np.zeros(nx)
    for x in prange(nx):
        total = 0.0
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            s = tx[3, x] + ty[3, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                damping = weight
                for _ in range(order):
                    damping *= s + tz[3, z]
                inverse = d / (d * d + damping)
                spectrum[x, y, z] *= inverse
                once = z == 0 or (even and z == nz - 1)
                total += d * inverse if once else np.float32(2.0) * d * inverse
        response[x] = total
    return response


@compiled(parallel=True)
def project_damped(tx: Any, ty: Any, tz: Any, weight: Any, order: Any, even: Any, spectrum: Any) -> Any:
    """As `divide_damped`, times D: the field of the map instead of the map."""
    nx, ny, nz = spectrum.shape
    response = np.zeros(nx)
    for x in prange(nx):
        total = 0.0
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            s = tx[3, x] + ty[3, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                damping = weight
                for _ in range(order):
                    damping *= s + tz[3, z]
                kept = d * d / (d * d + damping)
                spectrum[x, y, z] *= kept
                once = z == 0 or (even and z == nz - 1)
                total += kept if once else np.float32(2.0) * kept
        response[x] = total
    return response


@compiled(parallel=True)
def scale_inside(volume: Any, mask: Any, scale: Any, out: Any) -> None:
    """Write scale times the volume inside the mask, 0 outside."""
    nx, ny, nz = out.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                out[x, y, z] = volume[x, y, z] * scale if mask[x, y, z] else np.float32(0.0)
