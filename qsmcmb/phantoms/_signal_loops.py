"""Loops that form the signal on the fine grid: tissue with its field, and lesions on points finer than it."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()


@compiled(parallel=True)
def tissue_signal(signal: Any, decay_hz: Any, field_ppm: Any, te_s: Any, turns: Any, out: Any) -> None:
    """Fill `out` with the complex signal at one echo time; `turns` is the phase (rad) of 1 ppm."""
    for x in prange(signal.shape[0]):
        for y in range(signal.shape[1]):
            for z in range(signal.shape[2]):
                size = signal[x, y, z]
                if size == 0:
                    out[x, y, z] = 0
                    continue
                size *= math.exp(-decay_hz[x, y, z] * te_s)
                angle = turns * field_ppm[x, y, z]
                out[x, y, z] = complex(size * math.cos(angle), size * math.sin(angle))


@compiled
def _field_at(x: Any, y: Any, z: Any, dipoles: Any, b0_dir: Any) -> Any:
    """Return the field (ppm) of dipole rows (ppm mm3, centre) at a point."""
    total = 0.0
    for n in range(dipoles.shape[0]):
        dx, dy, dz = x - dipoles[n, 1], y - dipoles[n, 2], z - dipoles[n, 3]
        r2 = dx * dx + dy * dy + dz * dz
        along = dx * b0_dir[0] + dy * b0_dir[1] + dz * b0_dir[2]
        total += dipoles[n, 0] * (3 * along * along / r2 - 1) / (4 * math.pi * r2 * math.sqrt(r2))
    return total


@compiled
def _holds(body: Any, x: Any, y: Any, z: Any) -> Any:
    """Say whether a body holds a point."""
    dx, dy, dz = x - body[0], y - body[1], z - body[2]
    along = dx * body[3] + dy * body[4] + dz * body[5]
    across2 = max(dx * dx + dy * dy + dz * dz - along * along, 0.0)
    return along * along / body[6] ** 2 + across2 / body[7] ** 2 <= 1


@compiled
def _body_at(x: Any, y: Any, z: Any, bodies: Any) -> Any:
    """Return the index of the first body that holds a point, -1 for none."""
    for n in range(bodies.shape[0]):
        if _holds(bodies[n], x, y, z):
            return n
    return -1


@compiled
def _field_inside(x: Any, y: Any, z: Any, dipoles: Any, bodies: Any, b0_dir: Any) -> Any:
    """Return the field (ppm) at a point inside a body: that of the bodies that don't hold it.

    A ball leaves no field in its own inside, the sphere of Lorentz taken out. Columns of `dipoles` are strength, centre
    and the index of the body.
    """
    total = 0.0
    for n in range(dipoles.shape[0]):
        if not _holds(bodies[int(dipoles[n, 4])], x, y, z):
            total += _field_at(x, y, z, dipoles[n : n + 1], b0_dir)
    return total


@compiled(parallel=True)
def add_dipoles(field: Any, x: Any, y: Any, z: Any, dipoles: Any, b0_dir: Any, inner: Any) -> None:
    """Add the field (ppm) of dipoles outside the box `inner` (3, 2) of indices."""
    for i in prange(x.size):
        in_x = inner[0, 0] <= i < inner[0, 1]
        for j in range(y.size):
            in_xy = in_x and inner[1, 0] <= j < inner[1, 1]
            for k in range(z.size):
                if not (in_xy and inner[2, 0] <= k < inner[2, 1]):
                    field[i, j, k] += _field_at(x[i], y[j], z[k], dipoles, b0_dir)


@compiled
def _add_point(sums: Any, body: Any, bodies: Any, field_ppm: Any, turns: Any) -> None:
    """Add the signal of one point, all echoes, turned by the field: that inside a body, or unit signal."""
    for e in range(sums.size):
        size = bodies[body, 8 + e] if body >= 0 else 1.0
        if size > 0:
            angle = turns[e] * field_ppm
            sums[e] += complex(size * math.cos(angle), size * math.sin(angle))


@compiled(parallel=True)
def lesion_factor(
    x: Any, y: Any, z: Any, steps: Any, dipoles: Any, bodies: Any, geometry: Any, out: Any
) -> None:
    """Fill `out` (echo, x, y, z) with the lesion's factor on the signal, averaged over points within each voxel.

    `steps` (3, n) are the points' offsets along each axis (mm); `dipoles` rows are strength (ppm mm3), centre and the
    index of the body; `bodies` rows are centre, unit axis, half length along and across it (mm), signal inside at each
    echo, from the inside out; `geometry` is B0's direction, then each echo's phase (rad) of 1 ppm.
    """
    count = steps.shape[1]
    for i in prange(x.size):
        sums = np.zeros(out.shape[0], np.complex128)
        for j in range(y.size):
            for k in range(z.size):
                sums[:] = 0
                for sub in range(count**3):
                    px = x[i] + steps[0, sub // (count * count)]
                    py = y[j] + steps[1, sub // count % count]
                    pz = z[k] + steps[2, sub % count]
                    body = _body_at(px, py, pz, bodies)
                    field_ppm = 0.0
                    if body < 0:
                        field_ppm = _field_at(px, py, pz, dipoles, geometry)
                    elif bodies[body, 8] > 0:
                        field_ppm = _field_inside(px, py, pz, dipoles, bodies, geometry)
                    _add_point(sums, body, bodies, field_ppm, geometry[3:])
                for e in range(out.shape[0]):
                    out[e, i, j, k] = sums[e] / count**3
