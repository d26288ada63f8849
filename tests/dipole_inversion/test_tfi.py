"""Total field inversion: background of sources outside, refusals, a fixed number."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.dipole_inversion.tfi import without_harmonic
from qsmcmb.errors import InvalidInputError
from qsmcmb.phantoms.lesions import Ball, ball_field

SCAN = {"te_s": (0.005, 0.015), "b0_tesla": 3.0}


@pytest.fixture(scope="module")
def background(ball_case):
    """Return the field of air below the mask, 30 times the ball's."""
    grid = ball_case.grid
    axes = [(np.arange(n) - n // 2) * v for n, v in zip(grid.shape, grid.voxel_size_mm, strict=True)]
    xyz = np.stack(np.meshgrid(*axes, indexing="ij"))
    air = Ball((0.0, 4.0, -24.0), 6.0, 9.4)
    field = ball_field(xyz - np.array(air.centre_mm).reshape(3, 1, 1, 1), air, np.array(grid.b0_dir))
    return np.where(ball_case.mask, field, 0).astype(np.float32)


def inverted(case, field, **options):
    return qc.invert(field, case.mask, case.grid, method="tfi", options=options, **SCAN)


def test_a_background_is_taken_off(ball_case, background):
    left = without_harmonic(background, ball_case.mask, ball_case.grid)
    assert np.linalg.norm(left) < 0.02 * np.linalg.norm(background)


def test_a_ball_under_a_background_keeps_its_total_susceptibility(ball_case, background):
    chi = inverted(ball_case, ball_case.field + background)
    reference = np.median(chi[ball_case.mask & ~ball_case.inside])
    total = float((chi[ball_case.inside] - reference).sum() * ball_case.grid.voxel_volume_mm3)
    assert total == pytest.approx(ball_case.total_ppm_mm3, rel=0.08)
    assert float(np.linalg.norm(chi)) == pytest.approx(7.1455, rel=1e-3)


def test_options_out_of_range_are_refused(ball_case):
    with pytest.raises(InvalidInputError, match="edge_fraction"):
        inverted(ball_case, ball_case.field, edge_fraction=1.0)
