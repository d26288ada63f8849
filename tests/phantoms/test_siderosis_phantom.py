"""Superficial siderosis of phantoms: where it lies, what it adds, and what refuses it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.errors import ConfigError
from qsmcmb.phantoms.recipe import Recipe, read_recipe
from qsmcmb.phantoms.scanner import pose_of
from qsmcmb.phantoms.siderosis import DECAY_HZ, Cortex, SiderosisRecipe, draw_areas
from qsmcmb.phantoms.structured_anatomy import StructuredAnatomy
from qsmcmb.phantoms.truth import siderosis_rows

ASKED = SiderosisRecipe(areas=2, length_mm=(15.0, 30.0))


def small_head(siderosis: SiderosisRecipe) -> Recipe:
    recipe = read_recipe("structured_smallhead")
    return replace(recipe, size=0.45, seed=86301, checksum="", siderosis=siderosis)


@pytest.fixture(scope="module")
def stained() -> StructuredAnatomy:
    return StructuredAnatomy(small_head(ASKED))


def test_areas_are_as_long_as_asked_and_lie_apart(stained: StructuredAnatomy) -> None:
    first, second = stained.siderosis()
    for area in (first, second):
        assert 15 <= area.length_mm <= 31.5
        assert 0.8 <= area.thickness_mm <= 1.6
        assert 0.3 <= area.chi_ppm <= 1.0
        # No straight line within is longer than the way along the wall, the warp aside.
        assert np.linalg.norm(np.ptp(area.head_mm, axis=0)) < 1.4 * area.length_mm
    apart = np.linalg.norm(first.head_mm[:, None] - second.head_mm[None], axis=-1)
    assert apart.min() > 6
    row, _ = siderosis_rows((first, second), pose_of(small_head(ASKED), small_head(ASKED).sessions[0]))
    assert row.side == ("left" if first.head_mm[:, 0].mean() < 0 else "right")


def test_iron_is_added_within_the_layer_and_nothing_elsewhere(stained: StructuredAnatomy) -> None:
    clean = StructuredAnatomy(small_head(SiderosisRecipe()))
    area = stained.siderosis()[0]
    middle = area.head_mm.mean(axis=0)
    line = np.arange(-20, 20.1, 0.8)
    points = np.stack(np.meshgrid(line, line, line, indexing="ij")).reshape(3, -1) + middle[:, None]
    with_iron, without = stained.tissue(points), clean.tissue(points)
    added = with_iron.chi_ppm - without.chi_ppm
    np.testing.assert_allclose(with_iron.r2star_hz - without.r2star_hz, DECAY_HZ * added, atol=1e-3)
    np.testing.assert_array_equal(with_iron.signal, without.signal)
    assert added.min() == 0
    assert added.max() == pytest.approx(area.chi_ppm, rel=0.05)
    stained_points = points[:, added > 0.1 * area.chi_ppm].T
    far = np.linalg.norm(stained_points[:, None] - area.head_mm[None], axis=-1).min(axis=1)
    assert far.max() < 4
    assert clean.siderosis() == ()


def flat_sulcus() -> Cortex:
    """Return one straight sulcus of 24 mm, the brain's surface above it."""
    x, _, z = np.indices((24, 30, 24), dtype=np.float32) * np.float32(0.8)
    return Cortex(np.abs(x - 9.6) - 0.8, z, np.ones(x.shape, bool), 0.8)


def test_one_wall_or_both_are_covered(rng: np.random.Generator) -> None:
    for share in (0.0, 1.0):
        asked = SiderosisRecipe(areas=1, length_mm=(15.0, 20.0), both_walls=share)
        (area,) = draw_areas(asked, flat_sulcus(), rng)
        x = area.head_mm[:, 0] * 0.8
        assert (np.ptp(x) > 2) == (share == 1)
        assert np.ptp(area.head_mm[:, 1]) * 0.8 > 10


def test_a_sulcus_that_is_too_short_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ConfigError, match=re.escape("siderosis.areas = 1: no sulcus of this head")):
        draw_areas(SiderosisRecipe(areas=1, length_mm=(80.0, 90.0)), flat_sulcus(), rng)


def test_a_recipe_of_water_cannot_ask_for_it(tmp_path: Path) -> None:
    path = tmp_path / "water.toml"
    text = (
        'title = "water"\nkind = "spheres"\nseed = 1\nsubject = "w"\nvoxel_mm = 2.0\nfov_mm = [20.0, 20.0, 20.0]\n'
        '[siderosis]\nareas = 1\n[[sessions]]\nlabel = "3T"\nb0_tesla = 3.0\nte_s = [0.01]\nsnr = 50.0\n'
    )
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape("siderosis.areas = 1; expected 0")):
        read_recipe(str(path))
