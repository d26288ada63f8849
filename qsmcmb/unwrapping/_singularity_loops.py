"""Loop that finds residues: wrapped steps around four neighbours that do not sum to 0."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

TURN = np.float32(2.0 * math.pi)
"""One turn, rad, in float32 as all angles are."""
PER_TURN = np.float32(0.5 / math.pi)
"""Turns in one rad, in float32: a product is faster than a division."""
FIRST = (1, 0, 0)
"""First axis of the square that is normal to x, y, z."""
SECOND = (2, 2, 1)
"""Second axis of the square that is normal to x, y, z."""


@compiled
def _turns(step: Any) -> Any:
    """Return the whole turns of a step."""
    return np.floor(step * PER_TURN + np.float32(0.5))


@compiled(parallel=True)
def residues(phase: Any, mask: Any, out: Any) -> None:
    """Count at each voxel the residues of the three squares that it is the first corner of."""
    nx, ny, nz = phase.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                for normal in range(3):
                    a, b = FIRST[normal], SECOND[normal]
                    # The square's corners, in order: here, a, a and b, b.
                    xa, ya, za = x + (a == 0), y + (a == 1), z + (a == 2)
                    xb, yb, zb = x + (b == 0), y + (b == 1), z + (b == 2)
                    xc, yc, zc = xa + (b == 0), ya + (b == 1), za + (b == 2)
                    if xc >= nx or yc >= ny or zc >= nz:
                        continue
                    inside = mask[x, y, z] and mask[xa, ya, za] and mask[xb, yb, zb] and mask[xc, yc, zc]
                    if not inside:
                        continue
                    p, q, r, s = phase[x, y, z], phase[xa, ya, za], phase[xc, yc, zc], phase[xb, yb, zb]
                    # The wrapped steps sum to minus these turns, for the steps themselves sum to 0.
                    out[x, y, z] += _turns(q - p) + _turns(r - q) + _turns(s - r) + _turns(p - s) != 0
