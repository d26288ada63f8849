"""Loops of MEDI's model with a k-space filter: the kernel is a volume."""

from typing import Any

from numba import prange

from qsmcmb.core._dipole_loops import TINY
from qsmcmb.core.compiled import compiled


@compiled(parallel=True)
def multiply(spectrum: Any, kernel: Any, out: Any) -> None:
    nx, ny, nz = spectrum.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                out[x, y, z] = spectrum[x, y, z] * kernel[x, y, z]


@compiled(parallel=True)
def solve(
    spectrum: Any, data_k: Any, kernel: Any, tables: Any, mu_data: Any, mu_gradient: Any, scale: Any
) -> None:
    """Normal equations: the map's spectrum, times `scale`, into `spectrum`, its field's into `data_k`."""
    nx, ny, nz = spectrum.shape
    tx, ty, tz = tables
    for x in prange(nx):
        for y in range(ny):
            across = tx[3, x] + ty[3, y]
            for z in range(nz):
                d = kernel[x, y, z]
                divisor = mu_data * d * d + mu_gradient * (across + tz[3, z])
                value = mu_gradient * spectrum[x, y, z] + mu_data * data_k[x, y, z]
                value *= scale / max(divisor, TINY)
                spectrum[x, y, z] = value
                data_k[x, y, z] = value * d
    spectrum[0, 0, 0] = 0.0
    data_k[0, 0, 0] = 0.0
