"""Loops of the nonlinear data term, w |exp(i D chi) - exp(i f)|^2 / 2 in rad, over the box of a `Region`."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._angle_loops import TURN, cosine, sinc, wrap
from qsmcmb.core.compiled import compiled
from qsmcmb.dipole_inversion._packed_loops import pack, row_spans, unpack

__all__: tuple[str, ...] = ()

SMALL = np.float32(0.05)
"""Phase below which the sine is its argument to float32's accuracy in the step, rad."""
MAX_NEWTON_STEPS = 20
"""Newton's steps at most, a count; two or three are usual."""
VECTOR_STEPS = 4
"""Steps that all voxels take together in vector registers, a count: the few that need more go on one by one."""
TOLERANCE_RAD = np.float32(1e-4)
"""Last step at which a voxel has settled, rad: far below the noise of any phase."""


@compiled
def nearest_angle(target: Any, w: Any, mu: Any) -> Any:
    """Minimise w (1 - cos s) + mu (s - target)^2 / 2 over the misfit s (rad), in the turn of `target`."""
    # The cosine has a minimum in each turn: the nearest one is sought.
    turns = TURN * np.float32(math.floor(target / TURN + np.float32(0.5)))
    inner = target - turns
    # The minimum for a small phase, where 1 - cos is a square.
    s = mu * inner / (w + mu)
    if abs(inner) > SMALL:
        low, high = min(np.float32(0.0), inner), max(np.float32(0.0), inner)
        for _ in range(MAX_NEWTON_STEPS):
            # Beyond the turning point of the cosine the curvature is taken from the penalty alone.
            slope = mu + w * max(np.float32(math.cos(s)), np.float32(0.0))
            new = s - (w * np.float32(math.sin(s)) + mu * (s - inner)) / slope
            # The minimum lies between 0, the data's wish, and the target, the penalty's.
            new = min(max(new, low), high)
            done = abs(new - s) < TOLERANCE_RAD
            s = new
            if done:
                break
    return s + turns


@compiled(fused=True)
def _nearest_steps(f: Any, weight2: Any, v: Any, mu: Any, radians: Any, split: Any, change: Any) -> None:
    """Take a few of Newton's steps of `nearest_angle` for all voxels: the split of the sums `v`, and the last
    change.
    """
    unit = np.float32(1.0) / radians
    for i in range(v.size):
        w, target = weight2[i], radians * (v[i] - f[i])
        # As `nearest_angle` does, without its branches.
        inner = wrap(target)
        low, high = min(np.float32(0.0), inner), max(np.float32(0.0), inner)
        s = mu * inner / (w + mu)
        last = s
        for _ in range(VECTOR_STEPS):
            last = s
            slope = mu + w * max(cosine(s), np.float32(0.0))
            # s sinc(s) is the sine.
            s = min(max(s - (w * s * sinc(s) + mu * (s - inner)) / slope, low), high)
        split[i] = f[i] + unit * (s + target - inner)
        change[i] = abs(s - last)


@compiled
def _nearest(f: Any, weight2: Any, v: Any, mu: Any, radians: Any, split: Any, change: Any) -> None:
    """Write the split of the sums `v`; where a few steps are not enough, one by one."""
    _nearest_steps(f, weight2, v, mu, radians, split, change)
    for i in range(v.size):
        # Few voxels: those with a misfit near half a turn.
        if change[i] >= TOLERANCE_RAD and weight2[i] > 0:
            split[i] = f[i] + nearest_angle(radians * (v[i] - f[i]), weight2[i], mu) / radians


@compiled
def _signal_steps(parts: Any, mu: Any, relax: Any, radians: Any) -> None:
    """Take the proximal step for packed voxels, in place."""
    f, weight2, v, r, split, change = parts
    keep, two = np.float32(1.0) - relax, np.float32(2.0)
    _nearest(f, weight2, v, mu, radians, split, change)
    for i in range(v.size):
        # Over-relaxed, plus the dual v - z.
        new = relax * r[i] + keep * split[i] + v[i] - split[i]
        v[i] = new if weight2[i] > 0 else v[i]
    _nearest(f, weight2, v, mu, radians, split, change)
    for i in range(v.size):
        # z - u = 2 z - v.
        r[i] = two * split[i] - v[i] if weight2[i] > 0 else r[i]


@compiled(parallel=True)
def update_signal(
    field: Any, weight2: Any, v: Any, start: Any, mu: Any, relax: Any, radians: Any, real: Any
) -> None:
    """Turn the map's field in `real` into what the next solve aims at, z - u; `radians` is the phase of 1."""
    nx, ny, nz = field.shape
    for x in prange(nx):
        ends = np.empty((ny, 2), np.int64)
        parts = np.empty((6, row_spans(weight2[x], ends)), np.float32)
        inside = real[x + start[0], start[1] : start[1] + ny, start[2] : start[2] + nz]
        pack(field[x], ends, parts[0])
        pack(weight2[x], ends, parts[1])
        pack(v[x], ends, parts[2])
        pack(inside, ends, parts[3])
        _signal_steps((parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]), mu, relax, radians)
        unpack(parts[2], ends, v[x])
        unpack(parts[3], ends, inside)


@compiled
def _misfit2(field: Any, found: Any, w: Any, radians: Any) -> Any:
    """Return the weighted squared misfit of one voxel's signal."""
    # |exp(ia) - exp(ib)|^2 is 4 sin^2 of half the difference.
    half = np.float32(math.sin(np.float32(0.5) * radians * (found - field)))
    return np.float32(4.0) * w * half * half


@compiled(parallel=True)
def sum_misfit(real: Any, field: Any, weight2: Any, start: Any, radians: Any) -> Any:
    """Return the weighted squared misfit of the signal and the number of voxels, by plane."""
    nx, ny, nz = field.shape
    sums = np.zeros((nx, 2))
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                w = weight2[x, y, z]
                if w > 0:
                    found = real[x + start[0], y + start[1], z + start[2]]
                    sums[x, 0] += _misfit2(field[x, y, z], found, w, radians)
                    sums[x, 1] += 1.0
    return sums


@compiled(parallel=True)
def lower_weights(real: Any, field: Any, weight2: Any, start: Any, radians: Any, limit2: Any) -> None:
    """Divide the weight where the misfit exceeds the limit by the square of their ratio."""
    nx, ny, nz = field.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                w = weight2[x, y, z]
                if w > 0:
                    found = real[x + start[0], y + start[1], z + start[2]]
                    ratio = _misfit2(field[x, y, z], found, w, radians) / limit2
                    if ratio > 1:
                        # `ratio` is of squares: the weight falls by it, and its square by the square.
                        weight2[x, y, z] = w / (ratio * ratio)
