"""Masked Poisson solver: known solutions, each loop against a plain twin."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from qsmcmb.core import _poisson_loops as loops
from qsmcmb.core.poisson import laplacian_inside, relax, residual, solve_poisson, unknowns

VOXEL_MM = (1.0, 1.3, 0.8)
WEIGHTS = tuple(np.float32(1 / v**2) for v in VOXEL_MM)


@pytest.fixture
def mask():
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (37, 30, 41)), indexing="ij")
    return (x**2 + y**2 + z**2 < 0.9) & ~((x - 0.3) ** 2 + y**2 + z**2 < 0.05)


@pytest.fixture
def small_mask(mask):
    return np.pad(mask[::3, ::3, ::3], 1)


def plain_laplacian(u):
    return sum((np.roll(u, 1, a) + np.roll(u, -1, a) - 2 * u) * float(WEIGHTS[a]) for a in range(3))


def test_a_volume_is_found_from_its_laplacian(mask, rng):
    truth = np.where(mask, rng.standard_normal(mask.shape), 0).astype(np.float32)
    rhs = laplacian_inside(truth, mask, VOXEL_MM)
    found = solve_poisson(rhs, mask, VOXEL_MM, tolerance=1e-6)
    np.testing.assert_allclose(found, truth, atol=1e-4)


def test_a_cycle_takes_most_of_the_error_away(mask, rng):
    """The coarser grids must do their part: relaxation alone takes hundreds of sweeps."""
    truth = ndimage.gaussian_filter(np.where(mask, rng.standard_normal(mask.shape), 0), 3.0)
    truth = np.where(mask, truth, 0).astype(np.float32)
    rhs = laplacian_inside(truth, mask, VOXEL_MM)
    errors = [
        np.linalg.norm(solve_poisson(rhs, mask, VOXEL_MM, tolerance=1e-9, max_cycles=n) - truth)
        for n in (1, 2, 3, 4)
    ]
    assert errors[0] < 0.3 * np.linalg.norm(truth)
    assert errors[3] < 0.05 * errors[0]


@pytest.mark.parametrize("shape", [(9, 5, 7), (20, 3, 33)])
def test_thin_and_odd_masks_are_solved(shape, rng):
    mask = rng.random(shape) < 0.8
    truth = np.where(mask, rng.standard_normal(shape), 0).astype(np.float32)
    framed = [np.pad(a, 1) for a in (truth, mask)]
    rhs = laplacian_inside(framed[0], framed[1], VOXEL_MM)[1:-1, 1:-1, 1:-1]
    np.testing.assert_allclose(solve_poisson(rhs, mask, VOXEL_MM, tolerance=1e-6), truth, atol=1e-4)


def test_a_harmonic_function_leaves_nothing(mask):
    x, y, z = np.meshgrid(
        *(np.arange(n) * v for n, v in zip(mask.shape, VOXEL_MM, strict=True)), indexing="ij"
    )
    harmonic = (x * y - 2 * z + 0.1 * (x**2 - z**2)).astype(np.float32)
    assert np.abs(laplacian_inside(harmonic, mask, VOXEL_MM)).max() < 1e-3


@pytest.mark.loops
def test_an_empty_mask_gives_zeros():
    zeros = np.zeros((5, 5, 5), np.float32)
    assert not solve_poisson(zeros + 1, zeros > 0, VOXEL_MM).any()


@pytest.mark.loops
def test_sweep_and_residual_are_their_plain_twins(small_mask, rng):
    mask = small_mask
    u = np.where(mask, rng.standard_normal(mask.shape), 0).astype(np.float32)
    rhs, out = rng.standard_normal(mask.shape).astype(np.float32), np.zeros(mask.shape, np.float32)
    norm = residual(u, rhs, unknowns(mask), WEIGHTS, out)
    expected = np.where(mask, rhs - plain_laplacian(u.astype(float)), 0)
    np.testing.assert_allclose(out, expected, atol=2e-5)
    assert norm == pytest.approx((expected**2).sum(), rel=1e-5)
    index, relaxed = np.indices(mask.shape).sum(axis=0), u.astype(float)
    for colour in (0, 1, 0, 1):
        step = (plain_laplacian(relaxed) - rhs) / (2 * sum(WEIGHTS))
        relaxed += np.where(mask & (index % 2 == colour), step, 0)
    relax(u, rhs, unknowns(mask), WEIGHTS, 2)
    np.testing.assert_allclose(u, relaxed, atol=2e-5)


@pytest.mark.loops
def test_unknowns_are_the_masks_voxels_but_for_the_edge(rng):
    mask = rng.random((6, 7, 8)) < 0.2
    found = unknowns(mask)
    inner = np.zeros(mask.shape, bool)
    inner[1:-1, 1:-1, 1:-1] = mask[1:-1, 1:-1, 1:-1]
    np.testing.assert_array_equal(found.colours, inner * (1 + np.indices(mask.shape).sum(axis=0) % 2))
    for row, ends in zip(inner.reshape(-1, 8), found.rows.reshape(-1, 2), strict=True):
        where = np.flatnonzero(row)
        assert list(ends) == ([where[0], where[-1] + 1] if len(where) else [0, 0])


@pytest.mark.loops
def test_means_go_down_and_lines_come_up():
    fine = np.arange(512, dtype=np.float32).reshape(8, 8, 8)
    coarse = np.empty((4, 4, 4), np.float32)
    loops.restrict(fine, coarse)
    np.testing.assert_allclose(coarse, fine.reshape(4, 2, 4, 2, 4, 2).mean(axis=(1, 3, 5)), rtol=1e-6)
    up = np.zeros((8, 8, 8), np.float32)
    loops.prolong(coarse, *unknowns(np.ones(up.shape, bool)), up)
    np.testing.assert_allclose(up[1:-1, 1:-1, 1:-1], fine[1:-1, 1:-1, 1:-1], rtol=1e-5)
