"""The page of a validation, of a real phantom or of the self test, from the tables that they leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qsmcmb.io.tables import read_tsv
from qsmcmb.reporting.page import show, write_page
from qsmcmb.reporting.validation_figures import study_plot, truth_plot

__all__ = ["write_validation_page"]

CLAIM_HEADER = ("source", "quantity", "published", "here", "limit", "pass", "note")
MAIN = ("fields", "phantom", "selftest")
"""Experiments whose lesions are drawn; the lesions of all where none of them ran."""
KINDS = ("microbleed", "calcification")


def write_validation_page(
    out: Path,
    *,
    title: str = "qsmcmb: validation",
    lead: str = "",
    pictures: Mapping[str, str] | None = None,
) -> Path:
    """Write OUT/index.html from OUT/claims.tsv, lesions.tsv and, where there are any, classes, shapes, study, scans.

    Parameters
    ----------
    out : path
        Folder of the validation.
    title, lead : str, optional
        Title and first paragraph of the page.
    pictures : mapping, optional
        PNG, base64, of the positions of lesions, by the name of the scan.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InvalidInputError
        A table is missing or broken.

    Examples
    --------
    >>> write_validation_page(Path("validation-out"))  # doctest: +SKIP
    """
    claims = read_tsv(out / "claims.tsv")
    lesions = read_tsv(out / "lesions.tsv")
    rows = [r for r in lesions if r["experiment"] in MAIN] or [r for r in lesions if r["kind"] in KINDS]
    study = _optional(out / "study.tsv")
    header = [c for c in CLAIM_HEADER if c != "published" or any(r["published"] for r in claims)]
    names = {"pass": "passed"}
    return write_page(
        out / "index.html", "validation.html", title=title, lead=lead,
        passed=sum(r["passed"] == "yes" for r in claims), count=len(claims), header=header,
        claims=[{"ok": r["passed"] == "yes", "cells": [_cell(r, names.get(c, c)) for c in header]} for r in claims],
        plot=truth_plot(rows), study=_table(study), study_plot=study_plot(study) if study else "",
        classes=_table(_optional(out / "classes.tsv")), shapes=_table(_optional(out / "shapes.tsv")),
        scans=_table(_optional(out / "scans.tsv")), pictures=pictures or {},
    )  # fmt: skip


def _optional(path: Path) -> list[dict[str, str | None]]:
    return read_tsv(path) if path.is_file() else []


def _cell(row: dict[str, str | None], column: str) -> str:
    value = row[column]
    return show(float(value), 3) if column == "here" and value is not None else (value or "")


def _table(rows: Sequence[dict[str, str | None]]) -> dict[str, Any]:
    header = list(rows[0]) if rows else []
    return {"header": header, "rows": [[_number(r[c]) for c in header] for r in rows]}


def _number(value: str | None) -> str:
    try:
        return show(float(value), 3) if value is not None else "n/a"
    except ValueError:
        return str(value)
