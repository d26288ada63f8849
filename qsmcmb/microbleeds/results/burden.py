"""Burden: what a session's lesions sum up to, and how much of it the scan could not have shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from qsmcmb.microbleeds.results.duplicates import without_duplicates
from qsmcmb.model import Microbleed
from qsmcmb.typing import FloatArray

SIZES = (("<5 mm", 0.0, 5.0), ("5-10 mm", 5.0, 10.0), (">10 mm", 10.0, np.inf))
SHARED_RELATIVE_SD = 0.02
"""Relative error that all lesions of a scan have in common: point spread, field strength and direction of B0."""
MISSED_AT_PPM_MM3 = (0.5, 1.0, 2.0, 5.0)
Z95 = 1.96


class DetectionCoverage(NamedTuple):
    """What a scan could not have shown: of a detection limit map."""

    median_ppm_mm3: float
    missed_fraction: dict[str, float]
    """For a total susceptibility (ppm mm3): the part of the brain where a lesion of it stays below the limit."""
    shown_nowhere_below_ppm_mm3: float
    """Below this a lesion stays below the limit in 99 % of the brain."""
    shown_everywhere_above_ppm_mm3: float
    """Above this a lesion is above the limit in 99 % of the brain."""


def summarise_detection_limit(limit_ppm_mm3: FloatArray) -> DetectionCoverage | None:
    """Return what a detection limit map (0 outside the brain, infinite where nothing would show) says.

    Examples
    --------
    >>> summarise_detection_limit(np.array([0.0, 0.4, 0.6, 1.5, np.inf])).missed_fraction["1"]
    0.5
    """
    inside = limit_ppm_mm3[limit_ppm_mm3 > 0]
    if not inside.size:
        return None
    low, median, high = (float(q) for q in np.quantile(inside, (0.01, 0.5, 0.99), method="higher"))
    missed = {f"{m:g}": float(np.mean(inside > m)) for m in MISSED_AT_PPM_MM3}
    return DetectionCoverage(median, missed, low, high)


def summarise_burden(
    lesions: Sequence[Microbleed], *, hidden: DetectionCoverage | None = None
) -> dict[str, Any]:
    """Return the burden record of one session.

    Parameters
    ----------
    lesions : sequence of Microbleed
        All candidates; microbleeds that are definite or possible count, rows of one lesion once.
    hidden : Unseen, optional
        What the scan could not have shown.

    Returns
    -------
    dict
        Keys as in the burden JSON: counts, volume, `burden_ppm_mm3` with SD and 95 % interval, pattern, by
        territory, certainty and size, and what stays below the detection limit. The SD holds the independent
        errors of the lesions, added in squares, and a relative error that they share, added in full.
    """
    rows = [m for m in lesions if m.kind == "microbleed" and m.certainty in ("definite", "possible")]
    counted = [m for m in without_duplicates(rows) if m.total_chi_ppm_mm3 is not None]
    whole = _part(counted)
    territories = sorted({m.territory or "n/a" for m in counted})
    return {
        "n_definite": sum(m.certainty == "definite" for m in counted),
        "n_possible": sum(m.certainty == "possible" for m in counted),
        **{name: value for name, value in whole.items() if name != "n"},
        "burden_sd_independent_ppm_mm3": _independent_sd(counted),
        "burden_sd_shared_ppm_mm3": SHARED_RELATIVE_SD * abs(whole["burden_ppm_mm3"]),
        "pattern": _pattern(set(territories)),
        "count_class": _count_class(len(counted)),
        "by_territory": {t: _part(m for m in counted if (m.territory or "n/a") == t) for t in territories},
        "by_certainty": {c: _part(m for m in counted if m.certainty == c) for c in ("definite", "possible")},
        "by_size": {
            name: _part(m for m in counted if m.diameter_mm is not None and low <= m.diameter_mm < high)
            for name, low, high in SIZES
        },
        "detection_limit_median_ppm_mm3": hidden.median_ppm_mm3 if hidden else None,
        "below_detection_limit": _below(hidden),
    }


def _part(lesions: Iterable[Microbleed]) -> dict[str, float]:
    """Return count, visible volume, and sum with its SD and interval."""
    chosen = list(lesions)
    total = float(sum(m.total_chi_ppm_mm3.value for m in chosen if m.total_chi_ppm_mm3))
    sd = float(np.hypot(_independent_sd(chosen), SHARED_RELATIVE_SD * total))
    return {
        "n": len(chosen),
        "volume_mm3": float(sum(m.volume_mm3 or 0.0 for m in chosen)),
        "burden_ppm_mm3": total,
        "burden_sd_ppm_mm3": sd,
        "burden_low_ppm_mm3": total - Z95 * sd,
        "burden_high_ppm_mm3": total + Z95 * sd,
    }


def _independent_sd(lesions: Sequence[Microbleed]) -> float:
    # An interval that is wider than its SD says counts as wide as it is.
    sds = [
        max(m.total_chi_ppm_mm3.sd, (m.total_chi_ppm_mm3.high - m.total_chi_ppm_mm3.low) / (2 * Z95))
        for m in lesions
        if m.total_chi_ppm_mm3
    ]
    return float(np.sqrt(np.sum(np.square(sds))))


def _below(hidden: DetectionCoverage | None) -> dict[str, Any] | None:
    if hidden is None:
        return None
    return {
        "brain_fraction_missed": hidden.missed_fraction,
        "shown_nowhere_below_ppm_mm3": _finite(hidden.shown_nowhere_below_ppm_mm3),
        "shown_everywhere_above_ppm_mm3": _finite(hidden.shown_everywhere_above_ppm_mm3),
        "statement": (
            f"Lesions below {hidden.shown_nowhere_below_ppm_mm3:.2g} ppm mm3 would not have been seen in 99 % of "
            f"the brain, those above {hidden.shown_everywhere_above_ppm_mm3:.2g} ppm mm3 would have been in 99 % of "
            "it. The burden of lesions below the limit is unknown and not in the sum."
        ),
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _pattern(territories: set[str]) -> str:
    known = territories & {"lobar", "deep", "infratentorial"}
    if not known:
        return "n/a" if territories else "none"
    if known == {"lobar"}:
        return "strictly lobar"
    if known == {"deep"}:
        return "strictly deep"
    return "infratentorial" if known == {"infratentorial"} else "mixed"


def _count_class(count: int) -> str:
    for name, limit in (("0", 0), ("1", 1), ("2-4", 4), (">=5", 10)):
        if count <= limit:
            return name
    return ">10"
