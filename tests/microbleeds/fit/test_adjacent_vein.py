"""A vein beside a lesion is fitted together with it."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.fit.adjacent_vein import fit_adjacent_vein
from qsmcmb.microbleeds.fit.refinement import refine_with_tissue_prior
from qsmcmb.microbleeds.fit.shape_selection import select_shape
from qsmcmb.microbleeds.signal.source_shapes import Source
from qsmcmb.phantoms.lesions import Ball, PhantomLesion
from tests.scenes.phantom_scans import TUBE, TUBE_PPM_MM2, patches_of, tube_tissue


def test_a_vein_beside_a_lesion_is_not_a_part_of_it() -> None:
    tissue = tube_tissue()
    across = np.cross(TUBE.direction, (0.0, 0.0, 1.0))
    centre = np.array(TUBE.centre_mm) + 1.5 * across / np.linalg.norm(across)
    ball = Ball((centre[0], centre[1], centre[2]), 0.9, 0.9)
    scan = tissue.scan((PhantomLesion("microbleed", (ball,)),), rng=np.random.default_rng(2)).scan
    patch = patches_of(scan, tissue.pose.to_world(centre[None]), noise_sd=0.01)[0]
    alone = refine_with_tissue_prior(
        select_shape(patch, Source(3.0, (0.0, 0.0, 0.0), 0.9)), patch.acquisition
    )
    both, vein = fit_adjacent_vein(alone)
    assert vein is not None
    assert vein.strength_ppm_mm2 == pytest.approx(TUBE_PPM_MM2, rel=0.15)
    error_alone, error = (abs(o.parameters[0] / ball.total_chi_ppm_mm3 - 1) for o in (alone, both))
    assert error < 0.6 * error_alone
    assert both.model_selection_sd_ppm_mm3 > 0
