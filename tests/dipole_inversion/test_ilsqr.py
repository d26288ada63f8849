"""iLSQR: the streak estimate against a slow solver, analytic ball, linearity, threads, options."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from qsmcmb.core.dipole import dipole_kernel_k
from qsmcmb.dipole_inversion import _ilsqr_loops as loops
from qsmcmb.dipole_inversion.descent import Stop
from qsmcmb.dipole_inversion.ilsqr import _streaks, flat_bits, invert_ilsqr
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid

GRID = Grid((12, 10, 14), (1.0, 1.1, 0.9), (0.36, 0.48, 0.8))


def slow_differences(v, flat, grid):
    """Return the adjoint of the kept gradient of v, from whole arrays."""
    out = np.zeros(grid.shape)
    for axis in range(3):
        low = tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        kept = np.diff(v.astype(float), axis=axis) / grid.voxel_size_mm[axis] ** 2
        kept *= (flat[low] >> axis) & 1
        out[low] -= kept
        out[high] += kept
    return out


@pytest.fixture
def flat(rng):
    """Random bits that never point outside the volume."""
    bits = rng.integers(0, 8, GRID.shape).astype(np.uint8)
    bits[-1] &= 6
    bits[:, -1] &= 5
    bits[:, :, -1] &= 3
    return bits


@pytest.mark.loops
def test_flat_differences_are_their_plain_twin(flat, rng):
    v = rng.standard_normal(GRID.shape).astype(np.float32)
    out = np.empty_like(v)
    weights = tuple(np.float32(s**-2) for s in GRID.voxel_size_mm)
    energy = loops.flat_differences(v, (0, 0, 0), flat, weights, out).sum()
    slow = slow_differences(v, flat, GRID)
    np.testing.assert_allclose(out, slow, atol=1e-5)
    assert energy == pytest.approx((v * slow).sum(), rel=1e-5)


@pytest.mark.loops
def test_differences_of_a_box_are_those_of_the_volume(flat, rng):
    v = rng.standard_normal((20, 17, 19)).astype(np.float32)
    start, out, placed = (3, 4, 2), np.empty(GRID.shape, np.float32), np.full(v.shape, np.float32(7))
    box = tuple(slice(s, s + n) for s, n in zip(start, GRID.shape, strict=True))
    weights = tuple(np.float32(s**-2) for s in GRID.voxel_size_mm)
    energy = loops.flat_differences(v, start, flat, weights, out)
    alone = np.empty_like(out)
    own = loops.flat_differences(np.ascontiguousarray(v[box]), (0, 0, 0), flat, weights, alone)
    np.testing.assert_array_equal(out, alone)
    np.testing.assert_array_equal(energy, own)
    loops.place(out, start, placed)
    np.testing.assert_array_equal(placed[box], out)
    placed[box] = 0
    assert not placed.any()


def test_streaks_leave_no_gradient_that_the_cone_could_take(flat, rng):
    chi = rng.standard_normal(GRID.shape).astype(np.float32)
    cone = 0.15
    streaks = _streaks(chi, flat, (0, 0, 0), GRID, cone=cone, stop=Stop(0.0, 1e-5, 300)).copy()
    inside = np.abs(dipole_kernel_k(GRID.shape, GRID.voxel_size_mm, GRID.b0_dir)) < cone
    inside[0, 0, 0] = False
    assert np.abs(np.fft.rfftn(streaks)[~inside]).max() < 1e-3 * np.abs(np.fft.rfftn(streaks)).max()
    before = np.fft.rfftn(slow_differences(chi, flat, GRID))[inside]
    after = np.fft.rfftn(slow_differences(chi - streaks, flat, GRID))[inside]
    assert np.linalg.norm(after) < 1e-3 * np.linalg.norm(before)


def test_flat_bits_stay_in_the_mask_and_leave_the_largest_out():
    chi = np.zeros(GRID.shape, np.float32)
    chi[6:] = 1.0
    mask = np.zeros(GRID.shape, bool)
    mask[2:10, 2:9, 3:12] = True
    bits = flat_bits(chi, mask, GRID.voxel_size_mm, 0.2)
    assert not (bits[5] & 1).any()
    assert (bits[3, 3:8, 4:11] & 1).all()
    assert not bits[~mask].any()
    assert not (bits[9] & 1).any()


def test_the_ball_keeps_its_total_and_scale(ball_case, noise_pair):
    field = ball_case.field + 0.002 * noise_pair[0]
    sd = np.full(ball_case.grid.shape, 0.002, np.float32)
    chi = invert_ilsqr(field, ball_case.mask, ball_case.grid, field_sd_ppm=sd)
    reference = np.median(chi[ball_case.mask & ~ball_case.inside])
    total = (chi[ball_case.inside] - reference).sum() * ball_case.grid.voxel_volume_mm3
    assert total == pytest.approx(ball_case.total_ppm_mm3, rel=0.2)
    in_hz = invert_ilsqr(128 * field, ball_case.mask, ball_case.grid, field_sd_ppm=128 * sd)
    np.testing.assert_array_equal(in_hz, 128 * chi)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        one = invert_ilsqr(field, ball_case.mask, ball_case.grid, field_sd_ppm=sd)
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(one, chi)


def test_fixed_number(ball_case):
    chi = invert_ilsqr(ball_case.field, ball_case.mask, ball_case.grid)
    assert chi[ball_case.mask].std(dtype=float) == pytest.approx(0.059957, rel=2e-3)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"cone": 0.0}, "cone = 0.0"),
        ({"edges": 1.0}, "edges = 1.0"),
        ({"tolerance": float("nan")}, "tolerance = nan"),
        ({"max_iterations": 0}, "max_iterations = 0"),
    ],
)
def test_options_out_of_range_are_refused(options, name, ball_case):
    with pytest.raises(InvalidInputError, match=name):
        invert_ilsqr(ball_case.field, ball_case.mask, ball_case.grid, **options)
