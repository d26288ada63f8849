"""ROMEO: region growing along the most reliable edges, later echoes in time.

One echo is grown with a queue of 240 buckets of voxels, in the mask's bounding box: about three float32 volumes of the
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

__all__ = (
    "unwrap_romeo",
    "unwrap_volume",
)


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
    mask : ndarray of shape (x, y, z), bool
        Voxels to unwrap.
    grid : Grid
        Geometry; not used.
    magnitude : ndarray of shape (echo, x, y, z), optional
        Magnitude, any unit; its coherence enters the weights.
    te_s : tuple of float, optional
        Echo times, s, positive and ascending; without them every echo is unwrapped in space.
    template : int, optional
        Number of the echo, from 1, that is unwrapped in space; the others follow it in time.
    individual : bool, optional
        Unwrap every echo in space; with echo times each component of each echo then moves by whole turns to where
        it agrees with the echo beside it.

    Returns
    -------
    ndarray of shape (echo, x, y, z), float32
        Unwrapped phase, rad, 0 outside the mask; each component's median of the template lies within (-pi, pi], or
        where the other echoes place it.

    Raises
    ------
    InvalidInputError
        Template that is no echo.

    Notes
    -----
    An edge between the voxels i and j, with wrapped steps d and d' of the template and of the echo beside it, weighs::

        (1 - |d| / pi) (1 - |d - d' TE / TE'| / pi) (min(m_i, m_j) / max(m_i, m_j))^2

    Regions grow over the edge of largest weight, each voxel by whole turns. Other echoes lie within half a turn of
    their neighbour in time, scaled by echo time.

    References
    ----------
    Dymerska et al. 2021. Phase unwrapping with a rapid opensource minimum spanning tree algorithm (ROMEO).
    doi:10.1002/mrm.28563

    Examples
    --------
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ramp = np.broadcast_to(np.arange(-3.0, 5.0, dtype=np.float32), (1, 8, 8, 8))
    >>> wrapped = np.angle(np.exp(1j * ramp)).astype(np.float32)
    >>> bool(np.allclose(unwrap_romeo(wrapped, np.ones(grid.shape, bool), grid), ramp, atol=1e-5))
    True
    """
    # Without a time for each echo there is nothing to scale by.
    times = te_s if te_s is not None and len(te_s) == len(phase_rad) else None
    box = bounding_box(mask)

    def spatial(wrapped_rad: FloatArray, inside: BoolArray, echo: int) -> FloatArray:
        mag = None if magnitude is None else magnitude[echo][box]
        return _grow(_Echoes(wrapped_rad, mag, times), inside, echo)

    return unwrap_echoes(phase_rad, mask, spatial, te_s=te_s, template=template, individual=individual)


def unwrap_volume(phase_rad: FloatArray, magnitude: FloatArray, mask: BoolArray) -> FloatArray:
    """Unwrap one volume in space.

    Parameters
    ----------
    phase_rad : ndarray of shape (x, y, z), float32
        Wrapped phase, rad.
    magnitude : ndarray of shape (x, y, z), float32
        Magnitude, any unit; its coherence enters the weights.
    mask : ndarray of shape (x, y, z), bool
        Voxels to unwrap.

    Returns
    -------
    ndarray of shape (x, y, z), float32
        Unwrapped phase, rad, each component's median within half a turn of 0; 0 outside the mask.

    Notes
    -----
    One echo of `unwrap_romeo`, for the phase difference of two echoes.

    Examples
    --------
    >>> ramp = np.broadcast_to(np.arange(-3.0, 5.0, dtype=np.float32), (8, 8, 8))
    >>> wrapped = np.angle(np.exp(1j * ramp)).astype(np.float32)
    >>> found = unwrap_volume(wrapped, np.ones_like(ramp), np.ones(ramp.shape, bool))
    >>> bool(np.allclose(found, ramp, atol=1e-5))
    True
    """
    box = bounding_box(mask)

    def spatial(wrapped_rad: FloatArray, inside: BoolArray, echo: int) -> FloatArray:
        return _grow(_Echoes(wrapped_rad, magnitude[box], None), inside, echo)

    return unwrap_echoes(phase_rad[None], mask, spatial, te_s=None, template=1, individual=False)[0]


class _Echoes(NamedTuple):
    """Hold the wrapped phase of all echoes, the magnitude of the one that is unwrapped, and the echo times."""

    phase_rad: FloatArray
    magnitude: FloatArray | None
    te_s: tuple[float, ...] | None


def _grow(echoes: _Echoes, mask: BoolArray, echo: int) -> FloatArray:
    """Return one echo unwrapped in space; the gradients of the echo beside it enter the weights."""
    # The echo after, or before for the last one.
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
    # Outside counts as done, so that growing needs no mask.
    best = np.where(padded, np.uint8(0), np.uint8(255)).ravel()
    # A voxel waits at most six times; memory that is never written is never taken.
    count = int(np.count_nonzero(mask))
    queue = np.empty((6 * count // loops.CHUNK + loops.TOP + 2) * loops.CHUNK, np.int32)
    stride = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1], np.int64)
    flat = phase.ravel()
    loops.grow(flat, weights.ravel(), best, stride, queue)
    return flat.reshape(padded.shape)[1:-1, 1:-1, 1:-1]
