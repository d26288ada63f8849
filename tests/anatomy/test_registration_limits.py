"""Which registrations to the template are used."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.anatomy.head_regions import _is_good
from qsmcmb.model import Grid
from qsmcmb.registration.template import TemplateTransform


@pytest.mark.parametrize(
    ("dice", "correlation", "scale_x", "used"),
    [
        pytest.param(0.95, 0.30, 1.0, True, id="head of 1 mm"),
        pytest.param(0.923, 0.46, 1.0, True, id="real head of 3 mm"),
        pytest.param(0.898, 0.22, 1.0, False, id="the same with its scalp in the mask"),
        pytest.param(0.923, 0.30, 1.0, False, id="neither overlap nor tissue agree well"),
        pytest.param(0.97, 0.05, 1.0, False, id="ball of water"),
        pytest.param(0.95, 0.46, 1.4, False, id="a third is cut off"),
    ],
)
def test_overlap_and_tissue_must_agree(dice: float, correlation: float, scale_x: float, used: bool) -> None:
    grid = Grid.isotropic((4, 4, 4), 2.0)
    matrix = np.diag([scale_x, 1.0, 1.0, 1.0])
    none = np.zeros((*grid.shape, 3), np.float32)
    assert _is_good(TemplateTransform(matrix, none, grid, dice, correlation)) is used
