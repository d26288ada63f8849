"""The taper of a filter over k-space: found from the strongest lesions where the spectrum is off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.calibration.filter_taper import choose_filter_taper
from qsmcmb.microbleeds.signal.acquisition import FULL_K_SPACE, KSpaceWindow, KSpaceWindows
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.phantoms.anatomy import make_anatomy
from qsmcmb.phantoms.build import lesions_of
from qsmcmb.phantoms.recipe import read_recipe
from qsmcmb.phantoms.tissue_scan import PhantomSession, TissueScan
from qsmcmb.validation.simulate_and_measure import points_of
from tests.scenes.phantom_scans import patches_of


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


def patches(session: PhantomSession, windows: KSpaceWindows) -> list[Patch]:
    points = points_of(session, np.random.default_rng(5))
    return patches_of(session.scan, points, noise_sd=8.0, windows=windows)


def test_lesions_choose_the_taper(filtered: PhantomSession) -> None:
    spectral = KSpaceWindow(0.8, 0.62, 0.0)
    seen = patches(filtered, (spectral, spectral._replace(taper=0.55), spectral._replace(taper=0.8)))
    acquisition, fits = choose_filter_taper(seen, seen[0].acquisition, {})
    assert [w.edge for w in acquisition.windows] == [0.8] * 3
    assert [w.taper for w in acquisition.windows] == pytest.approx([0.5] * 3, abs=0.03)
    # Less of the noise was filtered away than a wider taper would have.
    assert acquisition.noise_sd < 8.0
    # The fits were made with the other taper.
    assert fits == {}


def test_what_no_cosine_filtered_stays(filtered: PhantomSession) -> None:
    hamming = KSpaceWindow(0.8, 1.0, 0.08)
    for windows in (FULL_K_SPACE, (hamming, hamming, hamming)):
        seen = patches(filtered, windows)
        assert choose_filter_taper(seen, seen[0].acquisition, {}) == (seen[0].acquisition, {})
