"""An infinite cylinder in place of the ball: the field of a line, and what is called a vein."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import null_space

from qsmcmb.microbleeds.fit.refinement import refine_with_tissue_prior
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.fit.vein import find_vein, line_dipole_fields
from qsmcmb.microbleeds.signal.source_shapes import Source
from qsmcmb.pipeline.points import quantify
from qsmcmb.typing import FloatArray
from tests.scenes.lesion_signal import B0_DIR, cylinder_at_points
from tests.scenes.phantom_scans import TUBE, TUBE_PPM_MM2, patches_of, tube_tissue


def test_a_line_has_the_field_of_a_thin_cylinder() -> None:
    xyz = np.array([[2.0, 0.5, -1.0], [0.3, 2.0, 1.5]]).T
    axis = np.array([0.0, 0.6, 0.8])
    row = np.array([1.0, 0.0, 0.0, 0.0, 0.1, *axis])
    phase = np.angle(cylinder_at_points(row, xyz.T, np.array([0.01]), np.ones(1)))[0] / (4 * np.pi * 0.01)
    plane = null_space(axis[None]).T
    # The line is shifted with the places.
    shift = np.array([0.7, -0.3])
    across = plane @ xyz + shift[:, None]
    made = line_dipole_fields(across, np.stack([np.zeros(2), shift]), plane @ B0_DIR, 0.25)[1]
    np.testing.assert_allclose(made, phase, rtol=1e-4)


def near_tube() -> FloatArray:
    """Return a point near the tube's middle, (1, 3), scanner RAS+ mm."""
    return tube_tissue().pose.to_world(np.array([TUBE.centre_mm]) + 0.3)


def test_a_tube_is_called_a_vein_and_the_interval_reaches_zero() -> None:
    tissue, point = tube_tissue(), near_tube()
    scan = tissue.scan((), rng=np.random.default_rng(1)).scan
    table = quantify(scan, point)
    lesion = table.lesions[0]
    assert "vein-like" in lesion.flags
    assert lesion.kind == "vein"
    assert lesion.total_chi_ppm_mm3 is not None
    assert lesion.total_chi_ppm_mm3.low < 0 < lesion.total_chi_ppm_mm3.high
    # A reader's word stands.
    assert quantify(scan, point, kinds=["microbleed"]).lesions[0].kind == "microbleed"


def test_the_vein_that_is_found_is_the_tube() -> None:
    tissue, point = tube_tissue(), near_tube()
    scan = tissue.scan((), rng=np.random.default_rng(1)).scan
    patch = patches_of(scan, point, noise_sd=0.01)[0]
    source = Source(0.7, (0.0, 0.0, 0.0), 0.8)
    vein = find_vein(refine_with_tissue_prior(select_shape(patch, source), patch.acquisition))
    assert vein is not None
    assert vein.strength_ppm_mm2 == pytest.approx(TUBE_PPM_MM2, rel=0.15)
    ends = scan.grid.to_voxel(tissue.pose.to_world(np.array([TUBE.direction, (0.0, 0.0, 0.0)])))
    axis = ends[0] - ends[1]
    assert abs(np.array(vein.axis) @ axis / np.linalg.norm(axis)) > 0.99
