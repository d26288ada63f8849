"""Complex fit of all echoes: a decaying signal that turns with the field, by Gauss-Newton.

Liu et al. 2013, doi 10.1002/mrm.24272, fit the complex signal because its noise is Gaussian where the phase's isn't.
Here amplitude and decay are fitted with it, so that echoes that have decayed into noise lose their weight, and where
the echoes disagree by more than noise (dephasing within the voxel beside a strong source) the later ones are trusted
less: their error grows with TE cubed, the first order in which dephasing bends the phase, and is taken as large as
the misfit shows. Two float32 volumes of the mask's box beside the maps; 12 Gauss-Newton steps at most, usually three.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.validate import check_range
from qsmcmb.field_mapping import _echo_fit_loops as loops
from qsmcmb.field_mapping.field_map import FieldMap, box_limits, empty_map, noise_of_fit, to_field_map
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


def fit_nonlinear(
    unwrapped_rad: FloatArray,
    magnitude: FloatArray,
    mask: BoolArray,
    grid: Grid,  # noqa: ARG001 - every method has the same head
    *,
    te_s: tuple[float, ...],
    free_offset: bool = False,
    dephased: float = 3.0,
) -> FieldMap:
    """Fit A exp(-R2* TE) exp(i (2 pi f TE + offset)) to the complex signal, from the weighted line.

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
        Fit the phase at TE = 0 in each voxel too (at least two echoes).
    dephased : float, optional
        Where chi squared per degree of freedom exceeds this, later echoes are trusted less; 1 or more.

    Returns
    -------
    FieldMap
        The SD is the noise's, raised where the echoes disagree by more than noise.

    Examples
    --------
    >>> te = (0.005, 0.010, 0.015)
    >>> phase = np.stack([np.full((8, 8, 8), 2 * np.pi * 10 * t) for t in te]).astype(np.float32)
    >>> fit = fit_nonlinear(phase, np.ones_like(phase), np.ones((8, 8, 8), bool), None, te_s=te)
    >>> round(float(fit.total_field_hz[0, 0, 0]), 3)
    10.0
    """
    check_range("dephased", dephased, 1.0, 1e9)
    free, te, box = free_offset and len(te_s) > 1, np.array(te_s), box_limits(mask)
    sums = empty_map(mask.shape)
    loops.fit_complex(unwrapped_rad, magnitude, mask, box, te, free, tuple(sums))
    dof = len(te_s) - 1 - free
    noise = noise_of_fit(sums, magnitude, mask, dof)
    if dof > 0:
        misfits = mask & (sums[2] > np.float32(dephased * dof * noise**2))
        loops.refit_dephased(
            unwrapped_rad, magnitude, misfits, box, te, (noise, float(dof), free), tuple(sums)
        )
    return to_field_map(sums, mask, noise, dof)
