"""HD-QSM: total variation with a hybrid data term, absolute first and squared from there.

Linear in the field. About 40 iterations of two transform pairs; memory of 4 volumes of the frame and 7 of the mask's
box.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.robust import std_inside
from qsmcmb.core.validate import check_range
from qsmcmb.dipole_inversion import _admm_loops
from qsmcmb.dipole_inversion.admm import (
    MU_DATA,
    RELAXATION,
    SHRINK,
    Penalties,
    Region,
    Stopping,
    check_options,
    inside,
    minimise_tv,
)
from qsmcmb.dipole_inversion.l1 import MIN_FORCE, AbsoluteStep
from qsmcmb.dipole_inversion.noise import data_weights
from qsmcmb.dipole_inversion.regularisation import GRADIENT_FACTOR, error_level
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__ = ("invert_hd",)


class HybridStep:
    """Hold the proximal step that is absolute for the first steps, squared after, for `minimise_tv`.

    Parameters
    ----------
    absolute : AbsoluteStep
        The first term, linear.
    field : ndarray of shape region.shape
        Local field, ppm.
    weight2 : ndarray of shape region.shape
        Squared data weights.
    region : Region
        The mask's box.
    first : int
        Steps with the absolute term.
    """

    def __init__(
        self, absolute: AbsoluteStep, field: FloatArray, weight2: FloatArray, region: Region, *, first: int
    ) -> None:
        self._absolute, self._data, self._start = absolute, (field, weight2), region.start
        self._left = first

    def __call__(self, real: FloatArray) -> None:
        """Take one step, in place; both terms share the sum of variable and dual."""
        if self._left > 0:
            self._left -= 1
            self._absolute(real)
        else:
            _admm_loops.update_data(*self._data, self._absolute.sums, self._start, MU_DATA, RELAXATION, real)


def invert_hd(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    field_sd_ppm: FloatArray | None = None,
    regularisation: float | None = None,
    absolute_steps: int = 20,
    tolerance: float = 0.003,
    max_iterations: int = 80,
) -> FloatArray:
    """Invert with total variation and a data term that is absolute first, squared after.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where the field is defined.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    field_sd_ppm : ndarray of shape grid.shape, float32, optional
        SD of the field, ppm; data weigh by its inverse, without it all alike.
    regularisation : float, optional
        Weight lambda of the gradient, ppm mm; 1e-9 to 10. None: from the field's error level (`gradient_weight`).
    absolute_steps : int, optional
        Iterations with the absolute term, 1 to 1000.
    tolerance : float, optional
        Iterations end when one changes the split gradient by less than this fraction of its norm; 1e-8 to 1.
    max_iterations : int, optional
        Iterations at most, 1 to 1000.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Susceptibility relative to the mean over the volume, ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        An option out of range.

    Notes
    -----
    Minimises, with the data weights W (inverse SD, median 1) and sigma the field's error level, or a tenth of its
    standard deviation if that is larger::

        sigma |W (D chi - f)|_1 + lambda |grad chi|_1        for the first iterations
        |W (D chi - f)|_2^2 / 2 + lambda |grad chi|_1        from there

    by the alternating direction method of multipliers. The absolute term finds the map without the streaks of outliers,
    the squared term suppresses the noise better.

    References
    ----------
    Lambert et al. 2022. Hybrid data fidelity term approach for quantitative susceptibility mapping.
    doi:10.1002/mrm.29218

    Examples
    --------
    >>> from qsmcmb.core.dipole import forward_field
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> body = np.zeros(grid.shape, np.float32)
    >>> body[6:10, 6:10, 6:10] = 1.0
    >>> field = forward_field(body, grid)
    >>> chi = invert_hd(field, np.ones(grid.shape, bool), grid)
    >>> round(float(chi[8, 8, 8]), 1)
    1.0
    """
    check_options(regularisation, tolerance, max_iterations)
    check_range("absolute_steps", absolute_steps, 1, 1000)
    scale = std_inside(local_field_ppm, mask)
    if scale == 0.0:
        return np.zeros(grid.shape, np.float32)
    # Needed with a given weight, too: it is the bounded force of the absolute term.
    level = error_level(local_field_ppm, mask, grid, field_sd=field_sd_ppm)
    if regularisation is None:
        regularisation = GRADIENT_FACTOR * grid.voxel_volume_mm3 ** (1 / 3) * level
    region = Region(mask)
    field = region.cut(local_field_ppm)
    weight = region.cut(data_weights(field_sd_ppm, mask))
    # A field far above its noise would need many steps of so small a force.
    force = max(level, MIN_FORCE * scale)
    # With more linear steps than iterations the term never becomes that of the phase factor.
    absolute = AbsoluteStep(field, weight, region, force, linear_steps=max_iterations + 1)
    step = HybridStep(absolute, field, weight**2, region, first=absolute_steps)
    chi = minimise_tv(
        step, region, grid, Penalties(regularisation, SHRINK * scale),
        stopping=Stopping(tolerance, max_iterations),
    )  # fmt: skip
    return inside(chi, mask)
