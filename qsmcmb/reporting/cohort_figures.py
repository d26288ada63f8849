"""Figures of a group: burden by field strength and over time, ratios with their intervals, sample sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qsmcmb.cohorts.statistic import Statistic
from qsmcmb.reporting.burden_axis import BurdenAxis, field_name, field_style
from qsmcmb.reporting.figures import DPI, to_png
from qsmcmb.reporting.forest_table import burden_of
from qsmcmb.reporting.page import counted

__all__ = ["burden_plot", "course_plot", "forest_plot", "power_plot"]

SPREAD = 0.12
"""Half width over which points of one column are spread."""
MAX_TICKS = 10
"""Numbers of subjects that the axis of the power plot names."""
MAX_RATIOS = 24
"""Rows of a forest plot: what a page of usual height shows."""
MAX_NAMED = 12
"""Subjects whose names stand behind their lines; more have no room."""
NAME_HEIGHT, MAX_NAME = 0.06, 24
"""Height of a name as a fraction of the figure, and its longest text."""
AXIS_RATIO = (1 / 64, 64)
"""Ratios between which a forest plot shows intervals; wider ones run out of the picture."""


def burden_plot(scans: Sequence[Mapping[str, Any]]) -> str:
    """Draw the burden of each scan by field strength, and their median; a subject's fields are joined by a line.

    Parameters
    ----------
    scans : sequence of mapping
        Rows with `participant_id`, `b0_tesla` and `burden_ppm_mm3`.

    Returns
    -------
    str
        PNG, base64.

    Examples
    --------
    >>> burden_plot([{"participant_id": "sub-1", "b0_tesla": 3.0, "burden_ppm_mm3": 4.0}])[:5]
    'iVBOR'
    """
    by_field: dict[str, list[tuple[float, str]]] = {}
    for scan in sorted(scans, key=lambda s: s["b0_tesla"] or 0):
        name = field_name(scan["b0_tesla"])
        by_field.setdefault(name, []).append((burden_of(scan), str(scan["participant_id"])))
    figure = Figure(figsize=(1.9 + 1.4 * max(len(by_field), 2), 3.4), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    BurdenAxis.of(burden for values in by_field.values() for burden, _ in values).apply(axes)
    lines: dict[str, list[tuple[float, float]]] = {}
    for n, (name, values) in enumerate(by_field.items()):
        # Spread in the order of the values: the same study gives the same picture.
        x = n + SPREAD * np.sin(2.4 * np.arange(len(values)))
        burdens, subjects = zip(*sorted(values), strict=True)
        style = field_style(name)
        # Scans without a lesion lie on the axis and are drawn whole.
        axes.plot(
            x, burdens, style.marker, color=style.colour, markersize=4.5, alpha=0.8, markeredgewidth=0,
            clip_on=False, zorder=3,
        )  # fmt: skip
        if len(burdens) > 1:
            axes.hlines(float(np.median(burdens)), n - 0.3, n + 0.3, color="black", linewidth=1.5, zorder=4)
        for subject in dict.fromkeys(subjects):
            own = [k for k, other in enumerate(subjects) if other == subject]
            lines.setdefault(subject, []).append(
                (float(np.mean(x[own])), float(np.median([burdens[k] for k in own])))
            )
    for points in lines.values():
        axes.plot(*zip(*points, strict=True), color="#777777", linewidth=0.7, alpha=0.6, zorder=2)
    names = [f"{name}\n{counted(len(values), 'scan')}" for name, values in by_field.items()]
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, max(len(names), 2) - 0.5)
    axes.spines[["top", "right"]].set_visible(False)
    return to_png(figure)


def course_plot(scans: Sequence[Mapping[str, Any]]) -> str:
    """Draw the burden of each subject over the time since its first scan.

    Parameters
    ----------
    scans : sequence of mapping
        Rows with `participant_id`, `b0_tesla`, `burden_ppm_mm3` and `years`.

    Returns
    -------
    str
        PNG, base64; empty where no subject has scans at two known times.

    Examples
    --------
    >>> row = {"participant_id": "sub-1", "b0_tesla": 3.0, "burden_ppm_mm3": 4.0}
    >>> course_plot([{**row, "years": 0.0}, {**row, "years": 1.5}])[:5]
    'iVBOR'
    >>> course_plot([{**row, "years": None}])
    ''
    """
    subjects: dict[str, list[Mapping[str, Any]]] = {}
    for scan in scans:
        if scan.get("years") is not None:
            subjects.setdefault(str(scan["participant_id"]), []).append(scan)
    followed = {
        name: sorted(own, key=lambda scan: scan["years"])
        for name, own in subjects.items()
        if len({scan["years"] for scan in own}) > 1
    }
    if not followed:
        return ""
    drawn = [scan for own in followed.values() for scan in own]
    figure = Figure(figsize=(9.0, 4.2), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    BurdenAxis.of(burden_of(scan) for scan in drawn).apply(axes)
    last_year = max(scan["years"] for scan in drawn)
    for own in followed.values():
        years, burdens = [scan["years"] for scan in own], [burden_of(scan) for scan in own]
        axes.plot(years, burdens, color="#777777", linewidth=1.0, alpha=0.7, zorder=2)
    if len(followed) <= MAX_NAMED:
        _name_ends(axes, followed)
    by_field: dict[str, list[Mapping[str, Any]]] = {}
    for scan in sorted(drawn, key=lambda s: s["b0_tesla"] or 0):
        by_field.setdefault(field_name(scan["b0_tesla"]), []).append(scan)
    for name, own in by_field.items():
        style = field_style(name)
        axes.plot(
            [scan["years"] for scan in own], [burden_of(scan) for scan in own], style.marker, color=style.colour,
            markersize=5, alpha=0.8, markeredgewidth=0, clip_on=False, zorder=3, label=name,
        )  # fmt: skip
    axes.set_xlim(-0.02 * last_year, 1.02 * last_year)
    axes.set_xlabel("time since the subject's first scan (years)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(by_field))
    return to_png(figure)


def _name_ends(axes: Any, followed: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write the subjects' names behind the ends of their lines, none over another."""
    ends = sorted((burden_of(own[-1]), name) for name, own in followed.items())
    low, high = (axes.transData.transform((0, end))[1] for end in axes.get_ylim())
    heights = [(axes.transData.transform((0, burden))[1] - low) / (high - low) for burden, _ in ends]
    for n in range(1, len(heights)):
        heights[n] = max(heights[n], heights[n - 1] + NAME_HEIGHT)
    room = 1.0
    for n in reversed(range(len(heights))):
        heights[n] = min(heights[n], room)
        room = heights[n] - NAME_HEIGHT
    for height, (_, name) in zip(heights, ends, strict=True):
        axes.text(
            1.02, height, name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…", fontsize=8,
            va="center", parse_math=False, transform=axes.transAxes,
        )  # fmt: skip


def forest_plot(statistics: Sequence[Statistic]) -> str:
    """Draw ratios with their intervals, one below the other.

    Parameters
    ----------
    statistics : sequence of Statistic
        Rows; those that are no ratio, or lack an interval or a finite estimate above 0, are left out.

    Returns
    -------
    str
        PNG, base64; empty where no row can be drawn.

    Examples
    --------
    >>> forest_plot([Statistic("odds ratio", "b vs a", 1.5, 0.8, 2.6)])[:5]
    'iVBOR'
    >>> forest_plot([])
    ''
    """
    drawn = [
        s for s in statistics
        if "ratio" in s.quantity and math.isfinite(s.estimate) and s.estimate > 0 and not math.isnan(s.low + s.high)
    ][:MAX_RATIOS]  # fmt: skip
    if not drawn:
        return ""
    figure = Figure(figsize=(9.0, 0.9 + 0.3 * len(drawn)), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    for y, s in enumerate(drawn):
        low, high = (min(max(v, AXIS_RATIO[0]), AXIS_RATIO[1]) for v in (s.low, s.high))
        axes.hlines(y, low, high, color="#2a6f97", linewidth=1.6)
        axes.plot(s.estimate, y, "s", color="#2a6f97", markersize=5)
    axes.axvline(1.0, color="#777777", linewidth=0.8)
    axes.set_yticks(range(len(drawn)), [f"{s.quantity}: {s.group} ({s.model})" for s in drawn], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda v, _: f"1/{1 / v:g}" if v < 1 else f"{v:g}")
    axes.set_xlabel("ratio, 95 % interval")
    axes.spines[["top", "right"]].set_visible(False)
    return to_png(figure)


def power_plot(curves: Mapping[str, Sequence[tuple[int, float, float, float]]], target: float) -> str:
    """Draw the power of each endpoint over the number of subjects in each arm.

    Parameters
    ----------
    curves : mapping of str to sequence of tuple
        Endpoint to (subjects per arm, power, lower and upper end of its Monte Carlo interval).
    target : float
        Power that is asked for, 0 to 1.

    Returns
    -------
    str
        PNG, base64.

    Examples
    --------
    >>> power_plot({"incident": [(20, 0.3, 0.27, 0.33), (80, 0.8, 0.78, 0.82)]}, 0.8)[:5]
    'iVBOR'
    """
    figure = Figure(figsize=(6.4, 3.8), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    colours = ("#2a6f97", "#e09f3e", "#b23a48", "#4f772d")
    for colour, (name, points) in zip(colours, curves.items(), strict=False):
        n, power, low, high = np.array(points, float).T
        axes.plot(n, power, "-o", color=colour, label=name, markersize=3.5)
        axes.fill_between(n, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.axhline(target, color="#777777", linewidth=0.8, label=f"power asked for, {target:g}")
    axes.set_xscale("log")
    sizes = sorted({int(point[0]) for points in curves.values() for point in points})
    # Of many sizes every second one and so on: as many as have room.
    axes.set_xticks(sizes[:: 1 + len(sizes) // MAX_TICKS])
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("subjects in each arm")
    axes.set_ylabel("power")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return to_png(figure)
