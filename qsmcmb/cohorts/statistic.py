"""One row of the table of statistics."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from qsmcmb.io.records import ColumnDescription

__all__ = ("COLUMNS", "Statistic")

COLUMNS: dict[str, ColumnDescription] = {
    "quantity": {"Description": "What is estimated"},
    "group": {"Description": "Whom it is estimated of, or which groups are compared (b vs a: b against a)"},
    "estimate": {"Description": "Estimate; n/a where the data give none"},
    "low": {"Description": "Lower end of the 95 % interval"},
    "high": {"Description": "Upper end of the 95 % interval"},
    "p_value": {"Description": "Two-sided p value of no effect"},
    "n": {"Description": "Number of subjects, scans, lesions or pairs that it rests on, as the model says"},
    "events": {"Description": "Number of those with the outcome, or the sum of the counts"},
    "unit": {"Description": "Unit of estimate and interval"},
    "model": {"Description": "Method"},
    "warnings": {"Description": "What to know before the row is used, separated by semicolons"},
}
"""Columns of the table of statistics, in order."""
NORMAL_QUANTILE = 1.959963984540054
"""Quantile of the normal distribution that leaves 2.5 % above it."""
MISSING = math.nan


@dataclass(frozen=True)
class Statistic:
    """An estimate with its interval, and what must be said of it.

    Parameters
    ----------
    quantity : str
        What is estimated.
    group : str
        Whom it is estimated of, or which groups are compared.
    estimate : float, optional
        Estimate; NaN where the data give none.
    low, high : float, optional
        Ends of the 95 % interval.
    p_value : float, optional
        Two-sided p value of no effect.
    n : int, optional
        Number of subjects, scans, lesions or pairs.
    events : float, optional
        Number of those with the outcome, or the sum of counts.
    unit : str, optional
        Unit of estimate and interval.
    model : str, optional
        Method.
    warnings : tuple of str, optional
        What to know before it is used.

    Examples
    --------
    >>> Statistic("prevalence", "all", 0.2, 0.1, 0.3, n=40, events=8).row()["estimate"]
    0.2
    """

    quantity: str
    group: str
    estimate: float = MISSING
    low: float = MISSING
    high: float = MISSING
    p_value: float = MISSING
    n: int = 0
    events: float = MISSING
    unit: str = ""
    model: str = ""
    warnings: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """Return the row of the table.

        Returns
        -------
        dict
            Value of each column of `COLUMNS`.

        Examples
        --------
        >>> Statistic("rate", "all", warnings=("no event", "one subject")).row()["warnings"]
        'no event; one subject'
        """
        return {**asdict(self), "unit": self.unit or None, "warnings": "; ".join(self.warnings) or None}
