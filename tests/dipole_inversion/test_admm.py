"""The shared splitting: each loop against a plain NumPy twin."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.core.dipole import dipole_kernel_k, spectral_tables
from qsmcmb.core.fft import rfftn
from qsmcmb.dipole_inversion import _admm_loops as loops
from qsmcmb.dipole_inversion.admm import Region
from qsmcmb.model import Grid

pytestmark = pytest.mark.loops
GRID = Grid((12, 15, 14), (1.0, 1.2, 1.5), (0.36, 0.48, 0.8))
INVERSE_MM = tuple(np.float32(1 / v) for v in GRID.voxel_size_mm)
T, RELAX = np.float32(0.4), np.float32(1.7)


@pytest.fixture
def mask():
    mask = np.zeros(GRID.shape, bool)
    mask[3:9, 4:11, 2:10] = True
    mask[4, 5, 12:] = True
    return mask


@pytest.fixture
def region(mask):
    return Region(mask)


def clip(v):
    return np.clip(v, -T, T)


def forward_differences(chi):
    return np.stack([(np.roll(chi, -1, a) - chi) * INVERSE_MM[a] for a in range(3)])


def framed(vectors, region):
    out = np.zeros((3, *GRID.shape))
    out[(slice(None), *region.box)] = vectors[:, 1:, 1:, 1:]
    return out


def split_volume(region):
    split = np.zeros(region.shape, bool)
    for x, y in np.ndindex(*region.shape[:2]):
        split[x, y, region.rows[x, y, 0] : region.rows[x, y, 1]] = True
    return split


def test_the_box_holds_every_difference_at_the_mask(region, mask):
    split = np.zeros(GRID.shape, bool)
    split[region.box] = split_volume(region)
    for axis in range(3):
        touched = np.moveaxis(mask | np.roll(mask, -1, axis), axis, 0)[:-1]
        assert (np.moveaxis(split, axis, 0)[:-1] >= touched)[..., : GRID.shape[2] - 1].all()


@pytest.mark.parametrize("edge", [False, True])
def test_rows_reach_a_voxel_beyond_their_own_mask_and_over_that_beside_them(edge, mask):
    if edge:
        # The mask touches the frame: its box has no room there.
        mask[0, 3:6, 4:9] = mask[-1, 2, :3] = mask[4, -1, 5:] = True
    region = Region(mask)
    own = mask[region.box]
    nx, ny, nz = own.shape
    hull = {}
    for x, y in np.ndindex(nx, ny):
        where = np.flatnonzero(own[x, y])
        if len(where):
            hull[x, y] = where[0], where[-1] + 1
    for x, y in np.ndindex(nx, ny):
        spans = [(a - 1, b + 1) for a, b in [hull[x, y]]] if (x, y) in hull else []
        spans += [hull[p] for p in ((x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)) if p in hull]
        low, high = (
            (max(min(a for a, _ in spans), 0), min(max(b for _, b in spans), nz - 1)) if spans else (0, 0)
        )
        # What has no voxel ahead of it in the box has no difference.
        if x == nx - 1 or y == ny - 1 or low >= high:
            low, high = 0, 0
        assert region.rows[x, y].tolist() == [low, high], (x, y)


def test_gradient_step_is_its_plain_twin(region, rng):
    chi = rng.standard_normal(GRID.shape).astype(np.float32)
    g = region.vectors()
    inside = np.zeros((3, *region.shape), np.float32)
    for x, y in np.ndindex(*region.shape[:2]):
        low, high = region.rows[x, y]
        inside[:, x, y, low:high] = rng.standard_normal((3, high - low))
    g[:, 1:, 1:, 1:] = inside
    old = inside - clip(inside)
    new = RELAX * forward_differences(chi)[(slice(None), *region.box)] + (1 - RELAX) * old + clip(inside)
    new = np.where(split_volume(region), new, 0)
    sums = loops.update_vectors(chi, g, region.rows, region.start, T, INVERSE_MM, RELAX)
    np.testing.assert_allclose(g[:, 1:, 1:, 1:], new, atol=2e-6)
    z = new - clip(new)
    sampled = np.add.outer(*(np.arange(n) for n in region.shape[:2])) % 8 == 0
    expected = [((z - old)[:, sampled] ** 2).sum(), (z[:, sampled] ** 2).sum()]
    np.testing.assert_allclose(sums.sum(axis=0), expected, rtol=1e-5)


def test_reflected_adjoint_is_the_adjoint(region, rng):
    g = region.vectors()
    g[:, 1:, 1:, 1:] = np.where(split_volume(region), rng.standard_normal((3, *region.shape)), 0)
    chi = rng.standard_normal(GRID.shape)
    out = np.ones(GRID.shape, np.float32)
    loops.reflected_adjoint(g, region.start, T, INVERSE_MM, out)
    target = framed(g - 2 * clip(g), region)
    assert np.vdot(out, chi) == pytest.approx(np.vdot(target, forward_differences(chi)), rel=1e-4)


def test_data_step_is_its_plain_twin(region, rng):
    real, field, v = (
        rng.standard_normal(s).astype(np.float32) for s in (GRID.shape, region.shape, region.shape)
    )
    weight2 = np.where(rng.random(region.shape) < 0.3, 0, rng.random(region.shape)).astype(np.float32)
    mu = np.float32(0.3)
    box = real[region.box].astype(float)
    old = (weight2 * field + mu * v) / (weight2 + mu)
    new = RELAX * box + (1 - RELAX) * old + v - old
    expected = real.copy()
    expected[region.box] = np.where(weight2 > 0, 2 * (weight2 * field + mu * new) / (weight2 + mu) - new, box)
    kept = np.where(weight2 > 0, new, v)
    loops.update_data(field, weight2, v, region.start, mu, RELAX, real)
    np.testing.assert_allclose(real, expected, atol=2e-6)
    np.testing.assert_allclose(v, kept, atol=2e-6)


def test_normal_equations_are_their_plain_twin(rng):
    kernel = dipole_kernel_k(GRID.shape, GRID.voxel_size_mm, GRID.b0_dir)
    tables = spectral_tables(GRID.shape, GRID.voxel_size_mm, GRID.b0_dir)
    one, two = (rfftn(rng.standard_normal(GRID.shape).astype(np.float32)) for _ in range(2))
    impulse = np.zeros(GRID.shape, np.float32)
    impulse[0, 0, 0] = 1.0
    differences = forward_differences(impulse)
    symbol = sum(np.abs(np.fft.rfftn(d)) ** 2 for d in differences)
    divisor = 0.3 * kernel.astype(float) ** 2 + 0.1 * symbol
    divisor[0, 0, 0] = np.inf
    expected = 2.0 * (0.1 * one + 0.3 * two) / divisor
    loops.solve_normal(one, two, tables, np.float32(0.3), np.float32(0.1), np.float32(2.0))
    np.testing.assert_allclose(one, expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(two, kernel * one, atol=1e-4 * np.abs(two).max())
    copied = np.empty_like(one)
    loops.copy(one, copied)
    np.testing.assert_array_equal(copied, one)
    loops.multiply_dipole(one, tables, copied)
    np.testing.assert_allclose(copied, kernel * one, atol=1e-5 * np.abs(one).max())
