"""The lesion's signal: its slopes against differences."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.field_fit import with_fitted_field
from qsmcmb.microbleeds.fit.priors import dark_core
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.source_shapes import BALL, BALL_PAIR, SPHEROID, Source, SourceShape
from tests.scenes.patches import SMALL_BALL, SMALL_BALL_DECAY, scanned, small_patch


@pytest.mark.parametrize("shape", [BALL, BALL_PAIR, SPHEROID], ids=lambda shape: shape.name)
@pytest.mark.parametrize("tilt_hz_per_mm", [0.0, 12.0])
def test_slopes_are_differences(shape: SourceShape, tilt_hz_per_mm: float) -> None:
    patch = scanned(np.array([[5.0, 0.3, -0.4, 0.2, 1.1]]), tilt_hz_per_mm=tilt_hz_per_mm)
    patch = with_fitted_field(patch, Source(5.0, (0.3, -0.4, 0.2), 1.1))
    source = Source(5.0, (0.0, 0.0, 0.0), 1.1)
    one = LesionModel(patch, source, core_decay=dark_core(3.0))
    p = one.start_parameters(Source(5.0, (0.1, 0.05, -0.1), 1.1))
    model = one.with_shape(shape)
    if shape is not BALL:
        p = np.concatenate([p[:7], [0.6, 0.5, 0.4], p[7:]])
    slopes = model.signal(p, slopes=True).slopes
    assert slopes is not None
    for i in range(model.n_source_parameters):
        step = np.zeros(len(p))
        step[i] = 3e-3
        difference = (model.signal(p + step).factor - model.signal(p - step).factor) / 6e-3
        # The radius moves the edge across cells in steps.
        tolerance = 0.1 if i == 4 else 0.04
        assert np.linalg.norm(difference - slopes[i]) < tolerance * np.linalg.norm(difference)


@pytest.fixture(scope="module")
def small() -> LesionModel:
    return LesionModel(small_patch(), SMALL_BALL, core_decay=SMALL_BALL_DECAY)


def test_start_parameters_are_the_source_and_what_is_expected_of_the_scan(small: LesionModel) -> None:
    p = small.start_parameters(Source(1.5, (0.1, 0.2, 0.3), 0.7), [4.0, 5.0])
    expected = [1.5, 0.1, 0.2, 0.3, np.log(0.7), 0.16, np.log(100.0)]
    np.testing.assert_allclose(p[:7], expected)
    # Without a shape that has more, what comes after the common parameters is not used.
    assert len(p) == 7 + small.tissue.phase.size + small.tissue.amplitude.size
    pair = small.with_shape(BALL_PAIR)
    own = pair.start_parameters(SMALL_BALL, [0.5, 0.4, 0.3])
    np.testing.assert_allclose(own[7:10], [0.5, 0.4, 0.3])
    assert len(own) == len(p) + 3
    assert small.shape is BALL


def test_the_signal_is_tissue_times_factor(small: LesionModel) -> None:
    p = small.start_parameters(SMALL_BALL)
    p[7:] += 0.05
    signal = small.signal(p)
    n = small.tissue.phase.size
    log = small.tissue.amplitude.value(p[7 + n :]) + 1j * small.tissue.phase.value(p[7 : 7 + n])
    np.testing.assert_allclose(signal.background, np.exp(log).ravel())
    rows = BALL.rows(p)
    factor = 1 + small.point_spread.factor(rows, 100.0, 0.16).reshape(-1)
    np.testing.assert_allclose(signal.factor, factor, atol=1e-6)
    np.testing.assert_array_equal(signal.value, signal.background * signal.factor)
    assert signal.slopes is None
    # As the patch was made by the model, the model fits it.
    q = small.start_parameters(SMALL_BALL)
    assert np.std(small.signal(q).value - small.data) == pytest.approx(0.014, rel=0.1)


def test_neighbours_multiply_factor_and_slopes(small: LesionModel) -> None:
    p = small.start_parameters(SMALL_BALL)
    other = np.exp(1j * np.linspace(0, 1, len(small.data)))
    beside = small.with_neighbours(other)
    alone, both = small.signal(p, slopes=True), beside.signal(p, slopes=True)
    np.testing.assert_allclose(both.factor, alone.factor * other, atol=1e-6)
    assert alone.slopes is not None
    assert both.slopes is not None
    np.testing.assert_allclose(both.slopes, alone.slopes * other, atol=1e-5)
    assert small.neighbours is None
    # On fewer voxels the neighbours are theirs.
    patch = small.patch.restricted_to(3.0)
    fewer = beside.with_shape(BALL_PAIR).on_patch(patch, SMALL_BALL)
    assert fewer.shape is BALL_PAIR
    assert fewer.core_decay == SMALL_BALL_DECAY
    np.testing.assert_array_equal(fewer.neighbours, patch.values_from_wider(small.patch, other))
    np.testing.assert_array_equal(fewer.data, patch.values_from_wider(small.patch, small.data))
    assert small.on_patch(patch, SMALL_BALL).neighbours is None


def test_the_background_that_a_fit_has_found_is_its_cubic(
    small: LesionModel, rng: np.random.Generator
) -> None:
    p = small.start_parameters(SMALL_BALL)
    p[7 : 7 + small.tissue.phase.size] = rng.standard_normal(small.tissue.phase.size)
    patch = small.patch_with_fitted_background(p)
    field = patch.background_hz(patch.coordinates_mm[:, patch.inside])
    # The phase less the part that does not grow with echo time.
    phase = small.tissue.phase.value(p[7 : 7 + small.tissue.phase.size])
    growth = (phase[1] - phase[0]) / (2 * np.pi * (0.014 - 0.006))
    np.testing.assert_allclose(field, growth, atol=1e-9)


def test_a_process_starts_at_zero(small: LesionModel) -> None:
    p = small.start_parameters(SMALL_BALL)
    model, q = small.with_gp_prior(p)
    np.testing.assert_array_equal(model.signal(q).value, small.signal(p).value)
    assert model.gp_prior_cost(q) == 0
    assert len(q) > len(p)
    assert len(model.precision) == len(q) - 7
    n, n_phase = small.tissue.phase.size, model.tissue.phase.size
    q[7 + n] = 3.0
    q[-1] = 2.0
    last = model.tissue.amplitude.terms[-1].sd
    assert model.gp_prior_cost(q) == pytest.approx(9 / model.tissue.phase.terms[-1].sd ** 2 + 4 / last**2)
    assert n_phase > n
    assert small.tissue is small.polynomial
