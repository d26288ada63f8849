"""Complex fit of all echoes: a decaying signal that turns with the field, by Gauss-Newton.

Two float32 volumes of the mask's box beside the maps; 12 Gauss-Newton steps at most, usually three.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.validate import check_range
from qsmcmb.field_mapping import _echo_fit_loops as loops
from qsmcmb.field_mapping.field_map import FieldMap, box_limits, empty_map, noise_of_fit, to_field_map
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("fit_nonlinear",)


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
    """Fit a decaying complex signal to the echoes, from the weighted line.

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
        Fit the phase at TE = 0 in each voxel too (at least two echoes).
    dephased : float, optional
        Chi squared per degree of freedom above which later echoes are trusted less, 1 to 1e9.

    Returns
    -------
    FieldMap
        Field and its SD, which is the noise's, raised where the echoes disagree by more than noise; outside the mask 0
        and infinite.

    Raises
    ------
    InvalidInputError
        Option `dephased` out of range.

    Notes
    -----
    Minimises over amplitude A, decay R2*, field f and, if it is free, offset phi_0, for the complex signal S_e::

        sum_e |S_e - A exp(-R2* TE_e) exp(i (2 pi f TE_e + phi_0))|^2

    Noise of the complex signal is Gaussian where the phase's is not; amplitude and decay are fitted with it, so that
    echoes that have decayed into noise lose their weight. Where the echoes disagree by more than noise (dephasing
    within the voxel beside a strong source) the later ones are trusted less: their error grows with TE cubed, the first
    order in which dephasing bends the phase, and is taken as large as the misfit shows.

    References
    ----------
    The complex signal: Liu et al. 2013. Nonlinear formulation of the magnetic field to source relationship for robust
    quantitative susceptibility mapping. doi:10.1002/mrm.24272

    Examples
    --------
    >>> grid, te = Grid.isotropic((8, 8, 8), 1.0), (0.005, 0.010, 0.015)
    >>> phase = np.stack([np.full(grid.shape, 2 * np.pi * 10 * t) for t in te]).astype(np.float32)
    >>> fit = fit_nonlinear(phase, np.ones_like(phase), np.ones(grid.shape, bool), grid, te_s=te)
    >>> round(float(fit.total_field_hz[0, 0, 0]), 3)
    10.0
    """
    check_range("dephased", dephased, 1.0, 1e9)
    # One echo cannot tell an offset from a field.
    free, te, box = free_offset and len(te_s) > 1, np.array(te_s), box_limits(mask)
    sums = empty_map(mask.shape)
    loops.fit_complex(unwrapped_rad, magnitude, mask, box, te, free, tuple(sums))
    dof = len(te_s) - 1 - free
    noise = noise_of_fit(sums, magnitude, mask, dof)
    if dof > 0:
        # Chi squared above that of noise: dephasing has bent the phase of late echoes.
        misfits = mask & (sums[2] > np.float32(dephased * dof * noise**2))
        loops.refit_dephased(
            unwrapped_rad, magnitude, misfits, box, te, (noise, float(dof), free), tuple(sums)
        )
    return to_field_map(sums, mask, noise, dof)
