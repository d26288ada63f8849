"""ROMEO: region growing along the most reliable edges, later echoes in time.

Dymerska et al. 2021, doi 10.1002/mrm.28563.

One echo is grown with a queue of 254 buckets of voxels, in the mask's bounding box: about three float32 volumes of the
box beside the result (phase, weights, queue).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.core.boxes import bounding_box
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.unwrapping import _romeo_loops as loops
from qsmcmb.unwrapping.temporal import unwrap_echoes


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
    times = te_s if te_s is not None and len(te_s) == len(phase_rad) else None
    box = bounding_box(mask)

    def spatial(wrapped_rad: FloatArray, inside: BoolArray, echo: int) -> FloatArray:
        mag = None if magnitude is None else magnitude[echo][box]
        return _grow(_Echoes(wrapped_rad, mag, times), inside, echo)

    return unwrap_echoes(phase_rad, mask, spatial, te_s=te_s, template=template, individual=individual)


def unwrap_volume(phase_rad: FloatArray, magnitude: FloatArray, mask: BoolArray) -> FloatArray:
    """Return one volume unwrapped in space, rad, each component's median within half a turn of 0; 0 outside."""
    box = bounding_box(mask)

    def spatial(wrapped_rad: FloatArray, inside: BoolArray, echo: int) -> FloatArray:
        return _grow(_Echoes(wrapped_rad, magnitude[box], None), inside, echo)

    return unwrap_echoes(phase_rad[None], mask, spatial, te_s=None, template=1, individual=False)[0]


class _Echoes(NamedTuple):
    """Wrapped phase of all echoes, magnitude of the one that is unwrapped, echo times."""

    phase_rad: FloatArray
    magnitude: FloatArray | None
    te_s: tuple[float, ...] | None


def _grow(echoes: _Echoes, mask: BoolArray, echo: int) -> FloatArray:
    """Return one echo unwrapped in space; the gradients of the echo beside it enter the weights."""
    other = echo + 1 if echo + 1 < echoes.phase_rad.shape[0] else echo - 1
    if echoes.te_s is None or other < 0:
        other, ratio = echo, 1.0
    else:
        ratio = echoes.te_s[echo] / echoes.te_s[other]
    # A face of zeros around the box spares every test of an edge.
    padded = np.pad(mask, 1)
    phase = np.pad(echoes.phase_rad[echo], 1)
    mag = echoes.magnitude
    if mag is None:
        mag = np.broadcast_to(np.float32(1), mask.shape)
    weights = np.zeros((*padded.shape, 3), np.uint8)
    loops.edge_weights(phase, echoes.phase_rad[other], mag, padded, np.float32(ratio), weights)
    best = np.where(padded, np.uint8(0), np.uint8(255)).ravel()
    # A voxel waits at most six times; memory that is never written is never taken.
    count = int(np.count_nonzero(mask))
    queue = np.empty((6 * count // loops.CHUNK + loops.TOP + 2) * loops.CHUNK, np.int32)
    stride = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1], np.int64)
    flat = phase.ravel()
    loops.grow(flat, weights.ravel(), best, stride, queue)
    return flat.reshape(padded.shape)[1:-1, 1:-1, 1:-1]
