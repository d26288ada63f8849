"""Loop that maps and clears memory."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

BLOCKS = 64


@compiled(parallel=True)
def clear(flat: Any) -> None:
    """Write zeros, on all threads."""
    size = flat.size // BLOCKS + 1
    for block in prange(BLOCKS):
        flat[block * size : (block + 1) * size] = np.float32(0)
