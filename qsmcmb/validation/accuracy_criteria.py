"""The accuracy that the measurement must show, claim by claim, on heads that it was not tuned on."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from qsmcmb.typing import FloatArray
from qsmcmb.validation.acceptance_criteria import (
    Claim,
    Rows,
    absolute_errors,
    at_least,
    at_most,
    column,
    covered,
    cv_over,
    lesions_in,
    of_shape,
    percentile,
    total_cv,
    within,
)
from qsmcmb.validation.visible import EQUAL_TE_S

__all__: tuple[str, ...] = ()

GOAL = "goal"
"""Source of claims that no paper states: the project's own goals."""
REFERENCE = "3T"
"""Session of the field-strength experiment on which errors are stated: 3 T, 1 mm."""
SIZE_CLASSES_PPM_MM3 = ((1.0, 2.0), (2.0, 5.0), (5.0, 15.0), (15.0, 60.1))
"""Classes of total susceptibility in absolute value, ppm mm3: about equal in its logarithm."""


class SizeClassRow(TypedDict):
    """Errors of the lesions of one size class."""

    from_ppm_mm3: float
    to_ppm_mm3: float
    lesions: int
    median_error_ppm_mm3: float
    p95_error_ppm_mm3: float
    median_error_percent: float
    p95_error_percent: float
    coverage_percent: float


def accuracy_claims(tables: dict[str, Rows]) -> list[Claim]:
    """Return the claims of the accuracy table that the tables of the experiments can answer: of regular shapes."""
    claims: list[Claim] = []
    # Irregular shapes have goals of their own.
    tables = {name: of_shape(rows, irregular=False) for name, rows in tables.items()}
    if tables.get("fields"):
        rows = tables["fields"]
        claims += [
            *error_claims(rows),
            *_field_claims(rows),
            *_interval_claims(rows),
            _bias_claim(rows),
            _time_claim(rows),
        ]
    for name, quantity, limit in (
        ("te", "longest echo 10 to 40 ms", 3.0),
        ("voxels", "voxels 0.6 to 2 mm", 4.0),
    ):
        if tables.get(name):
            cv = 100 * cv_over(lesions_in(tables[name], above=5), "estimate_ppm_mm3")
            claims.append(
                at_most(GOAL, f"CV over {quantity}, above 5 ppm mm3, median (%)", f"{limit:g}", percentile(cv, 50),
                        limit, f"worst {percentile(cv, 100):.1f} %, {cv.size} lesions")
            )  # fmt: skip
    if "water" in tables:
        claims.append(_noise_claim(tables["water"]))
    return claims


def error_claims(rows: Rows) -> list[Claim]:
    """Return median and 95th percentile of the error above 2 ppm mm3, and the median of 1 to 2."""
    large = lesions_in(rows, above=2, session=REFERENCE)
    small = lesions_in(rows, above=1, below=2, session=REFERENCE)
    size, errors = np.abs(column(large, "truth_ppm_mm3")), absolute_errors(large)
    typical = percentile(errors / np.maximum(0.02 * size, 0.1), 50)
    worst = percentile(errors / np.maximum(0.08 * size, 0.3), 95)
    in_percent = 100 * errors / np.maximum(size, 1e-9)
    return [
        at_most(GOAL, "error above 2 ppm mm3, 3 T 1 mm, median over max(2 %, 0.1 ppm mm3)", "1", typical, 1,
                f"median {percentile(in_percent, 50):.1f} %, {len(large)} lesions"),
        at_most(GOAL, "the same, 95th percentile over max(8 %, 0.3 ppm mm3)", "1", worst, 1,
                f"95th percentile {percentile(in_percent, 95):.1f} %"),
        at_most(GOAL, "error of 1 to 2 ppm mm3, 3 T 1 mm, median (ppm mm3)", "0.12",
                percentile(absolute_errors(small), 50), 0.12, f"{len(small)} lesions"),
    ]  # fmt: skip


def _field_claims(rows: Rows) -> list[Claim]:
    """Return the agreement over field strengths, and the visible volume's at an equal echo time beside it."""
    large = lesions_in(rows, above=5)
    cv, cv_volume = 100 * cv_over(large, "estimate_ppm_mm3"), 100 * cv_over(large, "equal_te_mm3")
    return [
        at_most(GOAL, "CV over 1.5, 3 and 7 T, above 5 ppm mm3, median (%)", "2", percentile(cv, 50), 2,
                f"{cv.size} lesions"),
        at_most(GOAL, "the same, worst (%)", "8", percentile(cv, 100), 8),
        at_least(GOAL, f"the same of the visible volume at TE {1000 * EQUAL_TE_S:.0f} ms, median (%)", "above 50",
                 percentile(cv_volume, 50), 50),
    ]  # fmt: skip


def _interval_claims(rows: Rows) -> list[Claim]:
    """Return coverage of the 95 % interval and the ratio of its half-width to the error."""
    lesions = lesions_in(rows)
    half = (column(lesions, "high_ppm_mm3") - column(lesions, "low_ppm_mm3")) / 2
    ratio = percentile(half, 50) / max(percentile(absolute_errors(lesions), 50), 1e-9)
    share = 100 * float(np.mean(covered(lesions))) if lesions else float("nan")
    return [
        within(GOAL, "coverage of the 95 % interval (%)", "93 to 97", share, (93, 97), f"{len(lesions)} measurements"),
        at_most(GOAL, "median half-width over median error", "3", ratio, 3,
                f"{normal_ratio(half):.1f} if errors were normal with these SDs"),
    ]  # fmt: skip


def normal_ratio(half: FloatArray) -> float:
    """Return the ratio of median half-width to median error that right 95 % intervals have with normal errors.

    It is 2.9 where all SDs are alike and up to 3.7 where they spread over orders of magnitude: small errors weigh more
    in a median.
    """
    sd = half[half > 0] / norm.ppf(0.975)
    if not sd.size:
        return float("nan")
    below = brentq(lambda error: float(np.mean(2 * norm.cdf(error / sd))) - 1.5, 0, 2 * float(sd.max()))
    return float(norm.ppf(0.975) * np.median(sd) / below)


def _bias_claim(rows: Rows) -> Claim:
    """Return the mean relative error above 2 ppm mm3 with its standard error over lesions."""
    large = lesions_in(rows, above=2)
    ratio = column(large, "estimate_ppm_mm3") / column(large, "truth_ppm_mm3") - 1
    ratio = 100 * ratio[np.isfinite(ratio)]
    error = ratio.std(ddof=1) / np.sqrt(ratio.size) if ratio.size > 1 else float("nan")
    mean = float(ratio.mean()) if ratio.size else float("nan")
    return within(GOAL, "bias above 2 ppm mm3 (%)", "below 1", mean, (-1, 1), f"standard error {error:.2f} %")


def _time_claim(rows: Rows) -> Claim:
    """Return the median time of a lesion."""
    return at_most(GOAL, "time of a lesion, median (s)", "0.5", percentile(column(rows, "seconds"), 50), 0.5)


def _noise_claim(rows: Rows) -> Claim:
    """Return the ratio of the error to the stated SD in water, where nothing but noise and the model's form is left."""
    lesions = lesions_in(rows)
    z = absolute_errors(lesions) / column(lesions, "sd_ppm_mm3")
    rms = float(np.sqrt(np.nanmean(z**2))) if lesions else float("nan")
    return at_most(
        GOAL, "root mean square error over stated SD, no clutter", "1.2", rms, 1.2, f"{len(lesions)} balls"
    )


def class_table(rows: Rows) -> list[SizeClassRow]:
    """Return errors by size class on the reference session."""
    out: list[SizeClassRow] = []
    for low, high in SIZE_CLASSES_PPM_MM3:
        part = lesions_in(rows, above=low, below=high, session=REFERENCE)
        errors = absolute_errors(part)
        relative = 100 * errors / np.maximum(np.abs(column(part, "truth_ppm_mm3")), 1e-9)
        out.append({
            "from_ppm_mm3": low, "to_ppm_mm3": high, "lesions": len(part),
            "median_error_ppm_mm3": percentile(errors, 50), "p95_error_ppm_mm3": percentile(errors, 95),
            "median_error_percent": percentile(relative, 50), "p95_error_percent": percentile(relative, 95),
            "coverage_percent": 100 * float(np.mean(covered(part))) if part else float("nan"),
        })  # fmt: skip
    return out


def repeat_claim(rows: Rows) -> Claim:
    """Return the within-subject CV over scans of one head (Zeineddine 2018 takes 6 % as change)."""
    cv = total_cv(lesions_in(rows, above=5))
    wcv = 100 * float(np.sqrt(np.nanmean(cv**2))) if cv.size else float("nan")
    return at_most(
        "Zeineddine 2018", "within-subject CV over three scans, above 5 ppm mm3 (%)", "2.2", wcv, 2.2,
        f"least detectable change {2.77 * wcv:.1f} %, {cv.size} lesions",
    )  # fmt: skip


def seen_claims(rows: Rows) -> list[Claim]:
    """Return how many lesions are seen at the field strengths and on thick slices, and how many are measured."""
    names = ("15T", "3T", "7T", "thick15T")
    seen = {n: column([r for r in rows if r["session"] == n], "seen_t2s") for n in names}
    low, mid, high, thick = (float(seen[n].sum()) for n in names)
    thin = float(column([r for r in rows if r["session"] == "3T"], "seen_swi").sum())
    return [
        at_least("Stehling", "microbleeds seen on T2*w, 3 T over 1.5 T", "53 over 41 (1.29)", mid / max(low, 1), 1.02,
                 f"{mid:.0f} over {low:.0f} of {seen['3T'].size}"),
        at_least("Conijn", "microbleeds seen on T2*w, 7 T over 1.5 T", "50 over 21 % of patients", high / max(low, 1),
                 1.05, f"{high:.0f} over {low:.0f}"),
        at_most("Nandigam", "seen on thick GRE over thin SWI", "103 of 310 (0.33)", thick / max(thin, 1), 0.7,
                f"{thick:.0f} of {thin:.0f}"),
    ]  # fmt: skip
