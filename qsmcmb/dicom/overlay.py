"""Lesions drawn into an image: a ring around each and its number beside it, so that the lesion stays visible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qsmcmb.typing import AnyArray, BoolArray, FloatArray

__all__: tuple[str, ...] = ()

WHITE = 4095
"""Stored value of rings and numbers: the largest of 12 bits."""
BRIGHTEST = 3600
"""Largest stored value of the image itself: darker than what is drawn into it."""
FONT = {
    "0": "7 5 5 5 7", "1": "2 6 2 2 7", "2": "7 1 7 4 7", "3": "7 1 7 1 7", "4": "5 5 7 1 1",
    "5": "7 4 7 1 7", "6": "7 4 7 5 7", "7": "7 1 1 2 2", "8": "7 5 7 5 7", "9": "7 5 7 1 7",
}  # fmt: skip
"""Rows of each digit from top to bottom; the bits of a number are its three columns."""


class Mark(NamedTuple):
    """A lesion to draw: its number, its voxels (slice, row, column), and whether its ring is broken (possible)."""

    label: int
    voxels: BoolArray
    broken: bool


def to_grey(image: FloatArray, *, low: float, high: float) -> AnyArray:
    """Return an image as 12 bits, its values from `low` to `high` on 0 to `BRIGHTEST`."""
    scaled = (np.nan_to_num(image) - low) / max(high - low, 1e-12)
    return (BRIGHTEST * np.clip(scaled, 0, 1)).round().astype(np.uint16)


def draw_marks(grey: AnyArray, marks: Sequence[Mark]) -> AnyArray:
    """Return the image (slice, row, column) with the marks drawn into it."""
    from scipy.ndimage import binary_dilation

    drawn = grey.copy()
    square = np.ones((3, 3), bool)
    for mark in marks:
        for k in np.flatnonzero(mark.voxels.any(axis=(1, 2))):
            inside = mark.voxels[k]
            ring = binary_dilation(inside, square, iterations=3) & ~binary_dilation(
                inside, square, iterations=2
            )
            if mark.broken:
                rows, columns = np.indices(ring.shape)
                ring &= (rows + columns) % 3 > 0
            drawn[k][ring] = WHITE
            _write_number(drawn[k], mark.label, inside)
    return drawn


def _write_number(image: AnyArray, label: int, inside: BoolArray) -> None:
    """Write a number to the upper right of a lesion, or to the left where the image ends."""
    rows, columns = np.nonzero(inside)
    text = str(label)
    width = 4 * len(text)
    left = columns.max() + 5
    if left + width > image.shape[1]:
        left = max(columns.min() - 4 - width, 0)
    top = min(max(rows.min() - 6, 0), image.shape[0] - 5)
    for n, digit in enumerate(text):
        bits = np.array([[int(row) >> shift & 1 for shift in (2, 1, 0)] for row in FONT[digit].split()], bool)
        patch = image[top : top + 5, left + 4 * n : left + 4 * n + 3]
        patch[bits[: patch.shape[0], : patch.shape[1]]] = WHITE
