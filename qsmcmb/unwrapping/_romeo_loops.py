"""Loops of ROMEO: edge weights, region growing with a bucket queue."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

PI = np.float32(math.pi)
"""Half a turn, rad, in float32 as all angles are."""
TURN = np.float32(2.0 * math.pi)
"""One turn, rad, in float32."""
PER_TURN = np.float32(0.5 / math.pi)
"""Turns in one rad, in float32: a product is faster than a division."""
SCALE = np.float32(253)
"""Weight of a perfect edge above the worst's: a byte holds it, and one value more."""
TOP = 240
"""Largest weight of an edge. Above it edges are alike: their steps are below 0.18 rad, so that more than 30 of them in
a row would be needed to hide a turn. Alike, they are grown along, which is fast; in order of weight growing leaps
about in memory.
"""
DONE = 255
"""Mark of voxels that need no visit, those done and those outside: above any weight."""
CHUNK = 128
"""Entries of a chunk of the queue, a count: large enough that chunks are seldom fetched, small enough that 240 begun
ones are little memory.
"""


@compiled
def _weight(step: Any, step_other: Any, ratio: Any, a: Any, b: Any) -> Any:
    """Return the product of phase coherence, gradient coherence over echoes and magnitude coherence, as 1..240."""
    half = np.float32(0.5)
    # Into [-pi, pi): a wrap between neighbours is no roughness.
    step -= TURN * np.floor(step * PER_TURN + half)
    step_other -= TURN * np.floor(step_other * PER_TURN + half)
    coherence = max(np.float32(0.0), np.float32(1.0) - abs(step) / PI)
    # A field's step grows with echo time; noise does not.
    gradient = max(np.float32(0.0), np.float32(1.0) - abs(step - step_other * ratio) / PI)
    large = max(a, b)
    magnitude = min(a, b) / large if large > 0 else np.float32(0.0)
    # 1 for the worst edge: 0 means none. The half rounds.
    weight = np.float32(1.5) + SCALE * coherence * gradient * magnitude * magnitude
    return np.uint8(min(weight, np.float32(TOP)))


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
    # The bucket is empty, or its chunk full: take a spare one, or the next that was never used.
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
        # A stack: the last entry comes first, which is as good, for all of a bucket weigh the same.
        used[bucket] -= 1
        entry = queue[chunk * CHUNK + used[bucket]]
        # An emptied chunk is spare; the one below it is full.
        if used[bucket] == 0:
            top[bucket], below[chunk] = below[chunk], spare[0]
            spare[0], used[bucket] = chunk, CHUNK
        # A voxel waits once for each better edge: the later entries find it done.
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
        # Done, outside, or waiting.
        if best[seed] != 0:
            continue
        v, bucket = seed, 0
        while v >= 0:
            best[v] = DONE
            for way in range(6):
                d = way >> 1
                target = v + stride[d] if way & 1 else v - stride[d]
                # An edge is stored with the voxel before it.
                w = weights[3 * v + d] if way & 1 else weights[3 * target + d]
                # Only an edge better than those found so far is worth a place in the queue.
                if w > best[target]:
                    best[target] = w
                    _push(target * 8 + way, w, queue, below, top, used, spare)
                    bucket = max(bucket, int(w))
            entry, bucket = _pop(bucket, best, queue, below, top, used, spare)
            v = entry >> 3
            if v >= 0:
                step = stride[(entry & 7) >> 1]
                # The end that the entry came from.
                known = phase[v - step] if entry & 1 else phase[v + step]
                phase[v] += TURN * np.floor((known - phase[v]) * PER_TURN + np.float32(0.5))
