"""The objective and its normal equations."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.objective import solve_normal_equations
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.microbleeds.signal.source_shapes import CoreDecay, Source
from tests.scenes.patches import scanned


@pytest.fixture(scope="module")
def patch() -> Patch:
    return scanned(np.array([[2.0, 0.3, -0.4, 0.2, 0.8]]))


def test_normal_equations_that_rounding_made_singular_are_solved(patch: Patch) -> None:
    model = LesionModel(patch, Source(3.0, (0.0, 0.0, 0.0), 1.0), core_decay=CoreDecay(100.0, 0.8))
    size = model.n_source_parameters + model.tissue.phase.size + model.tissue.amplitude.size
    normal = np.eye(size)
    # Two columns alike, a third that no datum tells of.
    normal[-2, -1] = normal[-1, -2] = 1 + 1e-7
    normal[-3, -3] = 0
    right = np.ones(size)
    right[-3] = 0
    found = solve_normal_equations(model, normal, right, damping=1e-9)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[: size - 3], 1.0, rtol=1e-4)
    assert found[-2] + found[-1] == pytest.approx(1.0, rel=1e-3)
