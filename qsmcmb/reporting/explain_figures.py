"""Figures of one lesion's explanation: slices of data, model and residual; map sum, echoes, estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qsmcmb.microbleeds.results.explanation import Slices
from qsmcmb.microbleeds.results.explanation_records import LesionRecord, MapSumRecord
from qsmcmb.reporting.figures import DPI, to_png

__all__ = ["draw_estimators", "draw_slices"]

COLUMNS = ("magnitude", "model", "residual", "phase", "model", "residual", "weight")
"""Titles of the columns of slices."""
MAX_RESIDUAL = 0.3
"""Largest residual of the magnitude that is drawn, relative to the tissue's magnitude at the first echo."""
MAX_PHASE_RESIDUAL_RAD = 0.5
"""Largest residual of the phase that is drawn, rad."""
FIT, SUM, LOSS = "tab:blue", "tab:orange", "tab:green"
"""Colours of the three estimators."""
Z95 = 1.96
"""Half width of a 95 % interval in SDs of a normal distribution."""


def draw_slices(slices: Slices, te_s: list[float]) -> str:
    """Draw one row per echo: magnitude and phase of data, model and residual, and the weight of each voxel.

    Parameters
    ----------
    slices : Slices
        Axial slices through the lesion.
    te_s : list of float
        Echo times, s.

    Returns
    -------
    str
        PNG image, base64.

    Examples
    --------
    >>> signal = np.ones((1, 4, 4), np.complex64)
    >>> slices = Slices(data=signal, model=signal, weight=abs(signal), extent_mm=(-2.0, 2.0, -2.0, 2.0))
    >>> draw_slices(slices, [0.01])[:5]
    'iVBOR'
    """
    echoes = len(slices.data)
    figure = Figure(figsize=(1.55 * len(COLUMNS), 1.5 * echoes + 0.4), dpi=DPI)
    axes = figure.subplots(echoes, len(COLUMNS), squeeze=False)
    top = float(np.nanmax(np.abs(slices.data)))
    for echo, row in enumerate(axes):
        data, model = slices.data[echo], slices.model[echo]
        difference = np.angle(data * np.conj(model))
        images = (
            (np.abs(data), 0, top, "gray"), (np.abs(model), 0, top, "gray"),
            (np.abs(data) - np.abs(model), -MAX_RESIDUAL, MAX_RESIDUAL, "RdBu_r"),
            (np.angle(data), -np.pi, np.pi, "twilight"), (np.angle(model), -np.pi, np.pi, "twilight"),
            (difference, -MAX_PHASE_RESIDUAL_RAD, MAX_PHASE_RESIDUAL_RAD, "RdBu_r"),
            (slices.weight[echo], 0, 1, "viridis"),
        )  # fmt: skip
        for axis, (image, low, high, colours) in zip(row, images, strict=True):
            # Arrays are (x, y); images are drawn row by row.
            axis.imshow(
                image.T, origin="lower", vmin=low, vmax=high, cmap=colours, extent=slices.extent_mm,
                interpolation="nearest",
            )  # fmt: skip
            axis.set_xticks([])
            axis.set_yticks([])
        row[0].set_ylabel(f"TE {1000 * te_s[echo]:.3g} ms", fontsize=8)
    for axis, title in zip(axes[0], COLUMNS, strict=True):
        axis.set_title(title, fontsize=8)
    figure.tight_layout(pad=0.3)
    return to_png(figure)


def draw_estimators(record: LesionRecord) -> str:
    """Draw the map sum by radius, the total susceptibility per echo, and the three estimators with 95 % intervals.

    Parameters
    ----------
    record : LesionRecord
        The explanation, as read from JSON or as made.

    Returns
    -------
    str
        PNG image, base64.

    Examples
    --------
    >>> from qsmcmb.lesion import Microbleed
    >>> from qsmcmb.microbleeds.results.explanation import explain_lesion
    >>> record = explain_lesion(Microbleed(1, (12.0, -30.5, 8.0)), None).record
    >>> draw_estimators(record)[:5]
    'iVBOR'
    """
    figure = Figure(figsize=(8.2, 2.7), dpi=DPI)
    growth, echoes, estimators = figure.subplots(1, 3)
    _draw_growth(growth, record.get("map_sum"))
    _draw_echoes(echoes, record)
    _draw_estimators(estimators, record)
    # Set, not computed: the search for the margins takes as long as the figure itself.
    figure.subplots_adjust(left=0.075, right=0.99, bottom=0.18, top=0.89, wspace=0.27)
    return to_png(figure)


def _draw_growth(axis: Any, total: MapSumRecord | None) -> None:
    """Draw the sum over balls of growing radius, of the map and of the pipeline's response."""
    axis.set_title("sum over the map, S(R)", fontsize=9)
    if total is None:
        axis.text(0.5, 0.5, "no map", ha="center", transform=axis.transAxes)
        axis.set_axis_off()
        return
    radii = total["radii_mm"]
    axis.plot(radii, _gaps(total["growth"]), "o-", color=SUM, markersize=4, label="map")
    axis.plot(radii, _gaps(total["response_growth"]), "--", color="0.4", label="fitted lesion, same pipeline")
    axis.axvline(total["radius_mm"], color="0.7", linewidth=1)
    axis.set_xlabel("R (mm)")
    axis.set_ylabel("ppm mm³")
    axis.legend(fontsize=7)


def _draw_echoes(axis: Any, record: LesionRecord) -> None:
    """Draw the total susceptibility of each echo alone, by fit and by signal loss."""
    axis.set_title("per echo (a point source: all alike)", fontsize=9)
    rows = record.get("per_echo", [])
    te_ms = [1000 * r["te_s"] for r in rows]
    spread = [Z95 * (r["sd"] or 0.0) for r in rows]
    axis.errorbar(te_ms, [r["value"] for r in rows], yerr=spread, fmt="o", color=FIT, capsize=2, label="fit")
    loss = record.get("signal_loss")
    if loss:
        axis.plot(
            [1000 * t for t in loss["te_s"]],
            loss["per_echo"],
            "s",
            color=LOSS,
            markersize=4,
            label="signal loss",
        )
    total = record.get("total_chi")
    if total:
        axis.axhline(total["value"], color="0.6", linewidth=1)
    axis.set_xlabel("TE (ms)")
    axis.set_ylabel("ppm mm³")
    axis.legend(fontsize=7)


def _draw_estimators(axis: Any, record: LesionRecord) -> None:
    """Draw the three estimators with 95 % intervals."""
    axis.set_title("estimators, 95 %", fontsize=9)
    total = record.get("map_sum")
    named = (
        ("fit", record.get("total_chi"), FIT), ("map\nsum", total["corrected"] if total else None, SUM),
        ("signal\nloss", record.get("signal_loss"), LOSS),
    )  # fmt: skip
    for position, (_, value, colour) in enumerate(named):
        if value and value["low"] is not None and value["high"] is not None:
            low, high = value["value"] - value["low"], value["high"] - value["value"]
            axis.errorbar(
                [position], [value["value"]], yerr=[[low], [high]], fmt="o", color=colour, capsize=4
            )
    axis.set_xticks(range(len(named)), [n for n, _, _ in named])
    axis.set_xlim(-0.5, len(named) - 0.5)
    axis.set_ylabel("ppm mm³")


def _gaps(values: list[float | None]) -> list[float]:
    """Return the values with NaN, which draws as a gap, for None."""
    return [np.nan if v is None else v for v in values]
