"""Loop of the local coherence of the phase."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

SLAB = 8
"""Planes that one thread does at a time, a count; two more are summed to begin with."""


@compiled
def _plane_sums(phase: Any, real: Any, imag: Any, out: Any) -> None:
    """Write the sums of cosine and sine over 3 x 3 voxels of one plane; the edge counts twice."""
    ny, nz = phase.shape
    for y in range(ny):
        for z in range(nz):
            # Once a voxel; the nine sums of it are additions.
            real[y, z], imag[y, z] = math.cos(phase[y, z]), math.sin(phase[y, z])
    for y in range(ny):
        a, b = max(y - 1, 0), min(y + 1, ny - 1)
        for z in range(nz):
            c, d = max(z - 1, 0), min(z + 1, nz - 1)
            total_real, total_imag = np.float32(0), np.float32(0)
            for j in (a, y, b):
                total_real += real[j, c] + real[j, z] + real[j, d]
                total_imag += imag[j, c] + imag[j, z] + imag[j, d]
            out[0, y, z], out[1, y, z] = total_real, total_imag


@compiled(parallel=True)
def local_coherence(phase: Any, out: Any) -> None:
    """Write the length of the mean phasor over 3 x 3 x 3 voxels; at the edge of the volume its voxels count twice."""
    nx, ny, nz = phase.shape
    for slab in prange((nx + SLAB - 1) // SLAB):
        real, imag = np.empty((ny, nz), np.float32), np.empty((ny, nz), np.float32)
        # Slabs are fixed, not the threads': the result does not depend on their number.
        first, last = slab * SLAB, min(nx, slab * SLAB + SLAB)
        # A ring of three planes, so that each is summed once a slab.
        sums = np.empty((3, 2, ny, nz), np.float32)
        for x in range(first - 1, first + 1):
            _plane_sums(phase[max(x, 0)], real, imag, sums[x % 3])
        for x in range(first, last):
            _plane_sums(phase[min(x + 1, nx - 1)], real, imag, sums[(x + 1) % 3])
            for y in range(ny):
                for z in range(nz):
                    re = sums[0, 0, y, z] + sums[1, 0, y, z] + sums[2, 0, y, z]
                    im = sums[0, 1, y, z] + sums[1, 1, y, z] + sums[2, 1, y, z]
                    out[x, y, z] = np.sqrt(re * re + im * im) / np.float32(27)
