"""Errors of a local field that are not white: what background removal leaves."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmcmb.core.dipole import forward_field
from qsmcmb.model import Grid
from qsmcmb.phantoms.structure import power_law_field
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("background_remainder",)

REMAINDER_PPM = 0.004
"""RMS of the remainder at EDGE_MM below the mask's surface, ppm, as the default background removal leaves it."""
EDGE_MM = (1.5, 3.0)
"""Depth at which the RMS is stated, mm."""
SHELL_MM = 8.0
"""Depth of the shell around the mask that holds the sources, mm."""


def background_remainder(
    mask: BoolArray, grid: Grid, rng: np.random.Generator, *, rms_ppm: float = REMAINDER_PPM
) -> FloatArray:
    """Return a field inside a mask that its background removal might have left: harmonic, largest near the edge.

    It is the field of random sources in a shell around the mask, with the power-law spectrum of tissue.

    Parameters
    ----------
    mask : ndarray of shape grid.shape, bool
        Where the local field is defined; a margin of 8 mm within the grid holds the sources.
    grid : Grid
        Geometry, isotropic voxels.
    rng : Generator
        Makes the sources.
    rms_ppm : float, optional
        RMS between 1.5 and 3 mm below the mask's surface, ppm.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Field, ppm; 0 outside the mask.

    Examples
    --------
    >>> grid = Grid.isotropic((24, 24, 24), 2.0)
    >>> ball = sum((np.indices(grid.shape) - 12) ** 2) < 64
    >>> field = background_remainder(ball, grid, np.random.default_rng(1))
    >>> bool(np.abs(field[9:15, 9:15, 9:15]).mean() < np.abs(field[ball]).mean())
    True
    """
    outside = ndimage.distance_transform_edt(~mask, grid.voxel_size_mm)
    sources = power_law_field(grid.shape, float(np.mean(grid.voxel_size_mm)), rng)
    field = np.where(mask, forward_field(np.where((outside > 0) & (outside < SHELL_MM), sources, 0), grid), 0)
    depth = ndimage.distance_transform_edt(mask, grid.voxel_size_mm)
    edge = (depth > EDGE_MM[0]) & (depth <= EDGE_MM[1])
    return np.asarray(field * (rms_ppm / np.sqrt(np.mean(field[edge] ** 2))), dtype=np.float32)
