"""Whole turns between echoes: each echo and each component of the mask agrees with the others in time.

The phase of one component is free by a multiple of 2 pi in every echo; the field is not. With the phase at TE = 0
removed, phase over echo time is one field, which settles the multiples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.memory import sparse_zeros
from qsmcmb.core.validate import check_range
from qsmcmb.typing import AnyArray, BoolArray, FloatArray
from qsmcmb.unwrapping import _temporal_loops as loops

TWO_PI = 2 * np.pi
CANDIDATES = (0, 1, -1, 2, -2)
"""Whole turns that are tried for the echo unwrapped in space, the likeliest first."""
CLEAR = 0.5
"""Another multiple wins only if it leaves less than this part of the misfit."""
SAMPLES = 20000


class Part(NamedTuple):
    """One 6-connected part of the mask: its box, the mask in it, and some of its voxels (indices in the box)."""

    box: tuple[slice, ...]
    inside: BoolArray
    some: tuple[AnyArray, ...]

    def values(self, volume: FloatArray) -> FloatArray:
        """Return the part's values, in order."""
        return volume[self.box][self.inside]

    def samples(self, volume: FloatArray) -> FloatArray:
        """Return the values of some voxels."""
        return volume[self.box][self.some]

    def turn(self, volume: FloatArray, turns: float) -> None:
        """Add whole turns, in place."""
        if turns:
            there = volume[self.box]
            np.add(there, np.float32(TWO_PI * turns), out=there, where=self.inside)


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
    # Both are views: five echoes' copies of the box would be most of what unwrapping takes.
    out = sparse_zeros(phase_rad.shape)
    wrapped, inner = phase_rad[(slice(None), *box)], out[(slice(None), *box)]
    parts = components(inside)
    for e in range(echoes) if individual or times is None else (first,):
        unwrapped = spatial(wrapped, inside, e)
        _centre(unwrapped, parts)
        if times is not None and echoes > 1 and e == first:
            settle_template(wrapped, unwrapped, times, first, parts)
        np.copyto(inner[e], unwrapped, where=inside)
        del unwrapped
    if times is not None and echoes > 1:
        if individual:
            align_echoes(inner, times, first, parts)
        else:
            start = tuple(s.start for s in box)
            loops.follow_in_time(phase_rad, inside, start, np.asarray(times, np.float32), first, out)
    return out


def _centre(unwrapped_rad: FloatArray, parts: Sequence[Part]) -> None:
    """Take whole turns off each component, so that its median lies within half a turn of 0; in place."""
    for part in parts:
        part.turn(unwrapped_rad, -float(np.round(np.median(part.values(unwrapped_rad)) / TWO_PI)))


def settle_template(
    wrapped_rad: FloatArray,
    template_rad: FloatArray,
    te_s: Sequence[float],
    first: int,
    parts: Sequence[Part],
) -> None:
    """Move each component of the template by whole turns to where the other echoes agree best, in place.

    Parameters
    ----------
    wrapped_rad : ndarray of shape (echo, x, y, z)
        Wrapped phase without its offset, rad.
    template_rad : ndarray of shape (x, y, z)
        Unwrapped phase of echo `first`, rad.
    te_s : sequence of float
        Echo times, s.
    first : int
        Index of the template.
    parts : sequence of Part
        The components.

    Notes
    -----
    Echo times that are multiples of the template's cannot tell: then nothing moves.
    """
    others = [e for e in range(len(te_s)) if e != first]
    for part in parts:
        template = part.samples(template_rad)
        echoes = {e: part.samples(wrapped_rad[e]) for e in others}
        misfits = []
        for turns in CANDIDATES:
            values = template + TWO_PI * turns
            rest = [echoes[e] - values * (te_s[e] / te_s[first]) for e in others]
            misfits.append(np.mean([1 - np.cos(r).mean(dtype=np.float64) for r in rest]))
        best = int(np.argmin(misfits))
        if misfits[best] < CLEAR * misfits[0]:
            part.turn(template_rad, CANDIDATES[best])


def align_echoes(unwrapped_rad: FloatArray, te_s: Sequence[float], first: int, parts: Sequence[Part]) -> None:
    """Move each component of each echo by whole turns to the echo before (or after), scaled in time; in place.

    Parameters
    ----------
    unwrapped_rad : ndarray of shape (echo, x, y, z)
        Every echo unwrapped in space, rad.
    te_s : sequence of float
        Echo times, s.
    first : int
        Index of the echo that stays.
    parts : sequence of Part
        The components.
    """
    for part in parts:
        for e, near in _outwards(len(te_s), first):
            rest = part.samples(unwrapped_rad[near]) * (te_s[e] / te_s[near]) - part.samples(unwrapped_rad[e])
            part.turn(unwrapped_rad[e], float(np.round(np.median(rest) / TWO_PI)))


def _outwards(echoes: int, first: int) -> Iterator[tuple[int, int]]:
    for e in range(first + 1, echoes):
        yield e, e - 1
    for e in range(first - 1, -1, -1):
        yield e, e + 1


def components(mask: BoolArray) -> list[Part]:
    """Return each 6-connected part of the mask."""
    labels, count = ndimage.label(mask)
    if count == 1:
        return [_part(tuple(slice(0, n) for n in mask.shape), mask)]
    return [_part(box, labels[box] == n) for n, box in enumerate(ndimage.find_objects(labels), start=1)]


def _part(box: tuple[slice, ...], inside: BoolArray) -> Part:
    voxels = np.flatnonzero(inside)
    return Part(box, inside, np.unravel_index(voxels[:: max(1, len(voxels) // SAMPLES)], inside.shape))
