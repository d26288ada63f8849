"""Loop that follows the echoes in time."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

TURN = np.float32(2.0 * math.pi)
PER_TURN = np.float32(0.5 / math.pi)


@compiled(parallel=True)
def follow_in_time(phase: Any, mask: Any, te: Any, first: Any, out: Any) -> None:
    """Unwrap every echo so that it lies within half a turn of its neighbour's, scaled by echo time.

    `out[first]` is unwrapped already; the others go outwards from it.
    """
    echoes, nx, ny, nz = phase.shape
    for x in prange(nx):
        for y in range(ny):
            for k in range(1, echoes):
                e = first + k if first + k < echoes else echoes - 1 - k
                near = e - 1 if e > first else e + 1
                ratio = te[e] / te[near]
                for z in range(nz):
                    if mask[x, y, z]:
                        value = phase[e, x, y, z]
                        turns = np.floor((out[near, x, y, z] * ratio - value) * PER_TURN + np.float32(0.5))
                        out[e, x, y, z] = value + TURN * turns
