"""The fitted source of a lesion: three planes through it, its moments in words, and the models it was compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from qsmcmb.microbleeds.results.explanation_records import ComparedModelRecord, MomentsRecord, RemainderRecord
from qsmcmb.microbleeds.results.source_planes import SourcePlane
from qsmcmb.reporting.figures import DPI, to_png
from qsmcmb.reporting.page import show

__all__ = ["draw_planes", "model_rows", "moments_words"]

MIN_ELONGATION = 1.01
"""Elongation up to which a source is round, and has no long axis."""
MIN_REMAINDER = 0.001
"""Fraction of the field beyond the dipole's below which it is none: rounding, and what no scan shows."""
SCALE_BAR_MM = 1.0
"""Length of the scale bar, mm."""


def draw_planes(planes: Sequence[SourcePlane]) -> str:
    """Draw the planes through a fitted source, with a scale bar, a voxel's outline, its centre and the given point.

    Parameters
    ----------
    planes : sequence of SourcePlane
        Planes through the source.

    Returns
    -------
    str
        PNG image, base64.

    Examples
    --------
    >>> from qsmcmb.microbleeds.results.source_planes import source_planes
    >>> rows = np.array([[4.0, 0.0, 0.0, 0.0, 1.0]])
    >>> draw_planes(source_planes(rows, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))[:5]
    'iVBOR'
    """
    figure = Figure(figsize=(11, 3.4), dpi=DPI, layout="constrained")
    axes = figure.subplots(1, len(planes), squeeze=False)[0]
    top = max(max(float(np.abs(plane.chi_ppm).max()) for plane in planes), 1e-3)
    for axis, plane in zip(axes, planes, strict=True):
        # Arrays are (first, second axis); images are drawn row by row.
        image = axis.imshow(
            plane.chi_ppm.T, origin="lower", vmin=-top, vmax=top, cmap="RdBu_r", extent=plane.extent_mm,
            interpolation="nearest",
        )  # fmt: skip
        axis.plot(*plane.centre_mm, "k+", markersize=9, label="centre as fitted")
        axis.plot(0, 0, "kx", markersize=7, label="given point")
        _draw_scale(axis, plane)
        one, two = plane.axes
        axis.set_xlabel(f"voxel axis {one + 1} (mm from the given point)", fontsize=8)
        axis.set_ylabel(f"voxel axis {two + 1} (mm)", fontsize=8)
        axis.tick_params(labelsize=7)
    axes[0].legend(fontsize=7, loc="upper left")
    figure.colorbar(image, ax=axes, shrink=0.85, label="susceptibility (ppm)")
    return to_png(figure)


def _draw_scale(axis: Any, plane: SourcePlane) -> None:
    """Draw a scale bar at the lower left, and the outline of a voxel at the lower right."""
    left, right, bottom, top = plane.extent_mm
    margin = 0.04 * (right - left)
    axis.plot([left + margin, left + margin + SCALE_BAR_MM], [bottom + margin] * 2, "k-", linewidth=3)
    axis.text(left + margin, bottom + 1.6 * margin, f"{SCALE_BAR_MM:g} mm", fontsize=7)
    width, height = plane.voxel_mm
    corner = (right - margin - width, bottom + margin)
    axis.add_patch(Rectangle(corner, width, height, fill=False, linestyle=":", edgecolor="0.3"))
    axis.text(corner[0], corner[1] + height + 0.4 * margin, "voxel", fontsize=7, color="0.3")
    axis.set_xlim(left, right)
    axis.set_ylim(bottom, top)


def moments_words(moments: MomentsRecord) -> list[str]:
    """Return the moments of a source in sentences.

    Parameters
    ----------
    moments : MomentsRecord
        Moments of the fitted source.

    Returns
    -------
    list of str
        Dipole, lengths, and what the field outside shows of the shape.

    Examples
    --------
    >>> moments_words({"dipole": 4.0, "absolute": 4.0, "principal_lengths_mm": [3.0, 2.0, 2.0], "elongation": 1.5,
    ...     "long_axis": [0.0, 0.0, 1.0], "remainder": [{"distance_mm": 3.0, "fraction": 0.06}]})[1]
    'Principal lengths 3, 2 and 2 mm; elongation 1.5, along (0.00, 0.00, 1.00) in voxel axes.'
    """  # fmt: skip
    lengths = [show(float(length)) for length in moments["principal_lengths_mm"]]
    axis = ", ".join(f"{v:.2f}" for v in moments["long_axis"])
    dipole = f"Dipole {show(moments['dipole'])} ppm mm³: the total susceptibility."
    # Bodies of one sign add to the total but for rounding.
    if moments["absolute"] > 1.001 * abs(moments["dipole"]):
        dipole += f" Its bodies have both signs; their sizes add to {show(moments['absolute'])} ppm mm³."
    long = f"Principal lengths {lengths[0]}, {lengths[1]} and {lengths[2]} mm; elongation {show(moments['elongation'])}"
    if moments["elongation"] > MIN_ELONGATION:
        long += f", along ({axis}) in voxel axes"
    return [dipole, f"{long}.", _remainder_words(moments["remainder"])]


def _remainder_words(remainder: Sequence[RemainderRecord]) -> str:
    """Return what the field outside shows of the shape."""
    seen = [(r["distance_mm"], r["fraction"]) for r in remainder if r["fraction"] is not None]
    if not seen:
        return "The source reaches beyond the distances looked at: its field is no dipole's there."
    if max(fraction for _, fraction in seen) < MIN_REMAINDER:
        return "Outside, its field is that of the dipole alone: nothing shows of the shape there."
    words = ", ".join(f"{show(100 * fraction)} % at {distance:g} mm" for distance, fraction in seen)
    return (
        "Outside, the field differs from the dipole's by the shape (quadrupole and higher; root mean square, relative "
        f"to a dipole of all bodies' sizes): {words} from the centre."
    )


def model_rows(models: Sequence[ComparedModelRecord]) -> list[list[str]]:
    """Return a row of words for each model that was compared.

    Parameters
    ----------
    models : sequence of ComparedModelRecord
        Compared models in their order.

    Returns
    -------
    list of list of str
        Comparison, shape with its number of bodies, total susceptibility (ppm mm³), cost above the lowest of its
        comparison, core residual, and whether it was taken.

    Examples
    --------
    >>> model_rows([{"comparison": "shape", "shape": "free", "n_bodies": 3, "total_chi_ppm_mm3": 9.0, "cost": 40.0,
    ...     "core_residual": 0.4, "is_chosen": True}])
    [['shape', 'free, 3 balls', '9', '0.0', '0.4', 'yes']]
    """  # fmt: skip
    return [
        [
            model["comparison"],
            _shape_words(model),
            show(model["total_chi_ppm_mm3"]),
            _cost_words(model, models),
            show(model["core_residual"], 2),
            "yes" if model["is_chosen"] else "",
        ]
        for model in models
    ]


def _shape_words(model: ComparedModelRecord) -> str:
    """Return the shape, and the number of its bodies where that is not fixed."""
    if model["shape"] != "free":
        return model["shape"]
    return f"free, {model['n_bodies']} ball{'s' if model['n_bodies'] > 1 else ''}"


def _cost_words(model: ComparedModelRecord, models: Sequence[ComparedModelRecord]) -> str:
    """Return by how much a cost is above the lowest of its comparison."""
    costs = [m["cost"] for m in models if m["comparison"] == model["comparison"] and m["cost"] is not None]
    return "n/a" if model["cost"] is None else f"{model['cost'] - min(costs):.1f}"
