"""Loops at a method's ends: data weights, and the map back to the whole grid."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

TINY = np.float32(np.finfo(np.float32).tiny)


@compiled(parallel=True)
def weigh_signal(variance: Any, sd: Any, usable: Any, out: Any) -> None:
    """Part of the signal's variance in that of a datum; 0 where it is not usable."""
    nx, ny, nz = sd.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                noise = sd[x, y, z]
                part = variance / max(variance + noise * noise, TINY)
                out[x, y, z] = part if usable[x, y, z] else np.float32(0)


@compiled(parallel=True)
def sums_inside(volume: Any, mask: Any) -> Any:
    """Return by plane the sum over the mask: sums do not depend on threads."""
    nx, ny, nz = volume.shape
    total = np.zeros(nx)
    for x in prange(nx):
        t = 0.0
        for y in range(ny):
            for z in range(nz):
                if mask[x, y, z]:
                    t += volume[x, y, z]
        total[x] = t
    return total


@compiled(parallel=True)
def subtract_inside(volume: Any, mask: Any, offset: Any, out: Any) -> None:
    nx, ny, nz = volume.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                if mask[x, y, z]:
                    out[x, y, z] = volume[x, y, z] - offset
