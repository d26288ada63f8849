"""Pages of a cohort and of a power calculation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qsmcmb.cohorts.statistic import Statistic
from qsmcmb.reporting.cohort_figures import burden_plot, forest_plot, power_plot
from qsmcmb.reporting.page import show, write_page

__all__ = ["write_cohort_page", "write_power_page"]


def write_cohort_page(
    path: Path,
    *,
    scans: Sequence[Mapping[str, Any]],
    subjects: Sequence[Mapping[str, Any]],
    statistics: Sequence[Statistic],
    messages: Sequence[str],
) -> Path:
    """Write the page of a cohort.

    Parameters
    ----------
    path : Path
        File to write.
    scans, subjects : sequence of mapping
        Rows of the tables.
    statistics : sequence of Statistic
        Rows of the table of statistics.
    messages : sequence of str
        What is missing.

    Returns
    -------
    Path
        The same file.

    Raises
    ------
    OutputError, StorageError
        It cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_cohort_page(Path(folder) / "cohort.html", scans=[], subjects=[], statistics=[], messages=[])
    ...     "0 subjects" in page.read_text(encoding="utf-8")
    True
    """
    rows = [
        {
            "text": [s.quantity, s.group],
            "cells": [show(s.estimate), _interval(s), show(s.p_value, 2), show(s.n)],
            "more": [s.unit, s.model, "; ".join(s.warnings)],
        }
        for s in statistics
    ]
    return write_page(
        path, "cohort.html", title="Cohort", n_subjects=len(subjects), n_scans=len(scans), messages=messages,
        burden=burden_plot(scans) if scans else "", forest=forest_plot(statistics), rows=rows,
    )  # fmt: skip


def write_power_page(
    path: Path,
    *,
    curves: Mapping[str, Sequence[tuple[int, float, float, float]]],
    target: float,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    assumptions: Mapping[str, Any],
) -> Path:
    """Write the page of a power calculation.

    Parameters
    ----------
    path : Path
        File to write.
    curves : mapping of str to sequence of tuple
        Endpoint to (subjects per arm, power, lower and upper end of its Monte Carlo interval).
    target : float
        Power that is asked for, 0 to 1.
    header : sequence of str
        Columns of the table of endpoints.
    rows : sequence of sequence of str
        Its cells.
    assumptions : mapping
        Name to value of all that was assumed.

    Returns
    -------
    Path
        The same file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_power_page(
    ...         Path(folder) / "power.html", curves={"a": [(10, 0.5, 0.4, 0.6)]}, target=0.8, header=["endpoint"],
    ...         rows=[["a"]], assumptions={"effect": 0.5},
    ...     )
    ...     "effect" in page.read_text(encoding="utf-8")
    True
    """
    return write_page(
        path, "power.html", title="Power of a trial", figure=power_plot(curves, target), header=header, rows=rows,
        assumptions={name: str(value) for name, value in assumptions.items()},
    )  # fmt: skip


def _interval(s: Statistic) -> str:
    """Return an interval as a cell."""
    ends = ["n/a" if math.isnan(v) else show(float(v)) for v in (s.low, s.high)]
    return "n/a" if ends == ["n/a", "n/a"] else " to ".join(ends)
