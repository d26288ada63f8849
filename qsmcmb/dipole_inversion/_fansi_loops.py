"""Loops of the nonlinear data term, w (1 - cos(z - f)): what complex data of Gaussian noise say of a phase.

z alone is kept: where the proximal step has converged its dual is u = w sin(z - f) / mu. The step minimises a
quadratic that lies above the cosine and touches it, of curvature w sinc(z - f), so that it never overshoots.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

TURN = np.float32(2 * np.pi)
PER_TURN = np.float32(1 / (2 * np.pi))
STEPS = 3


@compiled
def _wrap(a: Any) -> Any:
    return a - TURN * np.rint(a * PER_TURN)


@compiled
def _sinc(a: Any) -> Any:
    """Sine over its argument within a turn: Taylor to the 14th power, which runs in vector registers."""
    s = a * a
    total = np.float32(-1.0 / 1307674368000.0)
    total = total * s + np.float32(1.0 / 6227020800.0)
    total = total * s - np.float32(1.0 / 39916800.0)
    total = total * s + np.float32(1.0 / 362880.0)
    total = total * s - np.float32(1.0 / 5040.0)
    total = total * s + np.float32(1.0 / 120.0)
    total = total * s - np.float32(1.0 / 6.0)
    return total * s + np.float32(1.0)


@compiled(parallel=True)
def update_phase(field: Any, weight2: Any, z: Any, start: Any, mu: Any, relax: Any, real: Any) -> None:
    """Turn the map's phase in `real` into what the next solve aims at, z - u; `field` in rad."""
    nx, ny, nz = field.shape
    keep = np.float32(1.0) - relax
    for x in prange(nx):
        for y in range(ny):
            r = real[x + start[0], y + start[1], start[2] : start[2] + nz]
            f, w2, row = field[x, y], weight2[x, y], z[x, y]
            for i in range(nz):
                w = w2[i]
                if w > 0:
                    split = row[i]
                    away = _wrap(split - f[i])
                    curve = w * _sinc(away)
                    v = relax * r[i] + keep * split + curve * away / mu
                    for _ in range(STEPS):
                        split = (curve * (split - away) + mu * v) / max(curve + mu, mu)
                        away = _wrap(split - f[i])
                        curve = w * _sinc(away)
                    row[i] = split
                    r[i] = split - curve * away / mu


@compiled(parallel=True)
def split_from_sum(field: Any, weight2: Any, mu: Any, v: Any) -> None:
    """What the squared data term's splitting z is, from its sum with the dual."""
    nx, ny, nz = field.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                w = weight2[x, y, z]
                v[x, y, z] = (w * field[x, y, z] + mu * v[x, y, z]) / (w + mu)
