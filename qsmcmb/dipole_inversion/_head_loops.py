"""Loops of data weights and of the magnitude of all echoes."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

TINY = np.float32(np.finfo(np.float32).tiny)
"""Smallest normal float32: no division by 0."""


@compiled(parallel=True)
def weigh_signal(variance: Any, sd: Any, usable: Any, out: Any) -> None:
    """Write the fraction of a datum's variance that is signal; 0 where it is not usable."""
    nx, ny, nz = sd.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                noise = sd[x, y, z]
                # An infinite SD gives 0 without a test.
                part = variance / max(variance + noise * noise, TINY)
                out[x, y, z] = part if usable[x, y, z] else np.float32(0)


@compiled(parallel=True)
def combine_echoes(echoes: Any, start: Any, size: Any, place: Any, out: Any) -> None:
    """Write the root of the sum of squares of a box of the echoes, which begins at `start` in them and at `place` in
    `out`.
    """
    sx, sy, sz = start
    px, py, pz = place
    for x in prange(size[0]):
        for y in range(size[1]):
            row = out[x + px, y + py, pz : pz + size[2]]
            row[:] = np.float32(0)
            for e in range(echoes.shape[0]):
                echo = echoes[e, x + sx, y + sy, sz : sz + size[2]]
                for z in range(row.size):
                    # Magnitudes may come as integers, whose squares would overflow.
                    value = np.float32(echo[z])
                    row[z] += value * value
            for z in range(row.size):
                row[z] = np.sqrt(row[z])
