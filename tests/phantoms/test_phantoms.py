"""Phantoms: what the recipes promise."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.errors import ConfigError
from qsmcmb.model import Grid
from qsmcmb.phantoms.anatomy import Head
from qsmcmb.phantoms.build import _crop_k_space, checksum_of, lesions_of
from qsmcmb.phantoms.lesions import Ball, ball_field
from qsmcmb.phantoms.recipe import list_recipes, read_recipe


@pytest.mark.parametrize("name", sorted(list_recipes()))
def test_recipe_makes_what_its_checksum_says(name: str) -> None:
    recipe = read_recipe(name)
    assert checksum_of(recipe) == recipe.checksum


def test_lesions_keep_their_distance_and_range() -> None:
    recipe = read_recipe("head")
    lesions = lesions_of(recipe)
    assert len(lesions) == recipe.lesions.microbleeds + recipe.lesions.calcifications
    centres = np.array([m.centre_mm for m in lesions])
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2) + 1e3 * np.eye(len(lesions))
    assert apart.min() > 14
    low, high = recipe.lesions.range_ppm_mm3
    assert all(low * 0.999 <= abs(m.total_chi_ppm_mm3) <= high * 1.001 for m in lesions)
    assert all((m.total_chi_ppm_mm3 < 0) == (m.kind == "calcification") for m in lesions)


def test_no_two_heads_are_alike(rng: np.random.Generator) -> None:
    import dataclasses

    recipe = read_recipe("demo")
    points = rng.uniform(-50, 50, (3, 2000))
    first = Head(recipe).tissue(points)
    other = Head(dataclasses.replace(recipe, seed=1)).tissue(points)
    again = Head(recipe).tissue(points)
    np.testing.assert_array_equal(first.chi_ppm, again.chi_ppm)
    assert np.mean(np.abs(first.chi_ppm - other.chi_ppm) > 0.005) > 0.2


def test_ball_field_is_the_dipole_outside_and_zero_inside() -> None:
    ball = Ball((0.0, 0.0, 0.0), 1.5, 2.0)
    points = np.array([[0.0, 0.0, 4.0], [4.0, 0.0, 0.0], [0.5, 0.5, 0.5]]).T
    field = ball_field(points, ball, np.array([0.0, 0.0, 1.0]))
    expected = 2.0 / 3 * (1.5 / 4.0) ** 3 * np.array([2.0, -1.0, 0.0])
    np.testing.assert_allclose(field, expected, rtol=1e-12)


def test_k_space_crop_keeps_a_slow_wave() -> None:
    x = np.arange(32)
    wave = np.exp(2j * np.pi * 3 * x / 32)[:, None, None] * np.ones((32, 16, 16))
    cropped = _crop_k_space(wave, (16, 8, 8))
    np.testing.assert_allclose(cropped[:, 0, 0], np.exp(2j * np.pi * 3 * np.arange(16) / 16), atol=1e-12)


def test_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="demo, head, sphere"):
        read_recipe("heaad")


def test_anatomy_has_brain_air_and_deep_grey_matter() -> None:
    grid = Grid.isotropic((100, 120, 100), 2.0)
    x, y, z = np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij")
    world = np.moveaxis(grid.to_world(np.stack([x, y, z], axis=-1).astype(float)), -1, 0)
    tissue = Head(read_recipe("demo")).tissue(world)
    litres = tissue.brain.sum() * grid.voxel_volume_mm3 / 1e6
    assert 1.2 < litres < 2.2
    assert tissue.chi_ppm[0, 0, 0] == pytest.approx(9.4)
    assert (tissue.chi_ppm[tissue.brain] > 0.1).sum() > 50
