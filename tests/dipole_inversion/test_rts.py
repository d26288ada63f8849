"""Rapid two-step: conjugate gradients against a dense solve, each loop against its plain NumPy twin."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.core.dipole import dipole_kernel_k, spectral_tables
from qsmcmb.core.fft import rfftn
from qsmcmb.dipole_inversion import _rts_loops as loops
from qsmcmb.dipole_inversion.admm import Region
from qsmcmb.dipole_inversion.noise import signal_weights
from qsmcmb.dipole_inversion.rts import DAMPING, least_squares
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid

GRID = Grid((9, 8, 7), (1.0, 1.2, 1.5), (0.36, 0.48, 0.8))


@pytest.fixture
def region():
    mask = np.zeros(GRID.shape, bool)
    mask[2:7, 1:6, 2:6] = True
    return Region(mask)


def kernel_and_tables(grid):
    where = grid.shape, grid.voxel_size_mm, grid.b0_dir
    return dipole_kernel_k(*where).astype(float), spectral_tables(*where)


@pytest.mark.parametrize("length", [7, 8])
def test_many_iterations_reach_the_damped_least_squares(length, region, rng):
    grid = Grid((9, 8, length), GRID.voxel_size_mm, GRID.b0_dir)
    weight2 = rng.random(region.shape).astype(np.float32)
    weights = np.zeros(grid.shape)
    weights[region.box] = weight2
    field = rng.standard_normal(grid.shape).astype(np.float32)
    kernel, _ = kernel_and_tables(grid)
    kernel[0, 0, 0] = 0

    def dipole(volume):
        return np.fft.irfftn(np.fft.rfftn(volume) * kernel, s=grid.shape, axes=(0, 1, 2))

    columns = [dipole(column.reshape(grid.shape)).ravel() for column in np.eye(field.size)]
    dense = np.stack(columns, axis=1)
    normal = dense.T @ (weights.ravel()[:, None] * dense) + float(DAMPING) * np.eye(field.size)
    exact = np.linalg.solve(normal, dense.T @ (weights * field).ravel()).reshape(grid.shape)
    found = np.fft.irfftn(
        least_squares(field, weight2, region, grid, iterations=60), s=grid.shape, axes=(0, 1, 2)
    )
    np.testing.assert_allclose(found - found.mean(), exact - exact.mean(), atol=2e-3 * np.abs(exact).max())


@pytest.mark.loops
def test_weights_are_their_plain_twin(region, rng):
    real = rng.standard_normal(GRID.shape).astype(np.float32)
    weight2 = rng.random(region.shape).astype(np.float32)
    expected = np.zeros(GRID.shape)
    expected[region.box] = weight2 * real[region.box]
    total = (expected * real).sum()
    assert loops.weigh(weight2, region.start, real).sum() == pytest.approx(total, rel=1e-5)
    np.testing.assert_allclose(real, expected, atol=1e-6)


@pytest.mark.loops
def test_steps_are_their_plain_twins(rng):
    kernel, tables = kernel_and_tables(GRID)
    kernel[0, 0, 0] = 1 / 3
    spectrum, direction, chi, rest = (
        rfftn(rng.standard_normal(GRID.shape).astype(np.float32)) for _ in range(4)
    )
    twice = np.full(kernel.shape[2], 1.0)
    twice[0] = 0.5
    moved = chi + 0.3 * direction
    left = rest - 0.3 * (kernel * spectrum + 0.01 * direction)
    conditioned = left / (kernel**2 + loops.PRECONDITIONER)
    step, damping = np.float32(0.3), np.float32(0.01)
    size = loops.residual_step(spectrum, tables, step, damping, direction, chi, rest, False).sum()
    assert size == pytest.approx((twice * (conditioned * left.conj()).real).sum(), rel=1e-4)
    for found, expected in ((chi, moved), (rest, left), (spectrum, conditioned)):
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    turned = spectrum + 0.5 * direction
    own = loops.turn_direction(spectrum, tables, np.float32(0.5), np.float32(2.0), direction, False).sum()
    assert own == pytest.approx((twice * np.abs(turned) ** 2).sum(), rel=1e-4)
    np.testing.assert_allclose(direction, turned, atol=1e-4 * np.abs(turned).max())
    turned[0, 0, 0] = 0
    np.testing.assert_allclose(spectrum, 2 * kernel * turned, atol=1e-4 * np.abs(turned).max())


@pytest.mark.loops
def test_second_solve_is_its_plain_twin(rng):
    kernel, tables = kernel_and_tables(GRID)
    spectrum, trusted = (rfftn(rng.standard_normal(GRID.shape).astype(np.float32)) for _ in range(2))
    k = [np.fft.fftfreq(n) for n in GRID.shape[:2]] + [np.fft.rfftfreq(GRID.shape[2])]
    parts = [(2 - 2 * np.cos(2 * np.pi * kk)) / v**2 for kk, v in zip(k, GRID.voxel_size_mm, strict=True)]
    symbol = sum(np.meshgrid(*parts, indexing="ij"))
    symbol[0, 0, 0] = np.inf
    known = np.abs(kernel) > 0.15
    expected = 3 * (0.2 * spectrum + known * trusted) / (known + 0.2 * symbol)
    loops.solve_trusted(spectrum, trusted, tables, np.float32(0.15), np.float32(0.2), np.float32(3.0))
    np.testing.assert_allclose(spectrum, expected, atol=1e-4 * np.abs(expected).max())


def test_data_lose_their_weight_where_noise_drowns_the_field(rng):
    field = rng.standard_normal(GRID.shape).astype(np.float32)
    mask = np.ones(GRID.shape, bool)
    mask[0] = False
    sd = rng.random(GRID.shape).astype(np.float32)
    sd[3, 4], sd[4, 4] = np.inf, 0
    usable = mask & np.isfinite(sd) & (sd > 0)
    variance = field[usable].astype(float).var()
    expected = np.where(usable, variance / (variance + np.where(usable, sd, 0) ** 2), 0)
    np.testing.assert_allclose(signal_weights(field, mask, sd), expected, rtol=1e-5)
    np.testing.assert_array_equal(signal_weights(field, mask), mask)


def test_noise_at_the_core_of_a_lesion_does_not_spoil_the_map(ball_case):
    """Its SD there is twenty times the tissue's, and still a small part of the field."""
    even = np.full(ball_case.grid.shape, 2e-4, np.float32)
    decayed = np.where(ball_case.inside, np.float32(4e-3), even)
    one, two = (
        qc.invert(ball_case.field, ball_case.mask, ball_case.grid, method="rts", field_sd_ppm=sd)
        for sd in (even, decayed)
    )
    assert np.linalg.norm(one - two) < 0.03 * np.linalg.norm(one)


@pytest.mark.parametrize(("option", "value"), [("threshold", 0.4), ("first_iterations", 0)])
def test_its_own_options_out_of_range_are_refused(option, value, ball_case):
    with pytest.raises(InvalidInputError, match=option):
        qc.invert(ball_case.field, ball_case.mask, ball_case.grid, method="rts", options={option: value})
