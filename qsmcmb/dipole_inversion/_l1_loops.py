"""Loop of the absolute data term: its proximal step is a soft threshold of the misfit."""

from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled
from qsmcmb.dipole_inversion._fansi_loops import _wrap

STEPS = 3


@compiled
def _pull(away: Any, threshold: Any, nonlinear: Any) -> Any:
    """Misfit d that minimises threshold |exp(id) - 1| + (d - away)^2 / 2, or threshold |d| in place of the former."""
    size = abs(away)
    half = np.float32(0.5)
    d = max(size - threshold, np.float32(0))
    if nonlinear and d > 0:
        for _ in range(STEPS):
            # Newton's steps; the bound holds where the threshold is so large that the sum is not convex.
            slope = max(np.float32(1) - half * threshold * np.sin(half * d), half)
            d -= (d - size + threshold * np.cos(half * d)) / slope
    return np.copysign(d, away)


@compiled
def _split(v: Any, f: Any, threshold: Any, nonlinear: Any) -> Any:
    away = v - f
    # A whole turn between model and field is no misfit: the nearest one counts.
    near = _wrap(away) if nonlinear else away
    return v - near + _pull(near, threshold, nonlinear)


@compiled(parallel=True)
def update_absolute(
    field: Any, weight: Any, v: Any, start: Any, threshold: Any, relax: Any, nonlinear: Any, real: Any
) -> None:
    """Turn the map's field in `real` into what the next solve aims at, z - u; `v` holds z + u."""
    nx, ny, nz = field.shape
    keep = np.float32(1.0) - relax
    for x in prange(nx):
        for y in range(ny):
            r = real[x + start[0], y + start[1], start[2] : start[2] + nz]
            f, w, row = field[x, y], weight[x, y], v[x, y]
            for i in range(nz):
                if w[i] > 0:
                    t = threshold * w[i]
                    old = _split(row[i], f[i], t, nonlinear)
                    new = relax * r[i] + keep * old + row[i] - old
                    row[i] = new
                    r[i] = np.float32(2.0) * _split(new, f[i], t, nonlinear) - new
