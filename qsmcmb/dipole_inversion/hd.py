"""HD-QSM: total variation with a hybrid data term, absolute first and squared from there.

Lambert et al. 2022, doi 10.1002/mrm.29218. The absolute term finds the map without the streaks of outliers, the
squared term goes on from there and takes the noise better. Linear in the field. About 40 iterations of two transform
pairs; memory of 4 volumes of the frame and 7 of the mask's box.
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
from qsmcmb.dipole_inversion.l1 import LEAST_FORCE, AbsoluteStep
from qsmcmb.dipole_inversion.noise import data_weights
from qsmcmb.dipole_inversion.regularisation import GRADIENT_FACTOR, error_level
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


class HybridStep:
    """Proximal step that is absolute for the first steps, squared after, for `minimise_tv`.

    Parameters
    ----------
    absolute : AbsoluteStep
        The first term, linear.
    field : ndarray of shape region.shape
        The field.
    weight2 : ndarray of shape region.shape
        Squared data weights.
    region : Region
        The mask's box.
    first : int
        Steps of the absolute term.
    """

    def __init__(
        self, absolute: AbsoluteStep, field: FloatArray, weight2: FloatArray, region: Region, *, first: int
    ) -> None:
        self._absolute, self._data, self._start = absolute, (field, weight2), region.start
        self._left = first

    def __call__(self, real: FloatArray) -> None:
        """Take one step, in place; both terms keep the same sum of variable and dual."""
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
        Local field, ppm, 0 outside the mask.
    mask : ndarray of bool
        Where the field is defined.
    grid : Grid
        Geometry with the direction of B0.
    field_sd_ppm : ndarray of shape grid.shape, optional
        SD of the field, ppm.
    regularisation : float, optional
        Weight of the gradient, ppm mm, 1e-9 to 10. From the noise by default.
    absolute_steps : int, optional
        Iterations of the absolute term, 1 to 1000.
    tolerance : float, optional
        Stop when an iteration changes the map's gradient by less than this part of its norm; 1e-8 to 1.
    max_iterations : int, optional
        1 to 1000.

    Returns
    -------
    ndarray of shape grid.shape, float32
        ppm; 0 outside the mask.

    Raises
    ------
    InvalidInputError
        An option out of range.

    Examples
    --------
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> invert_hd(np.zeros(grid.shape, np.float32), np.ones(grid.shape, bool), grid).shape
    (16, 16, 16)
    """
    check_options(regularisation, tolerance, max_iterations)
    check_range("absolute_steps", absolute_steps, 1, 1000)
    scale = std_inside(local_field_ppm, mask)
    if scale == 0.0:
        return np.zeros(grid.shape, np.float32)
    level = error_level(local_field_ppm, mask, grid, field_sd=field_sd_ppm)
    if regularisation is None:
        regularisation = GRADIENT_FACTOR * grid.voxel_volume_mm3 ** (1 / 3) * level
    region = Region(mask)
    field = region.cut(local_field_ppm)
    weight = region.cut(data_weights(field_sd_ppm, mask))
    force = max(level, LEAST_FORCE * scale)
    absolute = AbsoluteStep(field, weight, region, force, linear_steps=max_iterations + 1)
    step = HybridStep(absolute, field, weight**2, region, first=absolute_steps)
    chi = minimise_tv(
        step, region, grid, Penalties(regularisation, SHRINK * scale),
        stopping=Stopping(tolerance, max_iterations),
    )  # fmt: skip
    return inside(chi, mask)
