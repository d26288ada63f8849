"""Loops of the TV solver; differences are periodic.

Of the gradient splitting only g = grad chi + u is kept: u = clip(g), z = g - u.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled


@compiled
def _reflect(g: Any, t: Any) -> Any:
    return g - 2.0 * min(max(g, -t), t)


@compiled(parallel=True)
def reflected_adjoint(g: Any, t: Any, ix: Any, iy: Any, iz: Any, out: Any) -> None:
    """Adjoint of the gradient applied to z - u."""
    _, nx, ny, nz = g.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                total = (_reflect(g[0, x - 1, y, z], t) - _reflect(g[0, x, y, z], t)) * ix
                total += (_reflect(g[1, x, y - 1, z], t) - _reflect(g[1, x, y, z], t)) * iy
                total += (_reflect(g[2, x, y, z - 1], t) - _reflect(g[2, x, y, z], t)) * iz
                out[x, y, z] = total


@compiled(parallel=True)
def update_vectors(chi: Any, t: Any, ix: Any, iy: Any, iz: Any, g: Any) -> None:
    nx, ny, nz = chi.shape
    for x in prange(nx):
        xn = x + 1 if x + 1 < nx else 0
        for y in range(ny):
            yn = y + 1 if y + 1 < ny else 0
            for z in range(nz):
                zn = z + 1 if z + 1 < nz else 0
                here = chi[x, y, z]
                g[0, x, y, z] = (chi[xn, y, z] - here) * ix + min(max(g[0, x, y, z], -t), t)
                g[1, x, y, z] = (chi[x, yn, z] - here) * iy + min(max(g[1, x, y, z], -t), t)
                g[2, x, y, z] = (chi[x, y, zn] - here) * iz + min(max(g[2, x, y, z], -t), t)


@compiled(parallel=True)
def update_data(forward: Any, field: Any, weight2: Any, mu: Any, dual: Any, target: Any) -> None:
    """Data splitting z = argmin, dual update, and what the next solve aims at, z - u."""
    nx, ny, nz = forward.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                w = weight2[x, y, z]
                with_dual = forward[x, y, z] + dual[x, y, z]
                split = (w * field[x, y, z] + mu * with_dual) / (w + mu)
                u = with_dual - split
                dual[x, y, z] = u
                target[x, y, z] = split - u


@compiled(parallel=True)
def replace(new: Any, chi: Any) -> Any:
    """Copy `new` into `chi`; return the squared change and norm by plane: sums do not depend on threads."""
    nx, ny, nz = chi.shape
    change = np.zeros(nx)
    norm = np.zeros(nx)
    for x in prange(nx):
        c, n = 0.0, 0.0
        for y in range(ny):
            for z in range(nz):
                value = new[x, y, z]
                d = value - chi[x, y, z]
                c += d * d
                n += value * value
                chi[x, y, z] = value
        change[x] = c
        norm[x] = n
    return change, norm
