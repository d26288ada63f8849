"""Phantoms: what the recipes promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qsmcmb.errors import ConfigError
from qsmcmb.model import Grid
from qsmcmb.phantoms.anatomies import make_anatomy
from qsmcmb.phantoms.build import checksum_of, lesions_of
from qsmcmb.phantoms.draw import draw_lesions
from qsmcmb.phantoms.head_anatomy import HEAD_CENTRE_MM
from qsmcmb.phantoms.lesions import Ball, ball_field
from qsmcmb.phantoms.recipe import LesionRecipe, data_folder, list_recipes, read_recipe


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
    first = make_anatomy(recipe).tissue(points)
    other = make_anatomy(dataclasses.replace(recipe, seed=1)).tissue(points)
    again = make_anatomy(recipe).tissue(points)
    np.testing.assert_array_equal(first.chi_ppm, again.chi_ppm)
    assert np.mean(np.abs(first.chi_ppm - other.chi_ppm) > 0.005) > 0.2


def test_ball_field_is_the_dipole_outside_and_zero_inside() -> None:
    ball = Ball(centre_mm=(0.0, 0.0, 0.0), radius_mm=1.5, dchi_ppm=2.0)
    points = np.array([[0.0, 0.0, 4.0], [4.0, 0.0, 0.0], [0.5, 0.5, 0.5]]).T
    field = ball_field(points, ball, np.array([0.0, 0.0, 1.0]))
    expected = 2.0 / 3 * (1.5 / 4.0) ** 3 * np.array([2.0, -1.0, 0.0])
    np.testing.assert_allclose(field, expected, rtol=1e-12)


def test_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"demo, .*head, .*sphere"):
        read_recipe("heaad")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('kind = "spheres"', 'kind = "cubes"', r"kind = 'cubes'; expected one of: .*spheres"),
        (
            "microbleeds = 5",
            'distribution = "flat"',
            r"lesions.distribution = 'flat'; expected one of: .*series",
        ),
        ("seed = 7", 'seed = 7\ntissue = "soft"', r"tissue = 'soft'; expected one of: structured, uniform"),
        ("tilt_deg = 10.0", 'window = "square"', r"sessions.window = 'square'; expected one of: .*hamming"),
        ("snr = 120.0", "noise = 120.0", "noise"),
        ("seed = 7", "seed = ", "expected a phantom recipe"),
        ("[[sessions]]", "[[scans]]", "sessions"),
        ("seed = 7", "", "seed"),
    ],
    ids=["kind", "distribution", "tissue", "window", "unknown key", "broken", "no session", "no seed"],
)
def test_a_recipe_that_cannot_be_made_says_why(old: str, new: str, match: str, tmp_path: Path) -> None:
    text = (data_folder() / "sphere.toml").read_text()
    assert old in text
    path = tmp_path / "own.toml"
    path.write_text(text)
    assert read_recipe(str(path)).lesions.microbleeds == 5
    path.write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=match):
        read_recipe(str(path))


def test_lesions_that_do_not_fit_are_refused(rng: np.random.Generator) -> None:
    crowd = LesionRecipe(microbleeds=9, range_ppm_mm3=(1.0, 2.0), distribution="log-uniform")
    with pytest.raises(ConfigError, match="9 do not fit 15 mm apart"):
        draw_lesions(crowd, rng.uniform(-8, 8, (40, 3)), rng)


def test_a_series_goes_from_end_to_end_and_mimics_are_what_they_are(rng: np.random.Generator) -> None:
    recipe = LesionRecipe(
        microbleeds=4, iron=1, air=1, flow_voids=1, range_ppm_mm3=(1.0, 64.0), distribution="series", two_balls=0.5,
        ellipsoids=0.5,
    )  # fmt: skip
    lesions = draw_lesions(recipe, 40.0 * rng.standard_normal((400, 3)), rng)
    moments = np.array([m.total_chi_ppm_mm3 for m in lesions])
    np.testing.assert_allclose(moments[:6], 2.0 ** np.arange(6), rtol=1e-12)
    assert [m.kind for m in lesions[4:]] == ["iron", "air", "flow-void"]
    assert moments[6] == 0
    assert {m.shape for m in lesions[:4]} <= {"two", "ellipsoid"}


def test_iron_lies_in_nuclei_on_both_sides(rng: np.random.Generator) -> None:
    nuclei = make_anatomy(read_recipe("demo")).iron_nuclei()
    assert len(nuclei) == 6
    recipe = LesionRecipe(
        microbleeds=2, iron=4, flow_voids=1, range_ppm_mm3=(1.0, 60.0), distribution="log-uniform"
    )
    lesions = draw_lesions(recipe, 60.0 * rng.standard_normal((400, 3)), rng, nuclei)
    deposits = [m for m in lesions if m.kind == "iron"]
    assert [m.kind for m in lesions] == ["microbleed"] * 2 + ["iron"] * 8 + ["flow-void"]
    taken = set()
    for one, other in zip(deposits[::2], deposits[1::2], strict=True):
        pair = min(nuclei, key=lambda n: np.linalg.norm(n.centres_mm - one.centre_mm, axis=1).min())
        taken.add(id(pair))
        for deposit in (one, other):
            away = np.linalg.norm(pair.centres_mm - deposit.centre_mm, axis=1)
            assert away.min() + deposit.balls[0].radius_mm <= pair.radius_mm + 1e-6
        assert one.centre_mm[0] * other.centre_mm[0] < 0
        assert 0.1 < one.total_chi_ppm_mm3 / other.total_chi_ppm_mm3 < 10
        for microbleed in lesions[:2]:
            assert np.linalg.norm(np.subtract(microbleed.centre_mm, one.centre_mm)) > recipe.apart_mm - 6
    assert len(taken) == 4


def test_iron_that_has_no_room_takes_the_farthest_nucleus(rng: np.random.Generator) -> None:
    nuclei = make_anatomy(read_recipe("demo")).iron_nuclei()
    recipe = LesionRecipe(microbleeds=1, iron=1, apart_mm=200.0)
    microbleed, *deposits = draw_lesions(recipe, np.zeros((9, 3)), rng, nuclei)
    away = [np.linalg.norm(n.centres_mm - microbleed.centre_mm, axis=1).min() for n in nuclei]
    assert len(deposits) == 2
    for deposit in deposits:
        taken = [np.linalg.norm(n.centres_mm - deposit.centre_mm, axis=1).min() for n in nuclei]
        assert int(np.argmin(taken)) == int(np.argmax(away))
    with pytest.raises(ConfigError, match="found 7 for iron"):
        draw_lesions(LesionRecipe(iron=7), np.zeros((9, 3)), rng, nuclei)


def test_anatomy_has_brain_air_and_deep_grey_matter() -> None:
    grid = Grid.isotropic((100, 120, 100), 2.0)
    x, y, z = np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij")
    world = np.moveaxis(grid.to_world(np.stack([x, y, z], axis=-1).astype(float)), -1, 0)
    tissue = make_anatomy(read_recipe("demo")).tissue(world)
    litres = tissue.brain.sum() * grid.voxel_volume_mm3 / 1e6
    assert 1.2 < litres < 2.2
    assert tissue.chi_ppm[0, 0, 0] == pytest.approx(9.4)
    assert (tissue.chi_ppm[tissue.brain] > 0.1).sum() > 50


def test_tubes_hold_their_liquid() -> None:
    recipe = read_recipe("gadolinium")
    points = np.array([tube.centre_mm for tube in recipe.tubes]).T
    tissue = make_anatomy(recipe).tissue(points)
    np.testing.assert_allclose(tissue.chi_ppm, [tube.chi_ppm for tube in recipe.tubes], rtol=1e-6)
    beside = points + np.array([[7.0], [-7.0], [0.0]])
    assert make_anatomy(recipe).tissue(beside).chi_ppm.max() == 0


def test_a_small_head_is_the_same_head_scaled() -> None:
    import dataclasses

    recipe = read_recipe("smallhead")
    large, small = make_anatomy(dataclasses.replace(recipe, size=1.0)), make_anatomy(recipe)
    points = np.random.default_rng(3).uniform(-50, 50, (3, 500))
    middle = HEAD_CENTRE_MM[:, None]
    scaled = (points - middle) * recipe.size + middle
    np.testing.assert_allclose(small.tissue(scaled).r2star_hz, large.tissue(points).r2star_hz, atol=0.05)
