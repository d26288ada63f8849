"""Signal of balls and their dipole fields at points, with its derivatives.

Points are taken in chunks, one quantity after the other, so that every loop runs in vector registers: real and
imaginary part apart, float32 throughout.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._angle_loops import cosine, sinc, wrap
from qsmcmb.core.compiled import compiled

PER_BALL = 5
CHUNK = 128
ONE, ZERO, HALF = np.float32(1.0), np.float32(0.0), np.float32(0.5)
THREE, SIX, FIFTEEN = np.float32(3.0), np.float32(6.0), np.float32(15.0)
MIN_DISTANCE2 = np.float32(1e-4)
"""Squared distance (mm2) from a centre below which all is centre."""
# Rows of a chunk's parts of a ball.
FIELD, OUTSIDE, BY_TOTAL, BY_CENTRE, EDGE_BY_CENTRE, EDGE_BY_RADIUS, PARTS = 0, 1, 2, 3, 6, 9, 10


@compiled(fused=True)
def _ball(ball: Any, xyz: Any, b0_dir: Any, edge: Any, parts: Any) -> None:
    """Fill `parts` (PARTS, point): field, part outside the ball, then the derivatives of each.

    The field is in units of phase over `constants`; the ball's edge is a ramp `edge` mm wide, so that the radius
    has a gradient.
    """
    total, cx, cy, cz, radius = ball[0], ball[1], ball[2], ball[3], ball[4]
    bx, by, bz = b0_dir[0], b0_dir[1], b0_dir[2]
    steep = ONE / edge
    for i in range(xyz.shape[1]):
        dx, dy, dz = xyz[0, i] - cx, xyz[1, i] - cy, xyz[2, i] - cz
        r2 = max(dx * dx + dy * dy + dz * dz, MIN_DISTANCE2)
        r = np.float32(math.sqrt(r2))
        ramp = (r - radius) * steep + HALF
        slope = steep if (ramp > ZERO) & (ramp < ONE) else ZERO
        # What nobody sees is 0: a field near the centre times 0 is not.
        shown = ONE if ramp > ZERO else ZERO
        u = dx * bx + dy * by + dz * bz
        inv = ONE / r
        inv2 = inv * inv
        inv3 = shown * inv2 * inv
        inv5 = inv3 * inv2
        unit = THREE * u * u * inv5 - inv3
        along = total * (FIFTEEN * u * u * inv2 - THREE) * inv5
        turned = total * SIX * u * inv5
        parts[FIELD, i] = total * unit
        parts[OUTSIDE, i] = min(max(ramp, ZERO), ONE)
        parts[BY_TOTAL, i] = unit
        parts[BY_CENTRE, i] = along * dx - turned * bx
        parts[BY_CENTRE + 1, i] = along * dy - turned * by
        parts[BY_CENTRE + 2, i] = along * dz - turned * bz
        parts[EDGE_BY_CENTRE, i] = -slope * dx * inv
        parts[EDGE_BY_CENTRE + 1, i] = -slope * dy * inv
        parts[EDGE_BY_CENTRE + 2, i] = -slope * dz * inv
        parts[EDGE_BY_RADIUS, i] = -slope


@compiled(fused=True)
def seen_at(parts: Any, constant: Any, core: Any, turn: Any, seen: Any) -> None:
    """Fill turn and signal (2, point) of one body at one echo."""
    for i in range(parts.shape[1]):
        phase = wrap(constant * parts[FIELD, i])
        real, imaginary = cosine(phase), phase * sinc(phase)
        outside = parts[OUTSIDE, i]
        turn[0, i] = real
        turn[1, i] = imaginary
        seen[0, i] = outside * real + (ONE - outside) * core
        seen[1, i] = outside * imaginary


@compiled(fused=True)
def _times(a: Any, b: Any) -> None:
    """Multiply complex numbers (2, point) in place."""
    for i in range(a.shape[1]):
        real = a[0, i] * b[0, i] - a[1, i] * b[1, i]
        a[1, i] = a[0, i] * b[1, i] + a[1, i] * b[0, i]
        a[0, i] = real


@compiled(fused=True)
def slope_by(
    parts: Any,
    by_field: Any,
    by_edge: Any,
    turn: Any,
    others: Any,
    weight: Any,
    constant: Any,
    core: Any,
    out: Any,
) -> None:
    """Fill `out` (2, point) with the derivative by one of a body's parameters."""
    for i in range(weight.size):
        field = weight[i] * constant * parts[OUTSIDE, i] * by_field[i]
        edge = weight[i] * by_edge[i]
        real = edge * (turn[0, i] - core) - field * turn[1, i]
        imaginary = edge * turn[1, i] + field * turn[0, i]
        out[0, i] = real * others[0, i] - imaginary * others[1, i]
        out[1, i] = real * others[1, i] + imaginary * others[0, i]


@compiled(fused=True)
def weighted(value: Any, weight: Any, out: Any) -> None:
    """Fill `out` (2, point) with the weighted factor - 1."""
    for i in range(weight.size):
        out[0, i] = weight[i] * (value[0, i] - ONE)
        out[1, i] = weight[i] * value[1, i]


@compiled(fused=True)
def add_core(parts: Any, others: Any, weight: Any, by_decay: Any, out: Any) -> None:
    """Add to `out` (2, point) the derivative of one body's inside by the decay."""
    for i in range(weight.size):
        inside = weight[i] * (ONE - parts[OUTSIDE, i]) * by_decay
        out[0, i] += inside * others[0, i]
        out[1, i] += inside * others[1, i]


@compiled
def _slopes(parts: Any, turn: Any, others: Any, weight: Any, constant: Any, core: Any, out: Any) -> None:
    """Fill `out` (2, PER_BALL, point) with the derivatives by all parameters of a ball."""
    nothing = np.zeros(weight.size, np.float32)
    for p in range(PER_BALL):
        # M moves no edge, the radius no field.
        by_field = parts[BY_TOTAL + p] if p < PER_BALL - 1 else nothing
        by_edge = parts[EDGE_BY_CENTRE + p - 1] if p > 0 else nothing
        slope_by(parts, by_field, by_edge, turn, others, weight, constant, core, out[:, p])


@compiled
def _product(seen: Any, but: Any, out: Any) -> None:
    """Fill `out` (2, point) with the product of all balls' signals but one's."""
    out[0] = ONE
    out[1] = ZERO
    for b in range(seen.shape[0]):
        if b != but:
            _times(out, seen[b])


@compiled
def _chunk(
    balls: Any, points: Any, weight: Any, b0_dir: Any, constants: Any, core: Any, edge: Any, out: Any
) -> None:
    n_balls, n = balls.shape[0], points.shape[0]
    parts = np.empty((n_balls, PARTS, n), np.float32)
    turn, seen = np.empty((n_balls, 2, n), np.float32), np.empty((n_balls, 2, n), np.float32)
    others, xyz = np.empty((2, n), np.float32), np.empty((3, n), np.float32)
    for axis in range(3):
        xyz[axis] = points[:, axis]
    for b in range(n_balls):
        _ball(balls[b], xyz, b0_dir, edge, parts[b])
    for e in range(constants.size):
        for b in range(n_balls):
            seen_at(parts[b], constants[e], core[0, e], turn[b], seen[b])
        _product(seen, n_balls, others)
        weighted(others, weight, out[:, 0, e])
        if out.shape[1] > 1:
            by_core = out[:, 1 + PER_BALL * n_balls, e]
            by_core[:] = ZERO
            for b in range(n_balls):
                _product(seen, b, others)
                add_core(parts[b], others, weight, core[1, e], by_core)
                slopes = out[:, 1 + PER_BALL * b : 1 + PER_BALL * (b + 1), e]
                _slopes(parts[b], turn[b], others, weight, constants[e], core[0, e], slopes)


@compiled
def nothing_seen(weight: Any, out: Any) -> bool:
    """Whether no point of a chunk has a weight; its part of `out` is 0 then: the box of cells has corners."""
    for i in range(weight.size):
        if weight[i] != ZERO:
            return False
    out[:] = ZERO
    return True


@compiled(parallel=True)
def turn_by(values: Any, turn: Any) -> None:
    """Multiply complex values (2, n, echo, point) by numbers (2, echo, point) in place."""
    for k in prange(values.shape[1] * values.shape[2]):
        n, e = k // values.shape[2], k % values.shape[2]
        _times(values[:, n, e], turn[:, e])


@compiled(parallel=True)
def lesion_factor(
    balls: Any, points: Any, weight: Any, b0_dir: Any, constants: Any, core: Any, edge: Any, out: Any
) -> None:
    """Fill `out` (2, 1 or 2 + 5 per ball, echo, point) with the weighted factor - 1 and its derivatives.

    All are float32. The first axis is real and imaginary. `balls` rows are M (ppm mm3), centre (mm, 3) and radius
    (mm); `constants` the phase of 1 ppm mm3 at 1 mm per echo; `core` (2, echo) the signal inside a ball, where the
    field is that of the others alone, and its derivative by the last parameter.
    """
    n = points.shape[0]
    for c in prange((n + CHUNK - 1) // CHUNK):
        start, stop = c * CHUNK, min(n, (c + 1) * CHUNK)
        seen = out[:, :, :, start:stop]
        if nothing_seen(weight[start:stop], seen):
            continue
        _chunk(balls, points[start:stop], weight[start:stop], b0_dir, constants, core, edge, seen)
