"""The one interface of all field mapping methods."""

from __future__ import annotations

from collections.abc import Mapping

from qsmcmb.core.methods import call_method
from qsmcmb.core.receive_phase import take_offset_off
from qsmcmb.core.validate import check_finite_inside, check_mask, check_volume
from qsmcmb.field_mapping import DEFAULT, METHODS
from qsmcmb.field_mapping.field_map import FieldMap
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("map_field",)


def map_field(
    unwrapped_rad: FloatArray,
    magnitude: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    te_s: tuple[float, ...],
    method: str = DEFAULT,
    offset_removed: bool = False,
    options: Mapping[str, object] | None = None,
) -> FieldMap:
    """Combine the echoes into the total field.

    Parameters
    ----------
    unwrapped_rad, magnitude : ndarray of shape (echo, x, y, z)
        Unwrapped phase, rad, and magnitude, any unit; finite inside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels whose field is wanted, at least one.
    grid : Grid
        Shape and voxel size (mm).
    te_s : tuple of float
        Echo times, s, positive and ascending.
    method : str, optional
        Key of `qsmcmb.field_mapping.METHODS`.
    offset_removed : bool, optional
        Whether the phase is in proportion to the echo time already. Without it, the receiver's phase at TE = 0 is found
        from the first two echoes, smoothed, and taken off all.
    options : mapping, optional
        Options of the method by name.

    Returns
    -------
    FieldMap
        Field (Hz), its SD (Hz), rms residual (rad), reliability (0 to 1).

    Raises
    ------
    InvalidInputError
        Wrong shapes, empty mask, values that are not finite inside it.
    ConfigError
        Unknown method or option.

    Notes
    -----
    The phase is 2 pi f TE plus the receiver's. One echo cannot tell them apart: its field holds both.

    Examples
    --------
    >>> import numpy as np
    >>> grid, te = Grid.isotropic((8, 8, 8), 1.0), (0.005, 0.010, 0.015)
    >>> phase = np.stack([np.full(grid.shape, 2 * np.pi * 10 * t, np.float32) for t in te])
    >>> fit = map_field(phase, np.ones_like(phase), np.ones(grid.shape, bool), grid, te_s=te, method="weighted")
    >>> round(float(fit.total_field_hz[0, 0, 0]), 3)
    10.0
    """
    # Checked once here; methods trust what they are given.
    check_mask(mask, grid)
    for name, array in (("unwrapped_rad", unwrapped_rad), ("magnitude", magnitude)):
        check_volume(name, array, grid, echoes=len(te_s))
        check_finite_inside(name, array, mask)
    if not offset_removed:
        unwrapped_rad = take_offset_off(unwrapped_rad, magnitude, mask, grid, te_s=te_s)
    context = {"te_s": te_s}
    result: FieldMap = call_method(
        METHODS, method, options, unwrapped_rad, magnitude, mask, grid, context=context
    )
    return result
