"""Burden: what a session's lesions sum up to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qsmcmb.model import Microbleed

SIZES = (("<5 mm", 0.0, 5.0), ("5-10 mm", 5.0, 10.0), (">10 mm", 10.0, np.inf))


def summarise(
    lesions: Sequence[Microbleed], *, detection_limit_ppm_mm3: float | None = None
) -> dict[str, Any]:
    """Return the burden record of one session.

    Parameters
    ----------
    lesions : sequence of Microbleed
        All candidates; microbleeds that are definite or possible count.
    detection_limit_ppm_mm3 : float, optional
        Median detection limit, ppm mm3.

    Returns
    -------
    dict
        Keys as in the burden JSON: counts, `burden_ppm_mm3` with SD and 95 % interval, pattern, by territory
        and by size.
    """
    counted = [m for m in lesions if m.kind == "microbleed" and m.certainty in ("definite", "possible")]
    counted = [m for m in counted if m.total_chi_ppm_mm3 is not None]
    values = np.array([m.total_chi_ppm_mm3.value for m in counted if m.total_chi_ppm_mm3])
    # Errors of lesions in one scan share their model: SDs are added, not squared, half and half.
    sds = np.array([m.total_chi_ppm_mm3.sd for m in counted if m.total_chi_ppm_mm3])
    total = float(values.sum())
    sd = float(np.sqrt(0.5 * (sds**2).sum() + 0.5 * sds.sum() ** 2)) if len(sds) else 0.0
    territories = sorted({m.territory or "n/a" for m in counted})
    by_territory = {t: _part([m for m in counted if (m.territory or "n/a") == t]) for t in territories}
    by_size = {
        name: _part([m for m in counted if m.diameter_mm is not None and low <= m.diameter_mm < high])
        for name, low, high in SIZES
    }
    return {
        "n_definite": sum(m.certainty == "definite" for m in counted),
        "n_possible": sum(m.certainty == "possible" for m in counted),
        "burden_ppm_mm3": total,
        "burden_sd_ppm_mm3": sd,
        "burden_low_ppm_mm3": total - 1.96 * sd,
        "burden_high_ppm_mm3": total + 1.96 * sd,
        "pattern": _pattern(set(territories)),
        "count_class": _count_class(len(counted)),
        "by_territory": by_territory,
        "by_size": by_size,
        "detection_limit_median_ppm_mm3": detection_limit_ppm_mm3,
    }


def _part(lesions: Sequence[Microbleed]) -> dict[str, float]:
    values = [m.total_chi_ppm_mm3.value for m in lesions if m.total_chi_ppm_mm3]
    return {"n": len(values), "burden_ppm_mm3": float(sum(values))}


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
