"""Loops over voxels that fit the echoes: a line, and a decaying complex signal.

Both write four numbers a voxel, each into a volume of its own: slope (rad/s), inverse variance of the slope for noise
of SD 1, weighted sum of squared phase residuals (chi squared for noise of SD 1), sum of the weights.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

TURN = 2.0 * math.pi
"""One turn, rad."""
MAX_STEPS = 12
"""Gauss-Newton steps at most, a count; three are usual."""
TOLERANCE_RAD = 1e-4
"""Last step's phase at the last echo at which a fit has settled, rad: far below the noise of any phase."""
TINY = 1e-30
"""Number below which a sum of weights is 0: no division by it."""
MAX_DECAY = 30.0
"""Decay up to the first echo, in natural logarithms, beyond which nothing is left to fit: exp(-30) is 1e-13."""


@compiled
def _line(u: Any, w: Any, te: Any, free: Any, out: Any) -> None:
    """Fit a weighted line of u over te: `out` is slope, offset, inverse variance of the slope."""
    s0, s1, s2, g0, g1 = 0.0, 0.0, 0.0, 0.0, 0.0
    for e in range(te.size):
        s0 += w[e]
        s1 += w[e] * te[e]
        s2 += w[e] * te[e] * te[e]
        g0 += w[e] * u[e]
        g1 += w[e] * te[e] * u[e]
    # Information on the slope: with a free offset the spread of the times alone.
    spread = s2 - s1 * s1 / max(s0, TINY) if free else s2
    # No signal in any echo, or one echo and a free offset.
    if spread <= TINY:
        out[0], out[1], out[2] = 0.0, 0.0, 0.0
        return
    out[0] = (g1 - s1 * g0 / s0) / spread if free else g1 / spread
    out[1] = (g0 - out[0] * s1) / s0 if free else 0.0
    out[2] = spread


@compiled(parallel=True)
def fit_line(u: Any, mag: Any, mask: Any, box: Any, te: Any, free: Any, out: Any) -> None:
    """Fit the line in each voxel of the mask."""
    for x in prange(box[0], box[1]):
        w, line, values = np.zeros(te.size), np.zeros(3), np.zeros(te.size)
        for y in range(box[2], box[3]):
            for z in range(box[4], box[5]):
                if not mask[x, y, z]:
                    continue
                for e in range(te.size):
                    # Into a buffer: echoes lie a volume apart.
                    values[e], w[e] = u[e, x, y, z], mag[e, x, y, z] * mag[e, x, y, z]
                _line(values, w, te, free, line)
                _write(values, w, te, line, out, (x, y, z))


@compiled
def _write(u: Any, w: Any, te: Any, line: Any, out: Any, place: Any) -> None:
    """Write one voxel's four numbers, with residuals wrapped: whole turns between echoes are no misfit."""
    misfit, total = 0.0, 0.0
    for e in range(te.size):
        d = u[e] - line[0] * te[e] - line[1]
        # A whole turn between echo and line is no misfit.
        d -= TURN * math.floor(d / TURN + 0.5)
        misfit += w[e] * d * d
        total += w[e]
    slope, information, misfits, totals = out
    slope[place], information[place], misfits[place], totals[place] = line[0], line[2], misfit, total


@compiled
def _decay(mag: Any, w: Any, te: Any, model: Any) -> None:
    """Fit a weighted line of ln magnitude: `model` gets ln amplitude and decay rate, the rate not below 0."""
    s0, s1, s2, g0, g1 = 0.0, 0.0, 0.0, 0.0, 0.0
    for e in range(te.size):
        # A magnitude of 0 has weight 0, but no logarithm.
        log = math.log(max(mag[e], TINY))
        s0 += w[e]
        s1 += w[e] * te[e]
        s2 += w[e] * te[e] * te[e]
        g0 += w[e] * log
        g1 += w[e] * te[e] * log
    spread = s2 * s0 - s1 * s1
    # Growing signals are noise, and begin without decay.
    rate = max(0.0, -(g1 * s0 - s1 * g0) / spread) if spread > TINY else 0.0
    model[1] = min(rate, MAX_DECAY / te[0])
    model[0] = (g0 + model[1] * s1) / max(s0, TINY)


@compiled
def _gauss_newton(u: Any, mag: Any, te: Any, free: Any, line: Any, model: Any) -> None:
    """Fit amplitude, decay, slope and offset to the complex signal, from `line` and `model`, in place.

    In ln amplitude and decay on the one side, offset and slope on the other the normal equations fall apart into two
    pairs, both with the weights of the model's squared magnitude.
    """
    last = te[te.size - 1]
    for _ in range(MAX_STEPS):
        s0, s1, s2, a0, a1, p0, p1 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for e in range(te.size):
            a = math.exp(model[0] - model[1] * te[e])
            d = u[e] - line[0] * te[e] - line[1]
            # The residual along the model and across it, times the model: the gradient of both pairs.
            along, across = a * (mag[e] * math.cos(d) - a), a * mag[e] * math.sin(d)
            w = a * a
            s0 += w
            s1 += w * te[e]
            s2 += w * te[e] * te[e]
            a0 += along
            a1 -= te[e] * along
            p0 += across
            p1 += te[e] * across
        spread = s0 * s2 - s1 * s1
        if s2 <= TINY:
            return
        if spread > TINY:
            # A factor of e a step at most: a first guess in the noise may be far off.
            model[0] += min(max((s2 * a0 + s1 * a1) / spread, -1.0), 1.0)
            rate = model[1] + min(max((s0 * a1 + s1 * a0) / spread, -1.0 / te[0]), 1.0 / te[0])
            model[1] = min(max(rate, 0.0), MAX_DECAY / te[0])
        if free and spread > TINY:
            turn, slope = (s2 * p0 - s1 * p1) / spread, (s0 * p1 - s1 * p0) / spread
        else:
            turn, slope = 0.0, p1 / s2
        # Half a turn at the last echo at most: beyond it the next minimum would be taken.
        slope = min(max(slope, -math.pi / last), math.pi / last)
        line[0] += slope
        line[1] += turn
        # By the phase at the last echo, where a slope moves most.
        if abs(slope) * last + abs(turn) < TOLERANCE_RAD:
            return


@compiled
def _trust_early(u: Any, w: Any, te: Any, free: Any, line: Any, excess: Any) -> None:
    """Refit with a model error that grows with TE cubed and is as large as the misfit says; w in units of noise."""
    last, total = te[te.size - 1], 0.0
    for e in range(te.size):
        # A variance that grows with TE cubed squared.
        total += w[e] * (te[e] / last) ** 6
    # As large as the misfit says: with it chi squared is what noise alone would give.
    variance = excess / max(total, TINY)
    for e in range(te.size):
        w[e] /= 1.0 + w[e] * variance * (te[e] / last) ** 6
    step, rest = np.zeros(3), np.zeros(te.size)
    # Some times, for the residuals are wrapped around a line that moves.
    for _ in range(4):
        for e in range(te.size):
            d = u[e] - line[0] * te[e] - line[1]
            rest[e] = d - TURN * math.floor(d / TURN + 0.5)
        _line(rest, w, te, free, step)
        line[0] += step[0]
        line[1] += step[1]
        line[2] = step[2]


@compiled(parallel=True)
def fit_complex(u: Any, mag: Any, mask: Any, box: Any, te: Any, free: Any, out: Any) -> None:
    """Fit the decaying complex signal in each voxel of the mask."""
    for x in prange(box[0], box[1]):
        w, line, model = np.zeros(te.size), np.zeros(3), np.zeros(2)
        values, m = np.zeros(te.size), np.zeros(te.size)
        for y in range(box[2], box[3]):
            for z in range(box[4], box[5]):
                if mask[x, y, z]:
                    _one_voxel(u[:, x, y, z], mag[:, x, y, z], te, free, (values, m, w, line, model))
                    _write(values, w, te, line, out, (x, y, z))


@compiled
def _one_voxel(u: Any, mag: Any, te: Any, free: Any, room: Any) -> None:
    """Fit one voxel: line, decay, Gauss-Newton; leave the weights of the model's amplitude in `room`."""
    values, m, w, line, model = room
    for e in range(te.size):
        values[e], m[e] = u[e], mag[e]
        w[e] = m[e] * m[e]
    _line(values, w, te, free, line)
    _decay(m, w, te, model)
    _gauss_newton(values, m, te, free, line, model)
    line[2] = 0.0
    s0, s1 = 0.0, 0.0
    for e in range(te.size):
        # Measured times modelled magnitude: the curvature of the complex misfit.
        w[e] = m[e] * math.exp(model[0] - model[1] * te[e])
        s0 += w[e]
        s1 += w[e] * te[e]
        line[2] += w[e] * te[e] * te[e]
    if free:
        line[2] -= s1 * s1 / max(s0, TINY)


@compiled(parallel=True)
def refit_dephased(u: Any, mag: Any, chosen: Any, box: Any, te: Any, settings: Any, out: Any) -> None:
    """Fit the chosen voxels again with later echoes trusted less; settings: noise, usual chi squared, free."""
    noise, usual, free = settings
    misfits = out[2]
    for x in prange(box[0], box[1]):
        w, line, model = np.zeros(te.size), np.zeros(3), np.zeros(2)
        values, m = np.zeros(te.size), np.zeros(te.size)
        for y in range(box[2], box[3]):
            for z in range(box[4], box[5]):
                if chosen[x, y, z]:
                    _one_voxel(u[:, x, y, z], mag[:, x, y, z], te, free, (values, m, w, line, model))
                    for e in range(te.size):
                        # Into units of the noise, in which the excess is, and back below.
                        w[e] /= noise * noise
                    excess = misfits[x, y, z] / (noise * noise) - usual
                    _trust_early(values, w, te, free, line, excess)
                    for e in range(te.size):
                        w[e] *= noise * noise
                    line[2] *= noise * noise
                    _write(values, w, te, line, out, (x, y, z))
