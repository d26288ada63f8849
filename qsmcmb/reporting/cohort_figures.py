"""Figures of a cohort: burden by field strength, ratios with their intervals, sample sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qsmcmb.cohorts.statistic import Statistic
from qsmcmb.reporting.figures import DPI, to_png

__all__ = ["burden_plot", "forest_plot", "power_plot"]

SPREAD = 0.12
"""Half width over which points of one column are spread."""
MAX_TICKS = 10
"""Numbers of subjects that the axis of the power plot names."""
MAX_RATIOS = 24
"""Rows of a forest plot: what a page of usual height shows."""
TICKS_PPM_MM3 = (0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Burdens that the axis of the burden plot names; it is linear below 1 and logarithmic above."""
AXIS_RATIO = (1 / 64, 64)
"""Ratios between which a forest plot shows intervals; wider ones run out of the picture."""


def burden_plot(scans: Sequence[Mapping[str, Any]]) -> str:
    """Draw the burden of each scan by field strength, and their median.

    Parameters
    ----------
    scans : sequence of mapping
        Rows with `b0_tesla` and `burden_ppm_mm3`.

    Returns
    -------
    str
        PNG, base64.

    Examples
    --------
    >>> burden_plot([{"b0_tesla": 3.0, "burden_ppm_mm3": 4.0}])[:5]
    'iVBOR'
    """
    by_field: dict[str, list[float]] = {}
    for scan in sorted(scans, key=lambda s: s["b0_tesla"] or 0):
        name = f"{scan['b0_tesla']:.3g} T" if scan["b0_tesla"] else "unknown"
        by_field.setdefault(name, []).append(float(scan["burden_ppm_mm3"] or 0))
    figure = Figure(figsize=(1.5 + 1.3 * max(len(by_field), 2), 3.4), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    for n, values in enumerate(by_field.values()):
        # Spread in the order of the values: the same study gives the same picture.
        x = n + SPREAD * np.sin(2.4 * np.arange(len(values)))
        # Scans without a lesion lie on the axis and are drawn whole.
        axes.plot(
            x, sorted(values), "o", color="#2a6f97", markersize=3.5, alpha=0.5, markeredgewidth=0,
            clip_on=False, zorder=3,
        )  # fmt: skip
        axes.hlines(float(np.median(values)), n - 0.25, n + 0.25, color="#b23a48", linewidth=2)
    names = [f"{name}\n{len(values)} scans" for name, values in by_field.items()]
    axes.set_xticks(range(len(names)), names)
    axes.set_yscale("symlog", linthresh=1.0)
    top = max(1.0, 1.5 * max((max(values) for values in by_field.values()), default=0.0))
    axes.set_yticks([tick for tick in TICKS_PPM_MM3 if tick <= top])
    axes.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
    axes.minorticks_off()
    axes.set_ylim(0, top)
    axes.set_ylabel("burden (ppm mm$^3$)")
    axes.spines[["top", "right"]].set_visible(False)
    return to_png(figure)


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
