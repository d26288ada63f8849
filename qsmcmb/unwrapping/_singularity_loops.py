"""Loop that finds residues: wrapped steps around four neighbours that do not sum to 0."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

TURN = np.float32(2.0 * math.pi)
PER_TURN = np.float32(0.5 / math.pi)
FIRST = (1, 0, 0)
SECOND = (2, 2, 1)


@compiled
def _turns(step: Any) -> Any:
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
                    xa, ya, za = x + (a == 0), y + (a == 1), z + (a == 2)
                    xb, yb, zb = x + (b == 0), y + (b == 1), z + (b == 2)
                    xc, yc, zc = xa + (b == 0), ya + (b == 1), za + (b == 2)
                    if xc >= nx or yc >= ny or zc >= nz:
                        continue
                    inside = mask[x, y, z] and mask[xa, ya, za] and mask[xb, yb, zb] and mask[xc, yc, zc]
                    if not inside:
                        continue
                    p, q, r, s = phase[x, y, z], phase[xa, ya, za], phase[xc, yc, zc], phase[xb, yb, zb]
                    out[x, y, z] += _turns(q - p) + _turns(r - q) + _turns(s - r) + _turns(p - s) != 0
