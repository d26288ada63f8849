"""Loops of the weak-harmonic part of the field: differences are periodic.

Of the splitting of its Laplacian only the sum with its dual is stored; both are that sum times a number that depends on
the mask alone.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled
def _laplacian(v: Any, x: Any, y: Any, z: Any, inverse2: Any) -> Any:
    """Return the adjoint of the gradient of the gradient at one voxel; index -1 is the last."""
    nx, ny, nz = v.shape
    # Periodic, as the transform is that solves with it.
    xn = x + 1 if x + 1 < nx else 0
    yn = y + 1 if y + 1 < ny else 0
    zn = z + 1 if z + 1 < nz else 0
    two = np.float32(2) * v[x, y, z]
    total = (two - v[xn, y, z] - v[x - 1, y, z]) * inverse2[0]
    total += (two - v[x, yn, z] - v[x, y - 1, z]) * inverse2[1]
    return total + (two - v[x, y, zn] - v[x, y, z - 1]) * inverse2[2]


@compiled(parallel=True)
def add_harmonic(real: Any, harmonic: Any, model: Any) -> None:
    """Store the map's field in `model` and add the harmonic part to it in `real`."""
    nx, ny, nz = real.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                value = real[x, y, z]
                model[x, y, z] = value
                real[x, y, z] = value + harmonic[x, y, z]


@compiled(parallel=True)
def aim(real: Any, model: Any, reflected: Any, ratio: Any, inverse2: Any) -> None:
    """Write the right side of the harmonic part's equations into `real`, and what the data aim at into `model`."""
    nx, ny, nz = real.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                aimed = real[x, y, z]
                # Normal equations of h: the data's aim less the map's field, and the Laplacian of its splitting's
                # aim.
                real[x, y, z] = aimed - model[x, y, z] + ratio * _laplacian(reflected, x, y, z, inverse2)
                model[x, y, z] = aimed


@compiled(parallel=True)
def solve(spectrum: Any, tables: Any, ratio: Any, scale: Any) -> None:
    """Divide by 1 + ratio S^2, S the squared symbol of the difference."""
    tx, ty, tz = tables
    nx, ny, nz = spectrum.shape
    for x in prange(nx):
        for y in range(ny):
            across = tx[3, x] + ty[3, y]
            for z in range(nz):
                s = across + tz[3, z]
                # The operator is diagonal in k-space: one transform pair solves it.
                spectrum[x, y, z] *= scale / (np.float32(1) + ratio * s * s)


@compiled(parallel=True)
def advance(real: Any, harmonic: Any, reflected: Any, mask: Any, part: Any, inverse2: Any) -> None:
    """Take in the new harmonic part in `real`; turn z - u of its Laplacian into the new one.

    `part` is z over the sum inside the mask; outside it is 1.
    """
    nx, ny, nz = real.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                harmonic[x, y, z] = real[x, y, z]
                laplacian = _laplacian(real, x, y, z, inverse2)
                if mask[x, y, z]:
                    # z - u over the sum: 2 z - v with z = part v.
                    turned = np.float32(2) * part - np.float32(1)
                    old = reflected[x, y, z] / turned
                    reflected[x, y, z] = turned * (laplacian + (np.float32(1) - part) * old)
                else:
                    # Outside the mask nothing is asked of the Laplacian: variable and model agree, and the dual is 0.
                    reflected[x, y, z] = laplacian
