"""Loop by which a ball's spectrum is made."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled
def _add(factor: Any, plane: Any, out: Any) -> None:
    """Add a plane times a factor."""
    for i in range(out.size):
        out[i] += factor * plane[i]


@compiled(parallel=True)
def combine_planes(factors: Any, planes: Any, out: Any) -> None:
    """Fill `out` with the matrix product of factors and planes: NumPy's own would wake threads that then wait on these
    cores.
    """
    for x in prange(factors.shape[0]):
        out[x] = np.float32(0)
        for r in range(factors.shape[1]):
            _add(factors[x, r], planes[r], out[x])
