"""Signal of balls with dipole fields at points, with its derivatives by their parameters.

At an echo the factor of a ball on the signal is

    f(r) = o(r) exp(i c u(r)) + (1 - o(r)) exp(-TE R2*),   u = M (3 cos^2 theta - 1) / r^3,

with c the phase of 1 ppm mm3 at 1 mm and o the fraction outside, a ramp of one cell's width across the edge, so that
the radius has a gradient. Several balls multiply. Points are taken in chunks, one quantity after the other, so that
every loop runs in vector registers: real and imaginary part apart, float32 throughout.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._angle_loops import cosine, sinc, wrap
from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

PER_BALL = 5
"""Number of parameters of a ball: M, centre (3), radius."""
CHUNK_POINTS = 128
"""Number of points that are treated together: their quantities stay in a core's first cache."""
ONE, ZERO, HALF = np.float32(1.0), np.float32(0.0), np.float32(0.5)
THREE, SIX, FIFTEEN = np.float32(3.0), np.float32(6.0), np.float32(15.0)
"""Numbers of single precision: Python's own would turn the loops to double."""
MIN_DISTANCE2 = np.float32(1e-4)
"""Smallest squared distance from a centre, mm2, against division by 0: that of 0.01 mm, within any body."""
FIELD, OUTSIDE, BY_TOTAL, BY_CENTRE, EDGE_BY_CENTRE, EDGE_BY_RADIUS, N_QUANTITIES = 0, 1, 2, 3, 6, 9, 10
"""Rows of a ball's quantities at a chunk's points: field, fraction outside, derivatives of the field by M and by the
centre (3), derivatives of the fraction outside by the centre (3) and by the radius; and the number of rows."""


@compiled(fused=True)
def _ball_field_and_edge(ball: Any, xyz: Any, b0_dir: Any, edge: Any, quantities: Any) -> None:
    """Fill `quantities` (N_QUANTITIES, point): field, fraction outside the ball, then the derivatives of each.

    The field is u of the module's equation: 4 pi times the field over B0, ppm. The edge is a ramp `edge` mm wide.
    """
    total, cx, cy, cz, radius = ball[0], ball[1], ball[2], ball[3], ball[4]
    bx, by, bz = b0_dir[0], b0_dir[1], b0_dir[2]
    inv_edge = ONE / edge
    for i in range(xyz.shape[1]):
        dx, dy, dz = xyz[0, i] - cx, xyz[1, i] - cy, xyz[2, i] - cz
        r2 = max(dx * dx + dy * dy + dz * dz, MIN_DISTANCE2)
        r = np.float32(math.sqrt(r2))
        ramp = (r - radius) * inv_edge + HALF
        slope = inv_edge if (ramp > ZERO) & (ramp < ONE) else ZERO
        # 0 wholly inside: near the centre the phase is too large for `wrap`, and what overflows times 0 is not 0.
        shown = ONE if ramp > ZERO else ZERO
        # Component of the distance along B0: u / r is cos(theta).
        u = dx * bx + dy * by + dz * bz
        inv = ONE / r
        inv2 = inv * inv
        inv3 = shown * inv2 * inv
        inv5 = inv3 * inv2
        # The field is M (3 u^2 / r^5 - 1 / r^3); its derivative by the centre is minus its gradient.
        unit = THREE * u * u * inv5 - inv3
        along = total * (FIFTEEN * u * u * inv2 - THREE) * inv5
        turned = total * SIX * u * inv5
        quantities[FIELD, i] = total * unit
        quantities[OUTSIDE, i] = min(max(ramp, ZERO), ONE)
        quantities[BY_TOTAL, i] = unit
        quantities[BY_CENTRE, i] = along * dx - turned * bx
        quantities[BY_CENTRE + 1, i] = along * dy - turned * by
        quantities[BY_CENTRE + 2, i] = along * dz - turned * bz
        quantities[EDGE_BY_CENTRE, i] = -slope * dx * inv
        quantities[EDGE_BY_CENTRE + 1, i] = -slope * dy * inv
        quantities[EDGE_BY_CENTRE + 2, i] = -slope * dz * inv
        quantities[EDGE_BY_RADIUS, i] = -slope


@compiled(fused=True)
def body_signal(quantities: Any, constant: Any, core: Any, phasor: Any, seen: Any) -> None:
    """Fill phase factor and signal (2, point) of one body at one echo."""
    for i in range(quantities.shape[1]):
        phase = wrap(constant * quantities[FIELD, i])
        # The wrapped phase keeps the polynomials of sine and cosine in their range.
        real, imaginary = cosine(phase), phase * sinc(phase)
        outside = quantities[OUTSIDE, i]
        phasor[0, i] = real
        phasor[1, i] = imaginary
        seen[0, i] = outside * real + (ONE - outside) * core
        seen[1, i] = outside * imaginary


@compiled(fused=True)
def _multiply_complex(a: Any, b: Any) -> None:
    """Multiply complex numbers (2, point) in place."""
    for i in range(a.shape[1]):
        real = a[0, i] * b[0, i] - a[1, i] * b[1, i]
        a[1, i] = a[0, i] * b[1, i] + a[1, i] * b[0, i]
        a[0, i] = real


@compiled(fused=True)
def parameter_derivative(
    quantities: Any,
    by_field: Any,
    by_edge: Any,
    phasor: Any,
    others: Any,
    weight: Any,
    constant: Any,
    core: Any,
    out: Any,
) -> None:
    """Fill `out` (2, point) with the derivative by one of a body's parameters, times the other bodies' factor."""
    for i in range(weight.size):
        # d(o e + (1 - o) d) = i o e d(phase) + (e - d) d(o), with e the phase factor and d the decayed signal.
        field = weight[i] * constant * quantities[OUTSIDE, i] * by_field[i]
        edge = weight[i] * by_edge[i]
        real = edge * (phasor[0, i] - core) - field * phasor[1, i]
        imaginary = edge * phasor[1, i] + field * phasor[0, i]
        out[0, i] = real * others[0, i] - imaginary * others[1, i]
        out[1, i] = real * others[1, i] + imaginary * others[0, i]


@compiled(fused=True)
def weighted_factor(value: Any, weight: Any, out: Any) -> None:
    """Fill `out` (2, point) with the weighted factor - 1."""
    for i in range(weight.size):
        out[0, i] = weight[i] * (value[0, i] - ONE)
        out[1, i] = weight[i] * value[1, i]


@compiled(fused=True)
def add_decay_derivative(quantities: Any, others: Any, weight: Any, by_decay: Any, out: Any) -> None:
    """Add to `out` (2, point) the derivative of one body's inside by the log of the decay."""
    for i in range(weight.size):
        inside = weight[i] * (ONE - quantities[OUTSIDE, i]) * by_decay
        out[0, i] += inside * others[0, i]
        out[1, i] += inside * others[1, i]


@compiled
def _ball_derivatives(
    quantities: Any, phasor: Any, others: Any, weight: Any, constant: Any, core: Any, out: Any
) -> None:
    """Fill `out` (2, PER_BALL, point) with the derivatives by all parameters of a ball."""
    nothing = np.zeros(weight.size, np.float32)
    for p in range(PER_BALL):
        # M moves no edge, the radius changes no field.
        by_field = quantities[BY_TOTAL + p] if p < PER_BALL - 1 else nothing
        by_edge = quantities[EDGE_BY_CENTRE + p - 1] if p > 0 else nothing
        parameter_derivative(quantities, by_field, by_edge, phasor, others, weight, constant, core, out[:, p])


@compiled
def _product_of_others(seen: Any, but: Any, out: Any) -> None:
    """Fill `out` (2, point) with the product of all balls' signals but one's."""
    out[0] = ONE
    out[1] = ZERO
    for b in range(seen.shape[0]):
        if b != but:
            _multiply_complex(out, seen[b])


@compiled(fused=True)
def _field_and_edge(ball: Any, xyz: Any, b0_dir: Any, edge: Any, field: Any, outside: Any) -> None:
    """Fill field and fraction outside (point) of a ball, as `_ball_field_and_edge` without derivatives."""
    total, cx, cy, cz, radius = ball[0], ball[1], ball[2], ball[3], ball[4]
    bx, by, bz = b0_dir[0], b0_dir[1], b0_dir[2]
    inv_edge = ONE / edge
    for i in range(xyz.shape[1]):
        dx, dy, dz = xyz[0, i] - cx, xyz[1, i] - cy, xyz[2, i] - cz
        r2 = max(dx * dx + dy * dy + dz * dz, MIN_DISTANCE2)
        r = np.float32(math.sqrt(r2))
        ramp = (r - radius) * inv_edge + HALF
        shown = ONE if ramp > ZERO else ZERO
        u = dx * bx + dy * by + dz * bz
        inv = ONE / r
        inv2 = inv * inv
        inv3 = shown * inv2 * inv
        field[i] = total * (THREE * u * u * inv3 * inv2 - inv3)
        outside[i] = min(max(ramp, ZERO), ONE)


@compiled(fused=True)
def _weighted_phase_factor(field: Any, weight: Any, constant: Any, out: Any) -> None:
    """Fill `out` (2, point) with the weighted phase factor - 1 of a field at one echo."""
    for i in range(weight.size):
        phase = wrap(constant * field[i])
        out[0, i] = weight[i] * (cosine(phase) - ONE)
        out[1, i] = weight[i] * (phase * sinc(phase))


@compiled
def _fill_values(
    balls: Any, points: Any, weight: Any, b0_dir: Any, constants: Any, core: Any, edge: Any, out: Any
) -> None:
    """Fill `out` (2, echo, point) for one chunk of points with each echo's factor alone.

    Where a point lies outside all balls their phases add; elsewhere the balls' factors are multiplied one by one.
    """
    n_balls, n = balls.shape[0], points.shape[0]
    fields, outside = np.empty((n_balls, n), np.float32), np.empty((n_balls, n), np.float32)
    xyz, total = np.empty((3, n), np.float32), np.zeros(n, np.float32)
    for axis in range(3):
        xyz[axis] = points[:, axis]
    for b in range(n_balls):
        _field_and_edge(balls[b], xyz, b0_dir, edge, fields[b], outside[b])
        for i in range(n):
            total[i] += fields[b, i]
    for e in range(constants.size):
        _weighted_phase_factor(total, weight, constants[e], out[:, e])
    for i in range(n):
        shown = ONE
        for b in range(n_balls):
            shown = min(shown, outside[b, i])
        if shown < ONE:
            for e in range(constants.size):
                _multiply_at_point(
                    fields[:, i], outside[:, i], weight[i], constants[e], core[0, e], out[:, e, i]
                )


@compiled(fused=True)
def _multiply_at_point(fields: Any, outside: Any, weight: Any, constant: Any, core: Any, out: Any) -> None:
    """Fill `out` (2,) with the weighted product of the balls' factors less 1 at one point and echo."""
    real, imaginary = ONE, ZERO
    for b in range(fields.size):
        phase = wrap(constant * fields[b])
        by_real = outside[b] * cosine(phase) + (ONE - outside[b]) * core
        by_imaginary = outside[b] * (phase * sinc(phase))
        real, imaginary = real * by_real - imaginary * by_imaginary, real * by_imaginary + imaginary * by_real
    out[0] = weight * (real - ONE)
    out[1] = weight * imaginary


@compiled
def _fill_chunk(
    balls: Any, points: Any, weight: Any, b0_dir: Any, constants: Any, core: Any, edge: Any, out: Any
) -> None:
    """Fill `out` for one chunk of points: each echo's factor and its derivatives."""
    n_balls, n = balls.shape[0], points.shape[0]
    quantities = np.empty((n_balls, N_QUANTITIES, n), np.float32)
    phasor, seen = np.empty((n_balls, 2, n), np.float32), np.empty((n_balls, 2, n), np.float32)
    others, xyz = np.empty((2, n), np.float32), np.empty((3, n), np.float32)
    for axis in range(3):
        xyz[axis] = points[:, axis]
    for b in range(n_balls):
        _ball_field_and_edge(balls[b], xyz, b0_dir, edge, quantities[b])
    for e in range(constants.size):
        for b in range(n_balls):
            body_signal(quantities[b], constants[e], core[0, e], phasor[b], seen[b])
        _product_of_others(seen, n_balls, others)
        weighted_factor(others, weight, out[:, 0, e])
        by_core = out[:, 1 + PER_BALL * n_balls, e]
        by_core[:] = ZERO
        for b in range(n_balls):
            _product_of_others(seen, b, others)
            add_decay_derivative(quantities[b], others, weight, core[1, e], by_core)
            slopes = out[:, 1 + PER_BALL * b : 1 + PER_BALL * (b + 1), e]
            _ball_derivatives(quantities[b], phasor[b], others, weight, constants[e], core[0, e], slopes)


@compiled
def zero_if_unweighted(weight: Any, out: Any) -> bool:
    """Whether no point of a chunk has weight, as in the corners of a box of cells; `out` is set to 0 then."""
    for i in range(weight.size):
        if weight[i] != ZERO:
            return False
    out[:] = ZERO
    return True


@compiled(parallel=True)
def rotate_phase(values: Any, phasor: Any) -> None:
    """Multiply complex values by complex numbers in place, for instance by phase factors.

    Parameters
    ----------
    values : ndarray of shape (2, n, echo, point), float32
        Real and imaginary part of the values; overwritten.
    phasor : ndarray of shape (2, echo, point), float32
        Real and imaginary part of the factors.
    """
    for k in prange(values.shape[1] * values.shape[2]):
        n, e = k // values.shape[2], k % values.shape[2]
        _multiply_complex(values[:, n, e], phasor[:, e])


@compiled(parallel=True)
def ball_factor(
    balls: Any, points: Any, weight: Any, b0_dir: Any, constants: Any, core: Any, edge: Any, out: Any
) -> None:
    """Fill `out` with the weighted factor of balls on the signal, less 1, and its derivatives.

    Parameters
    ----------
    balls : ndarray of shape (n, 5), float32
        M (ppm mm3), centre (mm, 3) and radius (mm) of each.
    points : ndarray of shape (n_points, 3), float32
        Points, mm.
    weight : ndarray of shape (n_points,), float32
        Weight of each point.
    b0_dir : ndarray of shape (3,), float32
        Unit vector of B0 in voxel axes.
    constants : ndarray of shape (n_echoes,), float32
        Phase of 1 ppm mm3 at 1 mm, over 3 cos^2(theta) - 1, rad.
    core : ndarray of shape (2, n_echoes), float32
        Signal inside a ball over the tissue's, 0 to 1, and its derivative by the log of the decay. Inside a ball the
        field is that of the others alone.
    edge : float32
        Width of the ramp across a ball's edge, mm, > 0.
    out : ndarray of shape (2, 1 or 2 + 5 n, n_echoes, n_points), float32
        Overwritten: real and imaginary part of weight times (factor - 1) and, where there is room, of its derivatives
        by each ball's parameters and by the log of the decay.
    """
    n = points.shape[0]
    for c in prange((n + CHUNK_POINTS - 1) // CHUNK_POINTS):
        start, stop = c * CHUNK_POINTS, min(n, (c + 1) * CHUNK_POINTS)
        seen = out[:, :, :, start:stop]
        if zero_if_unweighted(weight[start:stop], seen):
            continue
        if seen.shape[1] == 1:
            _fill_values(
                balls, points[start:stop], weight[start:stop], b0_dir, constants, core, edge, seen[:, 0]
            )
        else:
            _fill_chunk(balls, points[start:stop], weight[start:stop], b0_dir, constants, core, edge, seen)
