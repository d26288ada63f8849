"""Loops of the conjugate gradients in k-space against whole arrays, linear and with the cosine's cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qsmcmb.core._robust_loops import row_spans
from qsmcmb.core.dipole import dipole_kernel_k, spectral_tables
from qsmcmb.core.fft import half_shape
from qsmcmb.dipole_inversion import _descent_loops as loops
from qsmcmb.typing import ComplexArray, FloatArray

pytestmark = pytest.mark.loops
SHAPE = (6, 7, 9)
DAMPING, SCALE = np.float32(0.03), np.float32(0.5)
BOTH = pytest.mark.parametrize("nonlinear", [False, True])


@pytest.fixture
def image(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray, Any]:
    """Return a difference of some turns, a direction's field, weights of a mask, and where its rows lie."""
    difference = rng.uniform(-9, 9, SHAPE).astype(np.float32)
    forward = rng.standard_normal(SHAPE).astype(np.float32)
    mask = np.zeros(SHAPE, bool)
    mask[1:5, 2:6, 1:8] = True
    rows = np.empty((*SHAPE[:2], 2), np.int64)
    row_spans(mask, rows)
    weight2 = np.where(mask, rng.uniform(0.2, 2.0, SHAPE), 0).astype(np.float32)
    return difference, forward, weight2, rows


@BOTH
def test_curvature_is_the_second_derivative_of_the_cost(nonlinear: bool, image: Any) -> None:
    difference, forward, weight2, rows = image
    bend = np.maximum(np.cos(difference.astype(float)), 0.5) if nonlinear else 1.0
    expected = (weight2 * bend * forward.astype(float) ** 2).sum(axis=(1, 2))
    np.testing.assert_allclose(
        loops.curvature(forward, difference, weight2, nonlinear, rows), expected, rtol=1e-4
    )


@BOTH
def test_a_step_moves_the_difference_and_leaves_the_weighted_residual(nonlinear: bool, image: Any) -> None:
    base, forward, weight2, rows = image
    gain, length = np.float32(-1.5), np.float32(0.4)
    moved = gain * base.astype(float) + length * forward
    residual = weight2 * (np.sin(moved) if nonlinear else moved)
    cost = weight2 * (4 * np.sin(moved / 2) ** 2 if nonlinear else moved**2)
    foretold = loops.misfit(base, gain, forward, length, weight2, nonlinear, rows)
    difference, left = np.full(SHAPE, np.float32(7)), forward.copy()
    found = loops.step(base, gain, left, length, weight2, nonlinear, difference, rows)
    np.testing.assert_allclose(found, cost.sum(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(foretold, found, rtol=1e-5)
    # Outside the rows there is no residual, and the difference is not touched.
    np.testing.assert_allclose(left, residual, atol=3e-5)
    inside = weight2 > 0
    np.testing.assert_allclose(difference[inside], moved[inside], atol=2e-5)
    assert (difference[~inside] == 7).all()


def kernel_and_spectra(rng: np.random.Generator, count: int) -> tuple[FloatArray, Any, list[ComplexArray]]:
    where = SHAPE, (1.0, 1.2, 1.5), (0.36, 0.48, 0.8)
    kernel = dipole_kernel_k(*where).astype(float)
    kernel[0, 0, 0] = 1 / 3
    shape = half_shape(SHAPE)
    spectra = [
        (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
        for _ in range(count)
    ]
    return kernel, spectral_tables(*where), spectra


@pytest.mark.parametrize("even", [False, True])
def test_the_gradients_norm_is_that_of_the_whole_spectrum(even: bool, rng: np.random.Generator) -> None:
    kernel, tables, (spectrum,) = kernel_and_spectra(rng, 1)
    twice = np.full(kernel.shape, 2.0)
    twice[..., 0] = 1
    if even:
        twice[..., -1] = 1
    expected = (twice * np.abs(spectrum) ** 2 * kernel**2 / (kernel**2 + DAMPING)).sum(axis=(1, 2))
    np.testing.assert_allclose(loops.gradient_norm(*tables, DAMPING, even, spectrum), expected, rtol=1e-5)


def test_the_first_direction_is_the_damped_inverse_of_the_field(rng: np.random.Generator) -> None:
    kernel, tables, (spectrum,) = kernel_and_spectra(rng, 1)
    way, gain = np.empty_like(spectrum), np.float32(2.0)
    new = SCALE * gain * spectrum * kernel / (kernel**2 + DAMPING)
    loops.start(tables, DAMPING, SCALE, gain, spectrum, way)
    np.testing.assert_allclose(way, new, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(spectrum, new * kernel, rtol=1e-4, atol=1e-5)


def test_a_turn_advances_the_map_and_keeps_part_of_the_old_direction(rng: np.random.Generator) -> None:
    kernel, tables, (spectrum, chi, way) = kernel_and_spectra(rng, 3)
    length, keep = np.float32(0.7), np.float32(0.3)
    moved = chi + length * way
    new = keep * way - SCALE * spectrum * kernel / (kernel**2 + DAMPING)
    loops.turn(tables, DAMPING, SCALE, length, keep, spectrum, chi, way)
    np.testing.assert_allclose(chi, moved, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(way, new, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(spectrum, new * kernel, rtol=1e-4, atol=1e-5)
    expected = chi + np.float32(2) * way
    loops.advance(np.float32(2), way, chi)
    np.testing.assert_allclose(chi, expected, rtol=1e-5, atol=1e-6)
