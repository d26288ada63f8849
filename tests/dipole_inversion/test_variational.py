"""Methods with a total variation prior: analytic ball, noise, units, threads, refusals, fixed numbers."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.errors import InvalidInputError

METHODS = ["tv", "rts", "nltv", "fansi_tv", "fansi_tgv"]
GOLDEN = {"tv": 7.1692, "rts": 6.9396, "nltv": 7.5966, "fansi_tv": 7.1633, "fansi_tgv": 7.1629}


def total_inside(chi, case):
    reference = np.median(chi[case.mask & ~case.inside])
    return float((chi[case.inside] - reference).sum() * case.grid.voxel_volume_mm3)


@pytest.mark.parametrize("method", METHODS)
def test_a_ball_keeps_its_total_susceptibility(method, ball_case):
    chi = qc.invert(ball_case.field, ball_case.mask, ball_case.grid, method=method)
    assert total_inside(chi, ball_case) == pytest.approx(ball_case.total_ppm_mm3, rel=0.06)


@pytest.mark.parametrize("method", METHODS)
def test_noise_alone_makes_no_map(method, ball_case, rng):
    noise = 0.01 * rng.standard_normal(ball_case.grid.shape).astype(np.float32)
    chi = qc.invert(noise, ball_case.mask, ball_case.grid, method=method)
    assert chi[ball_case.mask].std() < 0.01


@pytest.mark.parametrize("method", METHODS)
def test_voxels_of_infinite_sd_do_not_matter(method, ball_case):
    sd = np.full(ball_case.grid.shape, 0.002, np.float32)
    bad = np.zeros(ball_case.grid.shape, bool)
    bad[25:28, 20:23, 20:23] = True
    sd[bad] = np.inf
    spoilt = np.where(bad, np.float32(0.3), ball_case.field)
    options = {"regularisation": 1e-3}
    one, two = (
        qc.invert(f, ball_case.mask, ball_case.grid, method=method, field_sd_ppm=sd, options=options)
        for f in (ball_case.field, spoilt)
    )
    assert np.abs(one - two).max() < 0.05 * np.abs(one).max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("option", "value"), [("regularisation", 0.0), ("tolerance", 0.0), ("max_iterations", 0)]
)
def test_options_out_of_range_are_refused(method, option, value, ball_case):
    with pytest.raises(InvalidInputError, match=option):
        qc.invert(ball_case.field, ball_case.mask, ball_case.grid, method=method, options={option: value})


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_field_gives_an_empty_map(method, ball_case):
    assert not qc.invert(0 * ball_case.field, ball_case.mask, ball_case.grid, method=method).any()


@pytest.mark.parametrize("method", METHODS)
def test_fixed_numbers(method, ball_case):
    chi = qc.invert(ball_case.field, ball_case.mask, ball_case.grid, method=method)
    assert float(np.linalg.norm(chi)) == pytest.approx(GOLDEN[method], rel=1e-3)
