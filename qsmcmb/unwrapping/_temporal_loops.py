"""Loop that follows the echoes in time."""

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


@compiled(parallel=True)
def follow_in_time(phase: Any, mask: Any, start: Any, te: Any, first: Any, out: Any) -> None:
    """Unwrap every echo so that it lies within half a turn of its neighbour's, scaled by echo time.

    `out[first]` is unwrapped already; the others go outwards from it. The mask is of a box that begins at `start`.
    """
    echoes = phase.shape[0]
    nx, ny, nz = mask.shape
    sx, sy, sz = start
    for x in prange(nx):
        for y in range(ny):
            for k in range(1, echoes):
                # First the later echoes in order, then the earlier ones backwards.
                e = first + k if first + k < echoes else echoes - 1 - k
                near = e - 1 if e > first else e + 1
                # Phase without its offset is proportional to time.
                ratio = te[e] / te[near]
                wrapped, known, row = (
                    phase[e, x + sx, y + sy],
                    out[near, x + sx, y + sy],
                    out[e, x + sx, y + sy],
                )
                for z in range(nz):
                    if mask[x, y, z]:
                        value = wrapped[z + sz]
                        turns = np.floor((known[z + sz] * ratio - value) * PER_TURN + np.float32(0.5))
                        row[z + sz] = value + TURN * turns
