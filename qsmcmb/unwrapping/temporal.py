"""Whole turns between echoes: each echo and each component of the mask agrees with the others in time.

The phase of one component is free by a multiple of 2 pi in every echo; the field is not. With the phase at TE = 0
removed, phase over echo time is one field, which settles the multiples.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import ndimage

from qsmcmb.core.morphology import bounding_box
from qsmcmb.core.validate import check_range
from qsmcmb.typing import AnyArray, BoolArray, FloatArray
from qsmcmb.unwrapping import _temporal_loops as loops

TWO_PI = 2 * np.pi
CANDIDATES = (0, 1, -1, 2, -2)
"""Whole turns that are tried for the echo unwrapped in space, the likeliest first."""
CLEAR = 0.5
"""Another multiple wins only if it leaves less than this part of the misfit."""
SAMPLES = 20000


def unwrap_echoes(
    phase_rad: FloatArray,
    mask: BoolArray,
    spatial: Callable[[FloatArray, BoolArray, int], FloatArray],
    *,
    te_s: Sequence[float] | None,
    template: int,
    individual: bool,
) -> FloatArray:
    """Unwrap one echo in space and the others in time, or every echo in space, in the mask's box.

    Parameters
    ----------
    phase_rad : ndarray of shape (echo, x, y, z)
        Wrapped phase, rad.
    mask : ndarray of bool
        Where to unwrap.
    spatial : callable
        ``(wrapped_rad, mask, echo) -> unwrapped_rad`` of one echo, on the box.
    te_s : sequence of float or None
        Echo times, s; without them every echo is unwrapped in space.
    template : int
        Number of the echo (from 1) that the others follow.
    individual : bool
        Every echo in space, then whole turns of its components in time.

    Returns
    -------
    ndarray of shape (echo, x, y, z), float32
        rad; 0 outside the mask.
    """
    echoes = phase_rad.shape[0]
    check_range("template", template, 1, echoes)
    first = int(template) - 1
    times = te_s if te_s is not None and len(te_s) == echoes else None
    box = bounding_box(mask)
    inside = np.ascontiguousarray(mask[box])
    wrapped = np.ascontiguousarray(phase_rad[(slice(None), *box)], np.float32)
    inner = np.zeros_like(wrapped)
    parts = components(inside)
    for e in range(echoes) if individual or times is None else (first,):
        inner[e] = spatial(wrapped, inside, e)
        _centre(inner[e].reshape(-1), parts)
    if times is not None and echoes > 1:
        flat = inner.reshape(echoes, -1)
        settle_template(wrapped.reshape(echoes, -1), flat[first], times, first, parts)
        if individual:
            align_echoes(flat, times, first, parts)
        else:
            follow_in_time(wrapped, inside, times, first, inner)
    out = np.zeros(phase_rad.shape, np.float32)
    out[(slice(None), *box)] = np.where(inside, inner, 0)
    return out


def _centre(unwrapped_rad: FloatArray, parts: Sequence[AnyArray]) -> None:
    """Take whole turns off each component, so that its median lies within half a turn of 0; in place."""
    for voxels in parts:
        turns = np.round(np.median(unwrapped_rad[voxels]) / TWO_PI)
        if turns:
            unwrapped_rad[voxels] -= np.float32(TWO_PI * turns)


def follow_in_time(
    phase_rad: FloatArray, mask: BoolArray, te_s: Sequence[float], first: int, out: FloatArray
) -> None:
    """Unwrap all echoes from `out[first]`, in place; each is within half a turn of its neighbour's prediction."""
    loops.follow_in_time(phase_rad, mask, np.asarray(te_s, np.float32), first, out)


def settle_template(
    wrapped_rad: FloatArray,
    template_rad: FloatArray,
    te_s: Sequence[float],
    first: int,
    parts: Sequence[AnyArray],
) -> None:
    """Move each component of the template by whole turns to where the other echoes agree best, in place.

    Parameters
    ----------
    wrapped_rad : ndarray of shape (echo, n)
        Wrapped phase without its offset, flat, rad.
    template_rad : ndarray of shape (n,)
        Unwrapped phase of echo `first`, rad.
    te_s : sequence of float
        Echo times, s.
    first : int
        Index of the template.
    parts : sequence of ndarray
        Voxels of each component.

    Notes
    -----
    Echo times that are multiples of the template's cannot tell: then nothing moves.
    """
    others = [e for e in range(len(te_s)) if e != first]
    for voxels in parts:
        some = voxels[:: max(1, len(voxels) // SAMPLES)]
        misfits = []
        for turns in CANDIDATES:
            values = template_rad[some] + TWO_PI * turns
            rest = [wrapped_rad[e, some] - values * (te_s[e] / te_s[first]) for e in others]
            misfits.append(np.mean([1 - np.cos(r).mean(dtype=np.float64) for r in rest]))
        best = int(np.argmin(misfits))
        if misfits[best] < CLEAR * misfits[0]:
            template_rad[voxels] += np.float32(TWO_PI * CANDIDATES[best])


def align_echoes(
    unwrapped_rad: FloatArray, te_s: Sequence[float], first: int, parts: Sequence[AnyArray]
) -> None:
    """Move each component of each echo by whole turns to the echo before (or after), scaled in time; in place.

    Parameters
    ----------
    unwrapped_rad : ndarray of shape (echo, n)
        Every echo unwrapped in space, flat, rad.
    te_s : sequence of float
        Echo times, s.
    first : int
        Index of the echo that stays.
    parts : sequence of ndarray
        Voxels of each component.
    """
    for voxels in parts:
        some = voxels[:: max(1, len(voxels) // SAMPLES)]
        for e, near in _outwards(len(te_s), first):
            rest = unwrapped_rad[near, some] * (te_s[e] / te_s[near]) - unwrapped_rad[e, some]
            turns = np.round(np.median(rest) / TWO_PI)
            if turns:
                unwrapped_rad[e, voxels] += np.float32(TWO_PI * turns)


def _outwards(echoes: int, first: int) -> Iterator[tuple[int, int]]:
    for e in range(first + 1, echoes):
        yield e, e - 1
    for e in range(first - 1, -1, -1):
        yield e, e + 1


def components(mask: BoolArray) -> list[AnyArray]:
    """Return the voxels (flat) of each 6-connected part of the mask."""
    labels, count = ndimage.label(mask)
    if count == 1:
        return [np.flatnonzero(labels)]
    flat = labels.ravel()
    order = np.argsort(flat, kind="stable")
    ends = np.cumsum(np.bincount(flat, minlength=count + 1))
    return [order[a:b] for a, b in itertools.pairwise(ends)]
