"""Loop of the absolute data term: its proximal step is a soft threshold of the misfit."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._angle_loops import cosine, sinc, wrap
from qsmcmb.core.compiled import compiled
from qsmcmb.dipole_inversion._packed_loops import pack, row_spans, unpack

__all__: tuple[str, ...] = ()

STEPS = 3
"""Newton's steps an iteration, a count: the outer iterations go on from there. Set by trial."""


@compiled(fused=True, inline=True)
def _split(v: Any, f: Any, t: Any, nonlinear: Any) -> Any:
    """Return the splitting's part of v: the field plus the misfit that the threshold leaves.

    The misfit d minimises t |exp(id) - 1| + (d - away)^2 / 2, or t |d| in place of the former.
    """
    half, one, zero = np.float32(0.5), np.float32(1), np.float32(0)
    away = v - f
    # A whole turn between model and field is no misfit: the nearest one counts.
    near = wrap(away) if nonlinear else away
    # The term is even, so its minimum is found for a positive misfit.
    size = abs(near)
    d = max(size - t, zero)
    for _ in range(STEPS):
        # Newton's steps; the bound holds where the threshold is so large that the sum is not convex.
        h = half * d
        slope = max(one - half * t * h * sinc(h), half)
        # The derivative of t |exp(id) - 1| = 2 t sin(d / 2) is t cos(d / 2).
        step = (d - size + t * cosine(h)) / slope
        d -= step if nonlinear and d > zero else zero
    return v - near + (d if near > zero else -d)


@compiled(fused=True)
def _absolute_steps(parts: Any, threshold: Any, relax: Any, nonlinear: Any) -> None:
    """Take the proximal step for packed voxels, in place."""
    f, weight, v, r = parts
    keep, two = np.float32(1.0) - relax, np.float32(2.0)
    for i in range(v.size):
        w = weight[i]
        old = _split(v[i], f[i], threshold * w, nonlinear)
        new = relax * r[i] + keep * old + v[i] - old
        # z - u = 2 z - v.
        aim = two * _split(new, f[i], threshold * w, nonlinear) - new
        v[i] = new if w > 0 else v[i]
        r[i] = aim if w > 0 else r[i]


@compiled(parallel=True)
def update_absolute(
    field: Any, weight: Any, v: Any, start: Any, threshold: Any, relax: Any, nonlinear: Any, real: Any
) -> None:
    """Turn the map's field in `real` into what the next solve aims at, z - u; `v` holds z + u."""
    nx, ny, nz = field.shape
    for x in prange(nx):
        ends = np.empty((ny, 2), np.int64)
        parts = np.empty((4, row_spans(weight[x], ends)), np.float32)
        inside = real[x + start[0], start[1] : start[1] + ny, start[2] : start[2] + nz]
        pack(field[x], ends, parts[0])
        pack(weight[x], ends, parts[1])
        pack(v[x], ends, parts[2])
        pack(inside, ends, parts[3])
        # Two calls with a constant: the compiler makes a loop for each, without the other's terms.
        if nonlinear:
            _absolute_steps((parts[0], parts[1], parts[2], parts[3]), threshold, relax, True)
        else:
            _absolute_steps((parts[0], parts[1], parts[2], parts[3]), threshold, relax, False)
        unpack(parts[2], ends, v[x])
        unpack(parts[3], ends, inside)
