"""The truth of a head with structure in its tissue, on one grid."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qsmcmb.model import Grid
from qsmcmb.phantoms.recipe import LesionRecipe, Protocol, Recipe
from qsmcmb.phantoms.scanner import box_average, finer, grid_of, pose_of, sample_mask
from qsmcmb.phantoms.structured_anatomy import StructuredAnatomy
from qsmcmb.phantoms.tissue_scan import paint_volumes
from qsmcmb.typing import BoolArray, FloatArray, IntArray

__all__ = ("HeadTruth", "head_truth")


class HeadTruth(NamedTuple):
    """The truth of a lesion-free head on one grid.

    Parameters
    ----------
    chi_ppm : ndarray of shape (x, y, z), float32
        Susceptibility, ppm, 0 outside the brain.
    magnitude : ndarray of shape (x, y, z), float32
        Signal at TE 0, 0 to about 1.
    r2star_hz : ndarray of shape (x, y, z), float32
        R2* at 3 T, 1/s.
    mask : ndarray of shape (x, y, z), bool
        Brain.
    nuclei : ndarray of shape (x, y, z), int32
        Number of the nucleus, in the order of NUCLEI from 1; 0 outside.
    grid : Grid
        Geometry.

    Examples
    --------
    >>> head_truth(1, voxel_mm=4.0, size=0.4).grid.voxel_size_mm
    (4.0, 4.0, 4.0)
    """

    chi_ppm: FloatArray
    magnitude: FloatArray
    r2star_hz: FloatArray
    mask: BoolArray
    nuclei: IntArray
    grid: Grid


def head_truth(seed: int, *, voxel_mm: float = 1.0, size: float = 1.0) -> HeadTruth:
    """Return the truth of a lesion-free head without the field of what lies outside the brain.

    Parameters
    ----------
    seed : int
        Makes the head.
    voxel_mm : float, optional
        Edge of the voxel, mm.
    size : float, optional
        Ratio of the head's size to the template's; 0.55 takes a sixth of the time.

    Returns
    -------
    HeadTruth
        Maps on a grid that holds the brain with a margin.

    Examples
    --------
    >>> head = head_truth(1, voxel_mm=4.0, size=0.4)
    >>> head.chi_ppm.shape == head.mask.shape == head.grid.shape
    True
    """
    protocol = Protocol(label="truth", b0_tesla=3.0, te_s=(0.02,), snr=100.0)
    side = (168 * size, 204 * size, 168 * size)
    recipe = Recipe(
        name="truth", title="Truth of a head", kind="head", seed=seed, subject="truth", voxel_mm=voxel_mm,
        fov_mm=side, lesions=LesionRecipe(), sessions=(protocol,), size=size,
    )  # fmt: skip
    anatomy = StructuredAnatomy(recipe)
    grid = grid_of(recipe, protocol)
    pose = pose_of(recipe, protocol)
    volumes = paint_volumes(anatomy, finer(grid), pose)
    mask = sample_mask(volumes.brain, grid)
    voxels = np.moveaxis(np.indices(grid.shape, dtype=np.float32), 0, -1)
    head_mm = np.moveaxis(grid.to_world(voxels), -1, 0)
    chi = box_average(np.where(volumes.brain, volumes.chi_ppm, 0), grid)
    return HeadTruth(
        chi_ppm=np.where(mask, chi, 0), magnitude=box_average(volumes.signal, grid),
        r2star_hz=box_average(volumes.r2star_hz, grid), mask=mask, nuclei=anatomy.nuclei(head_mm) * mask, grid=grid,
    )  # fmt: skip
