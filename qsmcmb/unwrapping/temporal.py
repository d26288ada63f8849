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

__all__: tuple[str, ...] = ()

TWO_PI = 2 * np.pi
"""One turn, rad."""
CANDIDATE_TURNS = (0, 1, -1, 2, -2)
"""Whole turns that are tried for the echo unwrapped in space, the likeliest first: its median lies within half a turn
of 0 already.
"""
MAX_MISFIT_RATIO = 0.5
"""Misfit over that of no turn, below which another multiple wins, a ratio. Set by trial."""
MAX_SAMPLES = 20000
"""Voxels of a component whose phase is compared, a count: a median of so many is known to a hundredth of its SD."""


class Part(NamedTuple):
    """Hold one 6-connected component of the mask.

    Parameters
    ----------
    box : tuple of slice
        Its bounding box in the mask.
    inside : ndarray of bool
        The component in the box.
    some : tuple of ndarray
        Indices in the box of some of its voxels, at regular steps.
    """

    box: tuple[slice, ...]
    inside: BoolArray
    some: tuple[AnyArray, ...]

    def values(self, volume: FloatArray) -> FloatArray:
        """Return the component's values, in order."""
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
    mask : ndarray of shape (x, y, z), bool
        Voxels to unwrap.
    spatial : callable
        ``(wrapped_rad, mask, echo) -> unwrapped_rad`` of one echo, on the box.
    te_s : sequence of float or None
        Echo times, s; without them every echo is unwrapped in space.
    template : int
        Number of the echo (from 1) that the others follow.
    individual : bool
        Unwrap every echo in space, then move its components by whole turns in time.

    Returns
    -------
    ndarray of shape (echo, x, y, z), float32
        Unwrapped phase, rad; 0 outside the mask.
    """
    echoes = phase_rad.shape[0]
    check_range("template", template, 1, echoes)
    # Echoes are counted from 1 where users see them.
    first = int(template) - 1
    # Without a time for each echo nothing follows in time.
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
        # The others follow the template, so its own turns are settled before.
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
    """Subtract whole turns from each component, so that its median lies within half a turn of 0; in place."""
    for part in parts:
        # A field relative to the centre frequency is small: its median is the likeliest within half a turn.
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
        for turns in CANDIDATE_TURNS:
            values = template + TWO_PI * turns
            # 0 but for whole turns where the number of turns is right: 1 - cos does not see these.
            rest = [echoes[e] - values * (te_s[e] / te_s[first]) for e in others]
            misfits.append(np.mean([1 - np.cos(r).mean(dtype=np.float64) for r in rest]))
        # The first of equals, which is no turn: candidates are in the order of their likelihood.
        best = int(np.argmin(misfits))
        if misfits[best] < MAX_MISFIT_RATIO * misfits[0]:
            part.turn(template_rad, CANDIDATE_TURNS[best])


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
        # From the template outwards: each echo has one beside it that is settled already.
        for e, near in _outwards(len(te_s), first):
            rest = part.samples(unwrapped_rad[near]) * (te_s[e] / te_s[near]) - part.samples(unwrapped_rad[e])
            part.turn(unwrapped_rad[e], float(np.round(np.median(rest) / TWO_PI)))


def _outwards(echoes: int, first: int) -> Iterator[tuple[int, int]]:
    """Yield each echo but the first with the one beside it that is nearer to the first."""
    for e in range(first + 1, echoes):
        yield e, e - 1
    for e in range(first - 1, -1, -1):
        yield e, e + 1


def components(mask: BoolArray) -> list[Part]:
    """Return the 6-connected components of a mask."""
    labels, count = ndimage.label(mask)
    # As most masks have; then no copy is made.
    if count == 1:
        return [_part(tuple(slice(0, n) for n in mask.shape), mask)]
    return [_part(box, labels[box] == n) for n, box in enumerate(ndimage.find_objects(labels), start=1)]


def _part(box: tuple[slice, ...], inside: BoolArray) -> Part:
    """Return a component with some of its voxels."""
    voxels = np.flatnonzero(inside)
    return Part(box, inside, np.unravel_index(voxels[:: max(1, len(voxels) // MAX_SAMPLES)], inside.shape))
