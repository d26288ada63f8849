"""A real phantom of known total susceptibility: the same page from a user's own scans."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.atomic import make_folder
from qsmcmb.io.bids_index import SessionFiles, list_sessions
from qsmcmb.io.tables import read_tsv, write_json, write_tsv
from qsmcmb.model import GreScan
from qsmcmb.pipeline.load import load_scan
from qsmcmb.pipeline.points import quantify
from qsmcmb.validation.acceptance_criteria import (
    COLUMNS,
    Claim,
    Rows,
    at_least,
    at_most,
    column,
    cv_over,
    within,
)
from qsmcmb.validation.report import CLAIM_COLUMNS, claim_row

__all__ = ("validate_phantom",)

NEEDED = ("x_mm", "y_mm", "z_mm", "S_ppm_mm3")
"""Columns that a truth table must have."""
SLOPE_RANGE = (0.95, 1.05)
"""Range of the slope of estimate against truth that passes: within 5 % of 1."""
MIN_R2 = 0.99
"""Least r2 of estimate against truth."""
MAX_WITHIN_CV_PERCENT = 5.0
"""Largest within-sphere coefficient of variation over scans, %."""
MAX_LIMIT_PPM_MM3 = 1.0
"""Largest limit of detection, ppm mm3: half of a median microbleed; the intercept must stay below half of it."""


class Line(NamedTuple):
    """A straight line of estimate against truth: slope with its SD, intercept, r2 and residual SD."""

    slope: float
    slope_sd: float
    intercept_ppm_mm3: float
    r2: float
    residual_sd_ppm_mm3: float

    @property
    def limit_of_detection_ppm_mm3(self) -> float:
        """Limit of detection, ppm mm3: 3.3 residual SDs over the slope (ICH Q2)."""
        return 3.3 * self.residual_sd_ppm_mm3 / abs(self.slope)


def fit_line(truth: np.ndarray, estimate: np.ndarray) -> Line:
    """Fit a straight line with errors that grow with the truth.

    Examples
    --------
    >>> round(fit_line(np.array([1.0, 2.0, 4.0]), np.array([1.1, 2.1, 4.1])).intercept_ppm_mm3, 3)
    0.1
    """
    weight = 1 / np.maximum(np.abs(truth), 1.0)
    basis = np.column_stack([truth, np.ones_like(truth)])
    normal = basis.T @ (weight[:, None] ** 2 * basis)
    slope, intercept = np.linalg.solve(normal, basis.T @ (weight**2 * estimate))
    rest = estimate - slope * truth - intercept
    freedom = max(len(truth) - 2, 1)
    scale = float((weight * rest) @ (weight * rest)) / freedom
    slope_sd = math.sqrt(scale * np.linalg.inv(normal)[0, 0])
    r2 = float(np.corrcoef(truth, estimate)[0, 1] ** 2) if np.ptp(truth) > 0 else float("nan")
    return Line(
        slope=float(slope),
        slope_sd=slope_sd,
        intercept_ppm_mm3=float(intercept),
        r2=r2,
        residual_sd_ppm_mm3=math.sqrt(scale),
    )


def measure_phantom(bids: Path, truth: Path) -> Rows:
    """Measure a real phantom at the positions of its truth table.

    Parameters
    ----------
    bids : Path
        Raw BIDS data set.
    truth : Path
        TSV with x_mm, y_mm, z_mm (scanner RAS+), S_ppm_mm3, and participant_id, session_id, id where there are several.

    Raises
    ------
    InvalidInputError
        TRUTH for a table without the columns, or without a row for any scan.
    """
    table = read_tsv(truth)
    missing = [c for c in NEEDED if not table or c not in table[0]]
    if missing:
        raise InvalidInputError(
            "TRUTH", truth, field="columns", found=f"no {', '.join(missing)}", expected=", ".join(NEEDED),
            fix="give one row for each sphere, in each session where it moved",
        )  # fmt: skip
    rows: Rows = []
    for files in list_sessions(bids):
        mine = [r for r in table if _fits(r, files.participant, files.session)]
        if mine:
            rows += _measure(load_scan(files), files, mine)
    if not rows:
        raise InvalidInputError(
            "TRUTH", truth, field="participant_id, session_id", found="no row for any scan",
            expected="labels of the data set, such as sub-01 and ses-01, or neither column",
            fix="correct the labels",
        )  # fmt: skip
    return rows


def _fits(row: dict[str, str | None], participant: str, session: str | None) -> bool:
    """Say whether a row of the truth table belongs to a scan."""
    subject = (row.get("participant_id") or "").removeprefix("sub-")
    label = (row.get("session_id") or "").removeprefix("ses-")
    return subject in ("", participant) and label in ("", session or "")


def _measure(scan: GreScan, files: SessionFiles, rows: list[dict[str, str | None]]) -> Rows:
    """Return the results of a scan at the rows of its truth table."""
    points = np.array([[float(r[c] or "nan") for c in NEEDED[:3]] for r in rows])
    table = quantify(scan, points, kinds=[r.get("kind") for r in rows])
    out: Rows = []
    for number, (row, lesion) in enumerate(zip(rows, table.lesions, strict=True)):
        total_chi = lesion.total_chi_ppm_mm3
        out.append({
            "experiment": "phantom", "head": files.participant, "session": files.session or "scan",
            "b0_tesla": scan.b0_tesla, "te_max_s": scan.te_s[-1], "voxel_mm3": scan.grid.voxel_volume_mm3,
            "lesion": float(row.get("id") or number + 1), "kind": row.get("kind") or "sphere", "shape": "sphere",
            "truth_ppm_mm3": float(row["S_ppm_mm3"] or "nan"),
            "estimate_ppm_mm3": total_chi.value if total_chi else math.nan,
            "sd_ppm_mm3": total_chi.sd if total_chi else math.nan,
            "low_ppm_mm3": total_chi.low if total_chi else math.nan,
            "high_ppm_mm3": total_chi.high if total_chi else math.nan,
            "volume_mm3": lesion.volume_mm3, "flags": ";".join(lesion.flags),
        })  # fmt: skip
    return out


def phantom_claims(rows: Rows) -> list[Claim]:
    """Return slope, intercept, linearity, limit of detection and, of several scans, repeatability."""
    known = [r for r, e in zip(rows, column(rows, "estimate_ppm_mm3"), strict=True) if np.isfinite(e)]
    line = fit_line(column(known, "truth_ppm_mm3"), column(known, "estimate_ppm_mm3"))
    sessions = len({(r["head"], r["session"]) for r in known})
    note = f"{len(known)} of {len(rows)} spheres measured, {sessions} scans"
    claims = [
        within("phantom", "slope", "1", line.slope, SLOPE_RANGE, f"SD {line.slope_sd:.3f}; {note}"),
        within("phantom", "intercept (ppm mm3)", "0", line.intercept_ppm_mm3,
               (-MAX_LIMIT_PPM_MM3 / 2, MAX_LIMIT_PPM_MM3 / 2)),
        at_least("phantom", "linearity, r2", "1", line.r2, MIN_R2),
        at_most("phantom", "limit of detection (ppm mm3)", "0", line.limit_of_detection_ppm_mm3, MAX_LIMIT_PPM_MM3),
    ]  # fmt: skip
    if sessions > 1:
        cv = cv_over(known, "estimate_ppm_mm3")
        within_cv = 100 * float(np.sqrt(np.nanmean(cv**2))) if cv.size else float("nan")
        claims.append(
            at_most("phantom", "repeatability, within-sphere CV (%)", "0", within_cv, MAX_WITHIN_CV_PERCENT)
        )
    return claims


def validate_phantom(out: Path, bids: Path, truth: Path) -> tuple[list[Claim], Rows]:
    """Measure a real phantom and write its tables.

    Parameters
    ----------
    out : Path
        Folder for `lesions.tsv`, `claims.tsv` and `validation.json`.
    bids : Path
        Raw BIDS data set.
    truth : Path
        TSV with x_mm, y_mm, z_mm (scanner RAS+), S_ppm_mm3, and participant_id, session_id, id where there are several.

    Returns
    -------
    claims : list of Claim
        Slope, intercept, linearity, limit of detection and, of several scans, repeatability.
    rows : list of ResultRow
        One for each sphere and scan.

    Raises
    ------
    InvalidInputError
        TRUTH for a table without the columns, or without a row for any scan; every gate of `load_scan`.
    OutputError
        The folder cannot be created or written.

    Examples
    --------
    >>> claims, rows = validate_phantom(Path("out"), Path("bids"), Path("truth.tsv"))  # doctest: +SKIP
    >>> all(claim.passed for claim in claims)  # doctest: +SKIP
    """
    make_folder(out)
    rows = measure_phantom(bids, truth)
    claims = phantom_claims(rows)
    write_tsv(out / "lesions.tsv", rows, COLUMNS)
    write_tsv(out / "claims.tsv", [claim_row(c) for c in claims], CLAIM_COLUMNS)
    write_json(out / "validation.json", {"passed": sum(c.passed for c in claims), "claims": len(claims)})
    return claims, rows
