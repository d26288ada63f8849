"""Total variation by ADMM: minimise |W (D chi - f)|^2 / 2 + lambda |grad chi|_1.

Bilgic et al. 2014, doi 10.1002/mrm.25029; data weights by a second splitting as in Milovic et al. 2018,
doi 10.1002/mrm.27073.
"""

from __future__ import annotations

import numpy as np

from qsmcmb.core.dipole import dipole_kernel_k
from qsmcmb.core.fft import engine
from qsmcmb.core.validate import check_range
from qsmcmb.dipole_inversion import _tv_loops as loops
from qsmcmb.dipole_inversion.noise import data_weights
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

SHRINK = 1.0
"""Soft threshold of the gradient over the field's scale per mm: sets the speed, not the solution."""


def invert_tv(
    local_field_ppm: FloatArray,
    mask: BoolArray,
    grid: Grid,
    *,
    field_sd_ppm: FloatArray | None = None,
    regularisation: float = 0.01,
    tolerance: float = 0.01,
    max_iterations: int = 60,
) -> FloatArray:
    """Invert with total variation, weighted by the field's SD.

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
        Weight of the gradient (mm), in units of the field's standard deviation over the mask; 1e-6 to 10.
    tolerance : float, optional
        Stop when an iteration changes the map by less than this part of its norm.
    max_iterations : int, optional
        1 to 1000.

    Returns
    -------
    ndarray of shape grid.shape, float32
        ppm; 0 outside the mask.
    """
    check_range("regularisation", regularisation, 1e-6, 10.0)
    check_range("tolerance", tolerance, 1e-8, 1.0)
    check_range("max_iterations", max_iterations, 1, 1000)
    scale = float(local_field_ppm[mask].std(dtype=np.float64))
    if scale == 0.0:
        return np.zeros(grid.shape, np.float32)
    # In units of the field's own scale, so that Hz, ppm and rad give the same map.
    field = local_field_ppm / np.float32(scale)
    weight2 = data_weights(field_sd_ppm, mask) ** 2
    shape = grid.shape
    eng = engine(shape)
    kernel = dipole_kernel_k(shape, grid.voxel_size_mm, grid.b0_dir)
    mu_gradient = np.float32(regularisation / SHRINK)
    mu_data = np.float32(1.0)
    solve = mu_data * kernel**2
    solve += mu_gradient * _laplacian_symbol(shape, grid.voxel_size_mm)
    solve[0, 0, 0] = 1.0
    np.reciprocal(solve, out=solve)
    solve[0, 0, 0] = 0.0
    inverse_size = tuple(np.float32(1 / v) for v in grid.voxel_size_mm)
    vectors = np.zeros((3, *shape), np.float32)
    dual = np.zeros(shape, np.float32)
    target = weight2 * field / (weight2 + mu_data)
    chi = np.zeros(shape, np.float32)
    for _ in range(max_iterations):
        np.copyto(eng.real, target)
        data_k = eng.forward() * kernel
        data_k *= mu_data
        loops.reflected_adjoint(vectors, np.float32(SHRINK), *inverse_size, eng.real)
        spectrum = eng.forward()
        spectrum *= mu_gradient
        spectrum += data_k
        spectrum *= solve
        np.multiply(spectrum, kernel, out=data_k)
        change, norm = loops.replace(eng.inverse(), chi)
        np.copyto(eng.spectrum, data_k)
        del data_k
        loops.update_data(eng.inverse(), field, weight2, mu_data, dual, target)
        loops.update_vectors(chi, np.float32(SHRINK), *inverse_size, vectors)
        if change.sum() <= tolerance**2 * norm.sum():
            break
    return np.where(mask, chi * np.float32(scale), 0).astype(np.float32)


def _laplacian_symbol(shape: tuple[int, int, int], voxel_size_mm: tuple[float, float, float]) -> FloatArray:
    """Squared length of the periodic forward difference on the half spectrum, 1/mm2."""
    parts = []
    for axis, (n, v) in enumerate(zip(shape, voxel_size_mm, strict=True)):
        index = np.arange(n if axis < 2 else n // 2 + 1)
        profile = (2 - 2 * np.cos(2 * np.pi * index / n)) / v**2
        parts.append(profile.astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)]))
    return parts[0] + parts[1] + parts[2]
