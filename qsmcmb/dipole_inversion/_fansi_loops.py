"""Loops of the nonlinear data term, w (1 - cos(z - f)): what complex data of Gaussian noise say of a phase.

z alone is stored: where the proximal step has converged its dual is u = w sin(z - f) / mu. The step minimises a
quadratic that lies above the cosine and touches it, of curvature w sinc(z - f), so that it never overshoots.
"""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._angle_loops import sinc, wrap
from qsmcmb.core.compiled import compiled
from qsmcmb.dipole_inversion._packed_loops import pack, row_spans, unpack

__all__: tuple[str, ...] = ()

STEPS = 3
"""Steps of the minorant's minimum an iteration, a count: the outer iterations go on from there. Set by trial."""


@compiled(fused=True)
def _phase_steps(f: Any, weight2: Any, z: Any, r: Any, mu: Any, relax: Any) -> None:
    """Take the proximal step for packed voxels, in place: the new z, and z - u in place of the model's phase."""
    keep, inverse = np.float32(1.0) - relax, np.float32(1.0) / mu
    for i in range(z.size):
        w, split = weight2[i], z[i]
        away = wrap(split - f[i])
        curve = w * sinc(away)
        # The dual u = w sin(z - f) / mu is formed again, so only z is stored.
        v = relax * r[i] + keep * split + curve * away * inverse
        for _ in range(STEPS):
            # Minimum of the quadratic that touches the cosine; at half a turn sinc is 0 but for rounding, which must
            # not make the sum less than mu.
            split = (curve * (split - away) + mu * v) / max(curve + mu, mu)
            away = wrap(split - f[i])
            curve = w * sinc(away)
        # A choice, not a branch: packed rows run in vector registers.
        z[i] = split if w > 0 else z[i]
        r[i] = split - curve * away * inverse if w > 0 else r[i]


@compiled(parallel=True)
def update_phase(field: Any, weight2: Any, z: Any, start: Any, mu: Any, relax: Any, real: Any) -> None:
    """Turn the map's phase in `real` into what the next solve aims at, z - u; `field` in rad."""
    nx, ny, nz = field.shape
    for x in prange(nx):
        ends = np.empty((ny, 2), np.int64)
        # As long as the plane's voxels in the mask are many.
        parts = np.empty((4, row_spans(weight2[x], ends)), np.float32)
        inside = real[x + start[0], start[1] : start[1] + ny, start[2] : start[2] + nz]
        pack(field[x], ends, parts[0])
        pack(weight2[x], ends, parts[1])
        pack(z[x], ends, parts[2])
        pack(inside, ends, parts[3])
        _phase_steps(parts[0], parts[1], parts[2], parts[3], mu, relax)
        unpack(parts[2], ends, z[x])
        unpack(parts[3], ends, inside)


@compiled(parallel=True)
def split_from_sum(field: Any, weight2: Any, mu: Any, v: Any) -> None:
    """Turn the sum of variable and dual of the squared data term into its splitting z."""
    nx, ny, nz = field.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                w = weight2[x, y, z]
                # The proximal step of the squared term, whose sum v was stored so far.
                v[x, y, z] = (w * field[x, y, z] + mu * v[x, y, z]) / (w + mu)
