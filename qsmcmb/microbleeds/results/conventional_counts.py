"""Counts that conventional imaging would have shown, as in the burden JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from threadpoolctl import threadpool_limits

from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.conventional.images import SourceModel
from qsmcmb.microbleeds.conventional.protocols import ConventionalProtocol
from qsmcmb.microbleeds.conventional.visibility import N_POSITIONS, ReadingRule, look_at_source
from qsmcmb.microbleeds.results.pattern import count_class

__all__ = ["ConventionalLesion", "ConventionalRecord", "ProtocolCounts", "count_visible"]

VISIBLE_FRACTION = 0.5
"""Fraction of the positions of the slices from which a lesion counts as visible."""


class ConventionalLesion(TypedDict):
    """Lesion as one protocol shows it."""

    label: int
    """Number of the lesion in table and label image."""
    visible_fraction: float
    """Fraction of the positions of the slices at which a reader would count it."""
    diameter_mm: float | None
    """Mean diameter of the void where it is counted, mm; None where it never is."""
    void_mm3: float
    """Mean volume of the void, mm3."""
    contrast_to_noise: float
    """Mean contrast to noise of the void."""


class ProtocolCounts(TypedDict):
    """Counts by one protocol."""

    name: str
    """Name of the protocol."""
    sequence: str
    """Image that is read: gre, swi or swi-projection."""
    b0_tesla: float
    """Field strength, T."""
    te_s: float
    """Echo time, s."""
    in_plane_mm: float
    """Edge of the acquired voxel within the slice, mm."""
    slice_mm: float
    """Thickness of the slices, mm."""
    slice_gap_mm: float
    """Gap between slices, mm."""
    two_d: bool
    """Whether slices are excited one by one."""
    snr: float
    """SNR of the tissue's magnitude that was assumed."""
    n_visible: int
    """Number of microbleeds that are visible at half of the positions of the slices or more."""
    n_expected: float
    """Mean number of visible microbleeds over the positions of the slices."""
    count_class: str
    """Class of `n_visible`: 0, 1, 2-4, >=5 or >10."""
    by_territory: dict[str, int]
    """`n_visible` of each territory."""
    lesions: list[ConventionalLesion]
    """What is seen of each microbleed of the burden that was fitted."""


class ConventionalRecord(TypedDict):
    """Counts that conventional imaging would have shown, as in the burden JSON (`conventional`)."""

    dark_ratio: float
    """Ratio of a voxel's signal to the tissue's below which it belongs to the void."""
    min_diameter_mm: float
    """Least diameter of a void that is counted, mm."""
    min_contrast_to_noise: float
    """Least contrast to noise of a void that is counted."""
    n_positions: int
    """Number of positions of the slices that were looked at."""
    protocols: list[ProtocolCounts]
    """Counts by protocol."""
    statement: str
    """What the counts are, in a sentence."""


# Matrices are small, as in the fit: more BLAS threads only wait for each other.
@threadpool_limits.wrap(limits=1, user_api="blas")
def count_visible(
    lesions: Sequence[Microbleed],
    sources: Mapping[int, SourceModel],
    protocols: Sequence[ConventionalProtocol],
    rule: ReadingRule,
) -> ConventionalRecord:
    """Count the microbleeds that conventional imaging would have shown.

    Parameters
    ----------
    lesions : sequence of Microbleed
        Microbleeds of the burden, each once.
    sources : mapping of int to SourceModel
        Fitted source by the lesion's label; lesions without one are left out.
    protocols : sequence of ConventionalProtocol
        Scans.
    rule : ReadingRule
        Limits from which a reader sees a lesion.

    Returns
    -------
    ConventionalRecord
        Counts, and for each lesion the visible fraction, diameter (mm), volume (mm3) and contrast to noise.

    Examples
    --------
    >>> count_visible([], {}, (), ReadingRule(0.7, 2.0, 5.0))["protocols"]
    []
    """
    fitted = [m for m in lesions if m.label in sources]
    counts: list[ProtocolCounts] = []
    for protocol in protocols:
        seen = [look_at_source(sources[m.label], protocol, rule) for m in fitted]
        visible = [m for m, s in zip(fitted, seen, strict=True) if s.visible_fraction >= VISIBLE_FRACTION]
        territories = [m.territory or "n/a" for m in visible]
        counts.append(
            {
                "name": protocol.name,
                "sequence": protocol.sequence,
                "b0_tesla": protocol.b0_tesla,
                "te_s": protocol.te_s,
                "in_plane_mm": protocol.in_plane_mm,
                "slice_mm": protocol.slice_mm,
                "slice_gap_mm": protocol.slice_gap_mm,
                "two_d": protocol.two_d,
                "snr": protocol.snr,
                "n_visible": len(visible),
                "n_expected": float(sum(s.visible_fraction for s in seen)),
                "count_class": count_class(len(visible)),
                "by_territory": {t: territories.count(t) for t in sorted(set(territories))},
                "lesions": [
                    {
                        "label": m.label,
                        "visible_fraction": s.visible_fraction,
                        "diameter_mm": s.diameter_mm,
                        "void_mm3": s.void_mm3,
                        "contrast_to_noise": s.contrast_to_noise,
                    }
                    for m, s in zip(fitted, seen, strict=True)
                ],
            }
        )
    return {
        "dark_ratio": rule.dark_ratio,
        "min_diameter_mm": rule.min_diameter_mm,
        "min_contrast_to_noise": rule.min_contrast_to_noise,
        "n_positions": N_POSITIONS,
        "protocols": counts,
        "statement": (
            "Simulated from the fitted lesions in uniform tissue, each by itself: what a reader could have counted, "
            "not what a reader did count. Lesions below this scan's own detection limit are not in it."
        ),
    }
