"""Laplacian unwrapping: solve Poisson's equation for the Laplacian of the true phase.

Schofield and Zhu 2003, doi 10.1364/OL.28.001194.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dctn, idctn

from qsmcmb.core.fft import thread_count
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray


def unwrap_laplacian(phase_rad: FloatArray, mask: BoolArray, grid: Grid) -> FloatArray:
    """Unwrap by the Laplacian, with mirror boundaries (cosine transform).

    Parameters
    ----------
    phase_rad : ndarray of shape (echo, x, y, z), float32
        Wrapped phase, rad.
    mask : ndarray of bool
        The result is 0 outside it, its median inside 0.
    grid : Grid
        Geometry.

    Returns
    -------
    ndarray of shape (echo, x, y, z), float32
        rad; differs from the wrapped phase by a harmonic function, not by whole turns.

    Examples
    --------
    >>> grid = Grid.isotropic((8, 8, 8), 1.0)
    >>> unwrap_laplacian(np.ones((1, 8, 8, 8), np.float32), np.ones((8, 8, 8), bool), grid).max()
    np.float32(0.0)
    """
    weights = [1.0 / v**2 for v in grid.voxel_size_mm]
    symbol = np.zeros(grid.shape, np.float32)
    for axis, (n, w) in enumerate(zip(grid.shape, weights, strict=True)):
        profile = (2 * np.cos(np.pi * np.arange(n) / n) - 2) * w
        symbol = symbol + profile.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    symbol[0, 0, 0] = 1.0
    out = np.zeros_like(phase_rad)
    for e, phase in enumerate(phase_rad):
        # Wrapped differences are the true ones wherever neighbours differ by less than half a turn.
        laplacian = np.zeros(grid.shape, np.float32)
        for axis, w in enumerate(weights):
            step = np.diff(phase, axis=axis)
            step = (step - 2 * np.pi * np.round(step / (2 * np.pi))).astype(np.float32) * np.float32(w)
            pads = [(1, 1) if a == axis else (0, 0) for a in range(3)]
            laplacian += np.diff(np.pad(step, pads), axis=axis)
        spectrum = dctn(laplacian, type=2, workers=thread_count()) / symbol
        spectrum[0, 0, 0] = 0.0
        solution = idctn(spectrum, type=2, workers=thread_count())
        out[e] = np.where(mask, solution - np.median(solution[mask]), 0.0)
    return out
