"""Signal of a long cylinder and its field at points, with its derivatives."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled
from qsmcmb.microbleeds.signal._ball_loops import (
    CHUNK,
    HALF,
    MIN_DISTANCE2,
    ONE,
    THREE,
    ZERO,
    nothing_seen,
    seen_at,
    weighted,
)

PER_CYLINDER = 8
TWO, FOUR = np.float32(2.0), np.float32(4.0)
# Rows of a chunk's parts; the first two as for balls.
FIELD, OUTSIDE, BY_STRENGTH, BY_POINT, BY_AXIS = 0, 1, 2, 3, 6
EDGE_BY_POINT, EDGE_BY_RADIUS, EDGE_BY_AXIS, PARTS = 9, 12, 13, 16


@compiled(fused=True)
def _around(row: Any, xyz: Any, b0_dir: Any, edge: Any, parts: Any) -> None:
    """Fill `parts` (PARTS, point): the field outside, and the part outside as a ramp `edge` mm wide.

    Fields are in units of phase over the constants of `lesion_factor`: those of 1 ppm mm3 at 1 mm.
    """
    strength, px, py, pz, radius = row[0], row[1], row[2], row[3], row[4]
    ax, ay, az = row[5], row[6], row[7]
    bx, by, bz = b0_dir[0], b0_dir[1], b0_dir[2]
    q = ax * bx + ay * by + az * bz
    n = ONE - q * q
    steep = ONE / edge
    for i in range(xyz.shape[1]):
        rx, ry, rz = xyz[0, i] - px, xyz[1, i] - py, xyz[2, i] - pz
        s = ax * rx + ay * ry + az * rz
        x, y, z = rx - s * ax, ry - s * ay, rz - s * az
        rho2 = max(x * x + y * y + z * z, MIN_DISTANCE2)
        g = x * bx + y * by + z * bz
        rho = np.float32(math.sqrt(rho2))
        ramp = (rho - radius) * steep + HALF
        slope = (steep if (ramp > ZERO) & (ramp < ONE) else ZERO) / rho
        # What nobody sees is 0: a field near the axis times 0 is not.
        inv2 = (ONE if ramp > ZERO else ZERO) / rho2
        inv4 = inv2 * inv2
        unit = TWO * (TWO * g * g * inv4 - n * inv2)
        by_g = strength * TWO * FOUR * g * inv4
        across = strength * FOUR * (n * inv4 - FOUR * g * g * inv4 * inv2)
        by_q = strength * FOUR * q * inv2
        turned, along = -by_g * s, -by_g * q - across * s
        parts[FIELD, i] = strength * unit
        parts[OUTSIDE, i] = min(max(ramp, ZERO), ONE)
        parts[BY_STRENGTH, i] = unit
        parts[BY_POINT, i] = -by_g * (bx - q * ax) - across * x
        parts[BY_POINT + 1, i] = -by_g * (by - q * ay) - across * y
        parts[BY_POINT + 2, i] = -by_g * (bz - q * az) - across * z
        parts[BY_AXIS, i] = turned * bx + along * rx + by_q * bx
        parts[BY_AXIS + 1, i] = turned * by + along * ry + by_q * by
        parts[BY_AXIS + 2, i] = turned * bz + along * rz + by_q * bz
        parts[EDGE_BY_POINT, i] = -slope * x
        parts[EDGE_BY_POINT + 1, i] = -slope * y
        parts[EDGE_BY_POINT + 2, i] = -slope * z
        parts[EDGE_BY_RADIUS, i] = -slope * rho
        parts[EDGE_BY_AXIS, i] = -slope * s * rx
        parts[EDGE_BY_AXIS + 1, i] = -slope * s * ry
        parts[EDGE_BY_AXIS + 2, i] = -slope * s * rz


@compiled
def _within(row: Any, b0_dir: Any, field: Any) -> None:
    """Fill `field` (1 + PER_CYLINDER): the field inside, the same everywhere, and its derivatives."""
    strength, radius, axis = row[0], row[4], row[5:8]
    q = axis[0] * b0_dir[0] + axis[1] * b0_dir[1] + axis[2] * b0_dir[2]
    unit = TWO * (THREE * q * q - ONE) / (THREE * radius * radius)
    field[:] = ZERO
    field[0] = strength * unit
    field[1] = unit
    field[5] = -TWO * strength * unit / radius
    for i in range(3):
        field[6 + i] = FOUR * strength * q * b0_dir[i] / (radius * radius)


@compiled(fused=True)
def _add_inside(parts: Any, inside: Any, seen: Any) -> None:
    """Add to `seen` (2, point) the signal of the inside."""
    for i in range(parts.shape[1]):
        within = ONE - parts[OUTSIDE, i]
        seen[0, i] += within * inside[0]
        seen[1, i] += within * inside[1]


@compiled(fused=True)
def _slope(
    outside: Any, by_field: Any, by_edge: Any, turn: Any, inside: Any, by_inside: Any, constant: Any,
    weight: Any, out: Any,
) -> None:  # fmt: skip
    """Fill `out` (2, point) with the derivative by one parameter; `by_inside` is that of the signal inside."""
    for i in range(weight.size):
        part = outside[i]
        field = part * constant * by_field[i]
        real = (ONE - part) * by_inside[0] - field * turn[1, i] + by_edge[i] * (turn[0, i] - inside[0])
        imaginary = (ONE - part) * by_inside[1] + field * turn[0, i] + by_edge[i] * (turn[1, i] - inside[1])
        out[0, i] = weight[i] * real
        out[1, i] = weight[i] * imaginary


@compiled
def _chunk(
    row: Any, points: Any, weight: Any, b0_dir: Any, constants: Any, core: Any, edge: Any, out: Any
) -> None:
    n = points.shape[0]
    parts, xyz = np.empty((PARTS, n), np.float32), np.empty((3, n), np.float32)
    turn, seen = np.empty((2, n), np.float32), np.empty((2, n), np.float32)
    nothing = np.zeros(n, np.float32)
    field = np.empty(1 + PER_CYLINDER, np.float32)
    inside, by_inside = np.empty(2, np.float32), np.empty(2, np.float32)
    for axis in range(3):
        xyz[axis] = points[:, axis]
    _around(row, xyz, b0_dir, edge, parts)
    _within(row, b0_dir, field)
    for e in range(constants.size):
        constant = constants[e]
        phase = constant * field[0]
        real, imaginary = np.float32(math.cos(phase)), np.float32(math.sin(phase))
        inside[0], inside[1] = core[0, e] * real, core[0, e] * imaginary
        seen_at(parts, constant, ZERO, turn, seen)
        _add_inside(parts, inside, seen)
        weighted(seen, weight, out[:, 0, e])
        if out.shape[1] > 1:
            for p in range(PER_CYLINDER):
                # The strength moves no edge, the radius no field outside.
                field_row = BY_STRENGTH + p if p < 4 else BY_AXIS + p - 5
                by_field = nothing if p == 4 else parts[field_row]
                by_edge = nothing if p == 0 else parts[EDGE_BY_POINT + p - 1]
                by_inside[0] = -constant * field[1 + p] * inside[1]
                by_inside[1] = constant * field[1 + p] * inside[0]
                _slope(
                    parts[OUTSIDE], by_field, by_edge, turn, inside, by_inside, constant, weight,
                    out[:, 1 + p, e],
                )  # fmt: skip
            by_inside[0], by_inside[1] = core[1, e] * real, core[1, e] * imaginary
            _slope(
                parts[OUTSIDE], nothing, nothing, turn, inside, by_inside, constant, weight,
                out[:, 1 + PER_CYLINDER, e],
            )  # fmt: skip


@compiled(parallel=True)
def cylinder_factor(
    rows: Any, points: Any, weight: Any, b0_dir: Any, constants: Any, core: Any, edge: Any, out: Any
) -> None:
    """Fill `out` (2, 1 or 2 + PER_CYLINDER, echo, point) with the weighted factor - 1 and its derivatives.

    As `lesion_factor`, for one row: susceptibility times cross-section (ppm mm2), a point on the axis (mm, 3), radius
    (mm) and the axis' unit vector (3). The inside has a cylinder's field and decays by `core`.
    """
    n = points.shape[0]
    for c in prange((n + CHUNK - 1) // CHUNK):
        start, stop = c * CHUNK, min(n, (c + 1) * CHUNK)
        seen = out[:, :, :, start:stop]
        if nothing_seen(weight[start:stop], seen):
            continue
        _chunk(rows[0], points[start:stop], weight[start:stop], b0_dir, constants, core, edge, seen)
