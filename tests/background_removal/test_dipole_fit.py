"""PDF and source-aware LBV: loops against NumPy, and the microbleed at the mask's edge."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.background_removal import _normal_loops as loops
from qsmcmb.background_removal.dipole_fit import data_weights
from qsmcmb.model import Grid
from qsmcmb.phantoms.lesions import Ball, ball_field
from qsmcmb.typing import FloatArray

SHAPE = (5, 4, 3)


def volumes(rng: np.random.Generator, count: int) -> list[FloatArray]:
    return list(rng.standard_normal((count, *SHAPE)).astype(np.float32))


@pytest.mark.loops
def test_products_and_misfit_are_numpys(rng: np.random.Generator) -> None:
    a, b, c = volumes(rng, 3)
    out = np.empty_like(a)
    loops.multiply(a, b, out)
    np.testing.assert_allclose(out, a * b, rtol=1e-6)
    large = np.ones((6, 5, 4), np.float32)
    expected = np.zeros_like(large)
    expected[:5, :4, :3], large[:5, :4, :3] = a * (b - c), c
    loops.weigh_misfit(a, b, large)
    np.testing.assert_allclose(large, expected, rtol=1e-5, atol=1e-6)
    large[...], expected[...] = 1, 0
    large[:5, :4, :3], expected[:5, :4, :3] = c, a * c
    assert loops.weigh(a, large).sum() == pytest.approx((a * c * c).sum(), rel=1e-4, abs=1e-4)
    np.testing.assert_allclose(large, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.loops
def test_steps_of_the_solver_are_numpys(rng: np.random.Generator) -> None:
    prior, back, direction, unknown, residual = volumes(rng, 5)
    damping, length = np.float32(0.3), np.float32(0.7)
    product = prior * back + damping * direction
    along = loops.along(prior, back, direction).sum()
    assert along == pytest.approx(np.vdot(direction, prior * back), rel=1e-4, abs=1e-4)
    moved, rest = unknown + length * direction, residual - length * product
    square = loops.step(prior, back, direction, damping, length, unknown, residual).sum()
    np.testing.assert_allclose(unknown, moved, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(residual, rest, rtol=1e-5, atol=1e-6)
    assert square == pytest.approx(np.vdot(rest, rest), rel=1e-4)
    turned, sources = rest + length * direction, np.empty_like(back)
    square = loops.turn(residual, length, prior, direction, sources).sum()
    assert square == pytest.approx(np.vdot(turned, turned), rel=1e-4)
    np.testing.assert_allclose(direction, turned, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sources, prior * turned, rtol=1e-5, atol=1e-6)
    square = loops.gradient_of_misfit(prior, back, unknown, damping, residual).sum()
    np.testing.assert_allclose(residual, prior * back - damping * unknown, rtol=1e-5, atol=1e-6)
    assert square == pytest.approx(np.vdot(residual, residual), rel=1e-4)


@pytest.mark.loops
def test_strong_sources_widen_the_prior_around_them() -> None:
    mask = np.ones((7, 6, 5), bool)
    mask[0] = False
    strength, prior = np.zeros(mask.shape, np.float32), np.full(mask.shape, 0.5, np.float32)
    strength[3, 3, 2] = 27.0
    loops.widen_prior(strength, mask, np.float32(0.9), np.float32(0.1), prior)
    expected = np.where(mask, np.float32(0.1), np.float32(0.5))
    expected[2:5, 2:5, 1:4] = 1.0
    np.testing.assert_allclose(prior, expected)


def test_weights_are_inverse_sd_and_capped() -> None:
    mask = np.ones((2, 2, 2), bool)
    mask[0, 0, 0] = False
    sd = np.full(mask.shape, 2.0, np.float32)
    sd[1, 1] = np.inf, 0.1
    weights = data_weights(sd, mask)
    found = [float(weights[at]) for at in ((0, 0, 0), (1, 1, 0), (1, 1, 1), (1, 0, 0))]
    assert found == [0, 0, 3, 1]


def kept_moment(method: str, depth_mm: float, tilt: tuple[float, float, float]) -> float:
    """Part of a microbleed's own field that stays, `depth_mm` from the edge beside an air cavity's field."""
    grid = Grid((48, 48, 48), (1.0, 1.0, 1.0), tilt)
    xyz = np.stack(np.meshgrid(*[np.arange(48) - 24.0] * 3, indexing="ij"))
    mask = (xyz**2).sum(axis=0) < 20**2
    fields, direction = [], np.array(grid.b0_dir)
    for at, radius, chi in (((0.0, 4.0, -31.0), 5.0, 9.4), ((20.0 - depth_mm, 0.3, 0.2), 1.5, 1.5)):
        offset = xyz - np.reshape(at, (3, 1, 1, 1))
        fields.append(np.where(mask, ball_field(offset, Ball(at, radius, chi), direction), 0))
    local, _ = qc.remove_background(sum(fields).astype(np.float32), mask, grid, method=method)
    near = mask & (((xyz - np.reshape((20.0 - depth_mm, 0.3, 0.2), (3, 1, 1, 1))) ** 2).sum(axis=0) < 5**2)
    return float(np.vdot(local[near], fields[1][near]) / np.vdot(fields[1][near], fields[1][near]))


@pytest.mark.parametrize("depth_mm", [2.5, 4.0])
@pytest.mark.parametrize("tilt", [(0.0, 0.0, 1.0), (0.0, 0.6, 0.8)])
def test_microbleed_at_the_edge_is_kept(depth_mm: float, tilt: tuple[float, float, float]) -> None:
    aware = kept_moment("slbv", depth_mm, tilt)
    assert 0.9 < aware < 1.05
    assert aware > kept_moment("pdf", depth_mm, tilt) + 0.02


def test_edge_that_its_own_sd_does_not_trust_spoils_nothing_behind_it(rng: np.random.Generator) -> None:
    """A patch of the surface that is noise, three voxels deep at most, with an SD that says so."""
    grid = Grid.isotropic((44, 44, 44), 1.0)
    x, y, z = np.meshgrid(*[np.arange(44) - 21.5] * 3, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    mask = radius < 19
    background = (0.02 * z + 0.001 * (x**2 - y**2)).astype(np.float32) * mask
    patch = mask & (radius > 17.6) & (z > 5)
    sd = np.where(patch, 0.5, 0.001).astype(np.float32)
    field = background + (sd * rng.standard_normal(grid.shape)).astype(np.float32) * mask
    deep = radius < 12
    spoilt, kept = (
        qc.remove_background(
            field, mask, grid, method="slbv", field_sd_hz=sd, options={"doubtful": limit}
        )
        for limit in (1e9, 20.0)
    )  # fmt: skip
    np.testing.assert_array_equal(kept.mask, mask)
    assert np.std(spoilt.local_field_hz[deep]) > 0.004
    # What is left is the noise of 0.001 itself.
    assert np.std(kept.local_field_hz[deep]) < 0.0011
    # The noise itself stays where it was measured; background is continued under it.
    assert np.std((kept.local_field_hz - field + background)[patch]) < 0.05
