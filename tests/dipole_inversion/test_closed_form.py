"""TKD, TSVD and Tikhonov: analytic ball, symmetry, linearity, slow twins, threads, fixed numbers."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.core.dipole import dipole_kernel_k
from qsmcmb.core.methods import resolve
from qsmcmb.dipole_inversion import METHODS
from qsmcmb.errors import InvalidInputError

CASES = [
    ("tkd", {"threshold": 0.12}),
    ("tkd", {"threshold": 0.2, "correct": False}),
    ("tsvd", {"threshold": 0.1}),
    ("tikhonov", {"regulariser": "identity", "regularisation": 0.01}),
    ("tikhonov", {"regulariser": "gradient", "regularisation": 0.003}),
    ("tikhonov", {"regulariser": "laplacian", "regularisation": 0.002}),
]


def inverse_kernel(kernel, grid, method, options):
    """What each method multiplies the spectrum by, written plainly on the full spectrum's half."""
    if method == "tikhonov":
        axes = [2 * np.pi * np.fft.fftfreq(n) for n in grid.shape[:2]]
        axes.append(2 * np.pi * np.fft.rfftfreq(grid.shape[2]))
        k = np.meshgrid(*axes, indexing="ij")
        symbol = sum((2 - 2 * np.cos(kk)) / v**2 for kk, v in zip(k, grid.voxel_size_mm, strict=True))
        order = {"identity": 0, "gradient": 1, "laplacian": 2}[options["regulariser"]]
        below = kernel**2 + options["regularisation"] * symbol**order
        return np.divide(kernel, below, out=np.zeros_like(below), where=below > 0)
    large = np.abs(kernel) >= options["threshold"]
    floor = np.where(kernel < 0, -1, 1) / options["threshold"] if method == "tkd" else 0.0
    return np.where(large, 1 / np.where(large, kernel, 1), floor)


@pytest.mark.parametrize(("method", "options"), CASES)
def test_loops_are_their_plain_twins(method, options, ball_case, noise_pair):
    grid, mask = ball_case.grid, ball_case.mask
    kernel = dipole_kernel_k(grid.shape, grid.voxel_size_mm, grid.b0_dir).astype(np.float64)
    inverse = inverse_kernel(kernel, grid, method, options)
    twice = np.full(grid.shape[2] // 2 + 1, 2.0)
    twice[[0, -1]] = 1.0
    # At the origin the kernel is not known; 1/3 is what the loops' mean takes, one sample of all.
    response = (kernel * inverse * twice).sum() / np.prod(grid.shape)
    inverse[0, 0, 0] = 0
    if method == "tikhonov" or not options.get("correct", True):
        response = 1.0
    slow = np.fft.irfftn(
        np.fft.rfftn(noise_pair[0].astype(np.float64)) * inverse, s=grid.shape, axes=(0, 1, 2)
    )
    found = resolve(METHODS, method)(noise_pair[0], mask, grid, **options)
    np.testing.assert_allclose(found, np.where(mask, slow / response, 0), atol=2e-4 * np.abs(slow).max())


@pytest.mark.parametrize(("method", "options"), CASES)
def test_operators_are_symmetric_and_linear(method, options, ball_case, noise_pair):
    invert = resolve(METHODS, method)
    one, two = noise_pair
    of_one = invert(one, ball_case.mask, ball_case.grid, **options)
    of_two = invert(two, ball_case.mask, ball_case.grid, **options)
    left, right = np.vdot(of_one.astype(float), two), np.vdot(one.astype(float), of_two)
    assert left == pytest.approx(right, abs=float(1e-5 * np.linalg.norm(of_one) * np.linalg.norm(two)))
    both = invert(3 * one - two, ball_case.mask, ball_case.grid, **options)
    np.testing.assert_allclose(both, 3 * of_one - of_two, atol=1e-4 * np.abs(both).max())


@pytest.mark.parametrize(
    ("method", "options", "tolerance"),
    [
        ("tkd", {"threshold": 0.1}, 0.08),
        ("tsvd", {"threshold": 0.05}, 0.08),
        ("tikhonov", {"regulariser": "identity", "regularisation": 1e-3}, 0.15),
        ("tikhonov", {"regulariser": "gradient", "regularisation": 1e-3}, 0.15),
        ("tikhonov", {"regulariser": "laplacian", "regularisation": 1e-3}, 0.15),
    ],
)
def test_the_ball_keeps_its_total(method, options, tolerance, ball_case):
    chi = qc.invert(ball_case.field, ball_case.mask, ball_case.grid, method=method, options=options)
    reference = np.median(chi[ball_case.mask & ~ball_case.inside])
    total = (chi[ball_case.inside] - reference).sum() * ball_case.grid.voxel_volume_mm3
    assert total == pytest.approx(ball_case.total_ppm_mm3, rel=tolerance)


@pytest.mark.parametrize(
    ("method", "options", "name"),
    [
        ("tkd", {"threshold": 0.0}, "threshold = 0.0"),
        ("tkd", {"threshold": 0.4}, "threshold = 0.4"),
        ("tsvd", {"threshold": float("nan")}, "threshold = nan"),
        ("tikhonov", {"regularisation": -1.0}, "regularisation = -1.0"),
        ("tikhonov", {"regulariser": "curl"}, "regulariser = 'curl'"),
    ],
)
def test_options_out_of_range_are_refused(method, options, name, ball_case):
    with pytest.raises(InvalidInputError, match=name):
        qc.invert(ball_case.field, ball_case.mask, ball_case.grid, method=method, options=options)


@pytest.mark.parametrize(("method", "standard_deviation"), [("tkd", 0.064123), ("tsvd", 0.063648)])
def test_fixed_numbers(method, standard_deviation, ball_case):
    chi = qc.invert(ball_case.field, ball_case.mask, ball_case.grid, method=method)
    assert chi[ball_case.mask].std(dtype=float) == pytest.approx(standard_deviation, rel=1e-4)
