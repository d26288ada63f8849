"""Weights from the noise: against slow spectra, against the best weight of a known object, and their units."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.core.dipole import dipole_kernel_k, forward_field, spectral_tables
from qsmcmb.core.fft import rfftn
from qsmcmb.dipole_inversion import _regularisation_loops as loops
from qsmcmb.dipole_inversion.regularisation import (
    CRITERIA,
    GRADIENT_FACTOR,
    MAX_LEVEL_SDS,
    error_level,
    gradient_weight,
    tikhonov_weight,
)
from qsmcmb.dipole_inversion.tikhonov import ORDER, invert_tikhonov
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid

GRID = Grid((36, 32, 40), (1.0, 1.2, 0.9), (0.0, 0.28, 0.96))


@pytest.fixture
def blocks(rng):
    """Overlapping boxes of susceptibility, everything inside the mask."""
    chi = np.zeros(GRID.shape, np.float32)
    for _ in range(12):
        low = rng.integers(4, 18, 3)
        size = rng.integers(3, 10, 3)
        chi[tuple(slice(a, a + b) for a, b in zip(low, size, strict=True))] += rng.normal() * 0.1
    return chi


@pytest.mark.parametrize("order", [0, 1, 2])
def test_histogram_is_its_plain_twin(order, rng):
    spectrum = rfftn(rng.standard_normal(GRID.shape).astype(np.float32))
    tables = spectral_tables(GRID.shape, GRID.voxel_size_mm, GRID.b0_dir)
    d = np.abs(dipole_kernel_k(GRID.shape, GRID.voxel_size_mm, GRID.b0_dir).astype(float))
    s = sum(t[3].reshape([-1 if a == i else 1 for i in range(3)]) for a, t in enumerate(tables)).astype(float)
    twice = np.full(d.shape, 2.0)
    twice[..., [0, -1]] = 1.0
    twice[0, 0, 0] = 0.0
    energy = np.abs(spectrum) ** 2
    low, high = np.float32(0.2), np.float32(5.0)
    band = (s > low) & (s < high)
    rows = loops.histogram(*tables, (order, 1), low, high, True, spectrum).sum(axis=0)
    near = band & (d > 0.05) & (d < 0.15)
    well = band & (d > loops.WELL_CONDITIONED)
    amplitude = np.sqrt(energy) / np.maximum(d, 1e-9)
    slow = [
        twice * energy,
        twice,
        twice * amplitude * near,
        twice * near,
        twice * amplitude * well,
        twice * well,
    ]
    np.testing.assert_allclose(rows.sum(axis=1), [r.sum() for r in slow], rtol=2e-3)
    s[0, 0, 0] = 1
    place = (np.log10(np.maximum(d**2, 1e-20) / s**order) - float(loops.LOG_LOW)) * float(loops.PER_DECADE)
    edges = np.arange(loops.BINS + 1)
    expected = np.histogram(np.clip(place, 0, loops.BINS - 1), edges, weights=twice * energy)[0]
    # A sample at a bin's edge may fall on either side.
    assert np.abs(np.cumsum(rows[0] - expected)).max() < 2e-3 * expected.sum()


@pytest.mark.parametrize("regulariser", ORDER)
@pytest.mark.parametrize("noise", [0.001, 0.01])
def test_cross_validation_is_near_the_best_weight(regulariser, noise, blocks, rng):
    everywhere = np.ones(GRID.shape, bool)
    field = forward_field(blocks, GRID, pad=False)
    field += noise * rng.standard_normal(GRID.shape).astype(np.float32)

    def error(weight):
        chi = invert_tikhonov(field, everywhere, GRID, regulariser=regulariser, regularisation=weight)
        return np.linalg.norm(chi - chi.mean() - blocks + blocks.mean())

    chosen = tikhonov_weight(field, everywhere, GRID, order=ORDER[regulariser])
    assert error(chosen) < 1.15 * min(error(w) for w in np.logspace(-6, 0, 25))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_more_noise_never_asks_for_less_weight(criterion, blocks, rng):
    everywhere = np.ones(GRID.shape, bool)
    clean, noise = forward_field(blocks, GRID, pad=False), rng.standard_normal(GRID.shape)
    weights = [
        tikhonov_weight(
            (clean + sd * noise).astype(np.float32), everywhere, GRID, order=1, criterion=criterion
        )
        for sd in (0.002, 0.02)
    ]
    # The corner of the L-curve stays where it is on blocks.
    assert weights[0] < weights[1] or (criterion == "l-curve" and weights[0] == weights[1])


@pytest.mark.parametrize("criterion", CRITERIA)
def test_tikhonov_weight_does_not_depend_on_the_unit(criterion, blocks, rng):
    everywhere = np.ones(GRID.shape, bool)
    field = forward_field(blocks, GRID) + 0.003 * rng.standard_normal(GRID.shape).astype(np.float32)
    one, other = (
        tikhonov_weight(f, everywhere, GRID, criterion=criterion) for f in (field, np.float32(127.7) * field)
    )
    assert one == other


def test_error_level_finds_the_noise_and_scales(blocks, rng):
    everywhere = np.ones(GRID.shape, bool)
    field = forward_field(blocks, GRID, pad=False) + 0.004 * rng.standard_normal(GRID.shape).astype(
        np.float32
    )
    found = error_level(field, everywhere, GRID)
    assert found == pytest.approx(0.004, rel=0.1)
    assert error_level(127.7 * field, everywhere, GRID) == pytest.approx(127.7 * found, rel=1e-4)
    assert gradient_weight(2 * field, everywhere, GRID) == pytest.approx(
        2 * gradient_weight(field, everywhere, GRID), rel=1e-4
    )


def test_the_weight_of_the_gradient_grows_with_the_voxels_edge(blocks, rng):
    """As the error does, but for the steps of the ladder that it is found by: an eighth of an octave and less."""
    everywhere = np.ones(GRID.shape, bool)
    field = forward_field(blocks, GRID, pad=False) + 0.004 * rng.standard_normal(GRID.shape).astype(
        np.float32
    )
    large = Grid(GRID.shape, tuple(3 * v for v in GRID.voxel_size_mm), GRID.b0_dir)
    one, other = (gradient_weight(field, everywhere, g) for g in (GRID, large))
    assert other == pytest.approx(3 * one, rel=0.02)
    edge = float(np.prod(GRID.voxel_size_mm)) ** (1 / 3)
    assert one == pytest.approx(GRADIENT_FACTOR * edge * error_level(field, everywhere, GRID), rel=1e-6)


def test_error_level_is_at_most_four_sds_of_the_field(blocks, rng):
    """Of thick slices most of the tissue's field would count as error, and the map would be empty."""
    everywhere = np.ones(GRID.shape, bool)
    field = forward_field(blocks, GRID, pad=False) + rng.normal(0, 0.01, GRID.shape).astype(np.float32)
    stated = np.full(GRID.shape, 0.002, np.float32)
    assert error_level(field, everywhere, GRID) > 0.009
    assert error_level(field, everywhere, GRID, field_sd=stated) == pytest.approx(
        MAX_LEVEL_SDS * 0.002, rel=1e-6
    )


def test_error_level_is_at_least_the_stated_noise(blocks):
    everywhere = np.ones(GRID.shape, bool)
    field, stated = forward_field(blocks, GRID, pad=False), np.full(GRID.shape, 0.05, np.float32)
    assert error_level(field, everywhere, GRID, field_sd=stated) == pytest.approx(0.05, rel=1e-6)


def test_an_unknown_criterion_is_refused(blocks):
    with pytest.raises(InvalidInputError, match="criterion = 'guess'; expected one of cross-validation"):
        tikhonov_weight(blocks, np.ones(GRID.shape, bool), GRID, criterion="guess")
