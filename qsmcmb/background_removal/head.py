"""The one interface of all background removal methods."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import NamedTuple

import numpy as np

from qsmcmb.background_removal import DEFAULT, METHODS
from qsmcmb.core import _box_loops as loops
from qsmcmb.core.boxes import bounding_box
from qsmcmb.core.memory import empty, sparse_zeros
from qsmcmb.core.methods import call_method, resolve
from qsmcmb.core.validate import check_mask, check_volume, refuse_not_finite
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = (
    "LocalField",
    "remove_background",
)


class LocalField(NamedTuple):
    """Hold a local field and the mask where it is defined.

    Parameters
    ----------
    local_field_hz : ndarray of shape grid.shape, float32
        Local field, unit of the total field; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where it is defined: the brain mask, eroded by the method or not.

    Examples
    --------
    >>> LocalField(np.zeros((2, 2, 2), np.float32), np.ones((2, 2, 2), bool)).mask.sum()
    np.int64(8)
    """

    local_field_hz: FloatArray
    mask: BoolArray


def remove_background(
    field_hz: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    method: str = DEFAULT,
    field_sd_hz: FloatArray | None = None,
    options: Mapping[str, object] | None = None,
) -> LocalField:
    """Remove the background field.

    Parameters
    ----------
    field_hz : ndarray of shape grid.shape
        Total field, Hz or any unit, which the result has; values outside the mask are not read.
    mask : ndarray of shape grid.shape, bool
        Brain mask, not empty.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    method : str, optional
        Key of `qsmcmb.background_removal.METHODS`.
    field_sd_hz : ndarray of shape grid.shape, optional
        SD of the field, its unit, for methods that weight by it; may be infinite.
    options : mapping, optional
        Options of the method by name.

    Returns
    -------
    LocalField
        Local field, and the mask where it is defined.

    Raises
    ------
    InvalidInputError
        Wrong shapes, empty mask, values that are not finite inside it.
    ConfigError
        Unknown method or option.

    Notes
    -----
    The method works on the mask's box alone.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> mask = np.zeros(grid.shape, bool)
    >>> mask[2:-2, 2:-2, 2:-2] = True
    >>> slope = np.arange(16, dtype=np.float32)[:, None, None] * np.ones(grid.shape, np.float32)
    >>> local, inner = remove_background(slope, mask, grid, method="lbv")
    >>> float(np.abs(local).max()) < 1e-2, int(mask.sum() - inner.sum())
    (True, 728)
    """
    # Checked once here; methods trust what they are given.
    check_mask(mask, grid)
    check_volume("field_hz", field_hz, grid)
    if field_sd_hz is not None:
        check_volume("field_sd_hz", field_sd_hz, grid)
    box = bounding_box(mask)
    inside = np.ascontiguousarray(mask[box])
    start = tuple(s.start for s in box)
    field = empty(inside.shape)
    broken = loops.copy_inside(field_hz, start, inside, np.float32(0), (0, 0, 0), field)
    refuse_not_finite("field_hz", int(broken.sum()))
    small = grid.cropped(start, inside.shape)
    # What a method does not ask for is not copied.
    wanted = "field_sd_hz" in signature(resolve(METHODS, method)).parameters
    sd = None if field_sd_hz is None or not wanted else np.ascontiguousarray(field_sd_hz[box])
    context = {"field_sd_hz": sd}
    local, eroded = call_method(METHODS, method, options, field, inside, small, context=context)
    # Pages beside the mask's box are never written, so they take no memory.
    out = LocalField(sparse_zeros(grid.shape), np.zeros(grid.shape, bool))
    loops.copy_inside(local, (0, 0, 0), eroded, np.float32(0), start, out.local_field_hz)
    out.mask[box] = eroded
    return out
