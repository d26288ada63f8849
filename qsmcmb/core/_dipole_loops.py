"""Loops over the half spectrum in which the dipole kernel is made where it is used.

`tx`, `ty`, `tz` are the tables of `qsmcmb.core.dipole.spectral_tables`.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

THIRD = np.float32(1 / 3)
"""Largest value of D(k), in float32 as the kernel is."""
TINY = np.float32(1e-30)
"""Least k^2, 1/mm2, that is divided by: far below any frequency but 0."""


@compiled
def dipole_at(k2: Any, along: Any, extra: Any) -> Any:
    """Return D from |k|^2, k.b and the Nyquist term; 1/3 at the origin, which the caller sets."""
    return THIRD - (along * along + extra) / max(k2, TINY)


@compiled(parallel=True)
def fill_kernel(tx: Any, ty: Any, tz: Any, out: Any) -> None:
    """Fill `out` with D(k) of the half spectrum."""
    nx, ny, nz = out.shape
    for x in prange(nx):
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            for z in range(nz):
                out[x, y, z] = dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z])
