"""Loops of the methods that divide the spectrum once.

Each multiplies the spectrum by its inverse of the kernel and returns, by plane, the sum of kernel times inverse over
the whole spectrum: that over its size is the response to a point source. They are summed by z first, for a sum along
the row would bar the loop from vector registers.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._dipole_loops import dipole_at
from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled
def _whole(parts: Any, even: Any) -> Any:
    """Return the sum over the whole spectrum from a sum by z over half of it."""
    # Samples of the half spectrum stand for two, but for the plane z = 0, and the last one of an even axis.
    total = 2.0 * parts.sum() - parts[0]
    return total - parts[-1] if even else total


@compiled(parallel=True)
def divide_above(tx: Any, ty: Any, tz: Any, threshold: Any, below: Any, even: Any, spectrum: Any) -> Any:
    """Divide by D where |D| is at least the threshold; elsewhere multiply by sign(D) times `below`."""
    nx, ny, nz = spectrum.shape
    response = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                # Both are computed and one is chosen: no branch, so the loop runs in vector registers.
                inverse = np.float32(1.0) / d if abs(d) >= threshold else np.copysign(below, d)
                spectrum[x, y, z] *= inverse
                # D times its inverse is 1 where nothing was cut.
                parts[z] += d * inverse
        response[x] = _whole(parts, even)
    return response


@compiled
def _damping(weight: Any, order: Any, s: Any) -> Any:
    """Return weight times S^order."""
    one = np.float32(1.0)
    return weight * (s if order > 0 else one) * (s if order > 1 else one)


@compiled(parallel=True)
def divide_damped(tx: Any, ty: Any, tz: Any, weight: Any, order: Any, even: Any, spectrum: Any) -> Any:
    """Multiply by D / (D^2 + weight S^order), S the squared symbol of the difference; order 0, 1 or 2."""
    nx, ny, nz = spectrum.shape
    response = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            s = tx[3, x] + ty[3, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                inverse = d / (d * d + _damping(weight, order, s + tz[3, z]))
                spectrum[x, y, z] *= inverse
                # The mean of this is below 1 by what the damping takes.
                parts[z] += d * inverse
        response[x] = _whole(parts, even)
    return response


@compiled(parallel=True)
def project_damped(tx: Any, ty: Any, tz: Any, weight: Any, order: Any, even: Any, spectrum: Any) -> Any:
    """Multiply by D^2 / (D^2 + weight S^order): the field of the map that `divide_damped` makes."""
    nx, ny, nz = spectrum.shape
    response = np.zeros(nx)
    for x in prange(nx):
        parts = np.zeros(nz)
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            s = tx[3, x] + ty[3, y]
            for z in range(nz):
                d = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
                explained = d * d / (d * d + _damping(weight, order, s + tz[3, z]))
                spectrum[x, y, z] *= explained
                parts[z] += explained
        response[x] = _whole(parts, even)
    return response
