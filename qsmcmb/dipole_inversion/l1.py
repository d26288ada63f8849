"""L1-QSM: minimise sigma W |exp(i D chi) - exp(i f)|_1 + lambda |grad chi|_1 by ADMM.

Milovic et al. 2022, doi 10.1002/mrm.28957. An outlier of the field pulls with a bounded force and leaves no streak. The
term is multiplied by the field's error level sigma, so that lambda has the same unit as beside a squared term. About 40
iterations of two transform pairs; memory of 4 volumes of the frame and 6 of the mask's box.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.robust import std_inside
from qsmcmb.core.validate import check_range
from qsmcmb.dipole_inversion import _l1_loops as loops
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
from qsmcmb.dipole_inversion.noise import data_weights
from qsmcmb.dipole_inversion.regularisation import GRADIENT_FACTOR, error_level
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

LINEAR_STEPS = 25
"""First iterations with |D chi - f|: from a map of 0 the phase factor knows the field but for whole turns."""

WEIGHT = 0.1
"""Weight of the gradient over that beside a squared term: a lesion's field, far above the noise, pulls no harder than
the noise does, and would be smoothed away."""


LEAST_FORCE = 0.1
"""Of the bounded force over the field's standard deviation: a step moves no further than the force."""


class AbsoluteStep:
    """Proximal step of the absolute data term, for `minimise_tv`; linear for the first steps.

    Parameters
    ----------
    field : ndarray of shape region.shape
        Unit of the solution; rad where it becomes nonlinear.
    weight : ndarray of shape region.shape
        Data weights.
    region : Region
        The mask's box.
    level : float
        The field's error level, same unit.
    linear_steps : int
        Steps before the term is that of the phase factor.
    """

    def __init__(
        self, field: FloatArray, weight: FloatArray, region: Region, level: float, *, linear_steps: int
    ) -> None:
        self._data, self._start = (field, weight), region.start
        self._threshold = np.float32(level / MU_DATA)
        self.sums = region.volume()
        self._left = linear_steps

    def __call__(self, real: FloatArray) -> None:
        """Take one step, in place."""
        nonlinear = self._left <= 0
        self._left -= 1
        loops.update_absolute(
            *self._data, self.sums, self._start, self._threshold, RELAXATION, nonlinear, real
        )


def invert_l1(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    radians_per_ppm: float,
    field_sd_ppm: FloatArray | None = None,
    regularisation: float | None = None,
    tolerance: float = 0.002,
    max_iterations: int = 80,
) -> FloatArray:
    """Invert with an absolute data term on the phase factor and total variation.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm, 0 outside the mask.
    mask : ndarray of bool
        Where the field is defined.
    grid : Grid
        Geometry with the direction of B0.
    radians_per_ppm : float
        Phase of 1 ppm, rad.
    field_sd_ppm : ndarray of shape grid.shape, optional
        SD of the field, ppm.
    regularisation : float, optional
        Weight of the gradient, ppm mm, 1e-9 to 10. From the noise by default.
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
    >>> field = np.zeros(grid.shape, np.float32)
    >>> invert_l1(field, np.ones(grid.shape, bool), grid, radians_per_ppm=12.0).shape
    (16, 16, 16)
    """
    check_options(regularisation, tolerance, max_iterations)
    check_range("radians_per_ppm", radians_per_ppm, 1e-6, 1e6)
    scale = std_inside(local_field_ppm, mask)
    if scale == 0.0:
        return np.zeros(grid.shape, np.float32)
    level = error_level(local_field_ppm, mask, grid, field_sd=field_sd_ppm)
    if regularisation is None:
        regularisation = WEIGHT * GRADIENT_FACTOR * grid.voxel_volume_mm3 ** (1 / 3) * level
    region = Region(mask)
    phase = region.cut(local_field_ppm)
    phase *= np.float32(radians_per_ppm)
    weight = region.cut(data_weights(field_sd_ppm, mask))
    # The whole objective times a number has the same minimum; a field far above its noise is reached in fewer steps.
    pace = max(1.0, LEAST_FORCE * scale / level)
    step = AbsoluteStep(phase, weight, region, pace * level * radians_per_ppm, linear_steps=LINEAR_STEPS)
    penalties = Penalties(pace * regularisation * radians_per_ppm, SHRINK * scale * radians_per_ppm)
    chi_rad = minimise_tv(step, region, grid, penalties, stopping=Stopping(tolerance, max_iterations))
    return inside(chi_rad, mask, 1 / radians_per_ppm)
