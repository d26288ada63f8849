"""Weighted combination of echoes: a line, weights magnitude^2, through 0 or with a free offset.

Robinson et al. 2017, doi 10.1002/nbm.3601. Two float32 volumes of the mask's box
beside the maps; no iteration.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.field_mapping import _echo_fit_loops as loops
from qsmcmb.field_mapping.field_map import FieldMap, box_limits, empty_map, noise_of_fit, to_field_map
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


def fit_weighted(
    unwrapped_rad: FloatArray,
    magnitude: FloatArray,
    mask: BoolArray,
    grid: Grid,  # noqa: ARG001 - every method has the same head
    *,
    te_s: tuple[float, ...],
    free_offset: bool = False,
) -> FieldMap:
    """Fit phase = 2 pi f TE (+ offset) by weighted least squares.

    Parameters
    ----------
    unwrapped_rad, magnitude : ndarray of shape (echo, x, y, z)
        Unwrapped phase, without its offset unless that is free, rad; magnitude.
    mask : ndarray of bool
        Outside it the field is 0 and its SD infinite.
    grid : Grid
        Geometry.
    te_s : tuple of float
        Echo times, s.
    free_offset : bool, optional
        Fit the phase at TE = 0 in each voxel too (at least two echoes): for phase whose offset was not removed, at
        about twice the noise.

    Returns
    -------
    FieldMap
        The SD is the noise's, raised where the echoes disagree by more than noise.

    Examples
    --------
    >>> te = (0.005, 0.010)
    >>> phase = np.stack([np.full((8, 8, 8), 2 * np.pi * 10 * t) for t in te]).astype(np.float32)
    >>> fit = fit_weighted(phase, np.ones_like(phase), np.ones((8, 8, 8), bool), None, te_s=te)
    >>> round(float(fit.total_field_hz[0, 0, 0]), 3)
    10.0
    """
    free = free_offset and len(te_s) > 1
    sums = empty_map(mask.shape)
    loops.fit_line(unwrapped_rad, magnitude, mask, box_limits(mask), np.array(te_s), free, tuple(sums))
    dof = len(te_s) - 1 - free
    return to_field_map(sums, mask, noise_of_fit(sums, magnitude, mask, dof), dof)
