"""Loops of ROMEO: edge weights, region growing with a bucket queue, following in time."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

PI = math.pi
BINS = 256


@compiled
def _wrap(angle: Any) -> Any:
    return angle - 2.0 * PI * math.floor(angle / (2.0 * PI) + 0.5)


@compiled
def _weight(step: Any, step_other: Any, ratio: Any, a: Any, b: Any) -> Any:
    """Product of phase coherence, gradient coherence over echoes and magnitude coherence, as 1..255."""
    coherence = 1.0 - abs(step) / PI
    gradient = max(0.0, 1.0 - abs(step - step_other * ratio) / PI)
    large = max(a, b)
    magnitude = min(a, b) / large if large > 0.0 else 0.0
    return np.uint8(1 + int(254.0 * coherence * gradient * magnitude * magnitude))


@compiled(parallel=True)
def edge_weights(phase: Any, other: Any, mag: Any, mask: Any, ratio: Any, out: Any) -> None:
    nx, ny, nz = phase.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                if not mask[x, y, z]:
                    continue
                for d in range(3):
                    i, j, k = x + (d == 0), y + (d == 1), z + (d == 2)
                    if i >= nx or j >= ny or k >= nz or not mask[i, j, k]:
                        continue
                    step = _wrap(phase[i, j, k] - phase[x, y, z])
                    step_other = _wrap(other[i, j, k] - other[x, y, z])
                    out[d, x, y, z] = _weight(step, step_other, ratio, mag[x, y, z], mag[i, j, k])


@compiled
def _push_edges(v: Any, weights: Any, component: Any, heads: Any, links: Any) -> Any:
    """Queue the edges of voxel `v` that lead to unvisited voxels; return the best bucket touched."""
    nx, ny, nz = component.shape
    n = nx * ny * nz
    x, y, z = v // (ny * nz), (v // nz) % ny, v % nz
    flat = component.ravel()
    w = weights.ravel()
    best = 0
    for d in range(3):
        stride = ny * nz if d == 0 else (nz if d == 1 else 1)
        at = x if d == 0 else (y if d == 1 else z)
        last = (nx if d == 0 else (ny if d == 1 else nz)) - 1
        for side in range(2):
            if (side == 0 and at == last) or (side == 1 and at == 0):
                continue
            start = v if side == 0 else v - stride
            target = v + stride if side == 0 else v - stride
            edge = d * n + start
            if w[edge] == 0 or flat[target] != 0 or links[edge] != -2:
                continue
            bucket = int(w[edge])
            links[edge] = heads[bucket]
            heads[bucket] = edge
            best = max(best, bucket)
    return best


@compiled
def grow(phase: Any, weights: Any, mask: Any, out: Any, component: Any) -> Any:
    """Unwrap every component of the mask, best edges first; return the number of components."""
    nx, ny, nz = phase.shape
    n = nx * ny * nz
    flat_phase, flat_out = phase.ravel(), out.ravel()
    flat_mask, flat_comp = mask.ravel(), component.ravel()
    links = np.full(3 * n, -2, np.int32)
    heads = np.full(BINS, -1, np.int32)
    count = 0
    for seed in range(n):
        if not flat_mask[seed] or flat_comp[seed] != 0:
            continue
        count += 1
        flat_comp[seed] = count
        flat_out[seed] = flat_phase[seed]
        bucket = _push_edges(seed, weights, component, heads, links)
        while bucket > 0:
            edge = heads[bucket]
            if edge < 0:
                bucket -= 1
                continue
            heads[bucket] = links[edge]
            d, start = edge // n, edge % n
            end = start + (ny * nz if d == 0 else (nz if d == 1 else 1))
            if flat_comp[start] != 0 and flat_comp[end] != 0:
                continue
            known, new = (start, end) if flat_comp[start] != 0 else (end, start)
            value = flat_phase[new]
            turns = math.floor((flat_out[known] - value) / (2.0 * PI) + 0.5)
            flat_out[new] = value + 2.0 * PI * turns
            flat_comp[new] = count
            bucket = max(bucket, _push_edges(new, weights, component, heads, links))
    return count


@compiled(parallel=True)
def follow_in_time(phase: Any, known: Any, mask: Any, ratio: Any, out: Any) -> None:
    nx, ny, nz = phase.shape
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                if mask[x, y, z]:
                    value = phase[x, y, z]
                    turns = math.floor((known[x, y, z] * ratio - value) / (2.0 * PI) + 0.5)
                    out[x, y, z] = value + 2.0 * PI * turns
