"""Signal of an infinite cylinder and its field at points, with its derivatives by its parameters.

With S susceptibility times cross-section, rho the distance from the axis, q the cosine between axis and B0, and g the
component along B0 of the distance from the axis, 4 pi times the field over B0 is

    outside  2 S (2 g^2 / rho^2 - (1 - q^2)) / rho^2,      inside  2 S (3 q^2 - 1) / (3 radius^2),

in ppm (Haacke, Brown et al., Magnetic Resonance Imaging, 2nd edition 2014, chapter 25, doi:10.1002/9781118633953). The
inside decays by exp(-TE R2*); the edge is a ramp of one cell's width, as a ball's.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled
from qsmcmb.microbleeds.signal._ball_loops import (
    CHUNK_POINTS,
    HALF,
    MIN_DISTANCE2,
    ONE,
    THREE,
    ZERO,
    body_signal,
    weighted_factor,
    zero_if_unweighted,
)

__all__: tuple[str, ...] = ()

PER_CYLINDER = 8
"""Number of parameters of a cylinder: S, a point on the axis (3), radius, unit direction (3)."""
TWO, FOUR = np.float32(2.0), np.float32(4.0)
"""Numbers of single precision: Python's own would turn the loops to double."""
FIELD, OUTSIDE, BY_STRENGTH, BY_POINT, BY_AXIS = 0, 1, 2, 3, 6
EDGE_BY_POINT, EDGE_BY_RADIUS, EDGE_BY_AXIS, N_QUANTITIES = 9, 12, 13, 16
"""Rows of the quantities at a chunk's points, the first two as for balls: field, fraction outside, derivatives of the
field by S, the point (3) and the direction (3), of the fraction outside by point (3), radius and direction (3); and the
number of rows."""


@compiled(fused=True)
def _outside_field(row: Any, xyz: Any, b0_dir: Any, edge: Any, quantities: Any) -> None:
    """Fill `quantities` (N_QUANTITIES, point): field outside, fraction outside as a ramp `edge` mm wide, derivatives.

    Fields are 4 pi times the field over B0: times the constants of `ball_factor` they are phases.
    """
    strength, px, py, pz, radius = row[0], row[1], row[2], row[3], row[4]
    ax, ay, az = row[5], row[6], row[7]
    bx, by, bz = b0_dir[0], b0_dir[1], b0_dir[2]
    q = ax * bx + ay * by + az * bz
    n = ONE - q * q
    inv_edge = ONE / edge
    for i in range(xyz.shape[1]):
        rx, ry, rz = xyz[0, i] - px, xyz[1, i] - py, xyz[2, i] - pz
        # Component along the axis; what is left leads from the axis to the point.
        s = ax * rx + ay * ry + az * rz
        x, y, z = rx - s * ax, ry - s * ay, rz - s * az
        rho2 = max(x * x + y * y + z * z, MIN_DISTANCE2)
        g = x * bx + y * by + z * bz
        rho = np.float32(math.sqrt(rho2))
        ramp = (rho - radius) * inv_edge + HALF
        slope = (inv_edge if (ramp > ZERO) & (ramp < ONE) else ZERO) / rho
        # 0 wholly inside: near the axis the phase is too large for `wrap`, and what overflows times 0 is not 0.
        inv2 = (ONE if ramp > ZERO else ZERO) / rho2
        inv4 = inv2 * inv2
        unit = TWO * (TWO * g * g * inv4 - n * inv2)
        # Derivatives by g, by q, and by rho over rho.
        by_g = strength * TWO * FOUR * g * inv4
        across = strength * FOUR * (n * inv4 - FOUR * g * g * inv4 * inv2)
        by_q = strength * FOUR * q * inv2
        turned, along = -by_g * s, -by_g * q - across * s
        quantities[FIELD, i] = strength * unit
        quantities[OUTSIDE, i] = min(max(ramp, ZERO), ONE)
        quantities[BY_STRENGTH, i] = unit
        quantities[BY_POINT, i] = -by_g * (bx - q * ax) - across * x
        quantities[BY_POINT + 1, i] = -by_g * (by - q * ay) - across * y
        quantities[BY_POINT + 2, i] = -by_g * (bz - q * az) - across * z
        quantities[BY_AXIS, i] = turned * bx + along * rx + by_q * bx
        quantities[BY_AXIS + 1, i] = turned * by + along * ry + by_q * by
        quantities[BY_AXIS + 2, i] = turned * bz + along * rz + by_q * bz
        quantities[EDGE_BY_POINT, i] = -slope * x
        quantities[EDGE_BY_POINT + 1, i] = -slope * y
        quantities[EDGE_BY_POINT + 2, i] = -slope * z
        quantities[EDGE_BY_RADIUS, i] = -slope * rho
        quantities[EDGE_BY_AXIS, i] = -slope * s * rx
        quantities[EDGE_BY_AXIS + 1, i] = -slope * s * ry
        quantities[EDGE_BY_AXIS + 2, i] = -slope * s * rz


@compiled
def _inside_field(row: Any, b0_dir: Any, field: Any) -> None:
    """Fill `field` (1 + PER_CYLINDER) with the field inside, the same everywhere, and its derivatives."""
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
def _add_inside_signal(quantities: Any, inside: Any, seen: Any) -> None:
    """Add the signal of the inside to `seen` (2, point)."""
    for i in range(quantities.shape[1]):
        within = ONE - quantities[OUTSIDE, i]
        seen[0, i] += within * inside[0]
        seen[1, i] += within * inside[1]


@compiled(fused=True)
def _parameter_derivative(
    outside: Any, by_field: Any, by_edge: Any, phasor: Any, inside: Any, by_inside: Any, constant: Any,
    weight: Any, out: Any,
) -> None:  # fmt: skip
    """Fill `out` (2, point) with the derivative by one parameter; `by_inside` is that of the inside's signal."""
    for i in range(weight.size):
        fraction = outside[i]
        field = fraction * constant * by_field[i]
        real = (
            (ONE - fraction) * by_inside[0] - field * phasor[1, i] + by_edge[i] * (phasor[0, i] - inside[0])
        )
        imaginary = (
            (ONE - fraction) * by_inside[1] + field * phasor[0, i] + by_edge[i] * (phasor[1, i] - inside[1])
        )
        out[0, i] = weight[i] * real
        out[1, i] = weight[i] * imaginary


@compiled
def _fill_chunk(
    row: Any, points: Any, weight: Any, b0_dir: Any, constants: Any, core: Any, edge: Any, out: Any
) -> None:
    """Fill `out` for one chunk of points: each echo's factor and, if there is room, its derivatives."""
    n = points.shape[0]
    quantities, xyz = np.empty((N_QUANTITIES, n), np.float32), np.empty((3, n), np.float32)
    phasor, seen = np.empty((2, n), np.float32), np.empty((2, n), np.float32)
    nothing = np.zeros(n, np.float32)
    field = np.empty(1 + PER_CYLINDER, np.float32)
    inside, by_inside = np.empty(2, np.float32), np.empty(2, np.float32)
    for axis in range(3):
        xyz[axis] = points[:, axis]
    _outside_field(row, xyz, b0_dir, edge, quantities)
    _inside_field(row, b0_dir, field)
    for e in range(constants.size):
        constant = constants[e]
        phase = constant * field[0]
        real, imaginary = np.float32(math.cos(phase)), np.float32(math.sin(phase))
        inside[0], inside[1] = core[0, e] * real, core[0, e] * imaginary
        body_signal(quantities, constant, ZERO, phasor, seen)
        _add_inside_signal(quantities, inside, seen)
        weighted_factor(seen, weight, out[:, 0, e])
        if out.shape[1] > 1:
            for p in range(PER_CYLINDER):
                # S moves no edge, the radius changes no field outside.
                field_row = BY_STRENGTH + p if p < 4 else BY_AXIS + p - 5
                by_field = nothing if p == 4 else quantities[field_row]
                by_edge = nothing if p == 0 else quantities[EDGE_BY_POINT + p - 1]
                by_inside[0] = -constant * field[1 + p] * inside[1]
                by_inside[1] = constant * field[1 + p] * inside[0]
                _parameter_derivative(
                    quantities[OUTSIDE], by_field, by_edge, phasor, inside, by_inside, constant, weight,
                    out[:, 1 + p, e],
                )  # fmt: skip
            by_inside[0], by_inside[1] = core[1, e] * real, core[1, e] * imaginary
            _parameter_derivative(
                quantities[OUTSIDE], nothing, nothing, phasor, inside, by_inside, constant, weight,
                out[:, 1 + PER_CYLINDER, e],
            )  # fmt: skip


@compiled(parallel=True)
def cylinder_factor(
    rows: Any, points: Any, weight: Any, b0_dir: Any, constants: Any, core: Any, edge: Any, out: Any
) -> None:
    """Fill `out` with the weighted factor of a cylinder on the signal, less 1, and its derivatives.

    Parameters
    ----------
    rows : ndarray of shape (1, 8), float32
        Susceptibility times cross-section (ppm mm2), a point on the axis (mm, 3), radius (mm), unit direction (3).
    points, weight, b0_dir, constants, core, edge
        As for `ball_factor`.
    out : ndarray of shape (2, 1 or 10, n_echoes, n_points), float32
        Overwritten: real and imaginary part of weight times (factor - 1) and, where there is room, of its derivatives
        by the row's parameters and by the log of the decay.
    """
    n = points.shape[0]
    for c in prange((n + CHUNK_POINTS - 1) // CHUNK_POINTS):
        start, stop = c * CHUNK_POINTS, min(n, (c + 1) * CHUNK_POINTS)
        seen = out[:, :, :, start:stop]
        if zero_if_unweighted(weight[start:stop], seen):
            continue
        _fill_chunk(rows[0], points[start:stop], weight[start:stop], b0_dir, constants, core, edge, seen)
