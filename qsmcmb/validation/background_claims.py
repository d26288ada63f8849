"""Lesions in real scans held against their goals: error, coverage, and errors that nothing has warned of."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from qsmcmb.microbleeds.results.flags import Flag
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.validation.acceptance_criteria import (
    Claim,
    Rows,
    absolute_errors,
    absolute_truth,
    at_most,
    column,
    covered,
    percentile,
    within,
)

__all__ = ("SCAN_COLUMNS", "background_claims", "scan_rows")

MAX_MEDIAN_PERCENT = 8.0
"""Goal for the median error, % of the integral of |susceptibility|."""
COVERAGE_PERCENT = (92.0, 98.0)
"""Goal for the fraction of 95 % intervals that hold the truth, %."""
WRONG_SD = 3.0
"""Error, in the SDs that are stated, above which a number is wrong: one in 370 of normal errors."""
OF_THE_SCAN = frozenset({Flag.SINGLE_ECHO, Flag.PHASE_DIFFERENCE})
"""Flags that all lesions of a scan share: they warn of none."""


class ScanRow(TypedDict):
    """A row of the table of scans."""

    scan: str
    lesions: int
    measured: int
    limit_ppm_mm3: float
    median_error_percent: float
    p95_error_percent: float
    bias_percent: float
    coverage_percent: float
    half_width_over_error: float
    wrong_unflagged: int


SCAN_COLUMNS = tuple(ScanRow.__annotations__)
"""Columns of the table of scans, in order."""


def scan_rows(rows: Rows) -> list[ScanRow]:
    """Return the figures of each scan, and of all together where there are several.

    Parameters
    ----------
    rows : list of ResultRow
        Lesions with their scan in the column `head`.

    Returns
    -------
    list of ScanRow
        One for each scan, errors in % of the integral of |susceptibility|.

    Examples
    --------
    >>> scan_rows([])
    []
    """
    return [_scan_row(name, group) for name, group in _groups(rows).items()]


def background_claims(rows: Rows) -> list[Claim]:
    """Return the claims over all scans, and for each of several.

    Parameters
    ----------
    rows : list of ResultRow
        Lesions with their scan in the column `head`.

    Returns
    -------
    list of Claim
        Median error, coverage of the 95 % interval, and lesions that are wrong without a flag.

    Examples
    --------
    >>> background_claims([])
    []
    """
    claims: list[Claim] = []
    for row in scan_rows(rows):
        name = row["scan"]
        claims += [
            at_most("goal", f"median error, {name} (%)", f"{MAX_MEDIAN_PERCENT:g}", row["median_error_percent"],
                    MAX_MEDIAN_PERCENT,
                    f"{row['measured']} of {row['lesions']} measured, 95th {row['p95_error_percent']:.1f} %"),
            within("goal", f"coverage of the 95 % interval, {name} (%)", "92 to 98", row["coverage_percent"],
                   COVERAGE_PERCENT),
            at_most("goal", f"wrong by {WRONG_SD:g} SDs without a flag, {name}", "0", row["wrong_unflagged"], 0.0),
        ]  # fmt: skip
    return claims


def _groups(rows: Rows) -> dict[str, Rows]:
    """Return the rows of each scan, after those of all where there are several."""
    scans = {
        name: [row for row in rows if row["head"] == name] for name in dict.fromkeys(r["head"] for r in rows)
    }
    return {"all scans": rows, **scans} if len(scans) > 1 else scans


def _scan_row(name: str, rows: Rows) -> ScanRow:
    """Return the figures of a scan; what has no number is wrong by 100 % and not covered."""
    truth, size = column(rows, "truth_ppm_mm3"), absolute_truth(rows)
    estimate = column(rows, "estimate_ppm_mm3")
    errors = 100 * absolute_errors(rows) / size
    measured = np.isfinite(estimate)
    half_width = 50 * (column(rows, "high_ppm_mm3") - column(rows, "low_ppm_mm3")) / size
    median = percentile(errors, 50)
    return {
        "scan": name, "lesions": len(rows), "measured": int(measured.sum()),
        "limit_ppm_mm3": percentile(column(rows, "limit_ppm_mm3"), 50),
        "median_error_percent": median, "p95_error_percent": percentile(errors, 95),
        "bias_percent": float((100 * (estimate - truth) / size)[measured].mean()) if measured.any() else np.nan,
        "coverage_percent": 100 * float(np.mean(covered(rows))),
        "half_width_over_error": percentile(half_width[measured], 50) / median if median else np.nan,
        "wrong_unflagged": int(_wrong_unflagged(rows, estimate - truth).sum()),
    }  # fmt: skip


def _wrong_unflagged(rows: Rows, error_ppm_mm3: FloatArray) -> BoolArray:
    """Return which lesions are wrong by WRONG_SD and have no flag of their own."""
    flags = [set((row["flags"] or "").split(";")) - OF_THE_SCAN - {""} for row in rows]
    return np.array([not f for f in flags]) & (np.abs(error_ppm_mm3) > WRONG_SD * column(rows, "sd_ppm_mm3"))
