"""The steps that the methods which divide the spectrum once share: transform, filter, correction, mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from qsmcmb.core._box_loops import scale_inside
from qsmcmb.core.dipole import spectral_tables
from qsmcmb.core.fft import engine
from qsmcmb.core.memory import empty
from qsmcmb.dipole_inversion._admm_loops import copy
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

__all__: tuple[str, ...] = ()

Divide = Callable[..., Any]
"""Loop of `_closed_form_loops` that divides a spectrum in place and returns its response by plane."""


def transform_field(field: FloatArray, grid: Grid) -> None:
    """Leave a field's spectrum in the engine's buffer."""
    eng = engine(grid.shape)
    copy(field, eng.real)
    eng.forward()


def divide_spectrum(
    mask: BoolArray, grid: Grid, divide: Divide, *parameters: Any, correct: bool
) -> FloatArray:
    """Divide the spectrum in the engine by a loop of `_closed_form_loops`; return its volume inside the mask.

    Parameters
    ----------
    mask : ndarray of shape grid.shape, bool
        Voxels where the field is defined.
    grid : Grid
        Geometry with the direction of B0.
    divide : callable
        The loop; takes the spectral tables, `parameters`, whether the last axis is even, and the spectrum.
    *parameters
        Parameters of the loop.
    correct : bool
        Divide by the mean response of a point source, so that sums are not too low.

    Returns
    -------
    ndarray of shape grid.shape, float32
        Map in the field's unit; 0 outside the mask.
    """
    eng = engine(grid.shape)
    spectrum = eng.spectrum
    tables = spectral_tables(grid.shape, grid.voxel_size_mm, grid.b0_dir)
    # The loop divides in place and sums its own response on the way: no pass more for the correction.
    total = divide(*tables, *parameters, grid.shape[2] % 2 == 0, spectrum).sum()
    # The field does not determine the mean, and D at k = 0 is but a convention.
    spectrum[0, 0, 0] = 0.0
    response = total / eng.size if correct else 1.0
    chi = empty(grid.shape)
    scale_inside(eng.inverse(normalise=False), mask, np.float32(1.0 / (eng.size * response)), chi)
    return chi
