"""Loops of ROMEO: edge weights, region growing with a bucket queue."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

PI = np.float32(math.pi)
TURN = np.float32(2.0 * math.pi)
PER_TURN = np.float32(0.5 / math.pi)
TOP = 254
DONE = 255
"""Marks voxels that need no visit: those done and those outside; the best weight is TOP."""
CHUNK = 128


@compiled
def _weight(step: Any, step_other: Any, ratio: Any, a: Any, b: Any) -> Any:
    """Product of phase coherence, gradient coherence over echoes and magnitude coherence, as 1..254."""
    half = np.float32(0.5)
    step -= TURN * np.floor(step * PER_TURN + half)
    step_other -= TURN * np.floor(step_other * PER_TURN + half)
    coherence = max(np.float32(0.0), np.float32(1.0) - abs(step) / PI)
    gradient = max(np.float32(0.0), np.float32(1.0) - abs(step - step_other * ratio) / PI)
    large = max(a, b)
    magnitude = min(a, b) / large if large > 0 else np.float32(0.0)
    return np.uint8(np.float32(1.5) + np.float32(TOP - 1) * coherence * gradient * magnitude * magnitude)


@compiled(parallel=True)
def edge_weights(phase: Any, other: Any, mag: Any, mask: Any, ratio: Any, out: Any) -> None:
    """Weight each voxel's edges to the next voxel along x, y and z; 0 where an end is outside the mask.

    `mask` is False on all faces of the volume, so no edge leaves it; `other` and `mag` come without the faces.
    """
    nx, ny, nz = phase.shape
    for x in prange(1, nx - 1):
        for y in range(1, ny - 1):
            for z in range(1, nz - 1):
                if not mask[x, y, z]:
                    continue
                i, j, k = x - 1, y - 1, z - 1
                here, here_other, m = phase[x, y, z], other[i, j, k], mag[i, j, k]
                if mask[x + 1, y, z]:
                    step, step_other = phase[x + 1, y, z] - here, other[x, j, k] - here_other
                    out[x, y, z, 0] = _weight(step, step_other, ratio, m, mag[x, j, k])
                if mask[x, y + 1, z]:
                    step, step_other = phase[x, y + 1, z] - here, other[i, y, k] - here_other
                    out[x, y, z, 1] = _weight(step, step_other, ratio, m, mag[i, y, k])
                if mask[x, y, z + 1]:
                    step, step_other = phase[x, y, z + 1] - here, other[i, j, z] - here_other
                    out[x, y, z, 2] = _weight(step, step_other, ratio, m, mag[i, j, z])


@compiled
def _push(entry: Any, w: Any, queue: Any, below: Any, top: Any, used: Any, spare: Any) -> None:
    """Put an entry on the stack of bucket `w`: a list of chunks; emptied chunks are used again."""
    if top[w] < 0 or used[w] == CHUNK:
        chunk = spare[0]
        if chunk >= 0:
            spare[0] = below[chunk]
        else:
            chunk = spare[1]
            spare[1] += 1
        below[chunk] = top[w]
        top[w], used[w] = chunk, 0
    queue[top[w] * CHUNK + used[w]] = entry
    used[w] += 1


@compiled
def _pop(bucket: Any, best: Any, queue: Any, below: Any, top: Any, used: Any, spare: Any) -> Any:
    """Return the next entry whose voxel is not done, from `bucket` or below, and its bucket; (-1, 0) at the end."""
    while bucket > 0:
        chunk = top[bucket]
        if chunk < 0:
            bucket -= 1
            continue
        used[bucket] -= 1
        entry = queue[chunk * CHUNK + used[bucket]]
        if used[bucket] == 0:
            top[bucket], below[chunk] = below[chunk], spare[0]
            spare[0], used[bucket] = chunk, CHUNK
        if best[entry >> 3] != DONE:
            return entry, bucket
    return -1, 0


@compiled
def grow(phase: Any, weights: Any, best: Any, stride: Any, queue: Any) -> None:
    """Unwrap `phase` (flat) in place, component by component, best edges first.

    `best` is 255 outside the mask and 0 inside: the weight of the best edge yet found to a voxel that waits.
    """
    below = np.full(queue.size // CHUNK, -1, np.int32)
    top = np.full(TOP + 1, -1, np.int32)
    used = np.zeros(TOP + 1, np.int32)
    spare = np.array([-1, 0])
    for seed in range(phase.size):
        if best[seed] != 0:
            continue
        v, bucket = seed, 0
        while v >= 0:
            best[v] = DONE
            for way in range(6):
                d = way >> 1
                target = v + stride[d] if way & 1 else v - stride[d]
                w = weights[3 * v + d] if way & 1 else weights[3 * target + d]
                if w > best[target]:
                    best[target] = w
                    _push(target * 8 + way, w, queue, below, top, used, spare)
                    bucket = max(bucket, int(w))
            entry, bucket = _pop(bucket, best, queue, below, top, used, spare)
            v = entry >> 3
            if v >= 0:
                step = stride[(entry & 7) >> 1]
                known = phase[v - step] if entry & 1 else phase[v + step]
                phase[v] += TURN * np.floor((known - phase[v]) * PER_TURN + np.float32(0.5))
