"""Errors by the lesions' shape, and the goals for irregular ones, relative to the integral of |susceptibility|."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from qsmcmb.phantoms.recipe import IRREGULAR_SHAPES
from qsmcmb.validation.acceptance_criteria import (
    Claim,
    Rows,
    absolute_errors,
    absolute_truth,
    at_most,
    column,
    covered,
    lesions_in,
    of_shape,
    percentile,
    total_cv,
    within,
)
from qsmcmb.validation.accuracy_criteria import GOAL
from qsmcmb.validation.experiments import SHAPED

__all__: tuple[str, ...] = ()

REGULAR_SHAPES = ("sphere", "two", "ellipsoid")
"""Shapes that are not irregular."""
LEAST_PPM_MM3 = 2.0
"""Least total susceptibility, ppm mm3, of the lesions whose errors are stated relative to it."""
LEAST_SPREAD_PPM_MM3 = 5.0
"""Least total susceptibility, ppm mm3, of the lesions whose spread over sessions is stated."""


class ShapeRow(TypedDict):
    """Errors of the lesions of one shape in one experiment, all sessions; percent of the integral of |chi|."""

    experiment: str
    shape: str
    measurements: int
    measured: int
    median_error_percent: float
    p95_error_percent: float
    bias_percent: float
    coverage_percent: float
    median_cv_percent: float


def shape_table(tables: dict[str, Rows]) -> list[ShapeRow]:
    """Return errors by shape, and of all regular and all irregular lesions, above 2 ppm mm3."""
    out: list[ShapeRow] = []
    for name in SHAPED:
        rows = tables.get(name, [])
        groups = {
            "regular": of_shape(rows, irregular=False), "irregular": of_shape(rows, irregular=True),
            **{s: [r for r in rows if r["shape"] == s] for s in (*REGULAR_SHAPES, *IRREGULAR_SHAPES)},
        }  # fmt: skip
        out += [_shape_row(name, shape, part) for shape, part in groups.items() if part]
    return out


def _shape_row(experiment: str, shape: str, rows: Rows) -> ShapeRow:
    """Return the errors of lesions of one shape."""
    large = lesions_in(rows, above=LEAST_PPM_MM3)
    size = absolute_truth(large)
    errors = 100 * absolute_errors(large) / size
    signed = 100 * (column(large, "estimate_ppm_mm3") - column(large, "truth_ppm_mm3")) / size
    signed = signed[np.isfinite(signed)]
    return {
        "experiment": experiment, "shape": shape, "measurements": len(large), "measured": len(signed),
        "median_error_percent": percentile(errors, 50), "p95_error_percent": percentile(errors, 95),
        "bias_percent": float(signed.mean()) if signed.size else float("nan"),
        "coverage_percent": 100 * float(np.mean(covered(large))) if large else float("nan"),
        "median_cv_percent": 100 * percentile(total_cv(lesions_in(rows, above=LEAST_SPREAD_PPM_MM3)), 50),
    }  # fmt: skip


def shape_claims(tables: dict[str, Rows]) -> list[Claim]:
    """Return the goals for irregular shapes that the experiment over field strengths can answer."""
    rows = of_shape(tables.get("fields", []), irregular=True)
    if not rows:
        return []
    found = _shape_row("fields", "irregular", rows)
    count = f"{found['measured']} of {found['measurements']} measured"
    what = "irregular shapes above 2 ppm mm3, of the integral of |chi|"
    cv = 100 * total_cv(lesions_in(rows, above=LEAST_SPREAD_PPM_MM3))
    return [
        at_most(GOAL, f"error of {what}, median (%)", "3", found["median_error_percent"], 3, count),
        at_most(GOAL, "the same, 95th percentile (%)", "12", found["p95_error_percent"], 12),
        within(GOAL, f"bias of {what} (%)", "below 1", found["bias_percent"], (-1, 1)),
        within(GOAL, "coverage of the 95 % interval, irregular shapes above 2 ppm mm3 (%)", "93 to 97",
               found["coverage_percent"], (93, 97), f"{found['measurements']} measurements"),
        at_most(GOAL, "CV over 1.5, 3 and 7 T of irregular shapes, above 5 ppm mm3, median (%)", "2.5",
                found["median_cv_percent"], 2.5, f"worst {percentile(cv, 100):.1f} %, {cv.size} lesions"),
    ]  # fmt: skip
