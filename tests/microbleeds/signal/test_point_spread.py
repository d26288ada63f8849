"""The point spread: the cells on which a signal is formed do not show in it."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.field_fit import with_fitted_field
from qsmcmb.microbleeds.signal.point_spread import CELL_MM, COARSE_CELL_MM, PointSpread
from qsmcmb.microbleeds.signal.source_shapes import Source
from tests.scenes.patches import scanned


@pytest.mark.parametrize("total", [3.0, 60.0])
def test_the_cells_do_not_show(total: float) -> None:
    radius = float((3 * total / (4 * np.pi * 1.3)) ** (1 / 3))
    patch = scanned(np.array([[total, 0.3, -0.4, 0.2, radius]]), tilt_hz_per_mm=12.0)
    source = Source(total, (0.3, -0.4, 0.2), radius)
    patch = with_fitted_field(patch, source)

    def seen(cell_mm: float) -> np.ndarray:
        spread = PointSpread(patch, total, np.array(source.centre_mm), radius, cell_mm=cell_mm)
        return spread.factor(np.array([source.row()]), 100.0, 0.1)[0]

    finest = seen(0.15)
    assert np.linalg.norm(seen(CELL_MM) - finest) < 0.01 * np.linalg.norm(finest)
    assert np.linalg.norm(seen(COARSE_CELL_MM) - finest) < 0.03 * np.linalg.norm(finest)
