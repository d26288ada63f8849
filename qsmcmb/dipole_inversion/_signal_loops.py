"""Loops of the nonlinear data term, w |exp(i D chi) - exp(i f)|^2 / 2 in rad, over the box of a `Region`."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core._angle_loops import TURN, cosine, sinc, wrap
from qsmcmb.core.compiled import compiled
from qsmcmb.dipole_inversion._packed_loops import pack, row_spans, unpack

SMALL = np.float32(0.05)
"""rad; below it the sine is its argument to float32's accuracy in the step."""
NEWTON_STEPS = 20
"""At most; two or three are usual."""
VECTOR_STEPS = 4
ENOUGH = np.float32(1e-4)


@compiled
def nearest_angle(target: Any, w: Any, mu: Any) -> Any:
    """Minimise w (1 - cos s) + mu (s - target)^2 / 2 over the misfit s (rad), in the turn of `target`."""
    turns = TURN * np.float32(math.floor(target / TURN + np.float32(0.5)))
    inner = target - turns
    s = mu * inner / (w + mu)
    if abs(inner) > SMALL:
        low, high = min(np.float32(0.0), inner), max(np.float32(0.0), inner)
        for _ in range(NEWTON_STEPS):
            # Beyond the turning point of the cosine the curvature is taken from the penalty alone.
            slope = mu + w * max(np.float32(math.cos(s)), np.float32(0.0))
            new = s - (w * np.float32(math.sin(s)) + mu * (s - inner)) / slope
            new = min(max(new, low), high)
            done = abs(new - s) < ENOUGH
            s = new
            if done:
                break
    return s + turns


@compiled(fused=True)
def _nearest_steps(f: Any, weight2: Any, v: Any, mu: Any, radians: Any, split: Any, change: Any) -> None:
    """A few of Newton's steps of `nearest_angle` for all voxels: the split of the sums `v`, and the last change."""
    unit = np.float32(1.0) / radians
    for i in range(v.size):
        w, target = weight2[i], radians * (v[i] - f[i])
        inner = wrap(target)
        low, high = min(np.float32(0.0), inner), max(np.float32(0.0), inner)
        s = mu * inner / (w + mu)
        last = s
        for _ in range(VECTOR_STEPS):
            last = s
            slope = mu + w * max(cosine(s), np.float32(0.0))
            s = min(max(s - (w * s * sinc(s) + mu * (s - inner)) / slope, low), high)
        split[i] = f[i] + unit * (s + target - inner)
        change[i] = abs(s - last)


@compiled
def _nearest(f: Any, weight2: Any, v: Any, mu: Any, radians: Any, split: Any, change: Any) -> None:
    """Split of the sums `v`; where a few steps are not enough, one by one."""
    _nearest_steps(f, weight2, v, mu, radians, split, change)
    for i in range(v.size):
        if change[i] >= ENOUGH and weight2[i] > 0:
            split[i] = f[i] + nearest_angle(radians * (v[i] - f[i]), weight2[i], mu) / radians


@compiled
def _signal_steps(parts: Any, mu: Any, relax: Any, radians: Any) -> None:
    f, weight2, v, r, split, change = parts
    keep, two = np.float32(1.0) - relax, np.float32(2.0)
    _nearest(f, weight2, v, mu, radians, split, change)
    for i in range(v.size):
        new = relax * r[i] + keep * split[i] + v[i] - split[i]
        v[i] = new if weight2[i] > 0 else v[i]
    _nearest(f, weight2, v, mu, radians, split, change)
    for i in range(v.size):
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
    half = np.float32(math.sin(np.float32(0.5) * radians * (found - field)))
    return np.float32(4.0) * w * half * half


@compiled(parallel=True)
def sum_misfit(real: Any, field: Any, weight2: Any, start: Any, radians: Any) -> Any:
    """Weighted squared misfit of the signal and number of voxels, by plane."""
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
    """Divide the weight of what misfits by more than the limit by the square of their ratio."""
    nx, ny, nz = field.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                w = weight2[x, y, z]
                if w > 0:
                    found = real[x + start[0], y + start[1], z + start[2]]
                    ratio = _misfit2(field[x, y, z], found, w, radians) / limit2
                    if ratio > 1:
                        weight2[x, y, z] = w / (ratio * ratio)
