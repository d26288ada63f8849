"""The one interface of all unwrapping methods."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qsmcmb.core.methods import call_method
from qsmcmb.core.receive_phase import remove_phase_offset
from qsmcmb.core.validate import check_finite_inside, check_mask, check_volume
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray
from qsmcmb.unwrapping import DEFAULT, METHODS
from qsmcmb.unwrapping.romeo import unwrap_volume

__all__ = ("unwrap",)


def unwrap(
    phase_rad: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    method: str = DEFAULT,
    magnitude: FloatArray | None = None,
    te_s: tuple[float, ...] | None = None,
    offset_removed: bool = False,
    options: Mapping[str, object] | None = None,
) -> FloatArray:
    """Unwrap the phase of all echoes.

    Parameters
    ----------
    phase_rad : ndarray of shape (echo, x, y, z)
        Wrapped phase, rad, finite inside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels to unwrap, at least one.
    grid : Grid
        Shape and voxel size (mm).
    method : str, optional
        Key of `qsmcmb.unwrapping.METHODS`.
    magnitude : ndarray of shape (echo, x, y, z), optional
        Magnitude, any unit, for methods whose path it guides.
    te_s : tuple of float, optional
        Echo times, s, positive and ascending; with them later echoes follow the first in time.
    offset_removed : bool, optional
        Whether the phase is in proportion to the echo time already. Without it, and with echo times, the receiver's
        phase at TE = 0 is taken off while the echoes follow each other, and added again.
    options : mapping, optional
        Options of the method by name.

    Returns
    -------
    ndarray of shape (echo, x, y, z), float32
        Unwrapped phase, rad; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        Wrong shapes, empty mask, values that are not finite inside it.
    ConfigError
        Unknown method or option.

    Notes
    -----
    Finds the phase whose steps between neighbours and between echoes are those of a field: by whole turns of 2 pi from
    the wrapped phase, but for `laplacian`, which is smooth.

    Examples
    --------
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> ramp = np.broadcast_to(np.arange(8.0), (1, 8, 8, 8)).astype(np.float32)
    >>> wrapped = np.angle(np.exp(1j * ramp))
    >>> turns = unwrap(wrapped, np.ones(grid.shape, bool), grid) - ramp
    >>> bool(np.ptp(turns) < 1e-4)
    True
    """
    echoes = phase_rad.shape[0]
    check_volume("phase_rad", phase_rad, grid, echoes=echoes)
    check_mask(mask, grid)
    check_finite_inside("phase_rad", phase_rad, mask)
    if magnitude is not None:
        check_volume("magnitude", magnitude, grid, echoes=echoes)
    context = {"magnitude": magnitude, "te_s": te_s}
    # Loops are compiled for float32 alone.
    phase = np.ascontiguousarray(phase_rad, np.float32)
    offset = np.zeros((), np.float32)
    if te_s is not None and len(te_s) == echoes > 1 and not offset_removed:
        phase, offset = _without_offset(phase, magnitude, mask, grid, te_s)
    unwrapped: FloatArray = call_method(METHODS, method, options, phase, mask, grid, context=context)
    return unwrapped if offset_removed else unwrapped + offset


def _without_offset(
    phase_rad: FloatArray,
    magnitude: FloatArray | None,
    mask: BoolArray,
    grid: Grid,
    te_s: tuple[float, ...],
) -> tuple[FloatArray, FloatArray]:
    """Return wrapped phase without the receiver's phase at TE = 0, and that, unwrapped."""
    # What is not finite outside the mask would be smoothed into it.
    inside = np.where(mask, phase_rad, 0)
    weight = np.where(mask, np.ones_like(inside) if magnitude is None else magnitude, 0).astype(np.float32)
    clean = remove_phase_offset(
        inside, weight, mask, grid, te_s=te_s, unwrapper=lambda p, m: unwrap_volume(p, m, mask)
    )
    return clean.phase_rad, unwrap_volume(clean.offset_rad, weight[0], mask)
