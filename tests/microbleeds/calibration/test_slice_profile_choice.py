"""Slices, their thickness, or k-space: found from the strongest lesions of a scan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.calibration.slice_profile_choice import choose_slice_profile
from qsmcmb.microbleeds.signal.acquisition import SliceProfile
from qsmcmb.phantoms.anatomy import make_anatomy
from qsmcmb.phantoms.build import lesions_of
from qsmcmb.phantoms.recipe import Protocol, Recipe, read_recipe
from qsmcmb.phantoms.tissue_scan import TissueScan
from qsmcmb.validation.simulate_and_measure import points_of
from tests.scenes.phantom_scans import patches_of


@pytest.fixture(scope="module")
def balls() -> tuple[TissueScan, Recipe, Protocol]:
    recipe = read_recipe("spheres")
    recipe = replace(recipe, fov_mm=(80.0, 80.0, 60.0), lesions=replace(recipe.lesions, microbleeds=4))
    protocol = next(p for p in recipe.sessions if p.two_d)
    return TissueScan(recipe, protocol), recipe, protocol


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"slice_gap": 0.1}, SliceProfile(2, 0.9)),
        ({"slice_gap": 0.0}, SliceProfile(2, 1.0)),
        ({"two_d": False}, None),
    ],
    ids=["gap", "no gap", "k-space"],
)
def test_what_made_thick_voxels_is_found(
    balls: tuple[TissueScan, Recipe, Protocol], change: dict[str, float], expected: SliceProfile | None
) -> None:
    tissue, recipe, protocol = balls
    rng = np.random.default_rng(4)
    lesions = lesions_of(recipe, make_anatomy(recipe))
    session = tissue.scan(lesions, rng=rng, protocol=replace(protocol, **change))  # type: ignore[arg-type]
    patches = patches_of(session.scan, points_of(session, rng), noise_sd=8.0)
    acquisition, fits = choose_slice_profile(patches, patches[0].acquisition)
    assert acquisition.slice_profile == expected
    # Fits are handed on where they hold: those of the first profile tried, and those of none.
    assert all(fit.model.patch.acquisition == acquisition for fit in fits.values())
    assert bool(fits) == (expected in (SliceProfile(2, 1.0), None))
