"""Radians from stored numbers, by what the file states and never by its minimum and maximum alone.

One scale serves all echoes: an early echo without wraps fills less of the range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError, MissingMetadataError
from qsmcmb.io.input_options import LEGAL_UNITS, InputOptions
from qsmcmb.io.nifti import Volume
from qsmcmb.io.phase_steps import changes_smoothly, spread_in_signal, wraps_at_its_ends
from qsmcmb.io.phase_values import is_phase
from qsmcmb.typing import FloatArray

__all__: tuple[str, ...] = ()

TWO_PI = 2.0 * np.pi
"""One turn, rad."""


class Scale(NamedTuple):
    """Factor and offset that make stored values phase in rad, and the reason, which goes to the provenance."""

    factor: float
    offset: float
    why: str
    is_noted: bool = True
    """Whether the reason goes to the warnings, too."""


class _PhaseRange(NamedTuple):
    """A range of stored phase that scanners and converters write; `period` is one turn, in stored values."""

    name: str
    low: float
    high: float
    period: float
    offset_rad: float = 0.0

    @property
    def option(self) -> str:
        """Option that states this range."""
        if self.period == TWO_PI:
            return "--phase-units rad"
        # 0.0 is added because a negative zero would be written as -0.
        first = -self.period * (0.5 + self.offset_rad / TWO_PI) + 0.0
        return f"--phase-range {first:.7g} {first + self.period:.7g}"


def _integers(name: str, low: int, high: int) -> _PhaseRange:
    """Return a range of integers, one turn wide, whose lowest value is -pi."""
    period = float(high + 1 - low)
    return _PhaseRange(name, low, high, period, -np.pi - low * TWO_PI / period)


PHASE_RANGES = (
    _PhaseRange("radians, -pi to pi", -np.pi, np.pi, TWO_PI),
    _PhaseRange("radians, 0 to 2 pi", 0.0, TWO_PI, TWO_PI),
    _PhaseRange("milliradians, -3142 to 3142", -3142.0, 3142.0, 2000 * np.pi),
    _PhaseRange("milliradians, 0 to 6283", 0.0, 6283.0, 2000 * np.pi),
    _PhaseRange("degrees, -180 to 180", -180.0, 180.0, 360.0),
    _PhaseRange("degrees, 0 to 360", 0.0, 360.0, 360.0),
    _PhaseRange("half turns, -1 to 1", -1.0, 1.0, 2.0),
    _PhaseRange("turns, -0.5 to 0.5", -0.5, 0.5, 1.0),
    _PhaseRange("turns, 0 to 1", 0.0, 1.0, 1.0),
    _integers("8 bits, 0 to 255", 0, 255),
    _integers("12 bits, 0 to 4095 (Siemens)", 0, 4095),
    _integers("12 bits, -2048 to 2047", -2048, 2047),
    _PhaseRange("12 bits, -4096 to 4094 in steps of 2 (Siemens)", -4096.0, 4095.0, 8192.0),
    _integers("16 bits, 0 to 65535", 0, 65535),
    _integers("16 bits, -32768 to 32767", -32768, 32767),
)
"""Ranges of stored phase that are recognised, each by its own ends."""
OTHER_SIGN = "ge"
"""Beginning of the name of the maker whose scanners often write phase of the other sign, in small letters."""
MIN_FILLED_FRACTION = 0.97
"""Least fraction of a range that stored values must fill to be taken as phase in it: wrapped phase of a head fills all
of it, and less is not evidence.
"""
TIGHTLY_FILLED_FRACTION = 0.995
"""Fraction of a range above which values that are stated to be another unit belong to it: air fills it to its ends."""
MIN_TURN_FRACTION = 0.9
"""Fraction of a turn below which an echo's values must not wrap at their own ends."""
MAX_FIELD_SPREAD_PPM = 12.0
"""Largest spread of the field over the tissue that is believed of unwrapped phase, ppm: that of air is 9 ppm."""
GAMMA_HZ_PER_PPM_TESLA = 42.577478
"""Frequency per ppm and tesla, Hz."""


class PhaseData(NamedTuple):
    """Phase and magnitude volumes of a scan, with what makes a phase of them."""

    phase: Sequence[Volume]
    magnitude: Sequence[Volume]
    te_s: Sequence[float]
    b0_tesla: float

    @property
    def where(self) -> object:
        """The file that messages name."""
        return self.phase[0].path


def phase_scale(data: PhaseData, *, units: object, options: InputOptions, strict: bool) -> Scale:
    """Return the scale to rad of all phase volumes of one scan.

    Parameters
    ----------
    data : PhaseData
        Volumes of all echoes.
    units : object
        The sidecars' `Units`; None when not stated.
    options : InputOptions
        The user's word, which wins over sidecars and headers.
    strict : bool
        Refuse when neither `units` nor the header's scaling states the unit (BIDS requires `Units`).

    Raises
    ------
    InvalidInputError
        PHASUNITS when statement and values disagree, PHASE-SCALE where the echoes do, PHASE-FLAT for constant phase,
        UNITS-MISSING.
    """
    ends = [_value_range(v) for v in data.phase]
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    if options.phase_range is not None:
        return _from_user(data, low, high, options.phase_range)
    if options.phase_units is not None:
        units = options.phase_units
    if units is not None and units not in LEGAL_UNITS:
        raise InvalidInputError(
            "PHASUNITS", data.where, field="Units", found=units, expected=f"one of {', '.join(LEGAL_UNITS)}",
            fix=f"correct Units in the JSON sidecar, or pass {_suggestion(low, high, data)}",
        )  # fmt: skip
    _check_echoes(data, ends, "PHASUNITS" if units == "rad" else "PHASE-SCALE")
    if units == "rad":
        return _radians(data, low, high)
    stated = _by_header(data.phase)
    if (
        stated is not None
        and low >= stated.low - stated.period / 2
        and high <= stated.high + stated.period / 2
    ):
        return Scale(TWO_PI / stated.period, stated.offset_rad, stated.name)
    fitting = [c for c in PHASE_RANGES if _fills(c, low, high)]
    if len(fitting) == 1 and (units == "arbitrary" or not strict):
        return Scale(TWO_PI / fitting[0].period, fitting[0].offset_rad, fitting[0].name)
    if (
        units is None
        and not strict
        and data.phase[0].data.dtype.kind == "f"
        and _is_unwrapped(data, low, high)
    ):
        return Scale(1.0, 0.0, "radians, unwrapped already: whole turns are taken off again")
    raise _not_stated(data, units, low, high)


def sign_notes(makers: Sequence[object], options: InputOptions) -> list[str]:
    """Return what the user must know of the sign of phase, where the maker has the other one and nothing is stated."""
    if options.phase_sign is not None or not any(str(m).lower().startswith(OTHER_SIGN) for m in makers):
        return []
    return [
        "Manufacturer GE: its phase often falls where the field is higher. If veins and iron come out diamagnetic, "
        "pass --phase-sign -1; --phase-sign 1 states that the phase is as it should be"
    ]


def check_unit_stated(phase: Sequence[Volume], *, units: object, options: InputOptions) -> None:
    """Raise where nothing states the unit of phase; the values themselves are not needed.

    Raises
    ------
    InvalidInputError
        PHASUNITS for a word that is no unit of phase, UNITS-MISSING without a statement.
    """
    if options.phase_range is not None or options.phase_units is not None or units in LEGAL_UNITS:
        return
    fix = "pass --phase-units or --phase-range; `qsmcmb check --deep` reads the values and says which"
    where = phase[0].path
    if units is not None:
        raise InvalidInputError(
            "PHASUNITS", where, field="Units", found=units, expected=f"one of {', '.join(LEGAL_UNITS)}",
            fix=f"correct Units in the JSON sidecar, or {fix}",
        )  # fmt: skip
    if _by_header(phase) is None:
        raise MissingMetadataError(
            "UNITS-MISSING", where, field="Units", found="nothing", expected="a stated unit", fix=fix
        )


def to_radians(values: FloatArray, scale: Scale, sign: int) -> FloatArray:
    """Return phase in [-pi, pi), float32, with the sign that makes paramagnetic fields positive."""
    phase = values * np.float32(sign * scale.factor) + np.float32(sign * scale.offset)
    phase -= np.float32(TWO_PI) * np.floor(phase / np.float32(TWO_PI) + np.float32(0.5))
    return np.ascontiguousarray(np.clip(phase, -np.pi, np.nextafter(np.float32(np.pi), np.float32(0))))


def _value_range(volume: Volume) -> tuple[float, float]:
    """Return the least and the largest scaled value of an echo."""
    values = volume.data
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if values.size == 0 or values.min() == values.max():
        raise InvalidInputError(
            "PHASE-FLAT", volume.path, field="phase", found="the same value everywhere",
            expected="phase that varies", fix="export the phase images again",
        )  # fmt: skip
    ends = [float(v) * volume.slope + volume.inter for v in (values.min(), values.max())]
    return min(ends), max(ends)


def _check_echoes(data: PhaseData, ends: Sequence[tuple[float, float]], code: str) -> None:
    """Raise where one echo is stored on another scale than the others."""
    known = [next((c for c in PHASE_RANGES if _fills(c, *e, TIGHTLY_FILLED_FRACTION)), None) for e in ends]
    turns = {i: (c.period, c.offset_rad) for i, c in enumerate(known) if c is not None}
    common = max(turns.values(), key=list(turns.values()).count) if turns else None
    for i, (volume, magnitude, (low, high)) in enumerate(zip(data.phase, data.magnitude, ends, strict=True)):
        is_other = i in turns and turns[i] != common
        short = common is not None and i not in turns and high - low < MIN_TURN_FRACTION * common[0]
        if is_other or (short and wraps_at_its_ends(volume, magnitude)):
            raise InvalidInputError(
                code, volume.path, field="phase", found=f"values of {low:g} to {high:g} that wrap there",
                expected="the scale of the other echoes, a turn of " + f"{common[0] if common else 0:g}",
                fix="export the phase of this echo again, or correct scl_slope and scl_inter in its header",
            )  # fmt: skip


def _from_user(data: PhaseData, low: float, high: float, phase_range: tuple[float, float]) -> Scale:
    """Return the scale by the values that the user says stand for -pi and pi."""
    first, last = phase_range
    slack = 0.01 * (last - first)
    outside = not last > first or low < first - slack or high > last + slack
    if outside and not (last > first and changes_smoothly(data.phase, data.magnitude, last - first)):
        raise InvalidInputError(
            "PHASUNITS", data.where, field="--phase-range", found=f"{first:g} {last:g}",
            expected=f"LO < HI that hold the file's values, {low:g} to {high:g}",
            fix="give the values that stand for -pi and pi",
        )  # fmt: skip
    factor = TWO_PI / (last - first)
    more = "; unwrapped already: whole turns are taken off again" if outside else ""
    return Scale(factor, -np.pi - first * factor, f"--phase-range {first:g} {last:g}{more}")


def _radians(data: PhaseData, low: float, high: float) -> Scale:
    """Return the scale of values that are stated to be radians."""
    slack = 0.01
    other = next(
        (c for c in PHASE_RANGES if c.period != TWO_PI and _fills(c, low, high, TIGHTLY_FILLED_FRACTION)),
        None,
    )
    fits = (low >= -np.pi - slack and high <= np.pi + slack) or (low >= -slack and high <= TWO_PI + slack)
    if fits and other is None:
        return Scale(1.0, 0.0, "radians", is_noted=False)
    if other is None and _is_unwrapped(data, low, high):
        return Scale(1.0, 0.0, "radians, unwrapped already: whole turns are taken off again")
    looks = f"; they fill the range of {other.name}" if other else ""
    raise InvalidInputError(
        "PHASUNITS", data.where, field="Units", found=f'"rad" with values {low:g} to {high:g}{looks}',
        expected="values of -pi to pi or 0 to 2 pi, or unwrapped phase without jumps from voxel to voxel",
        fix=f"pass {other.option if other else _suggestion(low, high, data)}",
    )  # fmt: skip


def _is_unwrapped(data: PhaseData, low: float, high: float) -> bool:
    """Say whether values are unwrapped radians: without jumps in tissue, and of a field that there can be."""
    if any(_fills(c, low, high, TIGHTLY_FILLED_FRACTION) for c in PHASE_RANGES):
        return False
    if not changes_smoothly(data.phase, data.magnitude, TWO_PI):
        return False
    # Wrapped on another scale: few steps of tissue need to show it, noise in air does.
    if any(wraps_at_its_ends(volume) for volume in data.phase):
        return False
    for volume, magnitude, te in zip(data.phase, data.magnitude, data.te_s, strict=True):
        largest = TWO_PI * (2 + te * data.b0_tesla * GAMMA_HZ_PER_PPM_TESLA * MAX_FIELD_SPREAD_PPM)
        if spread_in_signal(volume, magnitude) > largest:
            return False
    return True


def _not_stated(data: PhaseData, units: object, low: float, high: float) -> InvalidInputError:
    """Return the error for values whose unit nothing states."""
    fitting = [c.name for c in PHASE_RANGES if _fills(c, low, high)]
    code, kind = (
        ("UNITS-MISSING", MissingMetadataError) if units is None else ("PHASUNITS", InvalidInputError)
    )
    return kind(
        code, data.where, field="Units", found=f"{units!r} with values {low:g} to {high:g}",
        expected=f"a stated unit (candidates by range: {'; '.join(fitting) or 'none of the known ranges'})",
        fix=f"pass {_suggestion(low, high, data)}",
    )  # fmt: skip


def _suggestion(low: float, high: float, data: PhaseData) -> str:
    """Return the option that states what the values look like."""
    fitting = [c for c in PHASE_RANGES if _fills(c, low, high)]
    if len(fitting) == 1:
        return f"{fitting[0].option} (values of {low:g} to {high:g} look like {fitting[0].name})"
    if high > np.pi + 0.01 and any(
        wraps_at_its_ends(volume) and is_phase(volume.data) for volume in data.phase
    ):
        return f"--phase-range {low:.6g} {high:.6g} (the values wrap there)"
    radians = (
        "--phase-units rad if the values are radians, or "
        if -np.pi - 0.01 <= low and high <= TWO_PI + 0.01
        else ""
    )
    example = " (0 4096 for 12 bits)" if low >= 0 and TWO_PI < high < 4096 else ""
    return f"{radians}--phase-range LO HI, the values that stand for -pi and pi{example}"


def _fills(stored: _PhaseRange, low: float, high: float, fraction: float = MIN_FILLED_FRACTION) -> bool:
    """Say whether values lie in a range and fill it."""
    span = stored.high - stored.low
    slack = 0.002 * span
    within = low >= stored.low - slack and high <= stored.high + slack
    return within and high - low >= fraction * span


def _by_header(volumes: Sequence[Volume]) -> _PhaseRange | None:
    """Return the range that the header's scaling of integers states: one turn of 12 or 16 bits, centred or in radians.

    Philips writes slopes of 2 pi / 4095 (or 2000 pi, in milliradians), Siemens a slope of 2 and an intercept of -4096.
    """
    first = volumes[0]
    if first.data.dtype.kind == "f" or (first.slope, first.inter) == (1.0, 0.0):
        return None
    for steps in (4094, 4095, 4096, 65535, 65536):
        span = abs(first.slope) * steps
        for turn, name in ((TWO_PI, "radians"), (2000 * np.pi, "milliradians")):
            if abs(span / turn - 1) < 1e-3:
                low = 0.0 if abs(first.inter) < 0.25 * turn else -turn / 2
                return _PhaseRange(f"{name}, by the header's slope", low, low + turn, turn)
        # An intercept of minus half the range says where 0 is.
        if steps in (4096, 65536) and abs(first.inter + span / 2) <= 2 * abs(first.slope):
            return _PhaseRange(
                f"scanner units, by slope {first.slope:g} and intercept {first.inter:g} of the header",
                -span / 2, span / 2, span,
            )  # fmt: skip
    return None
