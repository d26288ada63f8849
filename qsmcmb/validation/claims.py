"""What a table of results is held against: one function per claim, published figure beside ours beside the limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qsmcmb.typing import BoolArray, FloatArray

Rows = list[dict[str, Any]]
LESIONS = ("microbleed", "calcification")


@dataclass(frozen=True)
class Claim:
    """One line of the table.

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
    low, high : float
        Our figure must lie between them.
    note : str
        What qualifies it: how many lesions, a second figure.
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
        """Whether the figure lies within its limits; what is unknown does not."""
        return bool(self.low <= self.here <= self.high)

    @property
    def limit(self) -> str:
        """The limits in words."""
        if np.isneginf(self.low):
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if np.isposinf(self.high) else f"{self.low:g} to {self.high:g}"


def at_most(source: str, quantity: str, published: str, here: float, high: float, note: str = "") -> Claim:
    """Return a claim with an upper limit."""
    return Claim(source, quantity, published, float(here), -np.inf, high, note)


def at_least(source: str, quantity: str, published: str, here: float, low: float, note: str = "") -> Claim:
    """Return a claim with a lower limit."""
    return Claim(source, quantity, published, float(here), low, np.inf, note)


def within(
    source: str, quantity: str, published: str, here: float, limits: tuple[float, float], note: str = ""
) -> Claim:
    """Return a claim with two limits."""
    return Claim(source, quantity, published, float(here), *limits, note)


def column(rows: Rows, name: str) -> FloatArray:
    """Return a column of numbers."""
    return np.array([row.get(name, np.nan) for row in rows], dtype=float)


def lesions_in(rows: Rows, *, above: float = 0.0, below: float = np.inf, session: str = "") -> Rows:
    """Return the rows of microbleeds and calcifications of a size (ppm mm3), of one session or all."""
    return [
        r for r in rows
        if r["kind"] in LESIONS and above <= abs(r["truth_ppm_mm3"]) < below and session in ("", r["session"])
    ]  # fmt: skip


def absolute_errors(rows: Rows) -> FloatArray:
    """Return |estimate - truth| (ppm mm3); an estimate that is missing errs by the whole truth."""
    truth, estimate = column(rows, "truth_ppm_mm3"), column(rows, "estimate_ppm_mm3")
    return np.abs(np.where(np.isfinite(estimate), estimate, 0.0) - truth)


def over_sessions(rows: Rows, name: str, sessions: tuple[str, ...]) -> FloatArray:
    """Return a column as (lesion, session), lesions that all sessions hold; missing values as they are."""
    tables: dict[tuple[str, float], dict[str, float]] = {}
    for row in rows:
        tables.setdefault((row["head"], row["lesion"]), {})[row["session"]] = row.get(name, np.nan)
    full = [[t[s] for s in sessions] for t in tables.values() if all(s in t for s in sessions)]
    return np.array(full, dtype=float).reshape(-1, len(sessions))


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


def covered(rows: Rows) -> BoolArray:
    """Return whether each interval holds the truth; without an interval it does not."""
    truth = column(rows, "truth_ppm_mm3")
    return (column(rows, "low_ppm_mm3") <= truth) & (truth <= column(rows, "high_ppm_mm3"))


def percentile(values: FloatArray, q: float) -> float:
    """Return a percentile, NaN of nothing."""
    known = values[np.isfinite(values)]
    return float(np.percentile(known, q)) if known.size else float("nan")
