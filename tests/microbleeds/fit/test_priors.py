"""Priors of a lesion's parameters: values by hand, derivatives against differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.priors import (
    LESION_PRIORS,
    dark_core,
    expected_radius_mm,
    prior_slopes,
    priors,
)
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.source_shapes import (
    BALL,
    BALL_PAIR,
    CYLINDER,
    SPHEROID,
    CoreDecay,
    Source,
    SourceShape,
)
from qsmcmb.model import Estimate
from tests.scenes.patches import SMALL_BALL, small_patch, with_acquisition


@pytest.fixture(scope="module")
def model() -> LesionModel:
    patch = with_acquisition(small_patch(), psf_width2=Estimate(0.3, 0.05, "mm2"))
    return LesionModel(patch, SMALL_BALL, core_decay=CoreDecay(90.0, 0.5))


def parameters(model: LesionModel, shape: SourceShape) -> np.ndarray:
    own = [] if shape is BALL else [0.5, -0.6, 0.7]
    common = [-1.7, 0.3, -0.2, 0.6, np.log(0.8), 0.45, np.log(120.0)]
    tissue = model.tissue.phase.size + model.tissue.amplitude.size
    return np.array([*common, *own, *np.full(tissue, 0.1)])


def test_of_a_ball_every_prior_is_what_a_hand_computes(model: LesionModel) -> None:
    # Points are known to 1 mm and half a voxel.
    sd_mm = np.hypot(1.0, 0.5 * np.array([1.0, 1.1, 0.9]))
    dchi = 1.7 / (4 / 3 * np.pi * 0.8**3)
    expected = [*np.array([0.3, -0.2, 0.6]) / sd_mm, np.log(dchi) / 0.6, 0.15 / 0.05, np.log(120 / 90) / 0.5]
    np.testing.assert_allclose(priors(model, parameters(model, BALL)), expected)


def test_what_a_shape_knows_comes_last(model: LesionModel) -> None:
    p = parameters(model, BALL_PAIR)
    found = priors(model.with_shape(BALL_PAIR), p)
    assert len(found) == 7
    assert found[6] == pytest.approx(np.log(np.sqrt(1.1) / 0.8) / 0.4)
    # Half of the total is in each ball.
    assert found[3] == pytest.approx(np.log(1.7 / (8 / 3 * np.pi * 0.8**3)) / 0.6)


@pytest.mark.parametrize("shape", [BALL, BALL_PAIR, SPHEROID, CYLINDER], ids=lambda shape: shape.name)
@pytest.mark.parametrize("total", [-1.7, 0.01])
def test_derivatives_are_differences(model: LesionModel, shape: SourceShape, total: float) -> None:
    shaped, p = model.with_shape(shape), parameters(model, shape)
    p[0] = total
    slopes = prior_slopes(shaped, p)
    assert slopes.shape == (len(priors(shaped, p)), shape.n_source_parameters)
    for i in range(shape.n_source_parameters):
        step = np.zeros(len(p))
        step[i] = 1e-6
        difference = (priors(shaped, p + step) - priors(shaped, p - step)) / 2e-6
        if i == 0 and abs(total) < 0.05:
            # Where the total passes 0 the prior is flat, and its derivative stays bounded instead.
            assert difference[3] == 0
            assert slopes[3, 0] == pytest.approx(1 / 0.05 / 0.6)
            continue
        np.testing.assert_allclose(slopes[:, i], difference, atol=1e-5)


def test_the_psf_width_belongs_to_the_scan(model: LesionModel) -> None:
    far = parameters(model, BALL)
    far[5] += 10.0
    change = priors(model, far) - priors(model, parameters(model, BALL))
    assert np.flatnonzero(change).tolist() == [4]
    assert 4 not in LESION_PRIORS
    assert sorted({*LESION_PRIORS, 4}) == list(range(6))


@pytest.mark.parametrize("b0_tesla", [1.5, 7.0])
def test_the_decay_of_a_bleed_grows_with_the_field(b0_tesla: float) -> None:
    assert dark_core(b0_tesla) == CoreDecay(35.0 * b0_tesla, 0.8)


@pytest.mark.parametrize(("total", "used"), [(3.0, 3.0), (-3.0, 3.0), (0.01, 0.2)])
def test_the_expected_radius_is_that_of_one_ppm(total: float, used: float) -> None:
    radius = expected_radius_mm(Source(total, (1.0, 2.0, 3.0), 9.0))
    assert 4 / 3 * np.pi * radius**3 == pytest.approx(used)


def test_a_voxel_widens_the_prior_of_the_centre(model: LesionModel) -> None:
    patch = model.patch
    thick = replace(patch, grid=replace(patch.grid, voxel_size_mm=(1.0, 1.1, 4.8)))
    np.testing.assert_allclose(thick.point_sd_mm, [np.hypot(1, 0.5), np.hypot(1, 0.55), 2.6])
