"""Signal of a long cylinder and its field at points, with its derivatives."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

PER_CYLINDER = 8


@compiled
def _cylinder(row: Any, point: Any, b0_dir: Any, edge: Any, parts: Any) -> None:
    """Fill `parts` (3, 1 + PER_CYLINDER): field outside, part outside, field inside, each with its derivatives.

    Fields are in units of phase over the constants of `lesion_factor`: those of 1 ppm mm3 at 1 mm.
    """
    strength, radius = row[0], row[4]
    axis = row[5:8]
    r = np.empty(3)
    for i in range(3):
        r[i] = point[i] - row[1 + i]
    s = axis[0] * r[0] + axis[1] * r[1] + axis[2] * r[2]
    q = axis[0] * b0_dir[0] + axis[1] * b0_dir[1] + axis[2] * b0_dir[2]
    b_r = b0_dir[0] * r[0] + b0_dir[1] * r[1] + b0_dir[2] * r[2]
    rho2 = max(r[0] * r[0] + r[1] * r[1] + r[2] * r[2] - s * s, 1e-4)
    g = b_r - q * s
    n = 1.0 - q * q
    inv2 = 1.0 / rho2
    inv4 = inv2 * inv2
    outside = 2.0 * (2.0 * g * g * inv4 - n * inv2)
    inside = 2.0 * (3.0 * q * q - 1.0) / (3.0 * radius * radius)
    rho = math.sqrt(rho2)
    ramp = (rho - radius) / edge + 0.5
    slope = 1.0 / edge if 0.0 < ramp < 1.0 else 0.0
    by_g = strength * 8.0 * g * inv4
    by_rho2 = strength * 2.0 * (n * inv4 - 4.0 * g * g * inv4 * inv2)
    by_n = -2.0 * strength * inv2
    parts[0, 0], parts[1, 0], parts[2, 0] = strength * outside, min(max(ramp, 0.0), 1.0), strength * inside
    parts[0, 1], parts[1, 1], parts[2, 1] = outside, 0.0, inside
    for i in range(3):
        across = r[i] - s * axis[i]
        parts[0, 2 + i] = -by_g * (b0_dir[i] - q * axis[i]) - by_rho2 * 2.0 * across
        parts[1, 2 + i] = -slope * across / rho
        parts[2, 2 + i] = 0.0
        turned = -b0_dir[i] * s - q * r[i]
        parts[0, 6 + i] = by_g * turned - by_rho2 * 2.0 * s * r[i] - by_n * 2.0 * q * b0_dir[i]
        parts[1, 6 + i] = -slope * s * r[i] / rho
        parts[2, 6 + i] = 4.0 * strength * q * b0_dir[i] / (radius * radius)
    parts[0, 5], parts[1, 5], parts[2, 5] = 0.0, -slope, -2.0 * strength * inside / radius


@compiled(parallel=True)
def cylinder_factor(
    rows: Any, points: Any, weight: Any, b0_dir: Any, constants: Any, core: Any, edge: Any, out: Any
) -> None:
    """Fill `out` (2, 1 or 2 + PER_CYLINDER, echo, point) with the weighted factor - 1 and its derivatives.

    As `lesion_factor`, for one row: susceptibility times cross-section (ppm mm2), a point on the axis (mm, 3), radius
    (mm) and the axis' unit vector (3). The inside has a cylinder's field and decays by `core`.
    """
    n_echoes = constants.size
    wanted = out.shape[1] > 1
    for i in prange(points.shape[0]):
        if weight[i] == 0.0:
            out[:, :, :, i] = 0.0
            continue
        parts = np.empty((3, 1 + PER_CYLINDER))
        w = weight[i]
        _cylinder(rows[0], points[i], b0_dir, edge, parts)
        part = parts[1, 0]
        for e in range(n_echoes):
            c = constants[e]
            far = (
                complex(math.cos(c * parts[0, 0]), math.sin(c * parts[0, 0]))
                if part > 0.0
                else complex(0.0, 0.0)
            )
            near = complex(math.cos(c * parts[2, 0]), math.sin(c * parts[2, 0]))
            seen = part * far + (1.0 - part) * core[0, e] * near
            out[0, 0, e, i] = w * (seen.real - 1.0)
            out[1, 0, e, i] = w * seen.imag
            if wanted:
                edging = far - core[0, e] * near
                for p in range(1, 1 + PER_CYLINDER):
                    by_field = part * parts[0, p] * far + (1.0 - part) * core[0, e] * parts[2, p] * near
                    slope = complex(0.0, c) * by_field + parts[1, p] * edging
                    out[0, p, e, i] = w * slope.real
                    out[1, p, e, i] = w * slope.imag
                by_core = (1.0 - part) * core[1, e] * near
                out[0, 1 + PER_CYLINDER, e, i] = w * by_core.real
                out[1, 1 + PER_CYLINDER, e, i] = w * by_core.imag
