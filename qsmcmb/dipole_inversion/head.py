"""The one interface of all inversion methods."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qsmcmb.core.fft import fast_shape
from qsmcmb.core.methods import call_method
from qsmcmb.core.morphology import bounding_box
from qsmcmb.core.validate import check_finite_inside, check_mask, check_volume
from qsmcmb.dipole_inversion import METHODS
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

PAD_MM = 20.0
"""Empty frame around the brain: the periodic copies' fields have fallen off at twice this."""


def invert(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    method: str = "tv",
    field_sd_ppm: FloatArray | None = None,
    options: Mapping[str, object] | None = None,
) -> FloatArray:
    """Invert the local field into susceptibility.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape
        Local field, ppm.
    mask : ndarray of bool
        Where it is defined.
    grid : Grid
        Geometry with the direction of B0.
    method : str, optional
        Key of `qsmcmb.dipole_inversion.METHODS`.
    field_sd_ppm : ndarray of shape grid.shape, optional
        SD of the field, ppm, for methods that weight by it; may be infinite.
    options : mapping, optional
        Options of the method.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Susceptibility, ppm, against the mean over the mask; 0 outside.

    Raises
    ------
    InvalidInputError
        Wrong shapes, empty mask, values that are not finite inside it.
    ConfigError
        Unknown method or option.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> chi = invert(np.zeros(grid.shape, np.float32), np.ones(grid.shape, bool), grid, method="tkd")
    >>> float(np.abs(chi).max())
    0.0
    """
    check_mask(mask, grid)
    check_volume("local_field_ppm", local_field_ppm, grid)
    check_finite_inside("local_field_ppm", local_field_ppm, mask)
    if field_sd_ppm is not None:
        check_volume("field_sd_ppm", field_sd_ppm, grid)
    box = bounding_box(mask)
    extent = [s.stop - s.start for s in box]
    margin = [2 * int(np.ceil(PAD_MM / v)) for v in grid.voxel_size_mm]
    shape = fast_shape((extent[0], extent[1], extent[2]), (margin[0], margin[1], margin[2]))
    inner = tuple(slice((n - e) // 2, (n - e) // 2 + e) for n, e in zip(shape, extent, strict=True))
    padded_mask = np.zeros(shape, bool)
    padded_mask[inner] = mask[box]
    field = np.zeros(shape, np.float32)
    field[inner] = np.where(mask[box], local_field_ppm[box], 0)
    sd = None
    if field_sd_ppm is not None:
        sd = np.full(shape, np.inf, np.float32)
        sd[inner] = field_sd_ppm[box]
    start = [s.start - i.start for s, i in zip(box, inner, strict=True)]
    small = grid.cropped((start[0], start[1], start[2]), shape)
    padded = call_method(METHODS, method, options, field, padded_mask, small, context={"field_sd_ppm": sd})
    chi = np.zeros(grid.shape, np.float32)
    chi[box] = np.where(mask[box], padded[inner], 0)
    chi[mask] -= chi[mask].mean(dtype=np.float64)
    return chi
