"""Agreement of the images of one scan: their sidecars, and the scaling of phase in their headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.nifti import Volume

__all__ = ("check_parts_scaling", "check_phase_scaling", "check_scan_agreement", "scaling_notes")

RELATIVE_TOLERANCE = 1e-3
"""Largest relative difference of two numbers that count as one: above rounding and the drift of a magnet, below what
any result would show.
"""
SCALING_TOLERANCE = 1e-4
"""Largest relative difference of slopes and intercepts that count as one: above float32's rounding."""
RANGE_TOLERANCE = 0.03
"""Largest difference of the ends of two ranges of wrapped phase, as a fraction of the range: both of a head fill it."""
NUMBERS = (
    "MagneticFieldStrength",
    "ImagingFrequency",
    "RepetitionTime",
    "RepetitionTimeExcitation",
    "FlipAngle",
    "SliceThickness",
    "SpacingBetweenSlices",
)
"""Keys with a number that is one for all images of a scan."""
WORDS = ("Manufacturer", "MRAcquisitionType", "ImagedNucleus")
"""Keys with a word that is one for all images of a scan; its first word is compared, in small letters."""
PHASE_WORDS = ("Units",)
"""Keys with a word that is one for all phase images of a scan."""


class _Stated(NamedTuple):
    """Value of a key, and the image whose sidecar states it."""

    value: Any
    path: Path


def check_scan_agreement(images: Sequence[tuple[str, Path, Mapping[str, Any]]]) -> None:
    """Raise where two sidecars of one scan contradict each other; a key that one lacks is no contradiction.

    Parameters
    ----------
    images : sequence of (str, Path, mapping)
        Part (mag, phase, real or imag), file and metadata of each image.

    Raises
    ------
    InvalidInputError
        SCAN-MISMATCH, with both files.

    Examples
    --------
    >>> check_scan_agreement([("mag", Path("a.nii"), {"FlipAngle": 15}), ("phase", Path("b.nii"), {})])
    """
    for key in (*NUMBERS, *WORDS):
        _check_key(key, [_Stated(meta[key], path) for _, path, meta in images if meta.get(key) is not None])
    phase = [(path, meta) for part, path, meta in images if part == "phase"]
    for key in PHASE_WORDS:
        _check_key(key, [_Stated(meta[key], path) for path, meta in phase if meta.get(key) is not None])


def _check_key(key: str, stated: Sequence[_Stated]) -> None:
    for other in stated[1:]:
        first = stated[0]
        if not _same(first.value, other.value):
            raise InvalidInputError(
                "SCAN-MISMATCH", other.path, field=key, found=f"{other.value!r}; {first.value!r} for {first.path.name}",
                expected="one value for all images of a scan",
                fix=f"correct {key} in the sidecar that is wrong; or, if these are images of two scans, give each scan "
                "its own run or acq in the names",
            )  # fmt: skip


def _same(one: Any, two: Any) -> bool:
    """Say whether two values mean the same."""
    if isinstance(one, str) and isinstance(two, str):
        return _first_word(one) == _first_word(two)
    if _is_number(one) and _is_number(two):
        return bool(abs(one - two) <= RELATIVE_TOLERANCE * max(abs(one), abs(two)))
    return bool(one == two)


def _first_word(text: str) -> str:
    """Return the first word in small letters: `GE` and `GE MEDICAL SYSTEMS` are one maker."""
    return next(iter(text.lower().replace("_", " ").split()), "")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_phase_scaling(phase: Sequence[Volume]) -> None:
    """Raise where the echoes' headers scale phase differently, so that one scale can't make radians of all.

    Other slopes are no contradiction where the scaled values of all echoes fill the same range.

    Parameters
    ----------
    phase : sequence of Volume
        Phase of all echoes, in units that are not stated to be radians.

    Raises
    ------
    InvalidInputError
        SCAN-MISMATCH, with both files.

    Examples
    --------
    >>> check_phase_scaling([])
    """
    for other in phase[1:]:
        first = phase[0]
        if _stored_alike(first, other) or _fill_one_range(first, other):
            continue
        raise InvalidInputError(
            "SCAN-MISMATCH", other.path, field="datatype, scl_slope, scl_inter",
            found=f"{_stored_as(other)}; {_stored_as(first)} in {first.path.name}",
            expected="phase of all echoes stored alike",
            fix="convert all echoes again with one program; or convert each to radians and state Units rad",
        )  # fmt: skip


def scaling_notes(volumes: Sequence[Volume], part: str) -> list[str]:
    """Return what the user must know where headers scale the echoes of one part without need.

    Converters scale integers of each echo on its own. Floats need no scale and no offset, and one echo without any
    among scaled ones has lost its own.

    Parameters
    ----------
    volumes : sequence of Volume
        Images of all echoes.
    part : str
        What they are, for the message.

    Returns
    -------
    list of str
        The notes.

    Examples
    --------
    >>> import numpy as np
    >>> file = {"path": Path("a.nii"), "sha256": "", "affine": None, "oriented": True, "warnings": ()}
    >>> echo = Volume(data=np.ones((1, 1, 1), np.float32), slope=1.0, inter=0.0, **file)
    >>> len(scaling_notes([echo, echo], "magnitude")), len(scaling_notes([echo, echo._replace(slope=2.0)], "magnitude"))
    (0, 1)
    """
    notes = []
    without_need = any(v.data.dtype.kind == "f" or (v.slope, v.inter) == (1.0, 0.0) for v in volumes)
    if without_need and not all(_scaled_alike(volumes[0], v) for v in volumes):
        stated = "; ".join(f"{v.path.name}: {v.slope:g}, {v.inter:g}" for v in volumes)
        notes.append(
            f"the headers scale the {part} of the echoes differently (slope and intercept: {stated}); taken as they are"
        )
    # A common factor of the magnitude changes nothing.
    floats = [v for v in volumes if v.data.dtype.kind == "f"]
    changed = [v for v in floats if v.inter != 0 or (part == "phase" and v.slope != 1)]
    if changed:
        first = changed[0]
        notes.append(
            f"{first.path.name}: the header scales {part} that is stored as floats (slope {first.slope:g}, intercept "
            f"{first.inter:g}); taken so"
        )
    raised = [v for v in volumes if part == "magnitude" and _is_raised(v)]
    if raised:
        first = raised[0]
        notes.append(
            f"{first.path.name}: the header adds {first.inter:g} to the magnitude, so that none of it is 0; taken so"
        )
    return notes


def _is_raised(volume: Volume) -> bool:
    """Say whether an intercept lifts integers off 0, the signal of nothing: no converter needs one for that."""
    if volume.data.dtype.kind == "f" or volume.inter == 0:
        return False
    ends = (float(volume.data.min()), float(volume.data.max()))
    least = min(end * volume.slope + volume.inter for end in ends)
    return volume.slope == 1 or least >= abs(volume.slope)


def check_parts_scaling(real: Volume, imaginary: Volume) -> None:
    """Raise where one of two integer parts has lost its scaling, or both have, which leaves no negative value.

    Parameters
    ----------
    real, imaginary : Volume
        Parts of one echo.

    Raises
    ------
    InvalidInputError
        SCAN-MISMATCH, with both files; PHASE-VALUES where nothing is negative.

    Examples
    --------
    >>> import numpy as np
    >>> file = {"path": Path("a.nii"), "sha256": "", "affine": None, "oriented": True, "warnings": ()}
    >>> part = Volume(data=np.array([[[-1, 2]]]), slope=2.0, inter=0.0, **file)
    >>> check_parts_scaling(part, part._replace(slope=3.0))
    """
    parts = (real, imaginary)
    unscaled = [(part.slope, part.inter) == (1.0, 0.0) for part in parts]
    if unscaled[0] != unscaled[1] and all(part.data.dtype.kind in "iu" for part in parts):
        raise InvalidInputError(
            "SCAN-MISMATCH", imaginary.path, field="scl_slope, scl_inter",
            found=f"{_stored_as(imaginary)}; {_stored_as(real)} in {real.path.name}",
            expected="a scaling in both parts or in none", fix="convert both parts again with one program",
        )  # fmt: skip
    lows = [part.value_range()[0] for part in parts]
    if min(lows) >= 0 and max(part.value_range()[1] for part in parts) > 0:
        raise InvalidInputError(
            "PHASE-VALUES", imaginary.path, field="real and imaginary part",
            found=f"no negative value; least ones {lows[0]:g} and {lows[1]:g}", expected="values on both sides of 0",
            fix="convert both parts again as signed numbers, with the scanner's intercept in scl_inter",
        )  # fmt: skip


def _stored_alike(one: Volume, two: Volume) -> bool:
    """Say whether two volumes are of one kind of number, with one slope and intercept."""
    return _scaled_alike(one, two) and (one.data.dtype.kind == "f") == (two.data.dtype.kind == "f")


def _scaled_alike(one: Volume, two: Volume) -> bool:
    """Say whether two volumes have one slope and intercept."""
    pairs = ((one.slope, two.slope), (one.inter, two.inter))
    return all(abs(a - b) <= SCALING_TOLERANCE * max(abs(a), abs(b)) for a, b in pairs)


def _fill_one_range(one: Volume, two: Volume) -> bool:
    """Say whether the scaled values of two volumes have the same ends."""
    (low, high), (other_low, other_high) = (v.value_range() for v in (one, two))
    slack = RANGE_TOLERANCE * (high - low)
    return abs(low - other_low) <= slack and abs(high - other_high) <= slack


def _stored_as(volume: Volume) -> str:
    kind = "floats" if volume.data.dtype.kind == "f" else "integers"
    return f"{kind}, slope {volume.slope:g}, intercept {volume.inter:g}"
