"""Weak-harmonic QSM: FANSI's data term with a nearly harmonic field beside that of the map.

Milovic et al. 2019, doi 10.1002/mrm.27483: minimise w^2 (1 - cos(D chi + h - f)) + lambda |grad chi|_1 +
beta |laplacian h|^2 / 2 over the mask; h takes what background removal left. About 40 iterations of three transform
pairs; memory of 6 volumes of the frame and 8 of the mask's box.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.dipole import spectral_tables
from qsmcmb.core.fft import engine
from qsmcmb.core.memory import zeros
from qsmcmb.core.robust import std_inside
from qsmcmb.core.validate import check_range
from qsmcmb.dipole_inversion import _wh_loops as loops
from qsmcmb.dipole_inversion.admm import (
    MU_DATA,
    SHRINK,
    DataStep,
    Penalties,
    Region,
    Stopping,
    check_options,
    inside,
    minimise_tv,
)
from qsmcmb.dipole_inversion.fansi_tv import PhaseStep
from qsmcmb.dipole_inversion.noise import squared_data_weights
from qsmcmb.dipole_inversion.regularisation import gradient_weight
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

PENALTY = 0.02
"""Penalty of the Laplacian's splitting over its weight: sets the speed, not the solution."""


class HarmonicStep:
    """Proximal step of a data term on the map's field plus a harmonic part, for `minimise_tv`.

    Parameters
    ----------
    inner : callable
        Proximal step of the data term.
    mask : ndarray of bool
        Where the part is harmonic.
    grid : Grid
        Geometry of the frame.
    beta : float
        Weight of the squared Laplacian, mm4.
    """

    def __init__(self, inner: DataStep, mask: BoolArray, grid: Grid, beta: float) -> None:
        self._inner, self._mask, self._engine = inner, mask, engine(grid.shape)
        self._tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
        self._inverse2 = tuple(np.float32(v**-2) for v in grid.voxel_size_mm)
        self._ratio = np.float32(PENALTY * beta / MU_DATA)
        self._part = np.float32(PENALTY / (PENALTY + 1.0))
        self.harmonic, self._model, self._reflected = (zeros(grid.shape) for _ in range(3))

    def __call__(self, real: FloatArray) -> None:
        """Take one step, in place: `real` is the engine's buffer."""
        eng = self._engine
        loops.add_harmonic(real, self.harmonic, self._model)
        self._inner(real)
        loops.aim(real, self._model, self._reflected, self._ratio, self._inverse2)
        loops.solve(eng.forward(), self._tables, self._ratio, np.float32(1.0 / eng.size))
        harmonic = eng.inverse(normalise=False)
        loops.advance(harmonic, self.harmonic, self._reflected, self._mask, self._part, self._inverse2)
        np.subtract(self._model, self.harmonic, out=real)


def invert_wh(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    radians_per_ppm: float,
    field_sd_ppm: FloatArray | None = None,
    regularisation: float | None = None,
    beta: float = 150.0,
    tolerance: float = 0.002,
    max_iterations: int = 80,
) -> FloatArray:
    """Invert with total variation, leaving a nearly harmonic field out of the map.

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
    beta : float, optional
        Weight of the squared Laplacian of the harmonic part, mm4, 0.01 to 1e6: the larger, the closer to harmonic.
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
    >>> invert_wh(field, np.ones(grid.shape, bool), grid, radians_per_ppm=12.0).shape
    (16, 16, 16)
    """
    check_options(regularisation, tolerance, max_iterations)
    check_range("radians_per_ppm", radians_per_ppm, 1e-6, 1e6)
    check_range("beta", beta, 0.01, 1e6)
    scale = std_inside(local_field_ppm, mask)
    if scale == 0.0:
        return np.zeros(grid.shape, np.float32)
    if regularisation is None:
        regularisation = gradient_weight(local_field_ppm, mask, grid, field_sd_ppm=field_sd_ppm)
    region = Region(mask)
    phase = region.cut(local_field_ppm)
    phase *= np.float32(radians_per_ppm)
    penalties = Penalties(regularisation * radians_per_ppm, SHRINK * scale * radians_per_ppm)
    weight2 = region.cut(squared_data_weights(field_sd_ppm, mask))
    step = HarmonicStep(PhaseStep(phase, weight2, region, penalties.mu_data), mask, grid, beta)
    chi_rad = minimise_tv(step, region, grid, penalties, stopping=Stopping(tolerance, max_iterations))
    # The map's volume takes the place of the splittings'.
    del step, phase, weight2
    return inside(chi_rad, mask, 1 / radians_per_ppm)
