"""Signal of balls and their dipole fields at points, with its derivatives."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

PER_BALL = 5


@compiled
def _ball(ball: Any, point: Any, b0_dir: Any, edge: Any, parts: Any) -> None:
    """Fill `parts`: field, part outside the ball, then the derivatives of each by M, centre (3) and radius.

    The field is in units of phase over `constants`; the ball's edge is a ramp `edge` mm wide, so that the radius
    has a gradient.
    """
    dx = point[0] - ball[1]
    dy = point[1] - ball[2]
    dz = point[2] - ball[3]
    r2 = max(dx * dx + dy * dy + dz * dz, 1e-4)
    r = math.sqrt(r2)
    ramp = (r - ball[4]) / edge + 0.5
    slope = 1.0 / edge if 0.0 < ramp < 1.0 else 0.0
    parts[1] = min(max(ramp, 0.0), 1.0)
    parts[7] = 0.0
    parts[8] = -slope * dx / r
    parts[9] = -slope * dy / r
    parts[10] = -slope * dz / r
    parts[11] = -slope
    parts[6] = 0.0
    u = dx * b0_dir[0] + dy * b0_dir[1] + dz * b0_dir[2]
    inv3 = 1.0 / (r2 * r)
    inv5 = inv3 / r2
    unit = 3.0 * u * u * inv5 - inv3
    along = 15.0 * u * u * inv5 / r2 - 3.0 * inv5
    parts[0] = ball[0] * unit
    parts[2] = unit
    parts[3] = ball[0] * (along * dx - 6.0 * u * inv5 * b0_dir[0])
    parts[4] = ball[0] * (along * dy - 6.0 * u * inv5 * b0_dir[1])
    parts[5] = ball[0] * (along * dz - 6.0 * u * inv5 * b0_dir[2])


@compiled
def _turn(phase: Any) -> Any:
    p2 = phase * phase
    if p2 < 1.0:
        # Most points are far away: the series to 3e-6 costs a fifth of the functions.
        sine = phase * (1 - p2 / 6 * (1 - p2 / 20 * (1 - p2 / 42)))
        return 1 - p2 / 2 * (1 - p2 / 12 * (1 - p2 / 30 * (1 - p2 / 56))), sine
    return math.cos(phase), math.sin(phase)


@compiled
def _slopes(parts: Any, turn: Any, seen: Any, w: Any, constant: Any, core: Any, out: Any) -> None:
    """Fill `out` (2, 5 per ball + 1) with the derivatives by each ball's parameters and by the core's decay."""
    n_balls = seen.size
    by_core = complex(0.0, 0.0)
    for b in range(n_balls):
        others = complex(1.0, 0.0)
        for o in range(n_balls):
            if o != b:
                others *= seen[o]
        by_core += (1.0 - parts[b, 1]) * core[1] * others
        turning = complex(0.0, w * constant * parts[b, 1]) * turn[b] * others
        edging = w * (turn[b] - core[0]) * others
        for p in range(PER_BALL):
            slope = turning * parts[b, 2 + p] + edging * parts[b, 7 + p]
            out[0, PER_BALL * b + p] = slope.real
            out[1, PER_BALL * b + p] = slope.imag
    out[0, PER_BALL * n_balls] = w * by_core.real
    out[1, PER_BALL * n_balls] = w * by_core.imag


@compiled(parallel=True)
def lesion_factor(
    balls: Any, points: Any, weight: Any, b0_dir: Any, constants: Any, core: Any, edge: Any, out: Any
) -> None:
    """Fill `out` (2, 1 or 2 + 5 per ball, echo, point) with the weighted factor - 1 and its derivatives.

    The first axis is real and imaginary. `balls` rows are M (ppm mm3), centre (mm, 3) and radius (mm); `constants`
    the phase of 1 ppm mm3 at 1 mm per echo; `core` (2, echo) the signal inside a ball, where the field is that of
    the others alone, and its derivative by the last parameter. Where `weight` is 0 nothing is computed.
    """
    n_balls, n_echoes = balls.shape[0], constants.size
    wanted = out.shape[1] > 1
    for i in prange(points.shape[0]):
        if weight[i] == 0.0:
            out[:, :, :, i] = 0.0
            continue
        parts = np.empty((n_balls, 12))
        seen = np.empty(n_balls, np.complex128)
        turn = np.empty(n_balls, np.complex128)
        w = weight[i]
        for b in range(n_balls):
            _ball(balls[b], points[i], b0_dir, edge, parts[b])
        for e in range(n_echoes):
            product = complex(1.0, 0.0)
            for b in range(n_balls):
                outside = parts[b, 1]
                turn[b] = complex(0.0, 0.0)
                if outside > 0.0:
                    cosine, sine = _turn(constants[e] * parts[b, 0])
                    turn[b] = complex(cosine, sine)
                seen[b] = outside * turn[b] + (1.0 - outside) * core[0, e]
                product *= seen[b]
            out[0, 0, e, i] = w * (product.real - 1.0)
            out[1, 0, e, i] = w * product.imag
            if wanted:
                _slopes(parts, turn, seen, w, constants[e], core[:, e], out[:, 1:, e, i])
