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
            # Rows are written from their first voxel to their last: pages beside the mask take no memory.
            a, b = 0, nz
            while a < b and not mask[x, y, a]:
                a += 1
            while a < b and not mask[x, y, b - 1]:
                b -= 1
            inside = mask[x, y, a:b]
            for k in range(1, echoes):
                # First the later echoes in order, then the earlier ones backwards.
                e = first + k if first + k < echoes else echoes - 1 - k
                near = e - 1 if e > first else e + 1
                # Phase without its offset is proportional to time.
                ratio = te[e] / te[near]
                wrapped = phase[e, x + sx, y + sy, a + sz : b + sz]
                known = out[near, x + sx, y + sy, a + sz : b + sz]
                row = out[e, x + sx, y + sy, a + sz : b + sz]
                for z in range(inside.size):
                    value = wrapped[z]
                    turns = np.floor((known[z] * ratio - value) * PER_TURN + np.float32(0.5))
                    # A choice, not a branch: so the loop runs in vector registers.
                    row[z] = value + TURN * turns if inside[z] else row[z]
