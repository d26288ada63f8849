"""Loops of the finite differences."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled(parallel=True)
def gradient(u: Any, ix: Any, iy: Any, iz: Any, out: Any) -> None:
    """Fill `out` (3, x, y, z) with forward differences times the inverse voxel edges; 0 at the far edge."""
    nx, ny, nz = u.shape
    zero = np.float32(0.0)
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                here = u[x, y, z]
                out[0, x, y, z] = (u[x + 1, y, z] - here) * ix if x + 1 < nx else zero
                out[1, x, y, z] = (u[x, y + 1, z] - here) * iy if y + 1 < ny else zero
                out[2, x, y, z] = (u[x, y, z + 1] - here) * iz if z + 1 < nz else zero


@compiled(parallel=True)
def gradient_adjoint(v: Any, ix: Any, iy: Any, iz: Any, out: Any) -> None:
    """Fill `out` with the adjoint of `gradient` applied to `v` (3, x, y, z)."""
    _, nx, ny, nz = v.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                total = np.float32(0.0)
                if x > 0:
                    total += v[0, x - 1, y, z] * ix
                if x + 1 < nx:
                    total -= v[0, x, y, z] * ix
                if y > 0:
                    total += v[1, x, y - 1, z] * iy
                if y + 1 < ny:
                    total -= v[1, x, y, z] * iy
                if z > 0:
                    total += v[2, x, y, z - 1] * iz
                if z + 1 < nz:
                    total -= v[2, x, y, z] * iz
                out[x, y, z] = total
