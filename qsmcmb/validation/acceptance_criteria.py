"""Rows of results, and the claims that a table is held against: published figure beside ours beside the limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict, get_type_hints

import numpy as np

from qsmcmb.phantoms.recipe import IRREGULAR_SHAPES
from qsmcmb.typing import BoolArray, FloatArray

__all__ = (
    "COLUMNS",
    "Claim",
    "ResultRow",
    "Rows",
)


class ResultRow(TypedDict, total=False):
    """One lesion of one session: its truth, the estimates, and what is visible.

    Keys that were not measured are missing.

    Attributes
    ----------
    experiment : str
        Name of the experiment.
    head : str
        Name of the phantom.
    session : str
        Label of the session.
    b0_tesla : float
        Field strength, T.
    te_max_s : float
        Longest echo time, s.
    voxel_mm3 : float
        Volume of a voxel, mm3.
    lesion : float
        Number of the lesion.
    kind : str
        Kind of the lesion.
    shape : str
        Shape of the lesion.
    truth_ppm_mm3 : float
        True total susceptibility, ppm mm3.
    truth_abs_ppm_mm3 : float
        Integral of the absolute susceptibility, ppm mm3, to which errors of an irregular shape are relative.
    estimate_ppm_mm3 : float or None
        Total susceptibility by the lesion fit, ppm mm3.
    sd_ppm_mm3 : float or None
        Its standard deviation, ppm mm3.
    low_ppm_mm3 : float or None
        Lower end of its 95 % interval, ppm mm3.
    high_ppm_mm3 : float or None
        Upper end of its 95 % interval, ppm mm3.
    sum_ppm_mm3 : float or None
        Total susceptibility by the sum over the map, corrected, ppm mm3.
    loss_ppm_mm3 : float or None
        Total susceptibility by the signal loss, ppm mm3.
    limit_ppm_mm3 : float or None
        Detection limit, ppm mm3.
    volume_mm3 : float or None
        Apparent volume on the longest echo's magnitude, mm3.
    equal_te_mm3 : float
        Visible volume at an equal echo time, mm3.
    t2s_mm3 : float
        Visible volume on the longest echo's magnitude, mm3.
    swi_mm3 : float
        Visible volume on the susceptibility-weighted image, mm3.
    r2s_mm3 : float
        Visible volume on the R2* map, mm3.
    qsm_mm3 : float
        Visible volume on the susceptibility map, mm3.
    qsm_mean_ppm : float
        Mean susceptibility of that volume above its surroundings, ppm.
    roi_ppm : float
        Mean susceptibility of a ball above its surroundings, ppm.
    seen_t2s : int
        1 where a reader would see it on the longest echo's magnitude.
    seen_swi : int
        1 where a reader would see it on the susceptibility-weighted image.
    detected : int
        1 where the detector finds it.
    seconds : float
        Time of the measurement, s.
    flags : str or None
        What to know before the row is used, separated by semicolons.

    Examples
    --------
    >>> ResultRow(lesion=1, truth_ppm_mm3=4.0, estimate_ppm_mm3=4.1)["estimate_ppm_mm3"]
    4.1
    """

    experiment: str
    head: str
    session: str
    b0_tesla: float
    te_max_s: float
    voxel_mm3: float
    lesion: float
    kind: str
    shape: str
    truth_ppm_mm3: float
    truth_abs_ppm_mm3: float
    estimate_ppm_mm3: float | None
    sd_ppm_mm3: float | None
    low_ppm_mm3: float | None
    high_ppm_mm3: float | None
    sum_ppm_mm3: float | None
    loss_ppm_mm3: float | None
    limit_ppm_mm3: float | None
    volume_mm3: float | None
    equal_te_mm3: float
    t2s_mm3: float
    swi_mm3: float
    r2s_mm3: float
    qsm_mm3: float
    qsm_mean_ppm: float
    roi_ppm: float
    seen_t2s: int
    seen_swi: int
    detected: int
    seconds: float
    flags: str | None


Rows = list[ResultRow]
"""Results of any number of lesions and sessions."""
COLUMNS = tuple(ResultRow.__annotations__)
"""Columns of the table of results, in order."""
TEXT_COLUMNS = tuple(name for name, kind in get_type_hints(ResultRow).items() if kind in (str, str | None))
"""Those of them that hold text."""
LESIONS = ("microbleed", "calcification")
"""Kinds that are measured; all others are mimics."""


@dataclass(frozen=True)
class Claim:
    """One line of the table of claims: a figure and its limits.

    Parameters
    ----------
    source : str
        Who states it: a paper, or "goal".
    quantity : str
        What is compared, with its unit.
    published : str
        The figure stated there.
    here : float
        Ours; NaN where the table holds nothing for it.
    low : float
        Least figure that passes.
    high : float
        Largest figure that passes.
    note : str, optional
        What qualifies it: how many lesions, a second figure.

    Examples
    --------
    >>> Claim(source="goal", quantity="error (%)", published="2", here=1.5, low=-np.inf, high=2.0).passed
    True
    """

    source: str
    quantity: str
    published: str
    here: float
    low: float
    high: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the figure lies within its limits; NaN does not."""
        return bool(self.low <= self.here <= self.high)

    @property
    def limit(self) -> str:
        """The limits in words."""
        if np.isneginf(self.low):
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if np.isposinf(self.high) else f"{self.low:g} to {self.high:g}"


def at_most(source: str, quantity: str, published: str, here: float, high: float, note: str = "") -> Claim:
    """Return a claim with an upper limit."""
    return Claim(
        source=source,
        quantity=quantity,
        published=published,
        here=float(here),
        low=-np.inf,
        high=high,
        note=note,
    )


def at_least(source: str, quantity: str, published: str, here: float, low: float, note: str = "") -> Claim:
    """Return a claim with a lower limit."""
    return Claim(
        source=source,
        quantity=quantity,
        published=published,
        here=float(here),
        low=low,
        high=np.inf,
        note=note,
    )


def within(
    source: str, quantity: str, published: str, here: float, limits: tuple[float, float], note: str = ""
) -> Claim:
    """Return a claim with two limits."""
    low, high = limits
    return Claim(
        source=source, quantity=quantity, published=published, here=float(here), low=low, high=high, note=note
    )


def column(rows: Rows, name: str) -> FloatArray:
    """Return a column of numbers."""
    return np.array([row.get(name, np.nan) for row in rows], dtype=float)


def lesions_in(rows: Rows, *, above: float = 0.0, below: float = np.inf, session: str = "") -> Rows:
    """Return the rows of microbleeds and calcifications of a size (ppm mm3), of one session or all."""
    return [
        r for r in rows
        if r["kind"] in LESIONS and above <= abs(r["truth_ppm_mm3"]) < below and session in ("", r["session"])
    ]  # fmt: skip


def of_shape(rows: Rows, *, irregular: bool) -> Rows:
    """Return the rows of lesions whose shape is irregular, or of those whose is not."""
    return [r for r in rows if (r.get("shape") in IRREGULAR_SHAPES) == irregular]


def absolute_truth(rows: Rows) -> FloatArray:
    """Return the integral of the absolute susceptibility (ppm mm3); |truth| where a table does not hold it."""
    known = column(rows, "truth_abs_ppm_mm3")
    return np.where(np.isfinite(known), known, np.abs(column(rows, "truth_ppm_mm3")))


def absolute_errors(rows: Rows) -> FloatArray:
    """Return |estimate - truth| (ppm mm3); an estimate that is missing errs by the whole truth."""
    truth, estimate = column(rows, "truth_ppm_mm3"), column(rows, "estimate_ppm_mm3")
    return np.abs(np.where(np.isfinite(estimate), estimate, 0.0) - truth)


def over_sessions(rows: Rows, name: str, sessions: tuple[str, ...]) -> FloatArray:
    """Return a column as (lesion, session), lesions that all sessions hold; missing values as they are."""
    return _over_sessions(rows, column(rows, name), sessions)


def _over_sessions(rows: Rows, values: FloatArray, sessions: tuple[str, ...]) -> FloatArray:
    """Return a value of each row as (lesion, session)."""
    tables: dict[tuple[str, float], dict[str, float]] = {}
    for row, value in zip(rows, values, strict=True):
        tables.setdefault((row["head"], row["lesion"]), {})[row["session"]] = float(value)
    full = [[t[s] for s in sessions] for t in tables.values() if all(s in t for s in sessions)]
    return np.array(full, dtype=float).reshape(len(full), len(sessions))


def cv_over(rows: Rows, name: str, sessions: tuple[str, ...] = ()) -> FloatArray:
    """Return each lesion's coefficient of variation over sessions; missing values count as 0.

    Examples
    --------
    >>> rows = [{"head": "a", "lesion": 1, "session": s, "m": m} for s, m in (("x", 9.0), ("y", 11.0))]
    >>> round(float(cv_over(rows, "m")[0]), 4)
    0.1414
    """
    names = sessions or tuple(dict.fromkeys(r["session"] for r in rows))
    values = np.nan_to_num(over_sessions(rows, name, names))
    mean = np.abs(values.mean(axis=1))
    spread = values.std(axis=1, ddof=1) if len(names) > 1 else np.zeros(len(values))
    return np.asarray(spread / np.where(mean > 0, mean, np.nan))


def total_cv(rows: Rows) -> FloatArray:
    """Return each lesion's coefficient of variation of the total susceptibility over sessions.

    Of iron beside calcium it is relative to the integral of the absolute susceptibility. One session has no spread.
    """
    names = tuple(dict.fromkeys(r["session"] for r in rows))
    if len(names) < 2:
        return np.empty(0)
    fraction = np.abs(column(rows, "truth_ppm_mm3")) / absolute_truth(rows)
    return np.asarray(
        cv_over(rows, "estimate_ppm_mm3", names) * _over_sessions(rows, fraction, names).mean(axis=1)
    )


def covered(rows: Rows) -> BoolArray:
    """Return whether each interval holds the truth; without an interval it does not."""
    truth = column(rows, "truth_ppm_mm3")
    return (column(rows, "low_ppm_mm3") <= truth) & (truth <= column(rows, "high_ppm_mm3"))


def percentile(values: FloatArray, q: float) -> float:
    """Return a percentile, NaN of nothing."""
    known = values[np.isfinite(values)]
    return float(np.percentile(known, q)) if known.size else float("nan")
