"""What each method promises to be invariant to, and how exactly: one table, with a reason for each exception.

A deviation is the largest difference of two results inside the mask over the largest value there; for masks the
voxels that differ over those of the mask. `test_invariances.py` measures each against its limit.
"""

from __future__ import annotations

from typing import NamedTuple


class Limit(NamedTuple):
    """Largest deviation; None where the invariance does not hold, or has no meaning. Why, where it is not the usual."""

    most: float | None
    why: str = ""


EXACT = Limit(0.0)
ROUNDING = Limit(5e-6)

USUAL: dict[str, Limit] = {
    # The unit of what is measured: of the magnitude, or of field, its SD and the phase of 1 ppm together.
    "unit, a power of two": EXACT,
    "unit": ROUNDING,
    # Phase or field of the other sign: the result has the other sign.
    "sign": EXACT,
    # All echo times twice as long for the same phase and magnitude: half the field, half the rate.
    "echo times": EXACT,
    # A constant more: of the field where it is background, of the phase where only its differences count.
    "constant": ROUNDING,
    # All lengths twice as long, those of options too: a dipole's field in ppm has no length of its own.
    "length": EXACT,
    # The direction of B0 and the sizes of voxels go with the axes.
    "quarter turns": ROUNDING,
    "mirrors": ROUNDING,
    # Zeros around the volume, outside the mask.
    "padding": EXACT,
    # What stands outside the mask, NaN too.
    "outside": EXACT,
    "threads": EXACT,
    # Results do not depend on what has run before, nor on the input's layout or on who owns it.
    "repeats": EXACT,
}

_NO_MASK = "makes the mask: nothing is outside it yet"
_OTSU = "the threshold is taken from every other voxel, and turned even axes show it the other ones"
_BESIDE = (
    "around the mask all three differences of a voxel are split or none: one more at the low side of an axis"
)
_FROM_LOW = "its first harmonic field is solved to a hundredth, by grids that begin at the low side"
_ERROR_LEVEL = "its first threshold is the level of the field's error, which a ladder of weights tells"
_SMOOTHING = "the magnitude is smoothed over 1 mm whatever the voxels are"
_NO_PHASE = "does not use the phase"
_NO_TIME = "does not use echo times"
_CONSTANT_FIELD = "a local field is what is left: a constant more is another field"
_TURNED = {"hd": 0.05, "huber": 0.08}
"""Largest change with a turn where it exceeds 0.02; `huber` shrinks the three differences of a voxel by one factor."""

SPLIT = ("l1", "wh", "hd", "tv", "rts", "medi", "nltv", "huber", "fansi_tgv", "fansi_tv", "tfi", "tgv")
"""Inversions that split the gradient around the mask."""
LINEAR = ("tkd", "tsvd", "tikhonov", "ilsqr", "hd", "tv", "rts", "nltv", "huber", "tgv")
"""Inversions whose map is proportional to the field whatever the phase of 1 ppm is; the others see its cosine."""

EXCEPTIONS: dict[tuple[str, str], dict[str, Limit]] = {
    ("masking", "*"): {
        "outside": Limit(None, _NO_MASK),
        "echo times": Limit(None, _NO_TIME),
        "padding": Limit(0.01, "empty voxels around the head enter the histogram that the threshold is found from"),
    },
    ("masking", "magnitude"): {
        "sign": Limit(0.0, _NO_PHASE),
        "length": Limit(None, _SMOOTHING),
        "quarter turns": Limit(0.05, _OTSU),
        "mirrors": Limit(0.05, _OTSU),
    },
    ("masking", "combined"): {
        "length": Limit(None, _SMOOTHING),
        "quarter turns": Limit(0.05, _OTSU),
        "mirrors": Limit(0.05, _OTSU),
    },
    ("masking", "phase_quality"): {"padding": Limit(None, "zeros are the most coherent phase there is")},
    ("unwrapping", "*"): {
        "constant": Limit(5e-6, "up to whole turns of each echo, which grow with its time as the phase does")
    },
    ("field_mapping", "*"): {"constant": Limit(None, "a constant phase is the receiver's: it is removed before")},
    ("background_removal", "*"): {"echo times": Limit(None, _NO_TIME)},
    ("background_removal", "slbv"): {
        "quarter turns": Limit(2e-3, _FROM_LOW),
        "mirrors": Limit(2e-3, _FROM_LOW),
    },
    ("dipole_inversion", "*"): {
        "echo times": Limit(None, "times and field strength come in as the phase of 1 ppm alone: see the unit"),
        "constant": Limit(None, _CONSTANT_FIELD),
    },
    **{
        ("dipole_inversion", m): {
            "quarter turns": Limit(_TURNED.get(m, 0.02), _BESIDE),
            "mirrors": Limit(_TURNED.get(m, 0.02), _BESIDE),
            **({"length": Limit(1e-3, _ERROR_LEVEL)} if m in ("l1", "hd", "huber") else {}),
        }
        for m in SPLIT
    },
    ("relaxometry", "*"): {
        "sign": Limit(None, _NO_PHASE),
        "constant": Limit(None, "a magnitude with a constant more has decayed less"),
    },
    ("relaxometry", "weighted"): {
        "unit, a power of two": Limit(5e-6, "the logarithm of the magnitude has other digits in another unit")
    },
    ("susceptibility_weighting", "*"): {
        "sign": Limit(None, "positive phase alone darkens"),
        "echo times": Limit(None, "weighs the last echo, whenever it was"),
    },
}  # fmt: skip


def limit(family: str, method: str, name: str) -> Limit:
    """Return how exactly a method keeps an invariance: its own entry, its family's, or the usual one."""
    for key in ((family, method), (family, "*")):
        if name in EXCEPTIONS.get(key, {}):
            return EXCEPTIONS[key][name]
    return USUAL[name]


class Found(NamedTuple):
    """How near a method comes to the truth of its case in a few iterations, on cubic, odd, oblique and thick voxels.

    Least correlation with the truth inside the mask, and the range of the scale at which it is found.
    """

    correlation: float
    low: float
    high: float


TRUTH: dict[tuple[str, str], Found] = {
    # Local field against that of the source inside; the noise is a third of what is left of the correlation.
    ("background_removal", "sharp"): Found(0.95, 0.97, 1.02),
    ("background_removal", "vsharp"): Found(0.82, 0.72, 0.82),
    ("background_removal", "resharp"): Found(0.93, 0.88, 0.94),
    ("background_removal", "ismv"): Found(0.94, 0.92, 0.98),
    ("background_removal", "harperella"): Found(0.80, 0.86, 0.93),
    ("background_removal", "pdf"): Found(0.82, 0.83, 0.92),
    ("background_removal", "lbv"): Found(0.91, 0.93, 0.99),
    ("background_removal", "slbv"): Found(0.87, 0.95, 1.01),
    # Map against the ball; scale: its contrast to the rest of the mask. Few iterations leave some methods low.
    ("dipole_inversion", "tkd"): Found(0.70, 0.83, 1.06),
    ("dipole_inversion", "tsvd"): Found(0.74, 0.85, 1.11),
    ("dipole_inversion", "tikhonov"): Found(0.81, 0.62, 0.84),
    ("dipole_inversion", "ilsqr"): Found(0.72, 0.69, 0.93),
    ("dipole_inversion", "l1"): Found(0.76, 0.48, 0.57),
    ("dipole_inversion", "wh"): Found(0.83, 0.91, 1.12),
    ("dipole_inversion", "hd"): Found(0.71, 0.26, 0.32),
    ("dipole_inversion", "ndi"): Found(0.70, 0.68, 0.89),
    ("dipole_inversion", "tv"): Found(0.84, 0.93, 1.15),
    ("dipole_inversion", "rts"): Found(0.83, 0.74, 0.96),
    ("dipole_inversion", "medi"): Found(0.83, 0.87, 1.03),
    ("dipole_inversion", "nltv"): Found(0.85, 0.84, 1.03),
    ("dipole_inversion", "huber"): Found(0.74, 0.68, 0.92),
    ("dipole_inversion", "fansi_tgv"): Found(0.83, 0.84, 1.01),
    ("dipole_inversion", "fansi_tv"): Found(0.84, 0.93, 1.15),
    ("dipole_inversion", "tfi"): Found(0.78, 0.71, 0.90),
    ("dipole_inversion", "tgv"): Found(0.79, 0.69, 0.89),
}
"""A method that comes nearer moves its limits."""
