"""ROMEO: region growing along the most reliable edges, later echoes in time.

Dymerska et al. 2021, doi 10.1002/mrm.28563.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.unwrapping import _romeo_loops as loops

TWO_PI = np.float32(2 * np.pi)


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
        Unwrap every echo in space.

    Returns
    -------
    ndarray of shape (echo, x, y, z), float32
        rad; each component's median of each echo unwrapped in space lies within (-pi, pi].

    Examples
    --------
    >>> unwrap_romeo(np.zeros((1, 8, 8, 8), np.float32), np.ones((8, 8, 8), bool), None).max()
    np.float32(0.0)
    """
    echoes = phase_rad.shape[0]
    times = te_s if te_s is not None and len(te_s) == echoes else None
    out = np.zeros_like(phase_rad)
    if individual or times is None:
        for e in range(echoes):
            out[e] = grow_region(phase_rad, mask, magnitude=magnitude, te_s=times, echo=e)
        return out
    first = template - 1
    out[first] = grow_region(phase_rad, mask, magnitude=magnitude, te_s=times, echo=first)
    for step, stop in ((1, echoes), (-1, -1)):
        for e in range(first + step, stop, step):
            ratio = np.float32(times[e] / times[e - step])
            loops.follow_in_time(phase_rad[e], out[e - step], mask, ratio, out[e])
    return out


def grow_region(
    phase_rad: FloatArray,
    mask: BoolArray,
    *,
    magnitude: FloatArray | None,
    te_s: tuple[float, ...] | None,
    echo: int,
) -> FloatArray:
    """Return one echo unwrapped in space; each component's median within half a turn of 0."""
    other = echo + 1 if echo + 1 < phase_rad.shape[0] else echo - 1
    if te_s is None or other < 0:
        other, ratio = echo, 1.0
    else:
        ratio = te_s[echo] / te_s[other]
    weights = np.zeros((3, *mask.shape), np.uint8)
    mag = magnitude[echo] if magnitude is not None else np.ones(mask.shape, np.float32)
    args = (np.ascontiguousarray(mag, np.float32), mask, np.float32(ratio), weights)
    loops.edge_weights(phase_rad[echo], phase_rad[other], *args)
    out = np.zeros(mask.shape, np.float32)
    component = np.zeros(mask.shape, np.int32)
    count = loops.grow(phase_rad[echo], weights, mask, out, component)
    _centre_components(out, component, count)
    return out


def _centre_components(out: FloatArray, component: np.ndarray, count: int) -> None:
    """Take whole turns off each component so that its median lies within half a turn of 0."""
    flat, labels = out.ravel(), component.ravel()
    order = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels, minlength=count + 1))
    for label in range(1, count + 1):
        voxels = order[ends[label - 1] : ends[label]]
        flat[voxels] -= TWO_PI * np.round(np.median(flat[voxels]) / TWO_PI)
