"""The width of the point spread, pooled over lesions."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.calibration.psf_width import pool_psf_width2
from qsmcmb.microbleeds.fit.levenberg_marquardt import FitState
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.signal.acquisition import PSF_WIDTH2_PRIOR
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import Source
from tests.scenes.patches import scanned

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
