"""Radians from stored numbers, by what the file states and never by its minimum and maximum alone.

One scale serves all echoes: an early echo without wraps fills less of the range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError, MissingMetadataError
from qsmcmb.io.nifti import Volume
from qsmcmb.typing import FloatArray

__all__: tuple[str, ...] = ()

LEGAL_UNITS = ("rad", "arbitrary")
"""Values of the key Units that BIDS allows for phase."""
TWO_PI = 2.0 * np.pi
"""One turn, rad."""


class Scale(NamedTuple):
    """Factor and offset that make stored values phase in rad, and the reason, which goes to the provenance."""

    factor: float
    offset: float
    why: str


class _PhaseRange(NamedTuple):
    """A range of stored phase that scanners write; `period` is one turn, in stored values."""

    name: str
    low: float
    high: float
    period: float
    offset_rad: float


PHASE_RANGES = (
    _PhaseRange(name="radians, -pi to pi", low=-np.pi, high=np.pi, period=TWO_PI, offset_rad=0.0),
    _PhaseRange(name="radians, 0 to 2 pi", low=0.0, high=TWO_PI, period=TWO_PI, offset_rad=0.0),
    _PhaseRange(
        name="milliradians, -3142 to 3142", low=-3142.0, high=3142.0, period=2000 * np.pi, offset_rad=0.0
    ),
    _PhaseRange(name="12 bits, 0 to 4095 (Siemens)", low=0.0, high=4095.0, period=4096.0, offset_rad=-np.pi),
    _PhaseRange(
        name="12 bits, -4096 to 4094 in steps of 2 (Siemens)",
        low=-4096.0,
        high=4095.0,
        period=8192.0,
        offset_rad=0.0,
    ),
)
"""Ranges of stored phase that are recognised, each by its own ends."""
MIN_FILLED_FRACTION = 0.97
"""Least fraction of a range that stored values must fill to be taken as phase in it: wrapped phase of a head fills all
of it, and less is not evidence.
"""


def phase_scale(
    volumes: Sequence[Volume], *, units: object, phase_range: tuple[float, float] | None = None, strict: bool
) -> Scale:
    """Return the scale to rad of all phase volumes of one scan.

    Parameters
    ----------
    volumes : sequence of Volume
        Phase of all echoes.
    units : object
        The sidecars' `Units`; None when not stated.
    phase_range : tuple of float, optional
        The user's word: the values of -pi and pi.
    strict : bool
        Refuse when neither `units` nor the header's scaling states the unit (BIDS requires `Units`).

    Raises
    ------
    InvalidInputError
        PHASUNITS when statement and values disagree, PHASE-FLAT for constant phase, UNITS-MISSING.
    """
    low, high = _value_range(volumes)
    where = volumes[0].path
    if phase_range is not None:
        return _from_user(where, low, high, phase_range)
    if units is not None and units not in LEGAL_UNITS:
        raise InvalidInputError(
            "PHASUNITS", where, field="Units", found=units, expected=f"one of {', '.join(LEGAL_UNITS)}",
            fix="correct Units in the JSON sidecar, or pass --phase-range LO HI to recon",
        )  # fmt: skip
    if units == "rad":
        return _radians(where, low, high)
    fitting = [c for c in PHASE_RANGES if _fills(c, low, high)]
    stated = units == "arbitrary" or _header_states_radians(volumes) or not strict
    if len(fitting) == 1 and stated:
        c = fitting[0]
        return Scale(TWO_PI / c.period, c.offset_rad, c.name)
    candidates = "; ".join(c.name for c in fitting) or "none of the known ranges"
    code = "UNITS-MISSING" if units is None else "PHASUNITS"
    kind = MissingMetadataError if units is None else InvalidInputError
    raise kind(
        code, where, field="Units", found=f"{units!r} with values {low:g} to {high:g}",
        expected=f"a stated unit (candidates by range: {candidates})",
        fix='write "Units": "rad" or "arbitrary" in the sidecar, or pass --phase-range LO HI to recon',
    )  # fmt: skip


def to_radians(values: FloatArray, scale: Scale, sign: int) -> FloatArray:
    """Return phase in [-pi, pi), float32, with the sign that makes paramagnetic fields positive."""
    phase = values * np.float32(sign * scale.factor) + np.float32(sign * scale.offset)
    phase -= np.float32(TWO_PI) * np.floor(phase / np.float32(TWO_PI) + np.float32(0.5))
    return np.ascontiguousarray(np.clip(phase, -np.pi, np.nextafter(np.float32(np.pi), np.float32(0))))


def _value_range(volumes: Sequence[Volume]) -> tuple[float, float]:
    """Return the least and the largest scaled value of all echoes."""
    lows, highs = [], []
    for volume in volumes:
        values = volume.data
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        if values.size == 0 or values.min() == values.max():
            raise InvalidInputError(
                "PHASE-FLAT", volume.path, field="phase", found="the same value everywhere",
                expected="phase that varies", fix="export the phase images again",
            )  # fmt: skip
        ends = [float(v) * volume.slope + volume.inter for v in (values.min(), values.max())]
        lows.append(min(ends))
        highs.append(max(ends))
    return min(lows), max(highs)


def _from_user(where: object, low: float, high: float, phase_range: tuple[float, float]) -> Scale:
    """Return the scale by the values that the user says stand for -pi and pi."""
    first, last = phase_range
    slack = 0.01 * (last - first)
    if not last > first or low < first - slack or high > last + slack:
        raise InvalidInputError(
            "PHASUNITS", where, field="--phase-range", found=f"{first:g} {last:g}",
            expected=f"LO < HI that hold the file's values, {low:g} to {high:g}",
            fix="give the values that stand for -pi and pi",
        )  # fmt: skip
    factor = TWO_PI / (last - first)
    return Scale(factor, -np.pi - first * factor, f"--phase-range {first:g} {last:g}")


def _radians(where: object, low: float, high: float) -> Scale:
    """Return the scale of values that are stated to be radians."""
    slack = 0.01
    if (low >= -np.pi - slack and high <= np.pi + slack) or (low >= -slack and high <= TWO_PI + slack):
        return Scale(1.0, 0.0, "Units: rad")
    raise InvalidInputError(
        "PHASUNITS", where, field="Units", found=f'"rad" with values {low:g} to {high:g}',
        expected="values of -pi to pi or 0 to 2 pi", fix='write "Units": "arbitrary", or convert the values',
    )  # fmt: skip


def _fills(stored: _PhaseRange, low: float, high: float) -> bool:
    """Say whether values lie in a range and fill it."""
    span = stored.high - stored.low
    slack = 0.002 * span
    within = low >= stored.low - slack and high <= stored.high + slack
    return within and high - low >= MIN_FILLED_FRACTION * span


def _header_states_radians(volumes: Sequence[Volume]) -> bool:
    """Say whether the header's scaling makes one turn of the integers: the header's own statement (Philips)."""
    first = volumes[0]
    if first.data.dtype.kind == "f" or first.slope == 1.0:
        return False
    return any(abs(first.slope * steps / TWO_PI - 1) < 1e-3 for steps in (4094, 4095, 4096, 65535, 65536))
