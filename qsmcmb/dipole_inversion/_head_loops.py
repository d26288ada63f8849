"""Loops that take a method's map back to the whole grid."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled


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
