"""Loops of the choice of a weight."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._dipole_loops import dipole_at
from qsmcmb.core.compiled import compiled

BINS = 256
LOG_LOW = np.float32(-14.0)
PER_DECADE = np.float32(12.0)
NEAR_CONE = (np.float32(0.05), np.float32(0.15))
WELL_CONDITIONED = np.float32(0.3)


@compiled(parallel=True)
def histogram(tx: Any, ty: Any, tz: Any, order: Any, low: Any, high: Any, even: Any, spectrum: Any) -> Any:
    """By plane and bin of log10(D^2 / S^order): energy, samples, |F / D| near the cone and away, and their samples.

    The last four where low < S < high.

    A weight acts on all samples of a bin alike, so any number of weights costs one pass.
    """
    nx, ny, nz = spectrum.shape
    out = np.zeros((nx, 6, BINS))
    for x in prange(nx):
        for y in range(ny):
            k2, along, extra = tx[0, x] + ty[0, y], tx[1, x] + ty[1, y], tx[2, x] + ty[2, y]
            s = tx[3, x] + ty[3, y]
            for z in range(nz):
                if x + y + z == 0:
                    continue
                d = abs(dipole_at(k2 + tz[0, z], along + tz[1, z], extra + tz[2, z]))
                ratio = max(d * d, np.float32(1e-20))
                for _ in range(order):
                    ratio /= s + tz[3, z]
                place = min(max(int((np.log10(ratio) - LOG_LOW) * PER_DECADE), 0), BINS - 1)
                value = spectrum[x, y, z]
                energy = value.real * value.real + value.imag * value.imag
                twice = 1.0 if z == 0 or (even and z == nz - 1) else 2.0
                out[x, 0, place] += twice * energy
                out[x, 1, place] += twice
                if not low < s + tz[3, z] < high:
                    continue
                if d > WELL_CONDITIONED:
                    out[x, 4, place] += twice * np.sqrt(energy) / d
                    out[x, 5, place] += twice
                elif NEAR_CONE[0] < d < NEAR_CONE[1]:
                    out[x, 2, place] += twice * np.sqrt(energy) / d
                    out[x, 3, place] += twice
    return out
