"""The page of the demonstration: truth beside estimate over field strengths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qsmcmb.io.tables import read_tsv
from qsmcmb.reporting.figures import field_strength_plot
from qsmcmb.reporting.page import show, write_page

__all__ = ["write_demo_page"]

_TEXT_COLUMNS = ("kind",)


def write_demo_page(out: Path) -> Path:
    """Write OUT/demo.html from OUT/demo.tsv and OUT/demo.json.

    Parameters
    ----------
    out : path
        Folder of the demonstration.

    Returns
    -------
    Path
        The page.

    Examples
    --------
    >>> write_demo_page(Path("demo-out"))  # doctest: +SKIP
    """
    table = read_tsv(out / "demo.tsv")
    rows: list[dict[str, Any]] = [
        {k: v if k in _TEXT_COLUMNS or v is None else float(v) for k, v in row.items()} for row in table
    ]
    record = json.loads((out / "demo.json").read_text(encoding="utf-8"))
    sessions = list(record["detected"])
    header = ["lesion", "kind", "true", *(f"{s} (95 %)" for s in sessions), "CV (%)", "CV of volume (%)"]
    lines = []
    for row in rows:
        estimates = [
            f"{show(row[f'{s}_ppm_mm3'])} ({show(row[f'{s}_low_ppm_mm3'])} to {show(row[f'{s}_high_ppm_mm3'])})"
            for s in sessions
        ]
        cv = [show(100 * row[c], 2) if isinstance(row[c], float) else "n/a" for c in ("cv", "cv_volume")]
        lines.append([show(row["lesion"]), str(row["kind"]), show(row["truth_ppm_mm3"]), *estimates, *cv])
    return write_page(
        out / "demo.html", "demo.html", title="qsmcmb: one head at three field strengths", header=header, rows=lines,
        plot=field_strength_plot(rows, sessions), cv=f"{100 * record['median_cv_total_chi']:.1f}",
        cv_volume=f"{100 * record['median_cv_visible_volume']:.0f}",
        detected=", ".join(f"{d['found']} of {d['of']} at {s}" for s, d in record["detected"].items()),
        subject_page="derivatives/sub-demo.html",
    )  # fmt: skip
