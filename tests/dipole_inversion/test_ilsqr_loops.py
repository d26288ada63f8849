"""Loops of the streak estimate in the cone of k-space against boolean masks of whole arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qsmcmb.core.dipole import dipole_kernel_k, spectral_tables
from qsmcmb.core.fft import half_shape
from qsmcmb.dipole_inversion import _ilsqr_loops as loops

pytestmark = pytest.mark.loops
EDGE = np.float32(0.12)


@pytest.fixture(params=[8, 9], ids=["even", "odd"])
def cone(request: pytest.FixtureRequest) -> Any:
    """Return shape, samples of the cone as the loops take them, where they are, 1 / S and how often each stands."""
    shape = (6, 10, request.param)
    where = shape, (1.0, 1.2, 1.5), (0.36, 0.48, 0.8)
    tables, even = spectral_tables(*where), shape[2] % 2 == 0
    kernel = dipole_kernel_k(*where)
    kernel[0, 0, 0] = 1 / 3
    inside = np.abs(kernel) < EDGE
    counts = np.zeros(shape[0], np.int64)
    loops.count_cone(tables, EDGE, counts)
    np.testing.assert_array_equal(counts, inside.sum(axis=(1, 2)))
    begins = np.concatenate([[0], np.cumsum(counts)])
    places = np.empty(int(begins[-1]), np.int32)
    inverse, shares = np.empty((2, places.size), np.float32)
    loops.list_cone(tables, EDGE, even, begins, places, inverse, shares)
    symbol = sum(t[3].reshape([-1 if a == i else 1 for i in range(3)]) for a, t in enumerate(tables))
    twice = np.full(kernel.shape, 2.0)
    twice[..., 0] = 1
    if even:
        twice[..., -1] = 1
    return shape, (begins, places, inverse, shares), inside, symbol, twice


def random_spectrum(shape: Any, rng: np.random.Generator) -> Any:
    real, imag = rng.standard_normal((2, *half_shape(shape)))
    return (real + 1j * imag).astype(np.complex64)


def test_samples_are_listed_plane_by_plane_with_what_they_stand_for(cone: Any) -> None:
    _, (begins, places, inverse, shares), inside, symbol, twice = cone
    assert 20 < places.size < 0.7 * inside.size
    for x, plane in enumerate(inside):
        own = slice(begins[x], begins[x + 1])
        np.testing.assert_array_equal(places[own], np.flatnonzero(plane))
        np.testing.assert_allclose(inverse[own], 1 / symbol[x][plane], rtol=1e-5)
        np.testing.assert_allclose(shares[own], (twice[x] / np.maximum(symbol[x], 1e-30))[plane], rtol=1e-5)


def test_the_residual_shrinks_by_the_product_and_its_norm_is_weighted(
    cone: Any, rng: np.random.Generator
) -> None:
    shape, samples, inside, symbol, twice = cone
    spectrum, length = random_spectrum(shape, rng), np.float32(-0.4)
    cg = (rng.standard_normal((3, samples[1].size)) + 1j * rng.standard_normal((3, samples[1].size))).astype(
        np.complex64
    )
    residual, way, found = cg.copy()
    left = residual - length * spectrum[inside]
    sums = loops.shrink_residual(samples, length, spectrum, cg)
    np.testing.assert_allclose(cg[0], left, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(cg[1], way)
    np.testing.assert_allclose(cg[2], found + length * way, rtol=1e-4, atol=1e-5)
    assert sums.sum() == pytest.approx(
        float(((twice / np.maximum(symbol, 1e-30))[inside] * np.abs(left) ** 2).sum()), rel=1e-4
    )


def test_the_direction_turns_inside_the_cone_and_is_0_outside(cone: Any, rng: np.random.Generator) -> None:
    shape, samples, inside, symbol, _ = cone
    spectrum, keep, scale = random_spectrum(shape, rng), np.float32(0.3), np.float32(2.0)
    cg = (rng.standard_normal((3, samples[1].size)) + 1j * rng.standard_normal((3, samples[1].size))).astype(
        np.complex64
    )
    new = cg[0] / symbol[inside] + keep * cg[1]
    loops.turn_direction(samples, keep, scale, spectrum, cg)
    np.testing.assert_allclose(cg[1], new, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(spectrum[inside], scale * new, rtol=1e-4, atol=1e-5)
    assert not spectrum[~inside].any()
    loops.spread_cone(samples, cg[0], spectrum)
    np.testing.assert_array_equal(spectrum[inside], cg[0])
    assert not spectrum[~inside].any()


def test_streaks_are_subtracted_inside_the_mask(rng: np.random.Generator) -> None:
    chi, streaks = rng.standard_normal((2, 5, 6, 7)).astype(np.float32)
    mask, out = rng.random(chi.shape) < 0.6, np.empty_like(chi)
    expected = np.where(mask, chi - np.float32(1.5) * streaks, 0)
    loops.subtract_inside(chi, streaks, mask, np.float32(1.5), out)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
