"""ROMEO: region growing along the most reliable edges, later echoes in time.

Dymerska et al. 2021, doi 10.1002/mrm.28563.

One echo is grown with a queue of 254 buckets of voxels, in the mask's bounding box: about six float32 volumes of the
box (phase, magnitude, other echo, weights, order, queue).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.morphology import bounding_box
from qsmcmb.core.validate import check_range
from qsmcmb.model import Grid
from qsmcmb.typing import AnyArray, BoolArray, FloatArray
from qsmcmb.unwrapping import _romeo_loops as loops
from qsmcmb.unwrapping.temporal import align_echoes, follow_in_time, settle_template


def unwrap_romeo(
    phase_rad: FloatArray,
    mask: BoolArray,
    grid: Grid,  # noqa: ARG001 - every method has the same head
    *,
    magnitude: FloatArray | None = None,
    te_s: tuple[float, ...] | None = None,
    template: int = 1,
    individual: bool = False,
) -> FloatArray:
    """Unwrap by ROMEO.

    Parameters
    ----------
    phase_rad : ndarray of shape (echo, x, y, z), float32
        Wrapped phase, rad; with several echoes its offset at TE = 0 is best removed before.
    mask : ndarray of bool
        Where to unwrap.
    grid : Grid
        Geometry.
    magnitude : ndarray of shape (echo, x, y, z), optional
        Magnitude coherence enters the weights.
    te_s : tuple of float, optional
        Echo times, s.
    template : int, optional
        Number of the echo (from 1) that is unwrapped in space; the others follow it in time.
    individual : bool, optional
        Unwrap every echo in space; with echo times each component of each echo then moves by whole turns to where
        it agrees with the echo beside it.

    Returns
    -------
    ndarray of shape (echo, x, y, z), float32
        rad; each component's median of the template lies within (-pi, pi], or where the other echoes place it.

    Raises
    ------
    InvalidInputError
        `template` is no echo.

    Examples
    --------
    >>> unwrap_romeo(np.zeros((1, 8, 8, 8), np.float32), np.ones((8, 8, 8), bool), None).max()
    np.float32(0.0)
    """
    echoes = phase_rad.shape[0]
    check_range("template", template, 1, echoes)
    first = int(template) - 1
    times = te_s if te_s is not None and len(te_s) == echoes else None
    box = bounding_box(mask)
    inside = np.ascontiguousarray(mask[box])
    wrapped = np.ascontiguousarray(phase_rad[(slice(None), *box)], np.float32)
    mag = None if magnitude is None else magnitude[(slice(None), *box)]
    inner = np.zeros_like(wrapped)
    spatial = range(echoes) if individual or times is None else (first,)
    for e in spatial:
        grown = _grow(_Echoes(wrapped, mag, times), inside, e)
        inner[e] = grown.phase_rad
    if times is not None and echoes > 1:
        # The components are the mask's: every echo has the same.
        parts = grown.components(inside.shape)
        flat = inner.reshape(echoes, -1)
        settle_template(wrapped.reshape(echoes, -1), flat[first], times, first, parts)
        if individual:
            align_echoes(flat, times, first, parts)
        else:
            follow_in_time(wrapped, inside, times, first, inner)
    out = np.zeros(phase_rad.shape, np.float32)
    out[(slice(None), *box)] = inner
    return out


def unwrap_volume(phase_rad: FloatArray, magnitude: FloatArray, mask: BoolArray) -> FloatArray:
    """Return one volume unwrapped in space, rad, each component's median within half a turn of 0; 0 outside."""
    box = bounding_box(mask)
    out = np.zeros(mask.shape, np.float32)
    wrapped = np.ascontiguousarray(phase_rad[box], np.float32)[None]
    grown = _grow(_Echoes(wrapped, magnitude[box][None], None), np.ascontiguousarray(mask[box]), 0)
    out[box] = grown.phase_rad
    return out


class _Echoes(NamedTuple):
    phase_rad: FloatArray
    magnitude: FloatArray | None
    te_s: tuple[float, ...] | None


class _Grown(NamedTuple):
    """Unwrapped phase, the voxels of the padded box in the order they were done, where each component ends."""

    phase_rad: FloatArray
    order: AnyArray
    ends: list[int]

    def components(self, shape: tuple[int, ...]) -> list[AnyArray]:
        """Return the voxels of each component as flat indices of the box without its face."""
        _, ny, nz = shape
        x, rest = np.divmod(self.order, (ny + 2) * (nz + 2))
        y, z = np.divmod(rest, nz + 2)
        inner = ((x - 1) * ny + (y - 1)) * nz + (z - 1)
        return [inner[a:b] for a, b in zip(self.ends, self.ends[1:], strict=False)]


def _grow(echoes: _Echoes, mask: BoolArray, echo: int) -> _Grown:
    """Unwrap one echo in space; the gradients of the echo beside it enter the weights."""
    other = echo + 1 if echo + 1 < echoes.phase_rad.shape[0] else echo - 1
    if echoes.te_s is None or other < 0:
        other, ratio = echo, 1.0
    else:
        ratio = echoes.te_s[echo] / echoes.te_s[other]
    # A face of zeros around the box spares every test of an edge.
    padded = np.pad(mask, 1)
    phase = np.pad(echoes.phase_rad[echo], 1)
    second = phase if other == echo else np.pad(echoes.phase_rad[other], 1)
    mag = np.ones(padded.shape, np.float32)
    if echoes.magnitude is not None:
        mag[1:-1, 1:-1, 1:-1] = echoes.magnitude[echo]
    weights = np.zeros((*padded.shape, 3), np.uint8)
    loops.edge_weights(phase, second, mag, padded, np.float32(ratio), weights)
    best = np.where(padded, np.uint8(0), np.uint8(255)).ravel()
    count = int(np.count_nonzero(mask))
    order = np.empty(count, np.int32)
    # A voxel waits at most six times; memory that is never written is never taken.
    queue = np.empty((6 * count // loops.CHUNK + loops.TOP + 2) * loops.CHUNK, np.int32)
    stride = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1], np.int64)
    flat = np.where(padded, phase, np.float32(0)).ravel()
    ends = loops.grow(flat, weights.ravel(), best, stride, queue, order)
    return _Grown(flat.reshape(padded.shape)[1:-1, 1:-1, 1:-1], order, ends)
