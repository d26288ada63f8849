"""Weighted combination of echoes: a line, weights magnitude^2, through 0 or with a free offset.

Two float32 volumes of the mask's box beside the maps; no iteration.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.field_mapping import _echo_fit_loops as loops
from qsmcmb.field_mapping.field_map import FieldMap, box_limits, empty_map, noise_of_fit, to_field_map
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("fit_weighted",)


def fit_weighted(
    unwrapped_rad: FloatArray,
    magnitude: FloatArray,
    mask: BoolArray,
    grid: Grid,  # noqa: ARG001 - every method has the same head
    *,
    te_s: tuple[float, ...],
    free_offset: bool = False,
) -> FieldMap:
    """Fit a line to the phase of the echoes by weighted least squares.

    Parameters
    ----------
    unwrapped_rad, magnitude : ndarray of shape (echo, x, y, z)
        Unwrapped phase, without its offset unless that is free, rad; magnitude, any unit.
    mask : ndarray of shape (x, y, z), bool
        Voxels that are fitted.
    grid : Grid
        Geometry; not used.
    te_s : tuple of float
        Echo times, s, positive and ascending.
    free_offset : bool, optional
        Fit the phase at TE = 0 in each voxel too (at least two echoes): for phase whose offset was not removed, at
        about twice the noise.

    Returns
    -------
    FieldMap
        Field and its SD, which is the noise's, raised where the echoes disagree by more than noise; outside the mask 0
        and infinite.

    Raises
    ------
    InvalidInputError
        From `map_field`, which checks shapes and values; the fit itself has no option with a range.

    Notes
    -----
    Minimises over the field f and, if it is free, the offset phi_0::

        sum_e m_e^2 (phi_e - 2 pi f TE_e - phi_0)^2

    with the weights m^2, the inverse variance of the phase.

    References
    ----------
    Robinson et al. 2017. An illustrated comparison of processing methods for MR phase imaging and QSM: combining array
    coil signals and phase unwrapping. doi:10.1002/nbm.3601

    Examples
    --------
    >>> grid, te = Grid.isotropic((8, 8, 8), 1.0), (0.005, 0.010)
    >>> phase = np.stack([np.full(grid.shape, 2 * np.pi * 10 * t) for t in te]).astype(np.float32)
    >>> fit = fit_weighted(phase, np.ones_like(phase), np.ones(grid.shape, bool), grid, te_s=te)
    >>> round(float(fit.total_field_hz[0, 0, 0]), 3)
    10.0
    """
    # One echo cannot tell an offset from a field.
    free = free_offset and len(te_s) > 1
    sums = empty_map(mask.shape)
    loops.fit_line(unwrapped_rad, magnitude, mask, box_limits(mask), np.array(te_s), free, tuple(sums))
    dof = len(te_s) - 1 - free
    return to_field_map(sums, mask, noise_of_fit(sums, magnitude, mask, dof), dof)
