"""One page over all sessions of a study: burdens, time, field strengths, outliers, quality, failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from qsmcmb.cohorts.outliers import MAX_Z, MIN_VALUES, find_outliers
from qsmcmb.io.quality_records import Finding
from qsmcmb.reporting.burden_axis import field_name
from qsmcmb.reporting.cohort_figures import burden_plot, course_plot
from qsmcmb.reporting.forest_table import burden_of, forest_table, session_name
from qsmcmb.reporting.page import counted, show, unit_words, write_page

__all__ = ["GroupRows", "write_group_page"]

MAX_ROWS = 1000
"""Scans that the page lists: bounds its size; the tables hold all."""
MAX_NAMED = 100
"""Outliers, and scans that are not good, that the page lists: the worst first."""
VERDICTS = ("good", "look", "bad")
BURDEN = "burden_ppm_mm3"
OUTLIER_RULE = (
    f"Rule: more than {MAX_Z:g} robust SDs (1.4826 times the median absolute deviation) from the median, of the "
    "logarithm where all values are above 0. Burden: all scans with a lesion. Quality: each number, among scans at one "
    f"field strength. Fewer than {MIN_VALUES} scans have no outliers."
)


class GroupRows(NamedTuple):
    """All that the page shows, a row for each scan with results.

    Parameters
    ----------
    burdens : sequence of mapping
        Names of the scan, then its burden.
    qualities : sequence of mapping
        Names of the scan, then verdicts and numbers of its quality; in the same order.
    findings : sequence of sequence of Finding
        What is not good about each scan, in the same order.
    messages : sequence of mapping
        A row for each error and warning, with `kind` and `text`.

    Examples
    --------
    >>> GroupRows([], [], [], []).messages
    []
    """

    burdens: Sequence[Mapping[str, Any]]
    qualities: Sequence[Mapping[str, Any]]
    findings: Sequence[Sequence[Finding]]
    messages: Sequence[Mapping[str, Any]]


def write_group_page(path: Path, rows: GroupRows, *, quality_columns: Mapping[str, Any]) -> Path:
    """Write the page of a group.

    Parameters
    ----------
    path : Path
        File to write.
    rows : GroupRows
        What it shows.
    quality_columns : mapping
        Description of each column of the table of quality.

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
    ...     page = write_group_page(Path(folder) / "group.html", GroupRows([], [], [], []), quality_columns={})
    ...     "No session has results." in page.read_text(encoding="utf-8")
    True
    """
    burdens = rows.burdens
    warnings = Counter(str(m["text"]) for m in rows.messages if m["kind"] == "warning")
    problems = [m for m in rows.messages if m["kind"] != "warning"]
    forest = forest_table(burdens)
    outliers = _outliers(rows, quality_columns)
    quality = _quality(rows)
    return write_page(
        path, "group.html", title="All sessions", summary=_summary(rows, len(problems)),
        problems=[{"scan": _scan(m), "kind": m["kind"], "text": m["text"]} for m in problems],
        forest=forest._replace(rows=forest.rows[:MAX_ROWS]), hidden=max(0, len(burdens) - MAX_ROWS),
        course=course_plot(burdens), course_words=_course_words(burdens),
        fields=burden_plot(burdens) if burdens else "", field_words=_field_words(burdens),
        outliers=outliers[:MAX_NAMED], hidden_outliers=max(0, len(outliers) - MAX_NAMED), outlier_rule=OUTLIER_RULE,
        stages=_stages(rows.qualities), quality=quality[:MAX_NAMED], hidden_quality=max(0, len(quality) - MAX_NAMED),
        warnings=warnings.most_common(),
    )  # fmt: skip


def _scan(row: Mapping[str, Any]) -> str:
    """Return the name of a row's scan."""
    names = session_name(row)
    return str(row["participant_id"]) + ("" if names == "n/a" else f", {names}")


def _summary(rows: GroupRows, n_problems: int) -> str:
    """Return the answer at a glance."""
    failed = f"{n_problems} failed or damaged" if n_problems else "none failed"
    if not rows.burdens:
        return f"No session has results. {failed.capitalize()}."
    sessions = {(row["participant_id"], row.get("session_id")) for row in rows.burdens}
    counts = [
        counted(len({row["participant_id"] for row in rows.burdens}), "subject"),
        counted(len(sessions), "session"),
    ]
    if len(rows.burdens) > len(sessions):
        counts.append(counted(len(rows.burdens), "scan"))
    burdens = [burden_of(row) for row in rows.burdens]
    verdicts = Counter(row.get("verdict") or "unknown" for row in rows.qualities)
    bare = counted(sum(burden == 0 for burden in burdens), "scan")
    quality = ", ".join(f"{verdicts[name]} {name}" for name in (*VERDICTS, "unknown") if verdicts[name])
    return (
        f"{', '.join(counts)}; {failed}. Burden: median {show(median(burdens))} ppm mm³, from {show(min(burdens))} to "
        f"{show(max(burdens))}; {bare} without a microbleed. Quality: {quality}."
    )


def _course_words(burdens: Sequence[Mapping[str, Any]]) -> str:
    """Return how many subjects the figure over time leaves out, and why."""
    times: dict[str, set[Any]] = {}
    for row in burdens:
        times.setdefault(str(row["participant_id"]), set()).add(row.get("years"))
    undated = sum(None in own for own in times.values())
    single = sum(None not in own and len(own) == 1 for own in times.values())
    reasons = ((single, "with scans of one time only"), (undated, "without a date of every scan"))
    words = [f"{counted(number, 'subject')} {reason}" for number, reason in reasons if number]
    return f"Not drawn: {' and '.join(words)}." if words else ""


def _field_words(burdens: Sequence[Mapping[str, Any]]) -> str:
    """Return what subjects that were scanned at several field strengths say of them."""
    subjects: dict[str, list[Mapping[str, Any]]] = {}
    for row in burdens:
        if row.get("b0_tesla"):
            subjects.setdefault(str(row["participant_id"]), []).append(row)
    pairs = [pair for own in subjects.values() if (pair := _two_fields(own))]
    if not pairs:
        return "No subject with a microbleed was scanned at two field strengths."
    ratios = [burden_of(high) / burden_of(low) for low, high in pairs]
    apart = [
        abs(high["years"] - low["years"])
        for low, high in pairs
        if None not in (low.get("years"), high.get("years"))
    ]
    spread = f" in the median, from {show(min(ratios))} to {show(max(ratios))}" if len(ratios) > 1 else ""
    known = (
        f", in scans up to {counted(round(max(apart), 2), 'year')} apart" if len(apart) == len(pairs) else ""
    )
    return (
        f"{counted(len(ratios), 'subject')} scanned at several field strengths: the burden at the highest over that at "
        f"the lowest is {show(median(ratios))}{spread}{known}. The total susceptibility of a lesion does not depend on "
        "the field strength: 1 is expected where nothing changed between the scans."
    )


def _two_fields(scans: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Return the scans of a subject at the lowest and the highest field strength that are nearest in time."""
    tesla = [float(row["b0_tesla"]) for row in scans]
    ends = [
        [row for row in scans if field_name(row["b0_tesla"]) == field_name(end) and burden_of(row) > 0]
        for end in (min(tesla), max(tesla))
    ]
    if field_name(min(tesla)) == field_name(max(tesla)) or not all(ends):
        return None
    pairs = [(low, high) for low in ends[0] for high in ends[1]]
    return min(pairs, key=lambda pair: abs((pair[0].get("years") or 0) - (pair[1].get("years") or 0)))


def _outliers(rows: GroupRows, columns: Mapping[str, Any]) -> list[list[str]]:
    """Return scan, number, value, median of all and robust z of each outlier, the farthest first."""
    named = [_scan(row) for row in rows.burdens]
    found = [
        (named[o.position], "Burden", "ppm mm³", o)
        for o in find_outliers([burden_of(row) or None for row in rows.burdens])
    ]
    fields: dict[str, list[int]] = {}
    for n, row in enumerate(rows.burdens):
        fields.setdefault(field_name(row.get("b0_tesla")), []).append(n)
    for name, column in columns.items():
        if name.startswith("verdict"):
            continue
        unit = unit_words(column.get("Units", ""))
        for members in fields.values():
            values = [rows.qualities[n].get(name) for n in members]
            found += [
                (named[members[o.position]], column["Description"], unit, o) for o in find_outliers(values)
            ]
    found.sort(key=lambda row: -abs(row[3].z))
    return [
        [scan, what, f"{show(o.value)} {unit}".strip(), f"{show(o.median)} {unit}".strip(), f"{o.z:+.1f}"]
        for scan, what, unit, o in found
    ]


def _stages(qualities: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return for each stage of the pipeline how many scans have each verdict."""
    names = [name for name in (qualities[0] if qualities else ()) if name.startswith("verdict_")]
    counts = {name: Counter(row.get(name) for row in qualities) for name in names}
    return [
        [name.removeprefix("verdict_"), *(str(counts[name][verdict]) for verdict in VERDICTS)]
        for name in names
        if any(counts[name][verdict] for verdict in VERDICTS)
    ]


def _quality(rows: GroupRows) -> list[dict[str, str]]:
    """Return scan, verdict and the finding that decides of each scan that is not good, the bad first."""
    found = []
    for row, findings in zip(rows.qualities, rows.findings, strict=True):
        if row.get("verdict") not in ("bad", "look"):
            continue
        first = unit_words(findings[0].text) if findings else "n/a"
        more = len(findings) - 1
        found.append({
            "scan": _scan(row), "subject": str(row["participant_id"]), "verdict": str(row["verdict"]),
            "reason": first + (f"; and {more} more" if more > 0 else ""),
        })  # fmt: skip
    return sorted(found, key=lambda row: row["verdict"])
