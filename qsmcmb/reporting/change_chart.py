"""Totals over the sessions of a subject as one figure: the burden, and each lesion that changed beside its limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from qsmcmb.change.records import NORMAL_QUANTILE
from qsmcmb.io.metadata import read_sidecar
from qsmcmb.reporting.course import CHANGED
from qsmcmb.reporting.course_text import TREND
from qsmcmb.reporting.figures import DPI, to_png
from qsmcmb.reporting.page import counted
from qsmcmb.reporting.summary_text import STATUS_WORDS

__all__ = ["ChangeChart", "change_chart"]

MAX_LESIONS = 7
"""Lesions that are drawn: with the burden two rows of four."""
IN_ROW = 4
MAX_NAME = 12
"""Longest name of a session below an axis."""
COLOUR, BAND = "#0072b2", "#cccccc"
Row = Mapping[str, str | None]
Points = dict[str, tuple[float, float, float]]
"""Value with the ends of its interval by session."""


class ChangeChart(NamedTuple):
    """The figure, and what it leaves out.

    Parameters
    ----------
    picture : str
        PNG, base64.
    words : str
        What its caption says of the lesions.

    Examples
    --------
    >>> ChangeChart("iVBOR", "No lesion has changed by more than its limit.").picture
    'iVBOR'
    """

    picture: str
    words: str


class _Band(NamedTuple):
    """Totals of a follow-up session that would be no change from the baseline."""

    baseline: str
    followup: str
    value: float
    limit: float


def change_chart(table: Path, rows: Sequence[Row]) -> ChangeChart | None:
    """Draw the burden over the sessions, and the lesions that changed, each with its minimum detectable change.

    Parameters
    ----------
    table : Path
        Longitudinal table; the trend beside it holds burden and times.
    rows : sequence of mapping
        Its rows.

    Returns
    -------
    ChangeChart or None
        The figure; None where there is nothing to draw.

    Examples
    --------
    >>> row = {
    ...     "lesion": "1", "status": "increased", "baseline_session": "ses-1", "followup_session": "ses-2",
    ...     "baseline_ppm_mm3": "4", "followup_ppm_mm3": "9", "change_ppm_mm3": "5", "mdc_ppm_mm3": "1",
    ... }
    >>> change_chart(Path("sub-1_desc-cmb_longitudinal.tsv"), [row]).words
    'Lesion 1 has changed by more than its limit.'
    """
    path = table.with_name(table.name.removesuffix("desc-cmb_longitudinal.tsv") + TREND)
    trend = read_sidecar(path) if path.exists() else {"burden": [], "sessions": []}
    positions, has_years = _positions(trend, rows)
    changed = _changed(rows)
    drawn = dict(list(changed.items())[:MAX_LESIONS])
    panels: list[tuple[str, Points, _Band | None]] = []
    if trend["burden"] and trend["n_lesions"]:
        panels.append((f"burden of {counted(trend['n_lesions'], 'lesion')}", _burden(trend), None))
    for lesion, row in drawn.items():
        status = str(row["status"])
        panels.append(
            (f"lesion {lesion}: {STATUS_WORDS.get(status, status)}", _points(rows, lesion), _band(row))
        )
    if not panels:
        return None
    names = list(positions)
    n_rows = -(-len(panels) // IN_ROW)
    figure = Figure(figsize=(2.75 * min(len(panels), IN_ROW), 2.5 * n_rows), dpi=DPI, layout="constrained")
    axes = figure.subplots(n_rows, min(len(panels), IN_ROW), squeeze=False).flat
    for axis, (title, points, band) in zip(axes, panels, strict=False):
        _panel(axis, positions, points, band)
        axis.set_title(title, fontsize=9, parse_math=False)
        axis.set_ylabel("ppm mm$^3$", fontsize=8)
        if has_years:
            axis.set_xlabel(f"years since {_short(names[0])}", fontsize=8, parse_math=False)
        else:
            axis.set_xticks(
                list(positions.values()), [_short(name) for name in names], fontsize=8, parse_math=False
            )
    for axis in list(axes)[len(panels) :]:
        axis.set_axis_off()
    return ChangeChart(to_png(figure), _words(changed, drawn) + _unknown_words(rows))


def _panel(axis: Any, positions: Mapping[str, float], points: Points, band: _Band | None) -> None:
    """Draw one total over the sessions."""
    known = [name for name in positions if name in points]
    x = [positions[name] for name in known]
    values = [points[name][0] for name in known]
    if band and band.baseline in positions and band.followup in positions:
        span = (positions[band.baseline], positions[band.followup])
        axis.fill_between(span, band.value - band.limit, band.value + band.limit, color=BAND, linewidth=0)
    axis.vlines(x, [points[n][1] for n in known], [points[n][2] for n in known], color=COLOUR, linewidth=1.4)
    axis.plot(x, values, "-o", color=COLOUR, linewidth=0.9, markersize=4)
    low, high = axis.get_ylim()
    axis.set_ylim(min(low, 0.0), high)
    ends = (min(positions.values()), max(positions.values()))
    margin = 0.1 * (ends[1] - ends[0]) or 1.0
    axis.set_xlim(ends[0] - margin, ends[1] + margin)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _positions(trend: Mapping[str, Any], rows: Sequence[Row]) -> tuple[dict[str, float], bool]:
    """Return where each session lies, and whether that is its time in years; else they stand one after the other."""
    years = {str(row["session_id"]): row["years"] for row in trend["sessions"]}
    if not years:
        pairs = [(str(row["baseline_session"]), str(row["followup_session"])) for row in rows]
        names = list(dict.fromkeys(name for pair in pairs for name in pair))
        first = names[0] if names else ""
        stated = {
            after: _number(row.get("interval_years"))
            for row, (before, after) in zip(rows, pairs, strict=True)
            if before == first
        }
        years = {name: 0.0 if name == first else stated.get(name) for name in names}
    if years and None not in years.values() and len(set(years.values())) > 1:
        return dict(
            sorted(((name, float(year)) for name, year in years.items()), key=lambda item: item[1])
        ), True
    return {name: float(n) for n, name in enumerate(years)}, False


def _burden(trend: Mapping[str, Any]) -> Points:
    """Return the burden of each session with its interval."""
    ends = ("burden_ppm_mm3", "burden_low_ppm_mm3", "burden_high_ppm_mm3")
    return {str(row["session_id"]): (row[ends[0]], row[ends[1]], row[ends[2]]) for row in trend["burden"]}


def _changed(rows: Sequence[Row]) -> dict[str, Row]:
    """Return for each lesion that changed the row of its largest change over its limit, the largest first."""
    found: dict[str, Row] = {}
    for row in sorted(rows, key=_size, reverse=True):
        if row.get("status") in CHANGED:
            found.setdefault(str(row["lesion"]), row)
    return found


def _size(row: Row) -> float:
    """Return a change over its limit; 0 where it is not known."""
    change, limit = _number(row.get("change_ppm_mm3")), _number(row.get("mdc_ppm_mm3"))
    return abs(change) / limit if change is not None and limit else 0.0


def _points(rows: Sequence[Row], lesion: str) -> Points:
    """Return the totals of a lesion with their intervals."""
    points: Points = {}
    for row in rows:
        for end in ("baseline", "followup"):
            value, sd = (_number(row.get(f"{end}{part}_ppm_mm3")) for part in ("", "_sd"))
            if str(row["lesion"]) == lesion and value is not None:
                half = NORMAL_QUANTILE * (sd or 0.0)
                points[str(row[f"{end}_session"])] = (value, value - half, value + half)
    return points


def _band(row: Row) -> _Band | None:
    """Return what would be no change, of a row; None where it has no limit."""
    value, limit = _number(row.get("baseline_ppm_mm3")), _number(row.get("mdc_ppm_mm3"))
    if value is None or limit is None:
        return None
    return _Band(str(row["baseline_session"]), str(row["followup_session"]), value, limit)


def _number(value: str | None) -> float | None:
    """Return a cell as a number; None where it is none."""
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def _words(changed: Mapping[str, Row], drawn: Mapping[str, Row]) -> str:
    """Return which lesions have changed."""
    if not changed:
        return "No lesion has changed by more than its limit."
    names = f"Lesion {next(iter(changed))} has" if len(changed) == 1 else f"{len(changed)} lesions have"
    rest = (
        f" The {len(drawn)} that changed most beside their limit are drawn."
        if len(drawn) < len(changed)
        else ""
    )
    return f"{names} changed by more than {'its' if len(changed) == 1 else 'their'} limit.{rest}"


def _unknown_words(rows: Sequence[Row]) -> str:
    """Return how many lesions have no status in any comparison."""
    lesions = {str(row["lesion"]) for row in rows}
    known = {str(row["lesion"]) for row in rows if row.get("status") != "not_evaluable"}
    return (
        f" Of {counted(len(lesions), 'lesion')} {len(lesions - known)} cannot be evaluated."
        if lesions - known
        else ""
    )


def _short(name: str) -> str:
    """Return a name that fits below an axis."""
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
