"""What every inversion method owes its caller, over METHODS, on one small odd grid and few iterations."""

from __future__ import annotations

import inspect

import numba
import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.core.dipole import forward_field
from qsmcmb.core.methods import resolve
from qsmcmb.dipole_inversion import METHODS
from qsmcmb.dipole_inversion._head_loops import combine_echoes
from qsmcmb.dipole_inversion.head import starting_point
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid

TE_S = (0.005, 0.010)
RADIANS_PER_PPM = 2 * np.pi * 42.577478518 * 3.0
SHAPE, AT, SIZE = (25, 22, 19), (4, 3, 3), (15, 15, 13)
LINEAR = {"tkd", "tsvd", "tikhonov"}


def at(*start: int) -> tuple[slice, ...]:
    return tuple(slice(s, s + n) for s, n in zip(start, SIZE, strict=True))


@pytest.fixture(scope="module")
def grid() -> Grid:
    return Grid(SHAPE, (1.0, 1.1, 1.2), (0.0, 0.28, 0.96))


@pytest.fixture(scope="module")
def mask(grid):
    axes = [(np.arange(n) - n // 2) / (n / 2) for n in SIZE]
    inside = np.zeros(grid.shape, bool)
    inside[at(*AT)] = (np.stack(np.meshgrid(*axes, indexing="ij")) ** 2).sum(axis=0) < 1
    return inside


@pytest.fixture(scope="module")
def field(grid, mask):
    chi = np.zeros(grid.shape, np.float32)
    chi[9:12, 9:12, 8:11] = 0.2
    noise = 1e-3 * np.random.default_rng(3).standard_normal(grid.shape)
    return np.where(mask, forward_field(chi, grid) + noise, 0).astype(np.float32)


def inverted(method, field, mask, grid, **options):
    """Invert what the method starts from, in a few iterations where it takes any."""
    if starting_point(method) == "wrapped phase":
        te = np.array(TE_S).reshape(-1, 1, 1, 1)
        field = np.angle(np.exp(1j * RADIANS_PER_PPM * te * field)).astype(np.float32)
    if "max_iterations" in inspect.signature(resolve(METHODS, method)).parameters:
        options = {"max_iterations": 2} | options
    return qc.invert(field, mask, grid, method=method, te_s=TE_S, b0_tesla=3.0, options=options)


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_mask_and_nan_inside_are_refused(method, field, mask, grid):
    with pytest.raises(InvalidInputError, match=r"mask\.sum\(\) = 0; expected at least one voxel"):
        inverted(method, field, np.zeros_like(mask), grid)
    spoilt = field.copy()
    spoilt[10, 10, 9] = np.nan
    with pytest.raises(InvalidInputError, match=r"local_field_ppm = [12] values that are not finite"):
        inverted(method, spoilt, mask, grid)


@pytest.mark.parametrize("method", METHODS)
def test_nan_outside_the_mask_does_not_matter(method, field, mask, grid):
    spoilt = np.where(mask, field, np.float32(np.nan))
    np.testing.assert_array_equal(inverted(method, spoilt, mask, grid), inverted(method, field, mask, grid))


@pytest.mark.parametrize("method", METHODS)
def test_threads_do_not_change_a_byte(method, field, mask, grid):
    maps = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        maps.append(inverted(method, field, mask, grid))
    np.testing.assert_array_equal(*maps)


@pytest.mark.parametrize("method", METHODS)
def test_the_map_has_the_sign_of_the_field(method, field, mask, grid):
    one, other = (inverted(method, sign * field, mask, grid) for sign in (1, -1))
    if method in LINEAR:
        np.testing.assert_allclose(other, -one, atol=1e-6 * np.abs(one).max())
    else:
        assert np.linalg.norm(one + other) < 0.01 * np.linalg.norm(one)


@pytest.mark.parametrize("method", METHODS)
def test_where_the_mask_lies_in_the_grid_does_not_matter(method, field, mask, grid):
    moved, inside = np.zeros_like(field), np.zeros_like(mask)
    moved[at(7, 6, 5)], inside[at(7, 6, 5)] = field[at(*AT)], mask[at(*AT)]
    there = inverted(method, moved, inside, grid)
    np.testing.assert_array_equal(there[at(7, 6, 5)], inverted(method, field, mask, grid)[at(*AT)])


@pytest.mark.parametrize("method", [m for m in METHODS if m not in LINEAR])
def test_no_iteration_is_refused(method, field, mask, grid):
    with pytest.raises(InvalidInputError, match="max_iterations = 0; expected a number from 1"):
        inverted(method, field, mask, grid, max_iterations=0)


def test_a_direction_that_is_no_unit_vector_is_refused():
    with pytest.raises(InvalidInputError, match="b0_dir"):
        Grid(SHAPE, (1.0, 1.1, 1.2), (0.0, 0.5, 0.5))


def test_echoes_are_combined_in_their_box(rng: np.random.Generator) -> None:
    echoes, out = rng.standard_normal((3, 9, 8, 7)), np.zeros((12, 11, 10), np.float32)
    combine_echoes(echoes, (2, 1, 0), (5, 6, 7), (4, 3, 2), out)
    box = echoes[:, 2:7, 1:7, 0:7]
    np.testing.assert_allclose(out[4:9, 3:9, 2:9], np.sqrt((box**2).sum(axis=0)), rtol=1e-6)
    out[4:9, 3:9, 2:9] = 0
    assert not out.any()


@pytest.mark.parametrize("method", METHODS)
def test_a_field_that_fills_its_volume_is_left_as_it_is(method, grid):
    chi = np.zeros(grid.shape, np.float32)
    chi[9:12, 9:12, 8:11] = 0.2
    field, function = forward_field(chi, grid), resolve(METHODS, method)
    if starting_point(method) == "wrapped phase":
        field = (RADIANS_PER_PPM * TE_S[0] * field)[None].astype(np.float32)
    given = {"radians_per_ppm": 2.0, "te_s": TE_S[:1], "b0_tesla": 3.0}
    wanted = inspect.signature(function).parameters
    before = field.copy()
    function(field, np.ones(grid.shape, bool), grid, **{k: v for k, v in given.items() if k in wanted})
    np.testing.assert_array_equal(field, before)
