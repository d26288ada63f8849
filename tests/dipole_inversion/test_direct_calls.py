"""Methods called directly, without the frame that `invert` puts around the brain."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from qsmcmb.core.dipole import forward_field
from qsmcmb.core.methods import resolve
from qsmcmb.dipole_inversion import METHODS
from qsmcmb.dipole_inversion.head import starting_point
from qsmcmb.model import Grid

RADIANS_PER_PPM = 2.0


@pytest.mark.parametrize("method", METHODS)
def test_a_field_that_fills_its_volume_is_left_as_it_is(method: str) -> None:
    grid = Grid((18, 16, 14), (1.0, 1.1, 1.2), (0.0, 0.28, 0.96))
    chi = np.zeros(grid.shape, np.float32)
    chi[7:10, 6:9, 6:9] = 0.2
    field, function = forward_field(chi, grid), resolve(METHODS, method)
    if starting_point(method) == "wrapped phase":
        field = (RADIANS_PER_PPM * field)[None].astype(np.float32)
    given = {"radians_per_ppm": RADIANS_PER_PPM, "te_s": (0.0025,), "b0_tesla": 3.0}
    wanted = inspect.signature(function).parameters
    before = field.copy()
    function(field, np.ones(grid.shape, bool), grid, **{k: v for k, v in given.items() if k in wanted})
    np.testing.assert_array_equal(field, before)
