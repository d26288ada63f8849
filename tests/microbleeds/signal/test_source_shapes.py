"""What each shape of a source knows of itself, and its derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.signal.source_shapes import BALL_PAIR, CYLINDER, SourceShape


@pytest.mark.parametrize("shape", [BALL_PAIR, CYLINDER], ids=["pair", "cylinder"])
def test_what_a_shape_knows_has_its_slopes(shape: SourceShape) -> None:
    p = np.array([0.9, 0.3, -0.2, 0.1, np.log(0.8), 0.4, 4.0, 0.5, -0.6, 0.7])
    known = shape.shape_prior(p)
    assert known is not None
    for i in range(shape.n_source_parameters):
        step = np.zeros(10)
        step[i] = 1e-5
        above, below = shape.shape_prior(p + step), shape.shape_prior(p - step)
        assert above is not None
        assert below is not None
        assert (above[0] - below[0]) / 2e-5 == pytest.approx(known[1][i], abs=1e-4)
