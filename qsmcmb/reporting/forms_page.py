"""Printable page of the rating forms of a subject or a scan, from the derivatives alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qsmcmb.anatomy.rating_forms import BOMBS_SIZES, FORM_SIDES, FormRow
from qsmcmb.io.results import SessionResults
from qsmcmb.io.tables import read_tsv
from qsmcmb.reporting.page import write_page

__all__ = ["form_tables", "has_forms", "write_forms_page"]

SCALES = {
    "mars": (
        "MARS",
        "Microbleed Anatomical Rating Scale: Gregoire et al., Neurology 2009;73:1759, "
        "doi:10.1212/WNL.0b013e3181c34a7d.",
        ("definite", "possible"),
    ),
    "bombs": (
        "BOMBS",
        "Brain Observer Microbleed Scale: Cordonnier et al., Stroke 2009;40:94, doi:10.1161/STROKEAHA.108.526996.",
        ("certain", "uncertain"),
    ),
}
"""Name, citation and words for certainty of each scale."""
SHOWN_SIDES = {"right": "R", "left": "L", "midline": "mid", "unknown": "?"}
"""Heads of the columns of each side."""


def has_forms(session: SessionResults) -> bool:
    """Say whether a scan has both forms: those of earlier versions have none.

    Parameters
    ----------
    session : SessionResults
        Results of the scan.

    Returns
    -------
    bool
        Whether both tables are there.

    Examples
    --------
    >>> from qsmcmb.io.place import Place
    >>> has_forms(SessionResults(Place(Path("nowhere")), "", ""))
    False
    """
    return all(session.place.path(f"desc-{scale}_form.tsv").exists() for scale in SCALES)


def write_forms_page(path: Path, sessions: Sequence[SessionResults], *, title: str, back: str) -> Path | None:
    """Write the printable page of the forms of some scans.

    Parameters
    ----------
    path : Path
        File to write.
    sessions : sequence of SessionResults
        Scans; those without forms are left out.
    title : str
        Name of the subject or scan.
    back : str
        Address of the page that links to this one.

    Returns
    -------
    Path or None
        The page; None where no scan has forms.

    Raises
    ------
    InvalidInputError
        A table or record of a finished scan is damaged.

    Examples
    --------
    >>> write_forms_page(Path("forms.html"), [], title="sub-01", back="sub-01.html")
    """
    forms = form_tables(sessions)
    if not forms:
        return None
    return write_page(path, "forms.html", title=title, back=back, forms=forms)


def form_tables(sessions: Sequence[SessionResults]) -> list[dict[str, Any]]:
    """Return what a template needs of the forms of some scans.

    Parameters
    ----------
    sessions : sequence of SessionResults
        Scans; those without forms are left out.

    Returns
    -------
    list of dict
        Name, scale, heads and rows of each form.

    Raises
    ------
    InvalidInputError
        A table or record of a finished scan is damaged.

    Examples
    --------
    >>> form_tables([])
    []
    """
    return [_form(session, scale) for session in sessions if has_forms(session) for scale in SCALES]


def _form(session: SessionResults, scale: str) -> dict[str, Any]:
    """Return what the template needs of one form."""
    name, citation, certainties = SCALES[scale]
    burden = session.record("desc-cmb_burden")
    rows = [dict(row) for row in read_tsv(session.place.path(f"desc-{scale}_form.tsv"))]
    sizes = BOMBS_SIZES if scale == "bombs" else ("",)
    columns = [(certainty, size, side) for certainty in certainties for size in sizes for side in FORM_SIDES]
    lines: dict[tuple[str, str], dict[str, FormRow]] = {}
    for row in rows:
        key = (str(row["territory"]), str(row["region"]))
        lines.setdefault(key, {})[str(row.get("size") or "")] = row  # type: ignore[assignment]
    # Columns beyond the published form are shown where they hold anything.
    shown = [c for c in columns if _published(c) or any(_count(by_size, c) for by_size in lines.values())]
    groups: dict[str, int] = {}
    for certainty, size, _ in shown:
        named = f"size {size}" if size == "unknown" else size
        group = f"{certainty}, {named}" if size else certainty
        groups[group] = groups.get(group, 0) + 1
    return {
        "name": session.heading,
        "scale": name,
        "citation": citation,
        "groups": list(groups.items()),
        "header": [SHOWN_SIDES[side] for _, _, side in shown],
        "rows": [
            {
                "territory": territory,
                "region": region,
                "cells": [_count(by_size, c) for c in shown],
                "total": sum(int(row["total"]) for row in by_size.values()),
                "is_total": region == "total",
            }
            for (territory, region), by_size in lines.items()
            if "unassigned" not in (territory, region) or any(int(r["total"]) for r in by_size.values())
        ],
        "notes": session.record(f"desc-{scale}_form").get("Warnings", []),
        "pattern": _patterns(burden),
        "count_class": burden["count_class"],
    }


def _published(column: tuple[str, str, str]) -> bool:
    """Return whether a column is one of the published form."""
    return column[1] in ("", *BOMBS_SIZES[:2]) and column[2] in FORM_SIDES[:2]


def _count(by_size: dict[str, FormRow], column: tuple[str, str, str]) -> int:
    """Return the number in a cell."""
    certainty, size, side = column
    return int(by_size[size][f"{certainty}_{side}"])


def _patterns(burden: dict[str, Any]) -> str:
    """Return the pattern by both rules for the cerebellum."""
    by_rule = burden["pattern_by_rule"]
    words = {"ignored": "cerebellum ignored", "by-depth": "cerebellum by depth"}
    return "; ".join(f"{pattern} ({words[rule]})" for rule, pattern in by_rule.items())
