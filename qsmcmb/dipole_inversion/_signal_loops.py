"""Loops of the nonlinear data term, w |exp(i D chi) - exp(i f)|^2 / 2 in rad, over the box of a `Region`."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

TURN = np.float32(2 * np.pi)
SMALL = np.float32(0.05)
"""rad; below it the sine is its argument to float32's accuracy in the step."""
NEWTON_STEPS = 20
"""At most; two or three are usual."""
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


@compiled(parallel=True)
def update_signal(
    field: Any, weight2: Any, v: Any, start: Any, mu: Any, relax: Any, radians: Any, real: Any
) -> None:
    """Turn the map's field in `real` into what the next solve aims at, z - u; `radians` is the phase of 1."""
    nx, ny, nz = field.shape
    keep = np.float32(1.0) - relax
    two = np.float32(2.0)
    unit = np.float32(1.0) / radians
    for x in prange(nx):
        for y in range(ny):
            r = real[x + start[0], y + start[1], start[2] : start[2] + nz]
            f, w2, row = field[x, y], weight2[x, y], v[x, y]
            for z in range(nz):
                w = w2[z]
                if w > 0:
                    old = f[z] + unit * nearest_angle(radians * (row[z] - f[z]), w, mu)
                    new = relax * r[z] + keep * old + row[z] - old
                    row[z] = new
                    r[z] = two * (f[z] + unit * nearest_angle(radians * (new - f[z]), w, mu)) - new


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
