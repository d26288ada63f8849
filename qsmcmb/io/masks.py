"""Images given by the user, masks above all: on the scan's own grid, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.frame import compare_frames
from qsmcmb.io.mask_values import Membership, membership
from qsmcmb.io.nifti import read_volume
from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray

__all__ = (
    "load_on_grid",
    "load_sd",
    "read_mask",
)

MIN_VOLUME_MM3 = 1000.0
"""Least volume of a mask, mm3: 1 mL, a thousandth of a brain; less is a mistake, not a brain."""


def load_on_grid(path: str | Path, grid: Grid) -> FloatArray:
    """Read a 3D image that must lie on a grid.

    Parameters
    ----------
    path : path
        `.nii` or `.nii.gz`.
    grid : Grid
        The scan's geometry.

    Returns
    -------
    ndarray of shape grid.shape, float32
        The image, in its own unit.

    Raises
    ------
    InvalidInputError
        SHAPE or AFFINE: nothing is resampled behind the user's back; every gate of `read_volume`.

    Examples
    --------
    >>> import tempfile
    >>> from qsmcmb.io.nifti import save_volume
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_volume(Path(folder) / "a.nii", np.full(grid.shape, 2.0), grid.affine)
    ...     float(load_on_grid(Path(folder) / "a.nii", grid)[0, 0, 0])
    2.0
    """
    volume = read_volume(path)
    if volume.data.shape != grid.shape:
        raise InvalidInputError(
            "SHAPE", path, field="shape", found=volume.data.shape, expected=f"{grid.shape}, the scan's shape",
            fix="resample the image to the scan's grid" if volume.data.ndim == 3 else "give an image of one volume",
        )  # fmt: skip
    if volume.oriented:
        compare_frames(
            volume.path, volume.affine, grid.affine, shape=grid.shape, whose="the scan",
            fix="resample the image to the scan's grid",
        )  # fmt: skip
    return volume.values()


def load_sd(path: str | Path, grid: Grid) -> FloatArray:
    """Read the SD of a field; where it is NaN or not positive it says nothing, and the SD becomes infinite.

    Parameters
    ----------
    path : path
        `.nii` or `.nii.gz`.
    grid : Grid
        The scan's geometry.

    Returns
    -------
    ndarray of shape grid.shape, float32
        SD, the file's unit, > 0.

    Raises
    ------
    InvalidInputError
        SHAPE or AFFINE; every gate of `read_volume`.

    Examples
    --------
    >>> import tempfile
    >>> from qsmcmb.io.nifti import save_volume
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_volume(Path(folder) / "sd.nii", np.zeros(grid.shape), grid.affine)
    ...     float(load_sd(Path(folder) / "sd.nii", grid)[0, 0, 0])
    inf
    """
    sd = load_on_grid(path, grid)
    return np.where(sd > 0, sd, np.float32(np.inf))


def read_mask(path: str | Path, grid: Grid, *, min_volume_mm3: float = MIN_VOLUME_MM3) -> Membership:
    """Read a mask of 0 and one value, of probabilities (cut at half) or of labels (each above 0 belongs to it).

    Parameters
    ----------
    path : path
        `.nii` or `.nii.gz`.
    grid : Grid
        The scan's geometry.
    min_volume_mm3 : float, optional
        Least volume, mm3: that of a brain mask by default; a region may be smaller.

    Returns
    -------
    Membership
        Voxels of the mask, and what the user must know of how they were found.

    Raises
    ------
    InvalidInputError
        SHAPE, AFFINE, MASK-VALUES, or MASK-EMPTY for less than the least volume; every gate of `read_volume`.

    Examples
    --------
    >>> import tempfile
    >>> from qsmcmb.io.nifti import save_volume
    >>> grid = Grid.isotropic((12, 12, 12), 1.0)
    >>> soft = np.ones(grid.shape)
    >>> soft[0] = 0.2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_volume(Path(folder) / "mask.nii", soft, grid.affine)
    ...     found = read_mask(Path(folder) / "mask.nii", grid)
    >>> int(found.inside.sum()), len(found.notes)
    (1584, 1)
    """
    found = membership(load_on_grid(path, grid), Path(path))
    volume = float(found.inside.sum()) * grid.voxel_volume_mm3
    if volume < min_volume_mm3:
        raise InvalidInputError(
            "MASK-EMPTY", path, field="volume", found=f"{volume:.4g} mm3", expected="a mask of at least 1 mL",
            fix="give a mask that covers the brain",
        )  # fmt: skip
    return found
