"""Signal of dark balls and their dipole fields on a sub-voxel grid."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled


@compiled(parallel=True)
def lesion_signal(
    sources: Any, x: Any, y: Any, z: Any, b0_dir: Any, constants: Any, edge: Any, out: Any
) -> None:
    """Fill `out` (echo, x, y, z) with signal - 1 for unit tissue signal.

    `sources` rows are M (ppm mm3), centre (mm, 3) and radius (mm); `constants` the phase of 1 ppm mm3 at 1 mm
    per echo; the dark ball's edge is a ramp `edge` mm wide, so that the radius has a gradient.
    """
    n_echoes = constants.size
    for i in prange(x.size):
        for j in range(y.size):
            for k in range(z.size):
                field = 0.0
                visible = 1.0
                for s in range(sources.shape[0]):
                    dx = x[i] - sources[s, 1]
                    dy = y[j] - sources[s, 2]
                    dz = z[k] - sources[s, 3]
                    r2 = dx * dx + dy * dy + dz * dz
                    r = math.sqrt(r2)
                    visible *= min(max((r - sources[s, 4]) / edge + 0.5, 0.0), 1.0)
                    if visible == 0.0:
                        break
                    along = dx * b0_dir[0] + dy * b0_dir[1] + dz * b0_dir[2]
                    r2 = max(r2, 1e-6)
                    field += sources[s, 0] * (3.0 * along * along / r2 - 1.0) / (r2 * math.sqrt(r2))
                for e in range(n_echoes):
                    phase = constants[e] * field
                    p2 = phase * phase
                    if p2 < 1.0:
                        # Most voxels are far away: the series to 3e-6 costs a fifth of the functions.
                        sine = phase * (1 - p2 / 6 * (1 - p2 / 20 * (1 - p2 / 42)))
                        cosine = 1 - p2 / 2 * (1 - p2 / 12 * (1 - p2 / 30 * (1 - p2 / 56)))
                    else:
                        sine = math.sin(phase)
                        cosine = math.cos(phase)
                    out[e, i, j, k] = np.complex64(complex(visible * cosine - 1.0, visible * sine))
