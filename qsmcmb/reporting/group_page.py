"""One page over all sessions of a study: burdens, failures, and what must be known of the numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qsmcmb.reporting.page import show, write_page

__all__ = ["write_group_page"]

COLUMNS = {
    "participant_id": "participant", "session_id": "session", "acquisition": "acq", "run": "run",
    "n_definite": "definite", "n_possible": "possible", "burden_ppm_mm3": "burden (ppm mm³)",
    "burden_low_ppm_mm3": "low", "burden_high_ppm_mm3": "high", "pattern": "pattern",
    "detection_limit_median_ppm_mm3": "detection limit (ppm mm³, median)", "n_warnings": "warnings",
}  # fmt: skip
"""Columns of the table of burdens that the page shows, with their headings."""
TEXT = ("participant_id", "session_id", "acquisition", "run", "pattern")
"""Columns that hold words."""
MAX_ROWS = 2000
"""Scans that the page lists: bounds its size; the tables hold all."""


def write_group_page(
    path: Path, *, burdens: Sequence[Mapping[str, Any]], messages: Sequence[Mapping[str, Any]]
) -> Path:
    """Write the page of a group.

    Parameters
    ----------
    path : Path
        File to write.
    burdens : sequence of mapping
        A row for each scan with results.
    messages : sequence of mapping
        A row for each error and warning, with `kind` and `text`.

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
    ...     page = write_group_page(Path(folder) / "group.html", burdens=[], messages=[])
    ...     "0 scans" in page.read_text(encoding="utf-8")
    True
    """
    warnings = Counter(str(m["text"]) for m in messages if m["kind"] == "warning")
    problems = [m for m in messages if m["kind"] != "warning"]
    return write_page(
        path, "group.html", title="All sessions", n_scans=len(burdens), hidden=max(0, len(burdens) - MAX_ROWS),
        header=list(COLUMNS.values()), text=[i for i, name in enumerate(COLUMNS) if name in TEXT],
        rows=[
            {"page": f"{row['participant_id']}.html", "cells": [show(row.get(name)) for name in COLUMNS]}
            for row in burdens[:MAX_ROWS]
        ],
        problems=[{"scan": _scan(m), "kind": m["kind"], "text": m["text"]} for m in problems],
        warnings=warnings.most_common(),
    )  # fmt: skip


def _scan(row: Mapping[str, Any]) -> str:
    """Return the name of a row's scan."""
    names = (
        row.get(name) for name in ("participant_id", "session_id", "acquisition", "reconstruction", "run")
    )
    return ", ".join(str(name) for name in names if name)
