"""Lesions as a label image: one number per lesion, or one value for all, whose connected bodies are the lesions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.masks import load_on_grid
from qsmcmb.io.points import Points
from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray, IntArray

__all__ = ("read_lesion_labels", "whole_numbers")

MAX_PARTS_MM = 12.0
"""Largest distance between two parts of one lesion, centre to centre, mm: a larger body has no number."""
ROUNDING = 1e-3
"""Distance from a whole number that a label may have from scaling and conversion."""
TOUCHING = np.ones((3, 3, 3), int)
"""Voxels that touch, also at a corner, are one body."""


def read_lesion_labels(path: Path, grid: Grid) -> Points:
    """Read the centres of the lesions of a label image.

    Parameters
    ----------
    path : Path
        Image on the scan's grid: 0 outside lesions, one whole number per lesion, or one value for all.
    grid : Grid
        The scan's geometry.

    Returns
    -------
    Points
        Centre of each lesion, by number; bodies of a single value by their first voxel.

    Raises
    ------
    InvalidInputError
        LABELS for values that are no labels or a label of bodies that lie apart; SHAPE or AFFINE for another grid.

    Examples
    --------
    >>> import tempfile
    >>> from qsmcmb.io.nifti import save_volume
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> mask = np.zeros(grid.shape, bool)
    >>> mask[2:4, 3, 3] = mask[12, 12, 12] = True
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_volume(Path(folder) / "mask.nii", mask, grid.affine)
    ...     read_lesion_labels(Path(folder) / "mask.nii", grid).points_mm.tolist()
    [[-5.5, -5.0, -5.0], [4.0, 4.0, 4.0]]
    """
    values = load_on_grid(path, grid)
    missing = ~np.isfinite(values)
    notes: tuple[str, ...] = ()
    if missing.any() and not (values == 0).any():
        values = np.where(missing, 0, values)
        notes = (f"{path.name}: {int(missing.sum())} voxels are not finite; taken as outside",)
    labels = whole_numbers(path, values)
    numbers = [int(n) for n in np.unique(labels) if n > 0]
    if not numbers:
        return Points(np.zeros((0, 3)), (), (*notes, f"{path.name}: the image has no label"))
    if len(numbers) == 1:
        labels, n = ndimage.label(labels > 0, TOUCHING)
        if n > 1:
            notes += (
                f"{path.name}: all lesions have the value {numbers[0]}; its {n} connected bodies are the rows",
            )
        numbers = list(range(1, n + 1))
    else:
        for number in numbers:
            _check_one_body(path, labels == number, number, grid)
        if numbers != list(range(1, len(numbers) + 1)):
            notes += (f"{path.name}: rows 1 to {len(numbers)} are the labels {', '.join(map(str, numbers))}",)
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, numbers)).reshape(-1, 3)
    return Points(grid.to_world(centres), (None,) * len(numbers), notes)


def whole_numbers(path: Path, values: FloatArray, *, outside: str = "lesions") -> IntArray:
    """Return the labels of an image whose values are whole numbers, 0 or more.

    Parameters
    ----------
    path : Path
        Its file, for messages.
    values : ndarray
        Values of the image.
    outside : str, optional
        What it is that 0 lies outside of, for messages.

    Returns
    -------
    ndarray of the same shape, int32
        The labels.

    Raises
    ------
    InvalidInputError
        LABELS for values below 0, or between whole numbers.

    Examples
    --------
    >>> whole_numbers(Path("a.nii"), np.array([0.0, 2.0001])).tolist()
    [0, 2]
    """
    if (values < 0).any():
        raise InvalidInputError(
            "LABELS", path, field="values", found=f"{float(values.min()):g} and others below 0",
            expected=f"whole numbers, 0 outside {outside}", fix="set every voxel below 0 to 0",
        )  # fmt: skip
    bad = ~(np.abs(values - np.rint(values)) <= ROUNDING)
    if bad.any():
        raise InvalidInputError(
            "LABELS", path, field="values", found=f"{float(values[bad][0]):.7g} and others in {int(bad.sum())} voxels",
            expected=f"whole numbers, 0 outside {outside}",
            fix="cut probabilities at half, and number the lesions" if outside == "lesions"
            else "resample labels by nearest neighbour: between two labels there is none",
        )  # fmt: skip
    return np.rint(values).astype(np.int32)


def _check_one_body(path: Path, inside: IntArray, number: int, grid: Grid) -> None:
    """Raise where a label among several has bodies that are too far apart for one lesion."""
    parts, n = ndimage.label(inside, TOUCHING)
    if n < 2:
        return
    centres = grid.to_world(np.array(ndimage.center_of_mass(parts > 0, parts, range(1, n + 1))))
    apart = float(np.linalg.norm(centres[:, None] - centres, axis=-1).max())
    if apart > MAX_PARTS_MM:
        raise InvalidInputError(
            "LABELS", path, field=f"label {number}", found=f"{n} bodies, up to {apart:.0f} mm apart",
            expected="one lesion per label", fix="number the lesions, or give all of them the value 1",
        )  # fmt: skip
