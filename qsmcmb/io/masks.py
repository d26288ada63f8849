"""Masks given by the user: on the scan's own grid, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.assemble import AFFINE_TOLERANCE_MM
from qsmcmb.io.nifti import read_volume
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

MIN_VOLUME_MM3 = 1000.0


def load_on_grid(path: str | Path, grid: Grid) -> FloatArray:
    """Read a 3D image that must lie on `grid`.

    Raises
    ------
    InvalidInputError
        SHAPE or AFFINE: nothing is resampled behind the user's back.
    """
    volume = read_volume(path)
    if volume.data.shape != grid.shape:
        raise InvalidInputError(
            "SHAPE", path, field="shape", found=volume.data.shape, expected=f"{grid.shape}, the scan's shape",
            fix="resample the image to the scan's grid",
        )  # fmt: skip
    distance = float(np.abs(volume.affine - grid.affine).max())
    if volume.oriented and distance > AFFINE_TOLERANCE_MM:
        raise InvalidInputError(
            "AFFINE", path, field="affine", found=f"{distance:.3g} mm away from the scan's",
            expected="the scan's affine", fix="resample the image to the scan's grid",
        )  # fmt: skip
    return volume.values()


def load_sd(path: str | Path, grid: Grid) -> FloatArray:
    """Read the SD of a field: NaN and what is not positive say nothing of the voxel, so their SD is infinite."""
    sd = load_on_grid(path, grid)
    return np.where(sd > 0, sd, np.float32(np.inf))


def load_mask(path: str | Path, grid: Grid) -> BoolArray:
    """Read a mask: everything that is not zero belongs to it.

    Raises
    ------
    InvalidInputError
        SHAPE, AFFINE, or MASK-EMPTY for less than 1 mL.
    """
    mask = load_on_grid(path, grid) > 0
    volume = float(mask.sum()) * grid.voxel_volume_mm3
    if volume < MIN_VOLUME_MM3:
        raise InvalidInputError(
            "MASK-EMPTY", path, field="volume", found=f"{volume:.4g} mm3", expected="a mask of at least 1 mL",
            fix="give a mask that covers the brain",
        )  # fmt: skip
    return mask
