"""Loop of data weights."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

TINY = np.float32(np.finfo(np.float32).tiny)


@compiled(parallel=True)
def weigh_signal(variance: Any, sd: Any, usable: Any, out: Any) -> None:
    """Part of the signal's variance in that of a datum; 0 where it is not usable."""
    nx, ny, nz = sd.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                noise = sd[x, y, z]
                part = variance / max(variance + noise * noise, TINY)
                out[x, y, z] = part if usable[x, y, z] else np.float32(0)
