"""LBV: loops against NumPy, multigrid against harmonic fields that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import qsmcmb as qc
from qsmcmb.background_removal import _lbv_loops as loops
from qsmcmb.background_removal.lbv import solve_laplace
from qsmcmb.core.poisson import unknowns
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray


def interior(mask: BoolArray) -> BoolArray:
    inside = np.empty(mask.shape, bool)
    loops.mark_interior(mask, inside)
    return inside


@pytest.mark.loops
def test_interior_is_the_mask_eroded_by_a_cross(rng: np.random.Generator) -> None:
    mask = rng.random((9, 8, 7)) > 0.1
    np.testing.assert_array_equal(interior(mask), ndimage.binary_erosion(mask))


@pytest.mark.loops
@pytest.mark.parametrize("factors", [(2, 2, 2), (2, 2, 1), (1, 2, 1)])
def test_restriction_is_the_adjoint_of_prolongation(
    factors: tuple[int, int, int], rng: np.random.Generator
) -> None:
    shape = tuple(n // f + (f - 1) for n, f in zip((12, 9, 8), factors, strict=True))
    fine_inside = interior(np.ones((12, 9, 8), bool))
    coarse_inside = interior(np.ones(shape, bool))
    fine = np.where(fine_inside, rng.standard_normal((12, 9, 8)), 0).astype(np.float32)
    coarse = np.where(coarse_inside, rng.standard_normal(shape), 0).astype(np.float32)
    up, down = np.zeros_like(fine), np.zeros_like(coarse)
    loops.prolong(coarse, factors, *unknowns(fine_inside), up)
    padded = np.pad(fine, 3)[3:, 3:, 3:]
    loops.restrict(padded, factors, np.float32(1), *unknowns(coarse_inside), down)
    assert np.prod(factors) * np.vdot(down, coarse) == pytest.approx(np.vdot(up, fine), rel=1e-4)
    assert down[~coarse_inside].sum() == 0


@pytest.mark.loops
@pytest.mark.parametrize("factors", [(2, 2, 2), (2, 1, 2), (1, 2, 1)])
def test_prolongation_is_linear_between_coarse_voxels(
    factors: tuple[int, int, int], rng: np.random.Generator
) -> None:
    shape = (11, 9, 10)
    inside = interior(rng.random(shape) > 0.1)
    coarse_shape = tuple(n // f + 1 for n, f in zip(shape, factors, strict=True))
    coarse = rng.standard_normal(coarse_shape).astype(np.float32)
    u = rng.standard_normal(shape).astype(np.float32)
    index = np.stack(
        np.meshgrid(*[np.arange(n) / f for n, f in zip(shape, factors, strict=True)], indexing="ij")
    )
    expected = u + np.where(
        inside, ndimage.map_coordinates(coarse.astype(float), index, order=1, mode="nearest"), 0
    )
    loops.prolong(coarse, factors, *unknowns(inside), u)
    np.testing.assert_allclose(u, expected, atol=1e-5)


@pytest.mark.loops
def test_shift_and_difference_are_numpys(rng: np.random.Generator) -> None:
    volume, taken = rng.standard_normal((2, 5, 6, 7)).astype(np.float32)
    mask, out = rng.random(volume.shape) < 0.6, np.empty_like(volume)
    loops.shift(volume, np.float32(-0.5), mask, out)
    np.testing.assert_array_equal(out, np.where(mask, volume - np.float32(0.5), 0))
    loops.difference(volume, taken, mask, out)
    np.testing.assert_array_equal(out, np.where(mask, volume - taken, 0))


@pytest.mark.parametrize("voxel_mm", [(1.0, 1.0, 1.0), (0.8, 1.0, 3.1)])
@pytest.mark.parametrize("shape", [(40, 37, 33), (24, 64, 20)])
def test_harmonic_field_comes_back_in_a_few_cycles(
    voxel_mm: tuple[float, float, float], shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    x, y, z = np.meshgrid(
        *[(np.arange(n) - n / 2) * v for n, v in zip(shape, voxel_mm, strict=True)], indexing="ij"
    )
    # Quadratic harmonics are harmonic for the difference operator too.
    truth = (x * y - 2 * y * z + x**2 - z**2 + 5 * x).astype(np.float32)
    mask = ndimage.gaussian_filter(rng.standard_normal(shape), 3) > -0.03
    inside = interior(mask)
    start = np.where(inside, 0, truth).astype(np.float32)
    found = solve_laplace(start, inside, voxel_mm, tolerance=1e-4, max_cycles=8)
    assert np.abs(found - truth)[inside].max() < 2e-3 * np.ptp(truth)


def test_mask_without_an_inside_is_refused() -> None:
    mask = np.zeros((12, 12, 12), bool)
    mask[3:5] = True
    with pytest.raises(InvalidInputError, match="six neighbours"):
        qc.remove_background(
            np.ones(mask.shape, np.float32), mask, Grid.isotropic((12, 12, 12), 1.0), method="lbv"
        )


@pytest.mark.loops
def test_background_is_continued_to_the_edge(rng: np.random.Generator) -> None:
    x, y, z = np.indices((9, 8, 7)).astype(np.float32)
    linear = 2 * x - 3 * y + z
    mask = rng.random(linear.shape) > 0.02
    inside = interior(mask)
    u = np.where(inside, linear, 0).astype(np.float32)
    loops.extrapolate(u, inside, mask, np.empty_like(mask))
    reached = np.zeros_like(mask)
    for x0, y0, z0 in np.argwhere(mask & ~inside):
        for i, j, k in np.ndindex(3, 3, 3):
            near, far = (x0 + i - 1, y0 + j - 1, z0 + k - 1), (x0 + 2 * i - 2, y0 + 2 * j - 2, z0 + 2 * k - 2)
            if min(far) >= 0 and all(f < n for f, n in zip(far, mask.shape, strict=True)):
                reached[x0, y0, z0] |= inside[near] and inside[far]
    np.testing.assert_allclose(u, np.where(inside | reached, linear, 0), atol=1e-5)
