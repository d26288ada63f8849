"""The lesion's signal: its slopes against differences."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.field_fit import with_fitted_field
from qsmcmb.microbleeds.fit.priors import dark_core
from qsmcmb.microbleeds.signal.model import LesionModel
from qsmcmb.microbleeds.signal.source_shapes import BALL, BALL_PAIR, SPHEROID, Source, SourceShape
from tests.scenes.patches import scanned


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
