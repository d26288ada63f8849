"""Figures of the validation: estimate against truth, error against size, what is seen against what is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from qsmcmb.reporting.figures import DPI, percentile_window, to_png
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ["positions_plot", "study_plot", "truth_plot"]

N_SLICES = 8
"""Number of slices that show the positions of lesions."""
MARKERS = "osD^v<>"
"""Marker of each session, in turn."""
Rows = Sequence[Mapping[str, str | float | None]]


def positions_plot(magnitude: FloatArray, mask: BoolArray, voxels: FloatArray) -> str:
    """Draw the positions of lesions: slices of the magnitude, the mask's outline, a cross for each lesion nearby.

    Parameters
    ----------
    magnitude : ndarray of shape (x, y, z)
        Magnitude of one echo.
    mask : ndarray of shape (x, y, z), bool
        Brain mask, not empty.
    voxels : ndarray of shape (n, 3)
        Positions of the lesions, fractional voxel indices; each is drawn in the nearest slice.

    Returns
    -------
    str
        PNG, base64.

    Examples
    --------
    >>> positions_plot(np.ones((8, 8, 8)), np.ones((8, 8, 8), bool), np.array([[4.0, 4.0, 4.0]]))[:5]
    'iVBOR'
    """
    inside = np.flatnonzero(mask.any(axis=(0, 1)))
    slices = np.unique(np.linspace(inside[0], inside[-1], N_SLICES + 2)[1:-1].round().astype(int))
    figure = Figure(figsize=(10, 5.2), dpi=DPI)
    axes = figure.subplots(2, N_SLICES // 2).ravel()
    nearest = np.abs(voxels[:, 2, None] - slices).argmin(axis=1)
    low, high = percentile_window(magnitude)
    for number, axis in enumerate(axes):
        axis.set_axis_off()
        if number < len(slices):
            z = slices[number]
            axis.imshow(magnitude[:, :, z].T, cmap="gray", origin="lower", vmin=low, vmax=high)
            if mask[:, :, z].any() and not mask[:, :, z].all():
                axis.contour(mask[:, :, z].T, [0.5], colors="tab:orange", linewidths=0.8)
            here = voxels[nearest == number]
            axis.plot(here[:, 0], here[:, 1], "+", color="tab:cyan", markersize=5)
            axis.set_title(f"slice {z}", fontsize=8)
    figure.tight_layout()
    return to_png(figure)


def truth_plot(rows: Rows) -> str:
    """Draw estimates with 95 % intervals, and relative errors, against the truth; one marker per session.

    Parameters
    ----------
    rows : sequence of dict
        Lesions, as in `lesions.tsv` of a validation.

    Returns
    -------
    str
        PNG, base64.

    Examples
    --------
    >>> row = {"session": "3T", "truth_ppm_mm3": 5.0, "estimate_ppm_mm3": 5.1, "low_ppm_mm3": 4.9, "high_ppm_mm3": 5.3}
    >>> truth_plot([row])[:5]
    'iVBOR'
    """
    figure = Figure(figsize=(10, 4.2), dpi=DPI)
    left, right = figure.subplots(1, 2)
    sessions = list(dict.fromkeys(r["session"] for r in rows))
    for number, session in enumerate(sessions):
        part = [r for r in rows if r["session"] == session]
        truth, value, low, high = (
            _column(part, f"{n}_ppm_mm3") for n in ("truth", "estimate", "low", "high")
        )
        sign = np.sign(truth)
        spread = np.abs(np.stack([value - low, high - value]))
        spread = np.where(sign > 0, spread, spread[::-1])
        style: dict[str, Any] = {"markersize": 4, "alpha": 0.7, "label": session}
        marker = MARKERS[number % len(MARKERS)]
        shown = sign * value > 0
        left.errorbar(
            np.abs(truth[shown]), np.abs(value[shown]), yerr=spread[:, shown], fmt=marker, capsize=1, elinewidth=0.7,
            **style,
        )  # fmt: skip
        right.plot(np.abs(truth), 100 * (value / truth - 1), marker, **style)
    size = np.abs(_column(rows, "truth_ppm_mm3"))
    ends = [0.7 * np.nanmin(size), 1.4 * np.nanmax(size)] if len(rows) else [1, 60]
    left.plot(ends, ends, color="0.6", linewidth=1)
    right.axhline(0, color="0.6", linewidth=1)
    left.set_yscale("log")
    # Linear where errors should be, logarithmic beyond: no outlier is cut off.
    right.set_yscale("symlog", linthresh=10)
    low, high = right.get_ylim()
    right.set_yticks([-100, -50, -20, -10, -5, 0, 5, 10, 20, 50, 100], minor=False)
    right.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    right.set_ylim(min(1.2 * low, -10), max(1.2 * high, 10))
    for axis, label in ((left, "estimate, 95 % interval (ppm mm³)"), (right, "error (%)")):
        axis.set_xscale("log")
        _round_ticks(axis.xaxis)
        axis.set_xlabel("true total susceptibility, absolute (ppm mm³)")
        axis.set_ylabel(label)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
    _round_ticks(left.yaxis)
    figure.tight_layout()
    return to_png(figure)


def study_plot(rows: Rows) -> str:
    """Draw, per condition, visible volume and mean susceptibility over their medians in the experiment, and totals.

    Parameters
    ----------
    rows : sequence of dict
        Conditions, as in `study.tsv` of a validation.

    Returns
    -------
    str
        PNG, base64.

    Examples
    --------
    >>> row = {"condition": "fields: 3T", "t2s_mm3": 40.0, "qsm_mean_ppm": 0.4, "total_over_truth": 1.01}
    >>> study_plot([row])[:5]
    'iVBOR'
    """
    figure = Figure(figsize=(10, 0.8 + 0.28 * max(len(rows), 4)), dpi=DPI)
    axis = figure.subplots()
    lines = np.arange(len(rows))
    groups = np.array([str(r["condition"]).split(":")[0] for r in rows])
    for name, marker, colour, label in (
        ("t2s_mm3", "s", "tab:orange", "visible volume (relative)"),
        ("qsm_mean_ppm", "^", "tab:green", "mean susceptibility on the map (relative)"),
    ):
        axis.plot(_relative(_column(rows, name), groups), lines, marker, color=colour, label=label)
    axis.plot(
        _column(rows, "total_over_truth"),
        lines,
        "o",
        color="tab:blue",
        label="total susceptibility over truth",
    )
    axis.axvline(1, color="0.6", linewidth=1)
    axis.set_yticks(lines, [str(r["condition"]) for r in rows])
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.legend(fontsize=8)
    figure.tight_layout()
    return to_png(figure)


def _relative(values: FloatArray, groups: np.ndarray) -> FloatArray:
    """Return values over the median of what is known in their group."""
    out = np.full(values.shape, np.nan)
    for group in np.unique(groups):
        mine = (groups == group) & np.isfinite(values)
        if mine.any():
            out[mine] = values[mine] / max(float(np.median(values[mine])), 1e-9)
    return out


def _column(rows: Rows, name: str) -> FloatArray:
    cells = (row.get(name) for row in rows)
    return np.array([np.nan if cell is None else float(cell) for cell in cells])


def _round_ticks(side: Any) -> None:
    side.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    side.set_minor_locator(NullLocator())
    side.set_major_formatter(StrMethodFormatter("{x:g}"))
