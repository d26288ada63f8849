"""Which voxels belong to a mask that a user has: 0 and 1, probabilities, resampled values, labels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from qsmcmb.core.morphology import fill_holes
from qsmcmb.errors import InvalidInputError
from qsmcmb.typing import BoolArray, FloatArray

__all__: tuple[str, ...] = ()

MAX_NEGATIVE = 0.5
"""Largest negative value of a mask as a fraction of its plateau: the ripple of a spline stays far below."""
MIN_PLATEAU = 0.3
"""Least fraction of the voxels above half that lie on the plateau: a mask is flat inside, an image is not."""
WHOLE = (1.0, 100.0, 255.0)
"""Values of a voxel that is all brain: probabilities, percent, 8 bits."""
PLATEAU_WIDTH = 0.1
"""Fraction of the plateau within which a voxel counts as on it."""
MIN_FLAT = 0.5
"""Fraction of voxels that equal their neighbour from which on values are labels: a soft edge is steep."""


class Membership(NamedTuple):
    """Voxels of a mask, and what the user must know of how they were found."""

    inside: BoolArray
    notes: tuple[str, ...] = ()


def membership(values: FloatArray, where: Path) -> Membership:
    """Return the voxels of a mask; values between 0 and one are cut at half of the plateau.

    Parameters
    ----------
    values : ndarray of shape (x, y, z)
        Values of the mask's file.
    where : Path
        The file, for messages.

    Raises
    ------
    InvalidInputError
        MASK-VALUES where the values are those of an image, not of a mask.
    """
    notes: list[str] = []
    missing = ~np.isfinite(values)
    if missing.any():
        notes.append(
            f"{where.name}: {int(missing.sum())} voxels of the mask are not finite; taken as outside"
        )
        values = np.where(missing, 0, values)
    present = values[values > 0]
    if present.size == 0 or (values.min() == 0 and present.min() == present.max()):
        return _with_holes(values > 0, where, notes)
    if _are_labels(values):
        notes.append(f"{where.name}: {len(np.unique(present))} labels; each above 0 belongs to the mask")
        return _with_holes(values > 0, where, notes)
    plateau = float(np.median(present[present > 0.5 * np.percentile(present, 99)]))
    # A small or soft mask hardly reaches the value that it has for "all of it".
    plateau = next((w for w in WHOLE if abs(plateau - w) <= PLATEAU_WIDTH * w), plateau)
    on_plateau = np.abs(present - plateau) <= PLATEAU_WIDTH * plateau
    if (
        values.min() < -MAX_NEGATIVE * plateau
        or on_plateau.sum() < MIN_PLATEAU * (present > 0.5 * plateau).sum()
    ):
        raise InvalidInputError(
            "MASK-VALUES", where, field="values", found=f"{values.min():g} to {values.max():g}, without a plateau",
            expected="0 outside and one value inside, probabilities, or labels",
            fix="give a mask: this looks like an image; set every voxel of the brain to 1 and all others to 0",
        )  # fmt: skip
    cut = 0.5 * plateau
    between = int((np.abs(values - cut) < (0.5 - PLATEAU_WIDTH) * plateau).sum())
    notes.append(
        f"{where.name}: the mask holds values of {values.min():.3g} to {values.max():.3g}; cut at {cut:.3g}, half of "
        f"what it has inside ({between} voxels lie between)"
    )
    return _with_holes(values > cut, where, notes)


def _are_labels(values: FloatArray) -> bool:
    """Say whether values are numbers of regions: whole, and flat within each."""
    if values.min() < 0 or not np.array_equal(values, np.rint(values)):
        return False
    below = (values > 0) & (values < (1 - PLATEAU_WIDTH) * values.max())
    pairs = below[:-1] & (values[1:] > 0)
    return bool(pairs.any() and (values[:-1] == values[1:])[pairs].mean() > MIN_FLAT)


def _with_holes(inside: BoolArray, where: Path, notes: list[str]) -> Membership:
    """Return the mask with a note on the holes in it, which stay."""
    holes = fill_holes(inside) & ~inside
    if holes.any():
        _, n_holes = ndimage.label(holes)
        notes.append(
            f"{where.name}: the mask has {n_holes} holes of {int(holes.sum())} voxels in all, which do not "
            "belong to it: fill them where they are lesions"
        )
    return Membership(inside, tuple(notes))
