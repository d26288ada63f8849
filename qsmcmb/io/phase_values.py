"""Phase images that are none: magnitudes under the name of phase, numbers that lost their sign, one image twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.nifti import Volume
from qsmcmb.typing import AnyArray

__all__: tuple[str, ...] = ()

MIN_NEGATIVE = 0.1
"""Least fraction of negative values in signed phase; a magnitude has none."""
N_PARTS, MIN_IN_PART = 8, 0.02
"""Parts of the range of values, and the least fraction of the voxels in each of them: wrapped phase fills its range
evenly, and of a magnitude hardly any voxel is as bright as the brightest ones.
"""
MIN_CORRELATION = 0.8
"""Correlation with the magnitude in tissue from which on an image that is not spread as phase is a magnitude."""
HALF_TURNS = (np.pi, 3142.0, 180.0, 2047.0, 2048.0, 32767.0)
"""Largest values of signed phase, in the units that scanners and converters write."""
SIGNED_ENDS = (2048, 4096)
"""Size of the largest negative numbers of 12 bits, and of Siemens' steps of 2."""
END_TOLERANCE = 0.03
"""Distance from such an end that values may keep, relative: noise of air and wraps reach it."""
UNSIGNED_16 = 65536
"""Numbers that 16 bits without a sign can hold."""


def is_phase(values: AnyArray) -> bool:
    """Say whether a volume is distributed as phase; the commonest value, that of masked voxels, does not count."""
    # Every other voxel tells as much.
    some = values[::2, ::2, ::2].ravel()
    some = some[np.isfinite(some)]
    found, counts = np.unique(some, return_counts=True)
    some = some[some != found[counts.argmax()]] if found.size else some
    if not some.size:
        return False
    filled = np.histogram(some, N_PARTS, (float(found[0]), float(found[-1])))[0] / some.size
    return float(np.mean(some < 0)) > MIN_NEGATIVE or float(filled.min()) > MIN_IN_PART


def check_phase_values(
    phase: Sequence[Volume], magnitude: Sequence[Volume], *, is_range_stated: bool
) -> None:
    """Raise where an image of phase is none, or holds half of it.

    Parameters
    ----------
    phase, magnitude : sequence of Volume
        Images of all echoes.
    is_range_stated : bool
        Whether the user states the values of -pi and pi: then half a range may be a whole one.

    Raises
    ------
    InvalidInputError
        DUP for one image in two echoes; PHASE-VALUES for a magnitude, or phase that has lost its sign.
    """
    for i, volume in enumerate(phase):
        _check_once(volume, phase[:i])
        _check_no_magnitude(volume, magnitude[i])
        _check_cast(volume)
    if not is_range_stated:
        _check_whole_turn(phase)


def _check_once(volume: Volume, others: Sequence[Volume]) -> None:
    """Raise where another echo has the same phase."""
    for other in others:
        if volume.data.shape == other.data.shape and np.array_equal(volume.data, other.data):
            raise InvalidInputError(
                "DUP", volume.path, field="phase", found=f"the same content as {other.path.name}",
                expected="phase of its own for each echo", fix="export the phase of this echo again",
            )  # fmt: skip


def _check_no_magnitude(volume: Volume, magnitude: Volume) -> None:
    """Raise where the phase is a magnitude: the other one of its echo, or one beside it."""
    low, high = volume.value_range()
    if low == high or is_phase(volume.data):
        return
    if is_phase(magnitude.data):
        raise InvalidInputError(
            "PHASE-VALUES", volume.path, field="phase",
            found=f"values spread as those of a magnitude, and phase in {magnitude.path.name}",
            expected="phase", fix="exchange the names of the two images, or the two arguments",
        )  # fmt: skip
    if _correlation_in_tissue(volume, magnitude) > MIN_CORRELATION:
        raise InvalidInputError(
            "PHASE-VALUES", volume.path, field="phase",
            found=f"values that follow the magnitude, {magnitude.path.name}", expected="phase",
            fix="give the phase image: this looks like a magnitude",
        )  # fmt: skip


def _correlation_in_tissue(one: Volume, two: Volume) -> float:
    """Return the correlation of two images where the second one is brighter than its mean; 0 where one is constant."""
    first, second = (np.asarray(v.values()[::2, ::2, ::2], np.float64).ravel() for v in (one, two))
    finite = np.isfinite(first) & np.isfinite(second)
    bright = finite & (second > (second[finite].mean() if finite.any() else 0.0))
    if not bright.any() or first[bright].std() == 0 or second[bright].std() == 0:
        return 0.0
    return float(np.corrcoef(first[bright], second[bright])[0, 1])


def _check_cast(volume: Volume) -> None:
    """Raise where signed numbers of 12 bits were stored as 16 bits without a sign: -1 became 65535."""
    values = volume.data
    if values.min() < 0 or not UNSIGNED_16 - SIGNED_ENDS[0] <= values.max() < UNSIGNED_16:
        return
    is_high = values > UNSIGNED_16 // 2
    ends = (float(values[~is_high].max(initial=0)), UNSIGNED_16 - float(values[is_high].min()))
    if any(all(abs(end - known) <= END_TOLERANCE * known for end in ends) for known in SIGNED_ENDS):
        raise InvalidInputError(
            "PHASE-VALUES", volume.path, field="phase",
            found=f"values of 0 to {ends[0]:g} and of {UNSIGNED_16 - ends[1]:g} to {values.max():g}, none between",
            expected="signed numbers",
            fix="convert the image again as signed integers (int16): negative numbers were stored without their sign",
        )  # fmt: skip


def _check_whole_turn(phase: Sequence[Volume]) -> None:
    """Raise where all values lie from 0 to the largest one of signed phase: the negative half is lost."""
    ends = [volume.value_range() for volume in phase]
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    if abs(low) > 0.002 * high or all(abs(high - top) > 0.002 * top for top in HALF_TURNS):
        return
    raise InvalidInputError(
        "PHASE-VALUES", phase[0].path, field="phase", found=f"values of 0 to {high:g} in all echoes, half a turn",
        expected="negative values, too",
        fix=f"convert the phase again as signed numbers; if this is a whole turn, pass --phase-range 0 {high:.7g}",
    )  # fmt: skip
