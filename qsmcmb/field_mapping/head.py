"""The one interface of all field mapping methods."""

from __future__ import annotations

from collections.abc import Mapping

from qsmcmb.core.methods import call_method
from qsmcmb.core.validate import check_finite_inside, check_mask, check_volume
from qsmcmb.field_mapping import DEFAULT, METHODS
from qsmcmb.field_mapping.field_map import FieldMap
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


def map_field(
    unwrapped_rad: FloatArray,
    magnitude: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    te_s: tuple[float, ...],
    method: str = DEFAULT,
    options: Mapping[str, object] | None = None,
) -> FieldMap:
    """Combine the echoes into the total field.

    Parameters
    ----------
    unwrapped_rad, magnitude : ndarray of shape (echo, x, y, z)
        Unwrapped phase, rad; magnitude.
    mask : ndarray of bool
        Where the field is wanted.
    grid : Grid
        Geometry.
    te_s : tuple of float
        Echo times, s.
    method : str, optional
        Key of `qsmcmb.field_mapping.METHODS`.
    options : mapping, optional
        Options of the method.

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
    """
    check_mask(mask, grid)
    for name, array in (("unwrapped_rad", unwrapped_rad), ("magnitude", magnitude)):
        check_volume(name, array, grid, echoes=len(te_s))
        check_finite_inside(name, array, mask)
    context = {"te_s": te_s}
    result: FieldMap = call_method(
        METHODS, method, options, unwrapped_rad, magnitude, mask, grid, context=context
    )
    return result
