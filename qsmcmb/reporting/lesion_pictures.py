"""Pictures of one lesion, all on one scale: three planes of map, magnitude and field, and data, model and residual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from qsmcmb.microbleeds.results.explanation import Slices
from qsmcmb.reporting.figures import Panel, side_letters, to_png
from qsmcmb.typing import AnyArray, FloatArray

__all__ = ["draw_course", "draw_lesion"]

CLOSE_UP_MM = 12.0
"""Half edge of a picture, mm: more than the diameter of the largest microbleeds, 10 mm."""
TILE = 112
"""Edge of one picture, pixels."""
GAP = 4
"""Distance of neighbouring pictures, pixels."""
LEFT, TOP, BETWEEN, BELOW = 16, 32, 26, 4
"""Margins for labels, and the space between the planes and the fit, pixels."""
PIXELS_PER_INCH = 100
"""Resolution of the picture."""
FONT_POINTS = 7.5
"""Size of the labels."""
SCALE_BAR_MM = 5.0
"""Length of the scale bar, mm."""
RESIDUAL = 0.3
"""Largest residual of the magnitude that is drawn, relative to the tissue's magnitude at the first echo."""
PHASE_RESIDUAL_RAD = 0.5
"""Largest residual of the phase that is drawn, rad."""
NOTHING = 0.85
"""Grey of what lies outside a volume or a fit."""
PLANES = (("axial", 0, 1), ("coronal", 0, 2), ("sagittal", 1, 2))
"""Name of each plane, and the axes that run right and up in its picture."""


class _Tile(NamedTuple):
    """One picture with its window and colours."""

    values: FloatArray
    window: tuple[float, float]
    colours: str = "gray"


def draw_lesion(
    panels: Sequence[Panel], position_mm: FloatArray, fit: Slices | None, te_s: Sequence[float]
) -> str:
    """Draw three planes of some volumes through a lesion, and beside them the fit of its middle echo.

    Parameters
    ----------
    panels : sequence of Panel
        Volumes, axes near RAS+; one column each.
    position_mm : ndarray of shape (3,)
        Centre of the lesion, scanner RAS+ mm.
    fit : Slices or None
        Data and model of the fit; None where there is none.
    te_s : sequence of float
        Echo times, s.

    Returns
    -------
    str
        PNG image, base64.

    Examples
    --------
    >>> from qsmcmb.model import Grid
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> panel = Panel(title="map (ppm)", data=np.zeros(grid.shape), grid=grid, window=(-0.1, 0.1))
    >>> draw_lesion([panel], np.zeros(3), None, [0.01])[:5]
    'iVBOR'
    """
    columns = [[_Tile(_plane(p, position_mm, a, b), p.window) for _, a, b in PLANES] for p in panels]
    labels = [f"{p.title}\n{_number(p.window[0])} to {_number(p.window[1])}" for p in panels]
    if fit is None:
        return _compose(columns, labels)
    echo = len(fit.data) // 2
    half = CLOSE_UP_MM / 2 if fit.extent_mm[1] < CLOSE_UP_MM else CLOSE_UP_MM
    fitted = [
        [_Tile(_on_tile(v, fit, half), w, c) for v, w, c in column] for column in _fit_columns(fit, echo)
    ]
    heads = [f"data\nTE {1000 * te_s[echo]:.3g} ms", "model\n ", "residual\n "]
    return _compose(columns, labels, fitted, heads, fit_half_mm=half)


def draw_course(
    panels: Sequence[Panel | None], positions_mm: Sequence[FloatArray], labels: Sequence[str]
) -> str:
    """Draw the axial slice of the map through one lesion in each session, side by side.

    Parameters
    ----------
    panels : sequence of Panel or None
        Map of each session; None where it has none.
    positions_mm : sequence of ndarray of shape (3,)
        Position of the lesion in each session, scanner RAS+ mm.
    labels : sequence of str
        What stands above each picture.

    Returns
    -------
    str
        PNG image, base64.

    Examples
    --------
    >>> draw_course([None], [np.zeros(3)], ["ses-1"])[:5]
    'iVBOR'
    """
    nothing = np.full((TILE, TILE), np.nan)
    columns = [
        [_Tile(nothing if p is None else _plane(p, at, 0, 1), p.window if p else (0.0, 1.0))]
        for p, at in zip(panels, positions_mm, strict=True)
    ]
    return _compose(columns, labels)


def _fit_columns(fit: Slices, echo: int) -> list[list[tuple[FloatArray, tuple[float, float], str]]]:
    """Return magnitude and phase of data, model and residual with their windows and colours."""
    data, model = fit.data[echo], fit.model[echo]
    top = float(np.nanmax(np.abs(fit.data), initial=1e-6))
    grey, turn = (0.0, top), (-np.pi, np.pi)
    return [
        [(np.abs(data), grey, "gray"), (np.angle(data), turn, "twilight")],
        [(np.abs(model), grey, "gray"), (np.angle(model), turn, "twilight")],
        [
            (np.abs(data) - np.abs(model), (-RESIDUAL, RESIDUAL), "gray"),
            (np.angle(data * np.conj(model)), (-PHASE_RESIDUAL_RAD, PHASE_RESIDUAL_RAD), "gray"),
        ],
    ]  # fmt: skip


def _plane(panel: Panel, position_mm: FloatArray, a: int, b: int) -> FloatArray:
    """Return the slice of a volume through a point as pixels (right, up); NaN outside the volume."""
    voxel = panel.grid.to_voxel(position_mm)
    size, shape = panel.grid.voxel_size_mm, panel.data.shape
    at = [round(float(v)) for v in voxel]
    third = 3 - a - b
    if not 0 <= at[third] < shape[third]:
        return np.full((TILE, TILE), np.nan)
    offsets = ((np.arange(TILE) + 0.5) / TILE * 2 - 1) * CLOSE_UP_MM
    index_a = np.rint(voxel[a] + offsets / size[a]).astype(int)
    index_b = np.rint(voxel[b] + offsets / size[b]).astype(int)
    plane = np.take(panel.data, at[third], axis=third)
    return _pick(plane, index_a, index_b)


def _on_tile(values: FloatArray, fit: Slices, half_mm: float) -> FloatArray:
    """Return a slice of the fit as pixels (right, up), from the point outwards."""
    left, right, bottom, top = fit.extent_mm
    offsets = ((np.arange(TILE) + 0.5) / TILE * 2 - 1) * half_mm
    nx, ny = values.shape
    index_x = np.floor((offsets - left) / (right - left) * nx).astype(int)
    index_y = np.floor((offsets - bottom) / (top - bottom) * ny).astype(int)
    return _pick(values, index_x, index_y)


def _pick(plane: FloatArray, index_a: AnyArray, index_b: AnyArray) -> FloatArray:
    """Return a plane at some indices of both axes; NaN beyond its ends."""
    nx, ny = plane.shape
    inside = ((index_a >= 0) & (index_a < nx))[:, None] & ((index_b >= 0) & (index_b < ny))[None]
    picked = plane[np.clip(index_a, 0, nx - 1)][:, np.clip(index_b, 0, ny - 1)]
    return np.where(inside, picked, np.nan)


def _compose(
    columns: Sequence[Sequence[_Tile]],
    labels: Sequence[str],
    fitted: Sequence[Sequence[_Tile]] = (),
    heads: Sequence[str] = (),
    fit_half_mm: float = CLOSE_UP_MM,
) -> str:
    """Return columns of pictures with their labels, and the columns of the fit to their right."""
    step, rows = TILE + GAP, max(len(c) for c in columns)
    starts = [LEFT + i * step for i in range(len(columns))]
    first_fit = LEFT + len(columns) * step + BETWEEN
    fit_starts = [first_fit + i * step for i in range(len(fitted))]
    width = (fit_starts[-1] if fitted else starts[-1]) + TILE + GAP
    height = TOP + rows * step + BELOW
    canvas = np.ones((height, width, 3), np.float32)
    for x, column in zip([*starts, *fit_starts], [*columns, *fitted], strict=True):
        for row, tile in enumerate(column):
            top = TOP + row * step
            canvas[top : top + TILE, x : x + TILE] = _coloured(tile)
    _mark(canvas, starts[0], TOP, CLOSE_UP_MM)
    if fitted:
        _mark(canvas, fit_starts[0], TOP, fit_half_mm)
    figure = Figure(figsize=(width / PIXELS_PER_INCH, height / PIXELS_PER_INCH), dpi=PIXELS_PER_INCH)
    figure.figimage(canvas)
    for x, words in zip([*starts, *fit_starts], [*labels, *heads], strict=True):
        _write(figure, (x + TILE / 2) / width, 1 - 2 / height, words, va="top")
    _write_sides(figure, starts[0], rows, (width, height))
    if rows > 1:
        for row, (name, _, _) in enumerate(PLANES):
            _write(
                figure, 7 / width, 1 - (TOP + row * step + TILE / 2) / height, name, va="center", rotation=90
            )
    if fitted:
        for row, name in enumerate(("magnitude", "phase")):
            middle = 1 - (TOP + row * step + TILE / 2) / height
            _write(figure, (first_fit - 9) / width, middle, name, va="center", rotation=90)
        notes = (
            f"residual: magnitude ±{RESIDUAL}, phase ±{PHASE_RESIDUAL_RAD} rad\n"
            f"scale bars {SCALE_BAR_MM:g} mm; fit within {2 * fit_half_mm:g} mm, axial"
        )
        _write(figure, (first_fit + 1.5 * step) / width, 1 - (TOP + 2 * step + 14) / height, notes, va="top")
    return to_png(figure)


def _write_sides(figure: Figure, x: int, rows: int, size: tuple[int, int]) -> None:
    """Write the sides of the head into the first picture of each row; size is that of the figure in pixels."""
    width, height = size
    for row, (_, first, _) in enumerate(PLANES[:rows]):
        middle = 1 - (TOP + row * (TILE + GAP) + TILE / 4) / height
        for at, letter in zip((x + 7, x + TILE - 7), side_letters(first), strict=True):
            _write(figure, at / width, middle, letter, va="center", colour="#ffd933")


def _write(
    figure: Figure, x: float, y: float, words: str, *, va: str, rotation: float = 0.0, colour: str = "black"
) -> None:
    """Write a label; x and y are fractions of the figure."""
    # Text of the data is shown as it is, never as a formula.
    figure.text(
        x, y, words, va=va, ha="center", fontsize=FONT_POINTS, rotation=rotation, color=colour, parse_math=False
    )  # fmt: skip


def _coloured(tile: _Tile) -> FloatArray:
    """Return a picture as colours, its first row at the top."""
    low, high = tile.window
    scaled = np.clip((tile.values - low) / max(high - low, 1e-12), 0, 1)
    colours = np.asarray(matplotlib.colormaps[tile.colours](np.nan_to_num(scaled))[..., :3], np.float32)
    colours[np.isnan(tile.values)] = NOTHING
    return np.asarray(colours.transpose(1, 0, 2)[::-1])


def _mark(canvas: FloatArray, x: int, y: int, half_mm: float) -> None:
    """Draw the scale bar into the lower left of a picture, and ticks at its edges towards the lesion's centre."""
    length = round(SCALE_BAR_MM / (2 * half_mm) * TILE)
    bottom = y + TILE - 8
    canvas[bottom - 1 : bottom + 3, x + 5 : x + 7 + length] = 0.0
    canvas[bottom : bottom + 2, x + 6 : x + 6 + length] = (1.0, 0.85, 0.2)
    middle = TILE // 2
    for start in (0, TILE - 7):
        canvas[y + middle, x + start : x + start + 7] = (1.0, 0.25, 0.2)
        canvas[y + start : y + start + 7, x + middle] = (1.0, 0.25, 0.2)


def _number(value: float) -> str:
    """Return an end of a window, with a real minus sign."""
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
