"""Burden: the sum of a session's total susceptibilities, and how much the scan could not have shown.

B = sum M_i over the microbleeds that are definite or possible, each lesion once. The errors of the lesions are
independent but for a relative error r of the scan (point spread, field strength, direction of B0):

    SD^2 = sum sd_i^2 + (r B)^2.

The detection limit map says which fraction of the brain could hide a lesion of a given total susceptibility. Lesions
below the limit are not in the sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np

from qsmcmb.core.validate import check_range
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.conventional.images import SourceModel, source_of_fit
from qsmcmb.microbleeds.conventional.protocols import DEFAULT_PROTOCOLS, read_protocols
from qsmcmb.microbleeds.conventional.visibility import ReadingRule
from qsmcmb.microbleeds.results.conventional_counts import ConventionalRecord, count_visible
from qsmcmb.microbleeds.results.duplicates import without_duplicates
from qsmcmb.microbleeds.results.measurement import FittedLesion
from qsmcmb.microbleeds.results.pattern import PatternRecord, count_class, describe_pattern
from qsmcmb.typing import FloatArray

__all__ = [
    "SHARED_RELATIVE_SD",
    "BurdenRecord",
    "DetectionLimitRecord",
    "DetectionLimitSummary",
    "GroupBurden",
    "rated_microbleeds",
    "summarise_burden",
    "summarise_detection_limit",
]

SIZES = (("<5 mm", 0.0, 5.0), ("5-10 mm", 5.0, 10.0), (">10 mm", 10.0, np.inf))
"""Groups by visible diameter: name, and the range in mm; 5 and 10 mm are the limits of BOMBS and of microbleeds."""
SHARED_RELATIVE_SD = 0.02
"""Relative error that all lesions of a scan have in common: point spread, field strength and direction of B0."""
STATED_PPM_MM3 = (0.5, 1.0, 2.0, 5.0)
"""Total susceptibilities, ppm mm3, for which the fraction of the brain that could hide them is stated."""
Z95 = 1.96
"""Half width of a 95 % interval in SDs of a normal distribution."""


class GroupBurden(TypedDict):
    """Burden of a group of lesions, as in the burden JSON."""

    n: int
    """Number of lesions."""
    volume_mm3: float
    """Sum of the visible volumes, mm3."""
    burden_ppm_mm3: float
    """Sum of the total susceptibilities, ppm mm3."""
    burden_sd_ppm_mm3: float | None
    """SD of it, ppm mm3."""
    burden_low_ppm_mm3: float | None
    """Lower end of its 95 % interval, ppm mm3."""
    burden_high_ppm_mm3: float | None
    """Upper end of its 95 % interval, ppm mm3."""


class DetectionLimitRecord(TypedDict):
    """Lesions that the scan could not have shown, as in the burden JSON; None where nothing would show."""

    brain_fraction_missed: dict[str, float]
    """Fraction of the brain where a lesion of a total susceptibility (the key, ppm mm3) stays below the limit."""
    shown_nowhere_below_ppm_mm3: float | None
    """Total susceptibility below which a lesion stays below the limit in 99 % of the brain, ppm mm3."""
    shown_everywhere_above_ppm_mm3: float | None
    """Total susceptibility above which a lesion is above the limit in 99 % of the brain, ppm mm3."""
    statement: str
    """The same in a sentence."""


class BurdenRecord(PatternRecord):
    """Burden of one session, as in the burden JSON (`*_desc-cmb_burden.json`)."""

    n_definite: int
    """Number of definite microbleeds."""
    n_possible: int
    """Number of possible microbleeds."""
    volume_mm3: float
    """Sum of the visible volumes, mm3."""
    burden_ppm_mm3: float
    """Sum of the total susceptibilities, ppm mm3."""
    burden_sd_ppm_mm3: float | None
    """SD of it, ppm mm3."""
    burden_low_ppm_mm3: float | None
    """Lower end of its 95 % interval, ppm mm3."""
    burden_high_ppm_mm3: float | None
    """Upper end of its 95 % interval, ppm mm3."""
    burden_sd_independent_ppm_mm3: float | None
    """Part of the SD that is independent between lesions, ppm mm3."""
    burden_sd_shared_ppm_mm3: float
    """Part of the SD that all lesions of the scan share, ppm mm3."""
    count_class: str
    """Number of microbleeds as 0, 1, 2-4, >=5 or >10."""
    by_territory: dict[str, GroupBurden]
    """Burden of each territory."""
    by_certainty: dict[str, GroupBurden]
    """Burden of definite and of possible lesions."""
    by_size: dict[str, GroupBurden]
    """Burden by visible diameter."""
    by_side: dict[str, GroupBurden]
    """Burden of each side of the head."""
    detection_limit_median_ppm_mm3: float | None
    """Median detection limit over the brain, ppm mm3; None without a map."""
    below_detection_limit: DetectionLimitRecord | None
    """Lesions that the scan could not have shown; None without a map."""
    conventional: ConventionalRecord
    """What conventional imaging would have shown of the lesions that were fitted."""


class DetectionLimitSummary(NamedTuple):
    """Summary of a detection limit map over the brain."""

    median_ppm_mm3: float
    """Median detection limit, ppm mm3."""
    missed_fraction: dict[str, float]
    """Fraction of the brain where a lesion of a total susceptibility (the key, ppm mm3) stays below the limit."""
    shown_nowhere_below_ppm_mm3: float
    """Total susceptibility below which a lesion stays below the limit in 99 % of the brain, ppm mm3."""
    shown_everywhere_above_ppm_mm3: float
    """Total susceptibility above which a lesion is above the limit in 99 % of the brain, ppm mm3."""


def summarise_detection_limit(limit_ppm_mm3: FloatArray) -> DetectionLimitSummary | None:
    """Summarise a detection limit map over the brain.

    Parameters
    ----------
    limit_ppm_mm3 : ndarray
        Detection limit, ppm mm3; 0 outside the brain, infinite where no lesion would show.

    Returns
    -------
    DetectionLimitSummary or None
        Median, fractions and 1 % and 99 % quantiles, ppm mm3; None where the map is 0 everywhere.

    Examples
    --------
    >>> summarise_detection_limit(np.array([0.0, 0.4, 0.6, 1.5, np.inf])).missed_fraction["1"]
    0.5
    """
    inside = limit_ppm_mm3[limit_ppm_mm3 > 0]
    if not inside.size:
        return None
    # Values of the map, not between them: half way to infinity is no number.
    low, median, high = (float(q) for q in np.quantile(inside, (0.01, 0.5, 0.99), method="higher"))
    missed = {f"{m:g}": float(np.mean(inside > m)) for m in STATED_PPM_MM3}
    return DetectionLimitSummary(median, missed, low, high)


def summarise_burden(
    lesions: Sequence[Microbleed],
    *,
    detection_limit: DetectionLimitSummary | None = None,
    fits: Mapping[int, FittedLesion] | None = None,
    sources: Mapping[int, SourceModel] | None = None,
    cerebellum_depths: Mapping[int, str] | None = None,
    cerebellum: str = "ignored",
    protocols: Sequence[Mapping[str, Any]] = DEFAULT_PROTOCOLS,
    dark_ratio: float = 0.7,
    min_diameter_mm: float = 2.0,
    min_contrast_to_noise: float = 5.0,
) -> BurdenRecord:
    """Summarise the burden of one session.

    Parameters
    ----------
    lesions : sequence of Microbleed
        All candidates; microbleeds that are definite or possible count, duplicates once.
    detection_limit : DetectionLimitSummary, optional
        Summary of the detection limit map.
    fits : mapping of int to FittedLesion, optional
        Fit by the lesion's label, for what conventional imaging would have shown.
    sources : mapping of int to SourceModel, optional
        Fitted source by the lesion's label, where the fit itself is no longer there.
    cerebellum_depths : mapping of int to str, optional
        Depth in the cerebellum, superficial or deep, by the lesion's label, where known.
    cerebellum : {"ignored", "by-depth"}, optional
        Rule for the cerebellum that makes the pattern; both are printed.
    protocols : sequence of mapping, optional
        Protocols of conventional imaging: tables with the fields of `ConventionalProtocol`.
    dark_ratio : float, optional
        Ratio of a voxel's signal to the tissue's below which it belongs to the void on a conventional image, 0.1 to
        0.95.
    min_diameter_mm : float, optional
        Least diameter of a void that a reader counts, mm, 0 to 10.
    min_contrast_to_noise : float, optional
        Least contrast to noise of a void that a reader sees, 0 to 100.

    Returns
    -------
    BurdenRecord
        Keys as in the burden JSON: counts, volume (mm3), `burden_ppm_mm3` with SD and 95 % interval, pattern, by
        territory, certainty, size and side, the lesions that the detection limit hides, and what conventional imaging
        would have shown.

    Raises
    ------
    ConfigError
        An unknown rule, a faulty protocol.
    InvalidInputError
        OPTION: a number out of its range.

    Notes
    -----
    SD^2 = sum sd_i^2 + (0.02 B)^2; an interval that is wider than its sd_i says counts as wide as it is.

    References
    ----------
    Greenberg SM, Vernooij MW, Cordonnier C, et al. Cerebral microbleeds: a guide to detection and interpretation.
    Lancet Neurol 2009;8:165-174. doi:10.1016/S1474-4422(09)70013-4

    Examples
    --------
    >>> from qsmcmb.model import Estimate
    >>> total = Estimate(4.0, 0.2, "ppm mm3")
    >>> record = summarise_burden([Microbleed(1, (0.0, 0.0, 0.0), total_chi_ppm_mm3=total)])
    >>> record["burden_ppm_mm3"], round(record["burden_sd_ppm_mm3"], 3), record["count_class"]
    (4.0, 0.215, '1')
    """
    check_range("dark_ratio", dark_ratio, 0.1, 0.95)
    check_range("min_diameter_mm", min_diameter_mm, 0.0, 10.0)
    check_range("min_contrast_to_noise", min_contrast_to_noise, 0.0, 100.0)
    counted = [m for m in rated_microbleeds(lesions) if m.total_chi_ppm_mm3 is not None]
    whole = _summarise_group(counted)
    shown = {label: source_of_fit(found.fit.state) for label, found in (fits or {}).items()} | dict(
        sources or {}
    )
    rule = ReadingRule(dark_ratio, min_diameter_mm, min_contrast_to_noise)
    return {
        "n_definite": sum(m.certainty == "definite" for m in counted),
        "n_possible": sum(m.certainty == "possible" for m in counted),
        "volume_mm3": whole["volume_mm3"],
        "burden_ppm_mm3": whole["burden_ppm_mm3"],
        "burden_sd_ppm_mm3": whole["burden_sd_ppm_mm3"],
        "burden_low_ppm_mm3": whole["burden_low_ppm_mm3"],
        "burden_high_ppm_mm3": whole["burden_high_ppm_mm3"],
        "burden_sd_independent_ppm_mm3": _finite(_independent_sd(counted)),
        "burden_sd_shared_ppm_mm3": SHARED_RELATIVE_SD * abs(whole["burden_ppm_mm3"]),
        **describe_pattern(counted, rule=cerebellum, depths=cerebellum_depths),
        "count_class": count_class(len(counted)),
        "by_territory": _by(counted, [m.territory or "n/a" for m in counted]),
        "by_certainty": {
            c: _summarise_group(m for m in counted if m.certainty == c) for c in ("definite", "possible")
        },
        "by_size": {
            name: _summarise_group(
                m for m in counted if m.diameter_mm is not None and low <= m.diameter_mm < high
            )
            for name, low, high in SIZES
        },
        "by_side": _by(counted, [m.side or "n/a" for m in counted]),
        "detection_limit_median_ppm_mm3": detection_limit.median_ppm_mm3 if detection_limit else None,
        "below_detection_limit": _detection_limit_record(detection_limit),
        "conventional": count_visible(counted, shown, read_protocols(protocols), rule),
    }


def rated_microbleeds(lesions: Sequence[Microbleed]) -> list[Microbleed]:
    """Return the microbleeds that counts and forms are of: definite or possible, each lesion once.

    Parameters
    ----------
    lesions : sequence of Microbleed
        All candidates.

    Returns
    -------
    list of Microbleed
        Those that count, in the order given; some may have no number.

    Examples
    --------
    >>> lesions = [Microbleed(1, (0.0, 0.0, 0.0)), Microbleed(2, (9.0, 0.0, 0.0), certainty="rejected")]
    >>> [lesion.label for lesion in rated_microbleeds(lesions)]
    [1]
    """
    rows = [m for m in lesions if m.kind == "microbleed" and m.certainty in ("definite", "possible")]
    return without_duplicates(rows)


def _by(lesions: Sequence[Microbleed], names: Sequence[str]) -> dict[str, GroupBurden]:
    """Return the burden of the lesions of each name."""
    return {
        name: _summarise_group(m for m, n in zip(lesions, names, strict=True) if n == name)
        for name in sorted(set(names))
    }


def _summarise_group(lesions: Iterable[Microbleed]) -> GroupBurden:
    """Return the burden of a group of lesions."""
    chosen = list(lesions)
    total = float(sum(m.total_chi_ppm_mm3.value for m in chosen if m.total_chi_ppm_mm3))
    sd = float(np.hypot(_independent_sd(chosen), SHARED_RELATIVE_SD * total))
    return {
        "n": len(chosen),
        "volume_mm3": float(sum(m.volume_mm3 or 0.0 for m in chosen)),
        "burden_ppm_mm3": total,
        "burden_sd_ppm_mm3": _finite(sd),
        "burden_low_ppm_mm3": _finite(total - Z95 * sd),
        "burden_high_ppm_mm3": _finite(total + Z95 * sd),
    }


def _independent_sd(lesions: Sequence[Microbleed]) -> float:
    """Return the SD of the sum of the lesions' own errors, ppm mm3."""
    # An interval that is wider than its SD says counts as wide as it is.
    sds = [
        max(m.total_chi_ppm_mm3.sd, (m.total_chi_ppm_mm3.high - m.total_chi_ppm_mm3.low) / (2 * Z95))
        for m in lesions
        if m.total_chi_ppm_mm3
    ]
    return float(np.sqrt(np.sum(np.square(sds))))


def _detection_limit_record(summary: DetectionLimitSummary | None) -> DetectionLimitRecord | None:
    """Return the summary of the detection limit with a sentence."""
    if summary is None:
        return None
    return {
        "brain_fraction_missed": summary.missed_fraction,
        "shown_nowhere_below_ppm_mm3": _finite(summary.shown_nowhere_below_ppm_mm3),
        "shown_everywhere_above_ppm_mm3": _finite(summary.shown_everywhere_above_ppm_mm3),
        "statement": (
            f"Lesions below {summary.shown_nowhere_below_ppm_mm3:.2g} ppm mm3 would not have been seen in 99 % of "
            f"the brain, those above {summary.shown_everywhere_above_ppm_mm3:.2g} ppm mm3 would have been in 99 % "
            "of it. The burden of lesions below the limit is unknown and not in the sum."
        ),
    }


def _finite(value: float) -> float | None:
    """Return a number, or None where it is not finite."""
    return value if np.isfinite(value) else None
