"""The width of the point spread, pooled over lesions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import qsmcmb.microbleeds.calibration.psf_width as module
from qsmcmb.microbleeds.calibration.psf_width import estimate_psf_width2, pool_psf_width2
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.signal.acquisition import PSF_WIDTH2_PRIOR
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import Source
from qsmcmb.model import Estimate
from tests.scenes.patches import scanned, small_patch

BALL = [2.0, 0.3, -0.4, 0.2, 0.8]


@pytest.fixture(scope="module")
def patch() -> Patch:
    return scanned(np.array([BALL]))


def test_lesions_together_know_the_psf_width_better_than_each(patch: Patch) -> None:
    state = select_shape(patch, Source(1.5, (0.0, 0.0, 0.0), 0.8))
    alone, together = pool_psf_width2([state]), pool_psf_width2([state] * 9)
    assert together.sd < alone.sd < PSF_WIDTH2_PRIOR.sd
    # The simulation's cells widen by 1/6 mm; what was known before says 0.4.
    assert abs(together.value - 1 / 36) < 2 * together.sd < 0.1


def test_without_a_lesion_the_psf_width_is_what_was_known(patch: Patch) -> None:
    state = select_shape(patch, Source(1.5, (0.0, 0.0, 0.0), 0.8))
    lost = FitState(state.model, state.parameters, state.objective, converged=False)
    assert pool_psf_width2([]) == PSF_WIDTH2_PRIOR == pool_psf_width2([lost])


def lesion(value: float, own_sd: float, *, converged: bool = True) -> Any:
    """Return a fit whose squared width is this by itself: with the prior, 0.16 +- 0.16 mm2, once in it."""
    precision = own_sd**-2 + 0.16**-2
    with_prior = (value / own_sd**2 + 0.16 / 0.16**2) / precision
    return SimpleNamespace(psf_width2=Estimate(with_prior, precision**-0.5, "mm2"), converged=converged)


def test_the_pooled_width_is_what_a_hand_computes() -> None:
    values, sds = [0.05, 0.30, 0.10], [0.02, 0.01, 0.04]
    weight = np.array([1 / (sd**2 + 0.03**2) for sd in sds])
    # Weights of 769, 1000 and 400: half of the sum is reached at the middle value.
    of_median = weight.sum() * 2 / np.pi
    of_prior = 0.16**-2
    expected = (0.10 * of_median + 0.16 * of_prior) / (of_median + of_prior)
    pooled = pool_psf_width2([lesion(v, sd) for v, sd in zip(values, sds, strict=True)])
    assert pooled.value == pytest.approx(expected)
    assert pooled.sd == pytest.approx(np.sqrt(1 / (of_median + of_prior) + 0.03**2))
    assert pooled.unit == "mm2"


def test_a_heavier_lesion_moves_the_median() -> None:
    # Weights of 1000, 400 and 400: the first alone has more than half.
    values, sds = [0.30, 0.05, 0.10], [0.01, 0.04, 0.04]
    pooled = pool_psf_width2([lesion(v, sd) for v, sd in zip(values, sds, strict=True)])
    assert pooled.value == pytest.approx(0.30, abs=0.02)


@pytest.mark.parametrize(("precision_ratio", "used"), [(0.51, True), (0.49, False)])
def test_a_lesion_must_know_half_of_what_was_known(precision_ratio: float, used: bool) -> None:
    pooled = pool_psf_width2([lesion(0.9, 0.16 / np.sqrt(precision_ratio))])
    assert (pooled != PSF_WIDTH2_PRIOR) == used
    assert pool_psf_width2([lesion(0.9, 0.01, converged=False)]) == PSF_WIDTH2_PRIOR


def test_a_width_is_never_negative() -> None:
    assert pool_psf_width2([lesion(-2.0, 0.01)] * 3).value == 0.0


def test_the_six_lesions_that_know_most_are_fitted_among_tissue(monkeypatch: pytest.MonkeyPatch) -> None:
    sds = [0.05, 0.01, 0.09, 0.02, 0.03, 0.04, 0.06, 0.005]
    states = [lesion(0.2, sd, converged=sd > 0.008) for sd in sds]
    acquisition = small_patch().acquisition
    fitted: list[Any] = []
    narrow, undescribed = lesion(0.3, 0.02), lesion(0.9, 0.02)

    def among_tissue(state: Any, given: Any) -> Any:
        assert given is acquisition
        fitted.append(state)
        return undescribed if state is states[1] else narrow

    monkeypatch.setattr(module, "fit_among_tissue", among_tissue)
    monkeypatch.setattr(module, "describe_by_free_source", lambda state: state)
    monkeypatch.setattr(module, "is_described", lambda state: state is narrow)
    found = estimate_psf_width2(states, acquisition)
    assert sorted(sds[states.index(s)] for s in fitted) == [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    # A lesion that its shape does not describe says nothing of the width.
    assert found.width2 == pool_psf_width2([narrow] * 5)
    assert found.fits == {1: undescribed, **dict.fromkeys((0, 3, 4, 5, 6), narrow)}
