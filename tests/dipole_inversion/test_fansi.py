"""FANSI: the nonlinear data term against plain NumPy, and that it is truly nonlinear."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.dipole_inversion import _fansi_loops as loops
from qsmcmb.dipole_inversion.fansi_tv import invert_fansi_tv
from qsmcmb.dipole_inversion.tv import invert_tv
from qsmcmb.errors import InvalidInputError

MU, RELAX = np.float32(0.3), np.float32(1.7)


@pytest.mark.loops
def test_phase_step_is_its_plain_twin(rng):
    shape = (5, 6, 7)
    field = rng.uniform(-9, 9, shape).astype(np.float32)
    weight2 = np.where(rng.random(shape) < 0.2, 0, rng.random(shape)).astype(np.float32)
    z = (field + rng.uniform(-1, 1, shape)).astype(np.float32)
    real = (field + rng.uniform(-1, 1, shape)).astype(np.float32)
    v = RELAX * real.astype(float) + (1 - RELAX) * z + weight2 * np.sin(z - field) / MU
    split = z.astype(float)
    for _ in range(loops.STEPS):
        away = (split - field + np.pi) % (2 * np.pi) - np.pi
        curve = weight2 * np.sinc(away / np.pi)
        split = split - (weight2 * np.sin(away) + MU * (split - v)) / (curve + MU)
    target = split - weight2 * np.sin(split - field) / MU
    used = weight2 > 0
    expected = np.where(used, target, real), np.where(used, split, z)
    loops.update_phase(field, weight2, z, (0, 0, 0), MU, RELAX, real)
    np.testing.assert_allclose(real, expected[0], atol=2e-5)
    np.testing.assert_allclose(z, expected[1], atol=2e-5)


@pytest.mark.loops
def test_a_splitting_on_the_data_stays_there(rng):
    field = rng.uniform(-9, 9, (4, 4, 4)).astype(np.float32)
    z, real = field.copy(), field.copy()
    loops.update_phase(field, np.ones_like(field), z, (0, 0, 0), MU, RELAX, real)
    np.testing.assert_allclose(real, field, atol=1e-5)


@pytest.mark.loops
def test_start_of_the_nonlinear_steps_is_its_plain_twin(rng):
    field, weight2, v = rng.random((3, 4, 5, 6)).astype(np.float32)
    expected = (weight2 * field + MU * v) / (weight2 + MU)
    loops.split_from_sum(field, weight2, MU, v)
    np.testing.assert_allclose(v, expected, rtol=1e-5)


def test_turns_of_single_voxels_do_not_matter(ball_case, rng):
    """Where a linear data term breaks, the cosine sees the same phase."""
    radians = 12.0
    wrong = ball_case.mask & ~ball_case.inside & (rng.random(ball_case.grid.shape) < 0.003)
    turned = (ball_case.field + wrong * np.float32(2 * np.pi / radians)).astype(np.float32)
    given = {"regularisation": 5e-4}
    arguments = ball_case.mask, ball_case.grid

    def worst(invert, **options):
        clean, spoilt = (invert(f, *arguments, **given, **options) for f in (ball_case.field, turned))
        return np.abs(spoilt - clean).max() / clean.max()

    assert worst(invert_fansi_tv, radians_per_ppm=radians) < 0.25 * worst(invert_tv)


def test_small_phase_is_the_linear_method(ball_case):
    options = {"regularisation": 5e-4, "tolerance": 1e-4, "max_iterations": 200}
    nonlinear = invert_fansi_tv(
        ball_case.field, ball_case.mask, ball_case.grid, radians_per_ppm=0.05, **options
    )
    linear = invert_tv(ball_case.field, ball_case.mask, ball_case.grid, **options)
    np.testing.assert_allclose(nonlinear, linear, atol=0.01 * linear.max())


def test_no_phase_per_ppm_is_refused(ball_case):
    with pytest.raises(InvalidInputError, match="radians_per_ppm"):
        invert_fansi_tv(ball_case.field, ball_case.mask, ball_case.grid, radians_per_ppm=0.0)
    with pytest.raises(InvalidInputError, match="te_s"):
        qc.invert(
            ball_case.field, ball_case.mask, ball_case.grid, method="fansi_tv", te_s=(0.0,), b0_tesla=3.0
        )
