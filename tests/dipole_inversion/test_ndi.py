"""Nonlinear dipole inversion: analytic ball, a slow twin, units, threads, options, a fixed number."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.core.dipole import dipole_kernel_k
from qsmcmb.dipole_inversion import _descent_loops as loops
from qsmcmb.dipole_inversion.closed_form import transform_field
from qsmcmb.dipole_inversion.descent import Stop, descend
from qsmcmb.dipole_inversion.ndi import invert_ndi
from qsmcmb.errors import InvalidInputError

RADIANS = 12.0


def slow_descent(field, weight2, grid, damping, iterations, nonlinear):
    """Return the same iterates with everything in image space and double precision."""
    kernel = dipole_kernel_k(grid.shape, grid.voxel_size_mm, grid.b0_dir).astype(float)

    def filtered(volume, factor):
        return np.fft.irfftn(np.fft.rfftn(volume) * factor, s=grid.shape, axes=(0, 1, 2))

    chi, way, norm = np.zeros(grid.shape), np.zeros(grid.shape), 0.0
    residual = -field.astype(float)
    for k in range(iterations):
        gradient = filtered(residual, kernel)
        better = filtered(gradient, 1 / (kernel**2 + damping))
        new_norm = (gradient * better).sum()
        way = -better + (new_norm / norm * way if k > 1 else 0)
        norm = new_norm
        forward = filtered(way, kernel)
        away = filtered(chi, kernel) - field
        bend = np.maximum(np.cos(away), 0.5) if nonlinear else 1.0
        length = norm / (weight2 * bend * forward**2).sum() if k else 1.0
        chi += length * way
        away += length * forward
        residual = weight2 * (np.sin(away) if nonlinear else away)
    return chi


@pytest.mark.parametrize("nonlinear", [False, True])
def test_descent_is_its_plain_twin(nonlinear, ball_case, rng):
    grid = ball_case.grid
    weight2 = (ball_case.mask * rng.uniform(0.3, 1.5, grid.shape)).astype(np.float32)
    field = ball_case.field.astype(np.float32)
    transform_field(field, grid)
    found, done = descend(
        field,
        weight2,
        ball_case.mask,
        grid,
        damping=0.02,
        stop=Stop(0.0, 0.0, 5),
        gain=8.0,
        nonlinear=nonlinear,
    )
    slow = slow_descent(8 * field, weight2, grid, 0.02, 5, nonlinear)
    assert done == 5
    np.testing.assert_allclose(found, slow, atol=2e-4 * np.abs(slow).max())


@pytest.mark.loops
def test_a_whole_turn_is_no_misfit():
    ones = np.ones((4, 4, 4), np.float32)
    residual, away = np.zeros_like(ones), np.full_like(ones, 2 * np.pi)
    rows = np.full((4, 4, 2), (0, 4))
    cost = loops.step(away, np.float32(1), residual, np.float32(1), ones, True, away, rows).sum()
    assert abs(residual).max() < 1e-6
    assert cost < 1e-6
    cost = loops.step(away, np.float32(1), residual, np.float32(0), ones, False, away, rows).sum()
    assert cost == pytest.approx(64 * (2 * np.pi) ** 2, rel=1e-5)


@pytest.mark.loops
@pytest.mark.parametrize("nonlinear", [False, True])
def test_the_first_cost_is_that_of_the_step(nonlinear, rng):
    field, forward, weight2 = rng.standard_normal((3, 5, 6, 7)).astype(np.float32)
    rows = np.full((5, 6, 2), (1, 6))
    start = field, np.float32(-2), forward, np.float32(1), weight2**2, nonlinear
    alone = loops.misfit(*start, rows)
    np.testing.assert_allclose(alone, loops.step(*start, np.empty_like(field), rows), rtol=1e-5)


def test_ball_keeps_its_total(ball_case):
    chi = qc.invert(ball_case.field, ball_case.mask, ball_case.grid, method="ndi", te_s=(0.02,), b0_tesla=3.0)
    reference = np.median(chi[ball_case.mask & ~ball_case.inside])
    total = (chi[ball_case.inside] - reference).sum() * ball_case.grid.voxel_volume_mm3
    assert total == pytest.approx(ball_case.total_ppm_mm3, rel=0.15)


def test_only_the_phase_matters(ball_case, noise_pair):
    field = ball_case.field + 0.01 * noise_pair[0]
    sd = np.full(ball_case.grid.shape, 0.01, np.float32)
    one = invert_ndi(field, ball_case.mask, ball_case.grid, radians_per_ppm=RADIANS, field_sd_ppm=sd)
    in_hz = invert_ndi(
        128 * field, ball_case.mask, ball_case.grid, radians_per_ppm=RADIANS / 128, field_sd_ppm=128 * sd
    )
    np.testing.assert_allclose(in_hz / 128, one, atol=1e-4 * np.abs(one).max())
    # An SD of next to nothing: it does not stop at the first step, which is linear.
    options = {"field_sd_ppm": 1e-5 * sd, "damping": 0.05, "tolerance": 0.0, "max_iterations": 4}
    stronger, weaker = (
        invert_ndi(field, ball_case.mask, ball_case.grid, radians_per_ppm=factor * RADIANS, **options)
        for factor in (10.0, 0.1)
    )
    assert np.abs(stronger - weaker).max() > 0.01 * np.abs(weaker).max()


def test_fixed_number(ball_case):
    chi = invert_ndi(
        ball_case.field, ball_case.mask, ball_case.grid, radians_per_ppm=RADIANS, damping=0.01,
        tolerance=0.0, max_iterations=4,
    )  # fmt: skip
    assert chi[ball_case.mask].std(dtype=float) == pytest.approx(0.065885, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"damping": 0.0}, "damping = 0.0"),
        ({"tolerance": -1.0}, "tolerance = -1.0"),
        ({"max_iterations": 0}, "max_iterations = 0"),
        ({"radians_per_ppm": float("nan")}, "radians_per_ppm = nan"),
    ],
)
def test_options_out_of_range_are_refused(options, name, ball_case):
    with pytest.raises(InvalidInputError, match=name):
        invert_ndi(ball_case.field, ball_case.mask, ball_case.grid, **{"radians_per_ppm": RADIANS, **options})
