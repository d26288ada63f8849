"""Magnitudes that are none: zero everywhere, negative, or the phase file once more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.nifti import Volume
from qsmcmb.typing import FloatArray

__all__: tuple[str, ...] = ()

MAX_NEGATIVE = 0.01
"""Largest fraction of negative voxels: resampling leaves a ripple in air, a real part or phase is half negative."""


def magnitude_notes(values: FloatArray, where: Path) -> list[str]:
    """Return what the user must know of an echo's magnitude.

    Raises
    ------
    InvalidInputError
        MAG-EMPTY where it is 0 everywhere, MAG-NEGATIVE where more than a hundredth is negative.
    """
    if not values.any():
        raise InvalidInputError(
            "MAG-EMPTY", where, field="magnitude", found="0 everywhere", expected="signal",
            fix="export the magnitude again",
        )  # fmt: skip
    share = float((values < 0).mean())
    if share > MAX_NEGATIVE:
        raise InvalidInputError(
            "MAG-NEGATIVE", where, field="magnitude", found=f"{100 * share:.0f} % of the voxels are negative",
            expected="values of 0 and more",
            fix="give the magnitude: this looks like phase, or the real part of the signal",
        )  # fmt: skip
    notes = []
    if share > 0:
        notes.append(
            f"{where.name}: {int((values < 0).sum())} voxels of the magnitude are negative; taken as 0"
        )
    if values.min() == values.max():
        notes.append(
            f"{where.name}: the magnitude is the same everywhere; it says nothing of tissue or decay"
        )
    return notes


def check_other_than_phase(phase: Sequence[Volume], magnitude: Sequence[Volume]) -> None:
    """Raise where a file is given as phase and as magnitude.

    Raises
    ------
    InvalidInputError
        DUP, with both files.
    """
    for one, two in zip(phase, magnitude, strict=True):
        if (
            one.sha256 == two.sha256
            and one.data.shape == two.data.shape
            and np.array_equal(one.data, two.data)
        ):
            raise InvalidInputError(
                "DUP", two.path, field="magnitude", found=f"the same content as the phase, {one.path.name}",
                expected="another image", fix="give the magnitude file",
            )  # fmt: skip
