"""Figures as PNG data for a page; left in a picture is left in the head, and letters say so."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray

__all__ = [
    "CHI_WINDOW_PPM",
    "DPI",
    "Panel",
    "field_strength_plot",
    "overview",
    "percentile_window",
    "side_letters",
    "to_png",
]

CHI_WINDOW_PPM = (-0.15, 0.15)
"""Window of susceptibility maps, ppm: iron-rich nuclei lie within it, microbleeds beyond."""
SIDES = ("LR", "PA", "IS")
"""Letters of the ends of each axis, lower end first."""
DPI = 80
"""Resolution of all figures, pixels per inch."""


class Panel(NamedTuple):
    """A volume with its window and title.

    Parameters
    ----------
    title : str
        Label beside the pictures.
    data : ndarray of shape grid.shape
        Values; axes near RAS+.
    grid : Grid
        Geometry.
    window : tuple of float
        Values that are black and white.

    Examples
    --------
    >>> grid = Grid.isotropic((4, 4, 4), 1.0)
    >>> panel = Panel(title="map (ppm)", data=np.zeros(grid.shape), grid=grid, window=(-0.1, 0.1))
    >>> panel.window
    (-0.1, 0.1)
    """

    title: str
    data: FloatArray
    grid: Grid
    window: tuple[float, float]


def to_png(figure: Figure) -> str:
    """Return a figure as PNG.

    Parameters
    ----------
    figure : Figure
        Figure, drawn.

    Returns
    -------
    str
        PNG, base64, without a date: the same figure gives the same text.

    Examples
    --------
    >>> to_png(Figure())[:5]
    'iVBOR'
    """
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})
    return base64.b64encode(stream.getvalue()).decode()


def side_letters(axis: int) -> tuple[str, str]:
    """Return the letters of the left and the right edge of a picture whose first axis runs to the right.

    Parameters
    ----------
    axis : int
        Number of that axis, near RAS+.

    Returns
    -------
    tuple of str
        Left, right.

    Examples
    --------
    >>> side_letters(0)
    ('L', 'R')
    """
    return SIDES[axis][0], SIDES[axis][1]


def percentile_window(data: FloatArray, high: float = 99.5) -> tuple[float, float]:
    """Return a window from 0 to a high percentile of the positive values.

    Parameters
    ----------
    data : ndarray
        Values.
    high : float, optional
        Percentile, 0 to 100.

    Returns
    -------
    tuple of float
        Values that are black and white.

    Examples
    --------
    >>> percentile_window(np.array([-1.0, 0.0, 2.0]))
    (0.0, 2.0)
    """
    positive = data[data > 0]
    return 0.0, float(np.percentile(positive, high)) if positive.size else 1.0


def overview(panels: Sequence[Panel], centre_voxel: Sequence[int]) -> str:
    """Draw one row per panel: two axial, one coronal, one sagittal slice, through and above a voxel.

    Parameters
    ----------
    panels : sequence of Panel
        Volumes on one grid.
    centre_voxel : sequence of int
        Voxel that the slices pass through.

    Returns
    -------
    str
        PNG, base64.

    Examples
    --------
    >>> grid = Grid.isotropic((4, 4, 4), 1.0)
    >>> panel = Panel(title="map (ppm)", data=np.zeros(grid.shape), grid=grid, window=(-0.1, 0.1))
    >>> overview([panel], [2, 2, 2])[:5]
    'iVBOR'
    """
    figure = Figure(figsize=(11, 2.9 * len(panels)), dpi=DPI)
    axes = figure.subplots(len(panels), 4, squeeze=False)
    for row, panel in zip(axes, panels, strict=True):
        x, y, z = (min(int(c), n - 1) for c, n in zip(centre_voxel, panel.data.shape, strict=True))
        upper = min(z + panel.data.shape[2] // 8, panel.data.shape[2] - 1)
        slices = (
            (panel.data[:, :, z], 0, 1), (panel.data[:, :, upper], 0, 1),
            (panel.data[:, y], 0, 2), (panel.data[x], 1, 2),
        )  # fmt: skip
        for axis, (image, a, b) in zip(row, slices, strict=True):
            _draw(axis, image, panel, a, b)
        row[0].set_ylabel(panel.title)
    figure.tight_layout()
    return to_png(figure)


def _draw(axis: Any, image: FloatArray, panel: Panel, a: int, b: int) -> None:
    size = panel.grid.voxel_size_mm
    axis.imshow(
        image.T, origin="lower", cmap="gray", vmin=panel.window[0], vmax=panel.window[1], aspect=size[b] / size[a],
        interpolation="nearest",
    )  # fmt: skip
    axis.set_xticks([])
    axis.set_yticks([])
    for x, letter in zip((0.04, 0.96), side_letters(a), strict=True):
        axis.text(x, 0.5, letter, transform=axis.transAxes, color="#ffd933", ha="center", va="center")


def field_strength_plot(rows: Sequence[dict[str, Any]], sessions: Sequence[str]) -> str:
    """Draw true against estimated total susceptibility, and visible volume, per session.

    Parameters
    ----------
    rows : sequence of dict
        Lesions, as in `demo.tsv`.
    sessions : sequence of str
        Labels, in the order of the legend.

    Returns
    -------
    str
        PNG, base64.

    Examples
    --------
    >>> row = {"truth_ppm_mm3": 5.0, "3T_ppm_mm3": 5.1, "3T_low_ppm_mm3": 4.9, "3T_high_ppm_mm3": 5.3}
    >>> row["3T_volume_mm3"] = 40.0
    >>> field_strength_plot([row], ["3T"])[:5]
    'iVBOR'
    """
    figure = Figure(figsize=(10, 4.2), dpi=DPI)
    left, right = figure.subplots(1, 2)
    truth = np.array([abs(r["truth_ppm_mm3"]) for r in rows])
    for session, marker in zip(sessions, "osD^v<>", strict=False):
        value = np.array([abs(r[f"{session}_ppm_mm3"]) for r in rows])
        spread = [
            np.abs(value - np.minimum(*_ends(rows, session))), np.abs(np.maximum(*_ends(rows, session)) - value)
        ]  # fmt: skip
        left.errorbar(
            truth, value, yerr=spread, fmt=marker, markersize=5, capsize=2, label=session, alpha=0.8
        )
        right.plot(
            truth, [r[f"{session}_volume_mm3"] for r in rows], marker, markersize=5, label=session, alpha=0.8
        )
    ends = [truth.min() * 0.7, truth.max() * 1.4]
    left.plot(ends, ends, color="0.6", linewidth=1)
    for axis, label in (
        (left, "estimate, 95 % interval (ppm mm³)"),
        (right, "visible volume at equal TE (mm³)"),
    ):
        axis.set_xscale("log")
        axis.set_yscale("log")
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            side.set_minor_locator(NullLocator())
            side.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_xlabel("true total susceptibility, absolute (ppm mm³)")
        axis.set_ylabel(label)
        axis.legend()
    figure.tight_layout()
    return to_png(figure)


def _ends(rows: Sequence[dict[str, Any]], session: str) -> tuple[FloatArray, FloatArray]:
    low, high = (np.array([abs(r[f"{session}_{end}_ppm_mm3"]) for r in rows]) for end in ("low", "high"))
    return low, high
