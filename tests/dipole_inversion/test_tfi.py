"""Total field inversion: background of sources outside, refusals, a fixed number."""

from __future__ import annotations

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.dipole_inversion.tfi import without_harmonic
from qsmcmb.errors import InvalidInputError
from tests.scenes.sources import AIR_BELOW, field_of

SCAN = {"te_s": (0.005, 0.015), "b0_tesla": 3.0}


@pytest.fixture(scope="module")
def background(ball_case):
    """Return the field of air below the mask, 30 times the ball's."""
    return field_of(AIR_BELOW, ball_case.grid, ball_case.mask)


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
