"""Loop that maps and clears memory."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

BLOCKS = 64
"""Pieces that memory is cleared in: several for each thread, so that none waits long for the last."""


@compiled(parallel=True)
def clear(flat: Any) -> None:
    """Write zeros, on all threads."""
    size = flat.size // BLOCKS + 1
    for block in prange(BLOCKS):
        flat[block * size : (block + 1) * size] = np.float32(0)
