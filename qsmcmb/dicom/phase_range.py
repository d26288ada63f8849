"""Stored phase in radians: the scanner's statement in the header, held against the file's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.typing import AnyArray

__all__: tuple[str, ...] = ()

TWO_PI = 2.0 * np.pi
"""One turn, rad."""
CONVENTION_FILL = 0.97
"""Least fraction of its range that phase must fill where the range is the vendor's habit and not stated: wrapped phase
of a head fills all of it.
"""
MILLIRADIANS = 3142.0
"""Largest phase in the unit that Philips and GE store."""


class PhaseRange(NamedTuple):
    """Factor and offset from stored values to rad, the stored values of -pi and pi, and where they are stated."""

    factor: float
    offset: float
    low: float
    high: float
    statement: str
    by_habit: bool


def stated_range(values: Mapping[str, Any]) -> PhaseRange | None:
    """Return what a header states of its phase; None where it states nothing that is known."""
    slope, inter = float(values.get("RescaleSlope", 1.0)), float(values.get("RescaleIntercept", 0.0))
    bits, vendor = int(values.get("BitsStored", 16)), str(values.get("Manufacturer", "")).upper()
    span = slope * (2**bits - 1)
    rescale = f"rescale slope {slope:g} and intercept {inter:g}"
    if (slope, inter) == (2.0, -4096.0):
        return PhaseRange(
            factor=TWO_PI / 4096, offset=-np.pi, low=0, high=4095, statement=rescale, by_habit=False
        )
    for half, unit, slack in ((MILLIRADIANS, "milliradians", 1.0), (np.pi, "radians", 1e-3)):
        # The header rounds: the ends of the stored range are -pi and pi themselves.
        if abs(inter + half) < slack and abs(span - 2 * half) < 8 * slack:
            last = 2**bits - 1
            return PhaseRange(
                factor=TWO_PI / last, offset=-np.pi, low=0, high=last, statement=f"{rescale}: {unit}",
                by_habit=False,
            )  # fmt: skip
    return _habit(vendor, bits) if (slope, inter) == (1.0, 0.0) else None


def _habit(vendor: str, bits: int) -> PhaseRange | None:
    """Return the range that a vendor writes where the header has no scale."""
    if vendor.startswith("SIEMENS") and bits == 12:
        return PhaseRange(
            factor=TWO_PI / 4096,
            offset=-np.pi,
            low=0,
            high=4095,
            statement="12 bits (Siemens)",
            by_habit=True,
        )
    if vendor.startswith("GE"):
        return PhaseRange(
            factor=1e-3, offset=0.0, low=-MILLIRADIANS, high=MILLIRADIANS, statement="milliradians (GE)",
            by_habit=True,
        )  # fmt: skip
    return None


def contradiction(stated: PhaseRange | None, stored: AnyArray, *, filled: float) -> str:
    """Return why stored values are not what the header states; empty where they are.

    `filled` is the fraction of the range that the phase of all echoes of the scan fills.
    """
    if stated is None:
        return "the header states no range that is known"
    if stored.dtype.kind not in "iu":
        return "the converter scaled the values"
    low, high = int(stored.min()), int(stored.max())
    if low < stated.low or high > stated.high:
        return f"values of {low} to {high} where {stated.statement} allows {stated.low:g} to {stated.high:g}"
    if stated.by_habit and filled < CONVENTION_FILL:
        return f"no scale is stated, and the values fill {100 * filled:.0f} % of what is usual"
    return ""


def scale_to_radians(stated: PhaseRange, slope: float, inter: float) -> tuple[float, float]:
    """Return factor and offset to rad; a converter that made radians already keeps its own digits."""
    alike = abs(slope - stated.factor) < 1e-3 * stated.factor and abs(inter - stated.offset) < 1e-3
    return (slope, inter) if alike else (stated.factor, stated.offset)


def filled_fraction(stated: PhaseRange | None, low: float, high: float) -> float:
    """Return the fraction of a range that values from `low` to `high` fill."""
    return 0.0 if stated is None else (high - low) / (stated.high - stated.low)
