"""MEDI: its loops against plain twins, edges, the complex signal's wraps, MERIT, spherical means, a fixed number."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.optimize import minimize_scalar

import qsmcmb as qc
from qsmcmb.core.dipole import dipole_kernel_k, spectral_tables
from qsmcmb.core.fft import rfftn
from qsmcmb.dipole_inversion import _medi_loops as loops
from qsmcmb.dipole_inversion import _signal_loops as signal_loops
from qsmcmb.dipole_inversion.admm import Region
from qsmcmb.dipole_inversion.medi import _flat
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid

GRID = Grid((12, 15, 14), (1.0, 1.2, 1.5), (0.36, 0.48, 0.8))
T, MU, RELAX, RADIANS = np.float32(0.4), np.float32(0.3), np.float32(1.7), np.float32(12.0)
SCAN = {"te_s": (0.005, 0.015), "b0_tesla": 3.0}


@pytest.fixture
def region():
    mask = np.zeros(GRID.shape, bool)
    mask[3:9, 4:11, 2:10] = True
    return Region(mask)


@pytest.mark.loops
def test_normal_equations_are_their_plain_twin(rng):
    kernel = dipole_kernel_k(GRID.shape, GRID.voxel_size_mm, GRID.b0_dir) * np.float32(0.7)
    tables = spectral_tables(GRID.shape, GRID.voxel_size_mm, GRID.b0_dir)
    symbol = sum(t[3].reshape([-1 if a == i else 1 for a in range(3)]) for i, t in enumerate(tables))
    one, two = (rfftn(rng.standard_normal(GRID.shape)) for _ in range(2))
    field_k = np.empty_like(one)
    loops.multiply(two, kernel, field_k)
    np.testing.assert_allclose(field_k, two * kernel, rtol=1e-6)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = (T * one + MU * field_k) / (MU * kernel**2 + T * symbol)
    expected[0, 0, 0] = 0
    loops.solve(one, field_k, kernel, tables, MU, T, np.float32(1.0))
    np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(field_k, expected * kernel, rtol=1e-4, atol=1e-5)


@pytest.mark.loops
@pytest.mark.parametrize("w", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("target", [-5.0, -3.0, -1.0, 0.01, 0.04, 0.5, 2.0, 7.0])
def test_the_phase_step_finds_the_minimum(w, target):
    found = signal_loops.nearest_angle(np.float32(target), np.float32(w), MU)

    def cost(s):
        return w * (1 - np.cos(s)) + MU * (s - target) ** 2 / 2

    turn = 2 * np.pi * np.round(target / (2 * np.pi))
    between = sorted((turn, target))
    best = min(
        (minimize_scalar(cost, bounds=(a, a + (between[1] - between[0]) / 8), method="bounded") for a in
         np.linspace(*between, 9)[:-1]), key=lambda r: r.fun,
    )  # fmt: skip
    assert cost(found) <= best.fun + 1e-4 * (1 + abs(best.fun))


@pytest.mark.loops
def test_small_phases_take_the_linear_step(region, rng):
    real, field, v = (
        (1e-3 * rng.standard_normal(s)).astype(np.float32) for s in (GRID.shape, region.shape, region.shape)
    )
    weight2 = np.where(rng.random(region.shape) < 0.3, 0, rng.random(region.shape)).astype(np.float32)
    box = real[region.box].astype(float)
    old = (weight2 * field + MU * v) / (weight2 + MU)
    new = RELAX * box + (1 - RELAX) * old + v - old
    expected = real.copy()
    expected[region.box] = np.where(weight2 > 0, 2 * (weight2 * field + MU * new) / (weight2 + MU) - new, box)
    signal_loops.update_signal(field, weight2, v, region.start, MU, RELAX, RADIANS, real)
    np.testing.assert_allclose(real, expected, atol=1e-5)


@pytest.mark.loops
def test_weights_fall_where_nothing_fits(region, rng):
    field = np.zeros(region.shape, np.float32)
    weight2 = rng.random(region.shape).astype(np.float32)
    real = (0.1 * rng.standard_normal(GRID.shape)).astype(np.float32)
    misfit2 = 4 * weight2 * np.sin(RADIANS * real[region.box] / 2) ** 2
    sums = signal_loops.sum_misfit(real, field, weight2, region.start, RADIANS).sum(axis=0)
    np.testing.assert_allclose(sums, [misfit2.sum(), misfit2.size], rtol=1e-4)
    expected = weight2 / np.maximum(misfit2 / 0.5, 1) ** 2
    signal_loops.lower_weights(real, field, weight2, region.start, RADIANS, np.float32(0.5))
    np.testing.assert_allclose(weight2, expected, rtol=1e-3)


@pytest.mark.loops
def test_edges_are_the_steepest_differences():
    magnitude = np.zeros(GRID.shape, np.float32)
    magnitude[6:] = 1.0
    mask = np.ones(GRID.shape, bool)
    flat = _flat(magnitude, mask, Region(mask), GRID, 0.3)[:, 1:, 1:, 1:]
    assert not flat[0, 5].any()
    assert flat[1:].all()
    assert flat[0, :5].all()
    assert flat[0, 6:].all()
    assert _flat(None, mask, Region(mask), GRID, 0.3).all()


@pytest.mark.loops
def test_edges_are_those_above_the_quantile_of_pairs_in_the_mask(rng):
    magnitude = rng.random(GRID.shape).astype(np.float32)
    mask = np.zeros(GRID.shape, bool)
    mask[2:9, 3:10, 1:8] = rng.random((7, 7, 7)) < 0.8
    region, sizes, pairs = Region(mask), [], []
    for axis, voxel in enumerate(GRID.voxel_size_mm):
        ahead, inside = np.roll(magnitude, -1, axis), np.roll(mask, -1, axis)
        sizes.append(np.abs(ahead - magnitude) / np.float32(voxel))
        pairs.append(mask & inside)
    limit = np.quantile(np.stack(sizes)[np.stack(pairs)], 0.7)
    expected = ~((np.stack(sizes) > limit) & np.stack(pairs))[(slice(None), *region.box)]
    flat = _flat(magnitude, mask, region, GRID, 0.3)
    np.testing.assert_array_equal(flat[:, 1:, 1:, 1:], expected)
    assert flat[:, 0].all()


@pytest.mark.loops
def test_without_magnitude_in_pairs_nothing_is_an_edge():
    mask = np.zeros(GRID.shape, bool)
    mask[4, 4, 4] = True
    assert _flat(np.ones(GRID.shape, np.float32), mask, Region(mask), GRID, 0.3).all()


def inverted(case, field=None, magnitude=None, **options):
    field = case.field if field is None else field
    return qc.invert(field, case.mask, case.grid, method="medi", magnitude=magnitude, options=options, **SCAN)


def total_inside(chi, case):
    reference = np.median(chi[case.mask & ~case.inside])
    return float((chi[case.inside] - reference).sum() * case.grid.voxel_volume_mm3)


@pytest.mark.parametrize("options", [{}, {"merit": True}, {"smv_radius_mm": 3.0}])
def test_a_ball_keeps_its_total_susceptibility(options, ball_case):
    magnitude = np.where(ball_case.inside, 0.6, 1.0).astype(np.float32)
    chi = inverted(ball_case, magnitude=magnitude, **options)
    assert total_inside(chi, ball_case) == pytest.approx(ball_case.total_ppm_mm3, rel=0.06)


def test_a_whole_turn_in_the_field_does_not_matter(ball_case):
    """The linear data term sees an error of 0.8 ppm there."""
    turn = np.float32(1 / (42.577478518 * 3.0 * 0.010))
    wrapped = ball_case.field.copy()
    wrapped[15:17, 20:22, 10:12] += turn
    one, two = (
        inverted(ball_case, regularisation=0.02),
        inverted(ball_case, field=wrapped, regularisation=0.02),
    )
    linear = qc.invert(wrapped, ball_case.mask, ball_case.grid, method="tv", options={"regularisation": 0.02})
    assert np.abs(one - two).max() < 0.2 * np.abs(one - linear).max()


def test_merit_takes_the_weight_of_bad_voxels(ball_case):
    spoilt = ball_case.field.copy()
    spoilt[15:17, 20:22, 10:12] += np.float32(0.3)
    good = inverted(ball_case, regularisation=0.02)
    without, with_merit = (
        inverted(ball_case, field=spoilt, regularisation=0.02, merit=m) for m in (False, True)
    )
    assert np.linalg.norm(with_merit - good) < 0.7 * np.linalg.norm(without - good)


def test_with_spherical_means_the_outer_layer_has_no_weight(ball_case):
    """Where the ball around a voxel leaves the mask its mean is unknown: how sure its field is does not matter."""
    depth = ndimage.distance_transform_edt(ball_case.mask, sampling=ball_case.grid.voxel_size_mm)
    outer = ball_case.mask & (depth < 2.9)
    outer[::2] = False
    even = np.full(ball_case.grid.shape, 0.002, np.float32)
    unsure = np.where(outer, np.float32(0.02), even)

    def with_sd(sd, **options):
        options = {"max_iterations": 5, "regularisation": 0.02, **options}
        arguments = ball_case.field, ball_case.mask, ball_case.grid
        return qc.invert(*arguments, method="medi", field_sd_ppm=sd, options=options, **SCAN)

    np.testing.assert_array_equal(with_sd(even, smv_radius_mm=3.0), with_sd(unsure, smv_radius_mm=3.0))
    assert not np.array_equal(with_sd(even), with_sd(unsure))


def test_spherical_means_take_the_background_off(ball_case):
    axes = [
        (np.arange(n) - n // 2) * v
        for n, v in zip(ball_case.grid.shape, ball_case.grid.voxel_size_mm, strict=True)
    ]
    x, y, _ = np.meshgrid(*axes, indexing="ij")
    background = np.where(ball_case.mask, 1e-4 * (x**2 - y**2) + 2e-3 * x, 0).astype(np.float32)
    chi = inverted(ball_case, field=ball_case.field + background, smv_radius_mm=3.0)
    plain = inverted(ball_case, field=ball_case.field + background)
    errors = [abs(total_inside(c, ball_case) - ball_case.total_ppm_mm3) for c in (chi, plain)]
    assert errors[0] < 0.06 * ball_case.total_ppm_mm3
    assert errors[0] < errors[1]


@pytest.mark.parametrize(
    ("option", "value"),
    [("regularisation", 0.0), ("edge_fraction", 0.95), ("smv_radius_mm", 0.5), ("smv_radius_mm", 30.0),
     ("tolerance", 0.0), ("max_iterations", 0)],
)  # fmt: skip
def test_options_out_of_range_are_refused(option, value, ball_case):
    with pytest.raises(InvalidInputError, match=option):
        inverted(ball_case, **{option: value})


def test_fixed_number(ball_case):
    assert float(np.linalg.norm(inverted(ball_case))) == pytest.approx(7.156, rel=1e-3)
