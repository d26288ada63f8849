"""Loops that divide a spectrum once, against whole arrays: the filter, and the response of a point that it returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qsmcmb.core.dipole import dipole_kernel_k, spectral_tables
from qsmcmb.core.fft import half_shape
from qsmcmb.dipole_inversion import _closed_form_loops as loops
from qsmcmb.model import Grid
from qsmcmb.typing import ComplexArray, FloatArray

pytestmark = pytest.mark.loops
GRIDS = [Grid((8, 10, n), (1.0, 1.2, 1.5), (0.36, 0.48, 0.8)) for n in (12, 9)]


def parts_of(
    grid: Grid, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray, ComplexArray, Any]:
    """Return kernel (1/3 at the origin), squared symbol, how often a sample stands, a spectrum, and tables."""
    where = grid.shape, grid.voxel_size_mm, grid.b0_dir
    kernel = dipole_kernel_k(*where).astype(float)
    kernel[0, 0, 0] = 1 / 3
    frequencies = [np.fft.fftfreq(n) for n in grid.shape[:2]] + [np.fft.rfftfreq(grid.shape[2])]
    along = [
        (2 - 2 * np.cos(2 * np.pi * k)) / v**2 for k, v in zip(frequencies, grid.voxel_size_mm, strict=True)
    ]
    symbol = sum(np.meshgrid(*along, indexing="ij"))
    twice = np.full(kernel.shape, 2.0)
    twice[..., 0] = 1
    if grid.shape[2] % 2 == 0:
        twice[..., -1] = 1
    real, imag = rng.standard_normal((2, *half_shape(grid.shape)))
    return kernel, symbol, twice, (real + 1j * imag).astype(np.complex64), spectral_tables(*where)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("below", [1 / 0.15, 0.0])
def test_division_above_a_threshold(grid: Grid, below: float, rng: np.random.Generator) -> None:
    kernel, _, twice, spectrum, tables = parts_of(grid, rng)
    large = np.abs(kernel) >= 0.15
    inverse = np.where(large, 1 / np.where(large, kernel, 1), np.copysign(below, kernel))
    expected = spectrum * inverse
    even = grid.shape[2] % 2 == 0
    response = loops.divide_above(*tables, np.float32(0.15), np.float32(below), even, spectrum)
    np.testing.assert_allclose(spectrum, expected, rtol=2e-5, atol=1e-4)
    np.testing.assert_allclose(response, (twice * kernel * inverse).sum(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("order", [0, 1, 2])
def test_damped_division_and_its_field(grid: Grid, order: int, rng: np.random.Generator) -> None:
    kernel, symbol, twice, spectrum, tables = parts_of(grid, rng)
    weight, even = 0.02, grid.shape[2] % 2 == 0
    inverse = kernel / (kernel**2 + weight * symbol**order)
    field = spectrum.copy()
    expected = spectrum * inverse
    response = loops.divide_damped(*tables, np.float32(weight), order, even, spectrum)
    np.testing.assert_allclose(spectrum, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(response, (twice * kernel * inverse).sum(axis=(1, 2)), rtol=1e-4)
    expected = field * kernel * inverse
    kept = loops.project_damped(*tables, np.float32(weight), order, even, field)
    np.testing.assert_allclose(field, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(kept, response, rtol=1e-5)
