"""The taper of a filter over k-space: found from the strongest lesions where the spectrum is off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.calibration.filter_taper import choose_filter_taper
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, KSpaceWindow, KSpaceWindows
from qsmcmb.microbleeds.signal.patch import Patch, cut_patch
from qsmcmb.phantoms.anatomy import make_anatomy
from qsmcmb.phantoms.build import lesions_of
from qsmcmb.phantoms.recipe import read_recipe
from qsmcmb.phantoms.tissue_scan import PhantomSession, TissueScan
from qsmcmb.pipeline.config import make_config
from qsmcmb.pipeline.subject import map_scan_field
from qsmcmb.validation.simulate_and_measure import points_of


@pytest.fixture(scope="module")
def filtered() -> PhantomSession:
    """Balls in water, zero-filled from 1 to 0.8 mm through Tukey's window, whose weight falls over half of it."""
    recipe = read_recipe("sphere")
    recipe = replace(recipe, fov_mm=(64.0, 64.0, 64.0), lesions=replace(recipe.lesions, microbleeds=3))
    protocol = replace(
        recipe.sessions[0], voxel_mm=(0.8, 0.8, 0.8), acquired=(0.8, 0.8, 0.8), window="tukey", tilt_deg=0.0
    )
    lesions = lesions_of(recipe, make_anatomy(recipe))
    return TissueScan(recipe, protocol).scan(lesions, rng=np.random.default_rng(4), protocol=protocol)


def nears_of(session: PhantomSession, windows: KSpaceWindows) -> list[Patch]:
    scan, rng = session.scan, np.random.default_rng(5)
    phase = map_scan_field(scan, make_config())
    return [
        cut_patch(
            scan, voxel, field_hz=phase.total_field_hz, offset_rad=phase.offset_rad, mask=phase.mask,
            noise=8.0, windows=windows,
        )
        for voxel in scan.grid.to_voxel(points_of(session, rng))
    ]  # fmt: skip


def test_lesions_tell_the_taper(filtered: PhantomSession) -> None:
    told = KSpaceWindow(0.8, 0.62, 0.0)
    patches = nears_of(filtered, (told, told._replace(taper=0.55), told._replace(taper=0.8)))
    for patch in choose_filter_taper([None, *patches])[1:]:
        assert patch is not None
        assert [w.edge for w in patch.acquisition.windows] == [0.8] * 3
        assert [w.taper for w in patch.acquisition.windows] == pytest.approx([0.5] * 3, abs=0.03)
        # Less of the noise was filtered away than a wider taper would have.
        assert patch.acquisition.noise_sd < patches[0].noise


def test_what_no_cosine_filtered_stays(filtered: PhantomSession) -> None:
    hamming = KSpaceWindow(0.8, 1.0, 0.08)
    for windows in (FULL_K_SPACE, (hamming, hamming, hamming)):
        patches = nears_of(filtered, windows)
        assert [n.windows for n in choose_filter_taper(patches) if n is not None] == [windows] * len(patches)
    assert choose_filter_taper([None]) == [None]
