"""Loops of the best-path method: second differences, and groups that are joined edge by edge."""

import math
from typing import Any

import numpy as np
from numba import prange

from qsmcmb.core.compiled import compiled

__all__: tuple[str, ...] = ()

TURN = np.float32(2.0 * math.pi)
"""One turn, rad, in float32 as all angles are."""
PER_TURN = np.float32(0.5 / math.pi)
"""Turns in one rad, in float32: a product is faster than a division."""
MAX_PAIRS = 13
"""Pairs of opposite neighbours of a voxel, a count."""
MAX_ROUGHNESS = np.float32(1e4)
"""Roughness of a voxel of which no pair lies in the mask, rad2: above that of any other, so that its edges come
last.
"""
DROPPED_BITS = 15
"""Low bits of a roughness that do not count in the order: 2^17 buckets are sorted fast, and differences of 0.4 %
count.
"""


@compiled
def _wrapped(step: Any) -> Any:
    """Return a step in [-pi, pi)."""
    return step - TURN * np.floor(step * PER_TURN + np.float32(0.5))


@compiled(parallel=True)
def second_differences(phase: Any, mask: Any, out: Any) -> None:
    """Write the sum of squared second differences over the 13 opposite pairs of neighbours, scaled where some are
    outside.
    """
    nx, ny, nz = phase.shape
    for x in prange(1, nx - 1):
        for y in range(1, ny - 1):
            for z in range(1, nz - 1):
                if not mask[x, y, z]:
                    continue
                here, total, count = phase[x, y, z], np.float32(0), 0
                # The second half of the 27 neighbours; the first half is opposite.
                for pair in range(14, 27):
                    i, j, k = pair // 9 - 1, (pair // 3) % 3 - 1, pair % 3 - 1
                    if mask[x + i, y + j, z + k] and mask[x - i, y - j, z - k]:
                        d = _wrapped(phase[x + i, y + j, z + k] - here)
                        # Wrapped steps on both sides: their difference is a second difference without turns.
                        d -= _wrapped(here - phase[x - i, y - j, z - k])
                        total += d * d
                        count += 1
                out[x, y, z] = total * np.float32(MAX_PAIRS) / np.float32(count) if count else MAX_ROUGHNESS


@compiled
def _bucket(rough: Any, v: Any, t: Any, room: Any, bits: Any) -> Any:
    """Return the position of an edge in the order: a positive float sorts as its bits do, of which the upper half is
    taken.
    """
    # Written as a float and read as bits.
    room[0] = rough[v] + rough[t]
    return bits[0] >> np.uint32(DROPPED_BITS)


@compiled
def sorted_edges(mask: Any, rough: Any, stride: Any) -> Any:
    """Return the edges inside the mask, 3 * voxel + axis, the least rough first: a counting sort."""
    room = np.zeros(1, np.float32)
    bits = room.view(np.uint32)
    place = np.zeros((1 << (32 - DROPPED_BITS)) + 1, np.int64)
    for d in range(3):
        for v in range(mask.size):
            if mask[v] and mask[v + stride[d]]:
                # First how many edges each bucket has, then where it begins.
                place[_bucket(rough, v, v + stride[d], room, bits) + 1] += 1
    for n in range(1, place.size):
        place[n] += place[n - 1]
    # One number an edge: voxel and axis.
    out = np.empty(place[place.size - 1], np.int32)
    for d in range(3):
        for v in range(mask.size):
            if mask[v] and mask[v + stride[d]]:
                bucket = _bucket(rough, v, v + stride[d], room, bits)
                out[place[bucket]] = 3 * v + d
                place[bucket] += 1
    return out


@compiled
def _root(v: Any, parent: Any, turns: Any) -> Any:
    """Return the group of a voxel; `turns[v]` is then counted from the group's root."""
    root, total = v, 0
    # Up to the root first, then once more to hang all on the way below it.
    while parent[root] != root:
        total += turns[root]
        root = parent[root]
    while parent[v] != root and v != root:
        after, own = parent[v], turns[v]
        parent[v], turns[v] = root, total
        # What is left of the way from the next voxel to the root.
        total -= own
        v = after
    return root


@compiled
def join_edges(phase: Any, edges: Any, stride: Any, parent: Any, turns: Any) -> None:
    """Join the groups at both ends of each edge, in the order given; an edge is 3 * voxel + axis."""
    size = np.ones(phase.size, np.int32)
    for edge in edges:
        v = edge // 3
        t = v + stride[edge % 3]
        a, b = _root(v, parent, turns), _root(t, parent, turns)
        if a == b:
            continue
        # Turns by which the far end lies off, and what both groups have turned so far.
        jump = int(np.floor((phase[v] - phase[t]) * PER_TURN + np.float32(0.5)))
        jump += (turns[v] if v != a else 0) - (turns[t] if t != b else 0)
        # The smaller group goes below the larger: paths stay short.
        if size[a] < size[b]:
            a, b, jump = b, a, -jump
        parent[b], turns[b] = a, jump
        size[a] += size[b]


@compiled
def turn_voxels(phase: Any, mask: Any, parent: Any, turns: Any) -> None:
    """Add to each voxel the whole turns that its group has found."""
    for v in range(phase.size):
        # The root itself stays as it was measured.
        if mask[v] and _root(v, parent, turns) != v:
            phase[v] += TURN * np.float32(turns[v])
