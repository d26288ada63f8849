"""Slices, their thickness, or k-space: found from the strongest lesions of a scan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.microbleeds.calibration.slice_profile_choice import choose_slice_profile
from qsmcmb.microbleeds.signal.acquisition import SliceProfile
from qsmcmb.microbleeds.signal.patch import cut_patch
from qsmcmb.phantoms.anatomy import make_anatomy
from qsmcmb.phantoms.build import lesions_of
from qsmcmb.phantoms.recipe import Protocol, Recipe, read_recipe
from qsmcmb.phantoms.tissue_scan import TissueScan
from qsmcmb.pipeline.config import make_config
from qsmcmb.pipeline.subject import map_scan_field
from qsmcmb.validation.simulate_and_measure import points_of


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
    scan = session.scan
    phase = map_scan_field(scan, make_config())
    patches = [
        cut_patch(
            scan, voxel, field_hz=phase.total_field_hz, offset_rad=phase.offset_rad, mask=phase.mask, noise=8.0
        )
        for voxel in scan.grid.to_voxel(points_of(session, rng))
    ]  # fmt: skip
    assert {n.slices for n in choose_slice_profile(patches) if n is not None} == {expected}


def test_a_profile_sums_to_one() -> None:
    apart = (np.arange(4000) + 0.5) / 1000 - 2
    for thickness in (0.8, 0.9, 1.0, 1.1):
        assert SliceProfile(2, thickness).spread(apart).mean() * 4 == pytest.approx(1.0, abs=1e-3)
