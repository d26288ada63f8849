"""The same scene seen from elsewhere: turned by 90 degrees, mirrored, or in a larger volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qsmcmb.model import Grid

QUARTER_TURNS = {"about x": (1, 2), "about y": (2, 0), "about z": (0, 1)}
"""The plane that a quarter turn about each axis turns, first axis towards the second."""
PAD = ((3, 2), (0, 5), (4, 1))


@dataclass(frozen=True)
class View:
    """A change of the voxel axes that changes nothing in the scanner.

    `volume` maps volumes, or stacks of them (their last three axes); `back` undoes it; `grid` maps the grid, the
    direction of B0 along.
    """

    name: str
    volume: Callable[[Any], Any]
    back: Callable[[Any], Any]
    grid: Callable[[Grid], Grid]


def _turn(name: str) -> View:
    a, b = QUARTER_TURNS[name]

    def turned_grid(grid: Grid) -> Grid:
        shape, size, b0 = list(grid.shape), list(grid.voxel_size_mm), list(grid.b0_dir)
        shape[a], shape[b] = shape[b], shape[a]
        size[a], size[b] = size[b], size[a]
        # np.rot90 brings what pointed along the first axis to the second.
        b0[a], b0[b] = -b0[b], b0[a]
        return Grid(tuple(shape), tuple(size), tuple(b0))  # type: ignore[arg-type]

    axes = (a - 3, b - 3)
    return View(
        f"a quarter turn {name}",
        lambda v: np.ascontiguousarray(np.rot90(v, 1, axes)),
        lambda v: np.ascontiguousarray(np.rot90(v, -1, axes)),
        turned_grid,
    )


def _mirror(axis: int) -> View:
    def mirrored_grid(grid: Grid) -> Grid:
        b0 = list(grid.b0_dir)
        b0[axis] = -b0[axis]
        return Grid(grid.shape, grid.voxel_size_mm, tuple(b0))  # type: ignore[arg-type]

    def flip(volume: Any) -> Any:
        return np.ascontiguousarray(np.flip(volume, axis - 3))

    return View(f"mirrored along {'xyz'[axis]}", flip, flip, mirrored_grid)


def _padded() -> View:
    def pad(volume: Any) -> Any:
        return np.pad(volume, [(0, 0)] * (np.ndim(volume) - 3) + list(PAD))

    def cut(volume: Any) -> Any:
        inner = tuple(slice(low, n - high) for (low, high), n in zip(PAD, volume.shape[-3:], strict=True))
        return np.ascontiguousarray(volume[(..., *inner)])

    def larger(grid: Grid) -> Grid:
        shape = tuple(n + low + high for n, (low, high) in zip(grid.shape, PAD, strict=True))
        return Grid(shape, grid.voxel_size_mm, grid.b0_dir)  # type: ignore[arg-type]

    return View("in a larger volume", pad, cut, larger)


TURNS = tuple(_turn(name) for name in QUARTER_TURNS)
MIRRORS = tuple(_mirror(axis) for axis in range(3))
PADDED = _padded()
