"""Loop of re-weighted total variation that finds its weights; the splitting is `_weighted_loops`."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled(parallel=True)
def reweigh(chi: Any, rows: Any, start: Any, edge: Any, inverse_mm: Any, weights: Any) -> None:
    """Set the weights: 1 where the map is flat, less by 1 + |grad chi| / `edge`."""
    nx, ny = rows.shape[:2]
    ix, iy, iz = inverse_mm
    sx, sy, sz = start
    for x in prange(nx):
        for y in range(ny):
            for z in range(rows[x, y, 0], rows[x, y, 1]):
                here = chi[x + sx, y + sy, z + sz]
                dx = (chi[x + sx + 1, y + sy, z + sz] - here) * ix
                dy = (chi[x + sx, y + sy + 1, z + sz] - here) * iy
                dz = (chi[x + sx, y + sy, z + sz + 1] - here) * iz
                # One weight for all axes, so that an edge is spared whatever its direction.
                length = np.sqrt(dx * dx + dy * dy + dz * dz)
                weights[0, x + 1, y + 1, z + 1] = edge / (edge + length)
