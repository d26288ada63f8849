"""Course of a subject on its page: burden, what scans differ in, regions, and the count of new microhaemorrhages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qsmcmb.io.metadata import read_sidecar
from qsmcmb.io.tables import read_tsv
from qsmcmb.reporting.page import interval_words, show

__all__ = ("TREND", "describe_course")

TREND, ARIAH, COURSE = "desc-cmb_trend.json", "desc-cmb_ariah.json", "desc-cmb_course.tsv"
NOTHING: dict[str, Any] = {"lines": [], "sessions": [], "differences": [], "regions": [], "ariah": []}


def describe_course(table: Path) -> dict[str, Any]:
    """Return what a page shows of a subject's course.

    Parameters
    ----------
    table : Path
        Longitudinal table; trend and research table lie beside it.

    Returns
    -------
    dict
        `lines` of text, and rows of cells of `sessions`, `differences`, `regions` and `ariah`; all empty beside the
        table of an earlier version.

    Examples
    --------
    >>> describe_course(Path("nowhere/sub-01_desc-cmb_longitudinal.tsv"))["lines"]
    []
    """
    prefix = table.name.removesuffix("desc-cmb_longitudinal.tsv")
    paths = [table.with_name(f"{prefix}{ending}") for ending in (TREND, ARIAH)]
    if not all(path.exists() for path in paths):
        return NOTHING
    trend, ariah = (read_sidecar(path) for path in paths)
    burden = {row["session_id"]: row for row in trend["burden"]}
    return {
        "lines": [
            _rate(trend),
            trend["notice"],
            _errors(trend),
            *_unlike(table.with_name(f"{prefix}{COURSE}")),
        ],
        "sessions": [_session(row, burden.get(row["session_id"], {})) for row in trend["sessions"]],
        "differences": [
            [_pair(d), d["field"], _value(d["baseline"]), _value(d["followup"])] for d in trend["differences"]
        ],
        "regions": [
            [_pair(r), f"{r['structure']}, {r['side']}", show(r["chi_change_ppm"]), show(r["mdc_ppm"])]
            for r in trend["regions"]
            if r["is_changed"]
        ],
        "ariah": [_count(row) for row in ariah["microhaemorrhages"]],
        "ariah_notice": ariah["notice"],
    }


def _rate(trend: dict[str, Any]) -> str:
    """Return the change of the burden a year in words."""
    name = "annual_change{}_ppm_mm3_per_year"
    value, low, high = (trend[name.format(part)] for part in ("", "_low", "_high"))
    if value is None:
        return f"No change a year: {trend['annual_change_missing']}."
    return (
        f"Burden of the {trend['n_lesions']} lesions measured in every session: change a year {show(value)} ppm mm³ "
        f"(95 %: {show(low)} to {show(high)})."
    )


def _unlike(path: Path) -> list[str]:
    """Return why the burden of some sessions differs from that of their own tables; none where it does not."""
    rows = read_tsv(path) if path.exists() else []
    names = dict.fromkeys(str(row["session_id"]) for row in rows if row["origin"] == "place")
    if not names:
        return []
    return [
        f"In {', '.join(names)} the burden below includes what was measured at the place of a lesion that the session "
        "does not show; the session's own burden leaves it out. Fields of other lesions are taken off before: an "
        "accepted candidate nearby may move this number, a rejected one does not."
    ]


def _errors(trend: dict[str, Any]) -> str:
    """Return in words which errors changes were held against."""
    errors = trend["errors"]
    source = "defaults" if errors["source"] == "default" else f"those of {errors['source']}"
    return (
        f"Errors of change: {source}; all lesions of a scan share {100 * errors['shared_relative_sd']:.2g} %, "
        f"{100 * errors['shared_relative_sd_other']:.2g} % where scans differ in protocol, scanner or software."
    )


def _session(row: dict[str, Any], burden: dict[str, Any]) -> list[str]:
    """Return the cells of a session."""
    total = "n/a, another head"
    if burden:
        total = interval_words(*(burden[f"burden{end}_ppm_mm3"] for end in ("", "_low", "_high")))
    numbers = (row["years"], row["registration_error_mm"], row["similarity"])
    years, error, alike = (show(value) for value in numbers)
    return [row["session_id"], years, total, error, alike]


def _count(row: dict[str, Any]) -> list[str]:
    """Return the cells of the count of new microhaemorrhages."""
    if row["class"] is None:
        return [row["followup_session"], "not evaluable", show(row.get("n_not_evaluable")), "n/a"]
    chances = "; ".join(f"{name}: {p:.2f}" for name, p in row["class_probability"].items())
    count = f"{row['n_new_expected']:.1f} ({row['n_new_low']} to {row['n_new_high']})"
    return [row["followup_session"], count, str(row["n_not_evaluable"]), f"{row['class']} ({chances})"]


def _pair(row: dict[str, Any]) -> str:
    """Return two sessions in words."""
    return f"{row['baseline_session']} and {row['followup_session']}"


def _value(value: Any) -> str:
    """Return a value of a record as a cell."""
    if isinstance(value, list):
        return ", ".join(_value(v) for v in value)
    return show(value) if isinstance(value, int | float) else str(value)
