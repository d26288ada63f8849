"""Weak-harmonic QSM: FANSI's data term with a nearly harmonic field beside that of the map.

About 40 iterations of three transform pairs; memory of 6 volumes of the frame and 8 of the mask's box.
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

__all__ = ("invert_wh",)

PENALTY = 0.02
"""Penalty of the Laplacian's splitting over its weight, a ratio: sets the speed, not the solution; from a quarter
to four times of it the speed hardly changes.
"""


class HarmonicStep:
    """Hold the proximal step of a data term on the map's field plus a harmonic field, for `minimise_tv`.

    Parameters
    ----------
    inner : callable
        Proximal step of the data term.
    mask : ndarray of shape grid.shape, bool
        Voxels where the second field is harmonic.
    grid : Grid
        Geometry of the frame.
    beta : float
        Weight of the squared Laplacian, mm4.
    """

    def __init__(self, inner: DataStep, mask: BoolArray, grid: Grid, beta: float) -> None:
        self._inner, self._mask, self._engine = inner, mask, engine(grid.shape)
        self._tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
        self._inverse2 = tuple(np.float32(v**-2) for v in grid.voxel_size_mm)
        # Against the penalty of the field splitting, which the harmonic part shares.
        self._ratio = np.float32(PENALTY * beta / MU_DATA)
        # Of the sum of variable and dual the variable is this much: the proximal step of a square.
        self._part = np.float32(PENALTY / (PENALTY + 1.0))
        self.harmonic, self._model, self._reflected = (zeros(grid.shape) for _ in range(3))

    def __call__(self, real: FloatArray) -> None:
        """Take one step, in place; `real` is the engine's buffer."""
        eng = self._engine
        loops.add_harmonic(real, self.harmonic, self._model)
        # The data term sees the map's field and the harmonic one together.
        self._inner(real)
        loops.aim(real, self._model, self._reflected, self._ratio, self._inverse2)
        loops.solve(eng.forward(), self._tables, self._ratio, np.float32(1.0 / eng.size))
        harmonic = eng.inverse(normalise=False)
        loops.advance(harmonic, self.harmonic, self._reflected, self._mask, self._part, self._inverse2)
        # The map's solve gets what the data leave to it.
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
    """Invert with total variation and a nearly harmonic field that is left out of the map.

    Parameters
    ----------
    local_field_ppm : ndarray of shape grid.shape, float32
        Local field, ppm; 0 outside the mask.
    mask : ndarray of shape grid.shape, bool
        Voxels where the field is defined.
    grid : Grid
        Shape, voxel size (mm) and direction of B0.
    radians_per_ppm : float
        Phase of a field of 1 ppm at the nominal echo time, rad; 1e-6 to 1e6.
    field_sd_ppm : ndarray of shape grid.shape, float32, optional
        SD of the field, ppm; data weigh by its inverse, without it all alike.
    regularisation : float, optional
        Weight lambda of the gradient, ppm mm; 1e-9 to 10. None: from the field's error level (`gradient_weight`).
    beta : float, optional
        Weight of the squared Laplacian of the harmonic field, mm4; 0.01 to 1e6. The larger, the closer to harmonic.
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
    Minimises over the map chi and the field h, which takes up what background removal left, with the data weights W and
    the phase phi = `radians_per_ppm` f::

        sum W^2 (1 - cos(D chi + h - phi)) + lambda |grad chi|_1 + beta |M laplacian h|^2 / 2

    with M the mask, in radians, by the alternating direction method of multipliers.

    References
    ----------
    Milovic et al. 2019. Weak-harmonic regularization for quantitative susceptibility mapping. doi:10.1002/mrm.27483

    Examples
    --------
    >>> from qsmcmb.core.dipole import forward_field
    >>> grid = Grid.isotropic((16, 16, 16), 1.0)
    >>> body = np.zeros(grid.shape, np.float32)
    >>> body[6:10, 6:10, 6:10] = 1.0
    >>> field = forward_field(body, grid)
    >>> chi = invert_wh(field, np.ones(grid.shape, bool), grid, radians_per_ppm=2.0)
    >>> round(float(chi[8, 8, 8]), 1)
    1.0
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
