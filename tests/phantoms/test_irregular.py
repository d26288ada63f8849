"""Irregular shapes: what they hold, their field outside and inside, and that regular lesions stay as they are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from qsmcmb.core.dipole import forward_field
from qsmcmb.errors import ConfigError
from qsmcmb.model import Grid
from qsmcmb.phantoms._signal_loops import lesion_factor
from qsmcmb.phantoms.draw import draw_lesions
from qsmcmb.phantoms.irregular import MAX_LENGTH_MM, irregular_lesion
from qsmcmb.phantoms.lesions import Ball, PhantomLesion, ball_field
from qsmcmb.phantoms.recipe import IRREGULAR_SHAPES, LesionRecipe, Protocol, Recipe, data_folder, read_recipe
from qsmcmb.phantoms.tissue_scan import TissueScan
from qsmcmb.typing import FloatArray

B0_DIR = np.array([0.0, 0.0, 1.0])
WANTED = LesionRecipe(
    microbleeds=14, calcifications=2, distribution="log-uniform", range_ppm_mm3=(2.0, 60.0), dchi_ppm=(0.4, 3.0),
    irregular=0.5, apart_mm=5.0,
)  # fmt: skip


def made(shape: str, seed: int, *, total: float = 8.0, dchi: float = 1.0) -> PhantomLesion:
    rng = np.random.default_rng([seed, 77])
    return irregular_lesion(
        shape, np.array([1.0, -2.0, 3.0]), total_chi_ppm_mm3=total, dchi_ppm=dchi, rng=rng
    )


def holds(ball: Ball, points: FloatArray) -> FloatArray:
    away = points - np.reshape(ball.centre_mm, (3, *[1] * (points.ndim - 1)))
    return np.asarray((away**2).sum(axis=0) <= ball.radius_mm**2)


def widths(lesion: PhantomLesion) -> FloatArray:
    """Return the lesion's widths along many directions."""
    directions = np.random.default_rng(5).standard_normal((4000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    along = directions @ np.array([b.centre_mm for b in lesion.balls]).T
    radii = np.array([b.radius_mm for b in lesion.balls])
    return np.asarray((along + radii).max(axis=1) - (along - radii).min(axis=1))


def plain_field(lesion: PhantomLesion, points: FloatArray) -> FloatArray:
    """Return the sum of the balls' fields, each 0 in its own ball."""
    offsets = [points - np.reshape(b.centre_mm, (3, *[1] * (points.ndim - 1))) for b in lesion.balls]
    return np.asarray(sum(ball_field(o, b, B0_DIR) for o, b in zip(offsets, lesion.balls, strict=True)))


@pytest.mark.parametrize("shape", IRREGULAR_SHAPES)
def test_a_shape_has_the_total_contrast_place_and_aspect_that_is_asked_for(shape: str) -> None:
    for seed in range(20):
        total, dchi = 2.0 + 3 * (seed % 7), 0.5 + 0.3 * (seed % 8)
        lesion = made(shape, seed, total=total, dchi=dchi)
        assert lesion.shape == shape
        assert lesion.total_chi_ppm_mm3 == pytest.approx(total)
        assert sum(b.total_chi_ppm_mm3 for b in lesion.balls) == pytest.approx(total)
        np.testing.assert_allclose(lesion.centre_mm, [1.0, -2.0, 3.0], atol=1e-9)
        assert lesion.total_abs_ppm_mm3 / lesion.volume_mm3 >= dchi * (1 - 1e-9)
        if lesion.length_mm < MAX_LENGTH_MM - 1e-6:
            assert lesion.total_abs_ppm_mm3 / lesion.volume_mm3 == pytest.approx(dchi)
        width = widths(lesion)
        assert width.max() <= lesion.length_mm * (1 + 1e-9) <= MAX_LENGTH_MM * (1 + 1e-8)
        assert lesion.length_mm / width.min() <= 3 + 1e-9
        if shape in ("tube", "slit"):
            assert width.max() / width.min() > 1.6


@pytest.mark.parametrize("shape", IRREGULAR_SHAPES)
def test_the_absolute_total_is_the_integral_of_the_absolute_susceptibility(shape: str) -> None:
    lesion = made(shape, 3)
    line = lesion.length_mm * (np.arange(160) - 79.5) / 80
    points = np.stack(np.meshgrid(line, line, line, indexing="ij")) + lesion.centre_mm[:, None, None, None]
    chi = sum(b.dchi_ppm * holds(b, points) for b in lesion.balls)
    integral_ppm_mm3 = np.abs(chi).sum() * (line[1] - line[0]) ** 3
    assert integral_ppm_mm3 == pytest.approx(lesion.total_abs_ppm_mm3, rel=0.01)
    assert (lesion.total_abs_ppm_mm3 > 1.3 * lesion.total_chi_ppm_mm3) == (shape == "mixed")
    assert np.all((chi >= -1e-9) | (shape == "mixed"))


@pytest.mark.parametrize("shape", IRREGULAR_SHAPES)
def test_the_field_is_that_of_the_susceptibility_everywhere(shape: str) -> None:
    # The susceptibility on a fine grid, through the dipole kernel in k-space: field in and outside of all bodies.
    lesion = made(shape, 2)
    count = 128
    step = 3 * lesion.length_mm / count
    grid = Grid.isotropic((count, count, count), step)
    line = (np.arange(count) - count / 2) * step
    xyz = (
        np.stack(np.meshgrid(line, line, line, indexing="ij"))
        + np.array([1.0, -2.0, 3.0])[:, None, None, None]
    )
    shifts = (np.arange(3) - 1) / 3 * step
    chi = np.zeros(grid.shape)
    for shift in np.stack(np.meshgrid(shifts, shifts, shifts), axis=-1).reshape(-1, 3):
        chi += sum(b.dchi_ppm * holds(b, xyz + shift[:, None, None, None]) for b in lesion.balls) / 27
    numeric = forward_field(chi.astype(np.float32), grid, kernel="image")
    exact = plain_field(lesion, xyz)
    # Away from surfaces, where steps of the grid count.
    depth = [
        np.abs(np.sqrt(((xyz - np.reshape(b.centre_mm, (3, 1, 1, 1))) ** 2).sum(axis=0)) - b.radius_mm)
        for b in lesion.balls
    ]
    clear = np.min(depth, axis=0) > 2 * step
    inside = clear & (np.any([holds(b, xyz) for b in lesion.balls], axis=0))
    outside = (
        clear
        & ~inside
        & (((xyz - lesion.centre_mm[:, None, None, None]) ** 2).sum(axis=0) < lesion.length_mm**2)
    )
    assert inside.sum() > 50
    scale = np.abs(exact[outside]).max()
    for part in (inside, outside):
        assert np.abs(numeric - exact)[part].max() < 0.04 * scale
        assert np.sqrt(np.mean((numeric - exact)[part] ** 2)) < 0.008 * scale


@pytest.mark.loops
@pytest.mark.parametrize("shape", IRREGULAR_SHAPES)
def test_signal_inside_turns_by_the_field_of_the_bodies_that_do_not_hold_the_point(shape: str) -> None:
    lesion = made(shape, 4)
    line = np.linspace(-3.1, 3.3, 9)
    turns, te_s = np.array([6.0, 20.0]), np.array([0.005, 0.02])
    dipoles = np.array(
        [[b.total_chi_ppm_mm3, *(b.centre_mm - lesion.centre_mm), n] for n, b in enumerate(lesion.balls)]
    )
    bodies = np.array([
        [*(b.centre_mm - lesion.centre_mm), 0, 0, 1.0, b.radius_mm, b.radius_mm,
         *(b.signal * np.exp(-(b.decay_hz + 3 * b.decay_hz_per_tesla) * te_s))]
        for b in lesion.balls
    ])  # fmt: skip
    factor = np.empty((2, 9, 9, 9), np.complex64)
    lesion_factor(line, line, line, np.zeros((3, 1)), dipoles, bodies, np.array([*B0_DIR, *turns]), factor)
    xyz = np.stack(np.meshgrid(line, line, line, indexing="ij")) + lesion.centre_mm[:, None, None, None]
    field_ppm = plain_field(lesion, xyz)
    for echo in range(2):
        size = np.ones(xyz.shape[1:])
        for ball, body in reversed(list(zip(lesion.balls, bodies, strict=True))):
            size = np.where(holds(ball, xyz), body[8 + echo], size)
        np.testing.assert_allclose(factor[echo], size * np.exp(1j * turns[echo] * field_ppm), atol=2e-6)


def test_a_shells_core_has_no_field_and_its_rim_no_signal() -> None:
    core, rim = made("shell", 1).balls
    assert core.signal > 0
    assert rim.signal == 0
    assert 0.5 <= core.radius_mm / rim.radius_mm <= 0.8
    assert 0 <= (core.dchi_ppm + rim.dchi_ppm) / rim.dchi_ppm <= 0.4
    inside = np.reshape(core.centre_mm, (3, 1)) + 0.3 * core.radius_mm * np.eye(3)
    np.testing.assert_array_equal(plain_field(made("shell", 1), inside), 0)


def test_a_diffuse_body_keeps_more_signal_towards_its_edge() -> None:
    balls = made("diffuse", 1).balls
    local = np.array([sum(b.dchi_ppm for b in balls[n:]) for n in range(len(balls))])
    decay = np.array([b.decay_hz_per_tesla for b in balls])
    assert np.all(np.diff(local) < 0)
    assert np.all(np.diff([b.radius_mm for b in balls]) > 0)
    np.testing.assert_allclose(decay / local, decay[0] / local[0])
    assert 46 <= decay[0] / local[0] <= 108


def test_unequal_balls_differ_and_mixed_ones_touch() -> None:
    large, small = made("unequal", 6).balls
    assert 1.3 <= large.radius_mm / small.radius_mm <= 2.2
    assert large.dchi_ppm != small.dchi_ppm
    assert large.decay_hz_per_tesla != small.decay_hz_per_tesla
    iron, calcium = made("mixed", 6).balls
    assert iron.dchi_ppm > 0 > calcium.dchi_ppm
    away = np.linalg.norm(np.subtract(iron.centre_mm, calcium.centre_mm))
    assert away == pytest.approx(iron.radius_mm + calcium.radius_mm)


def test_irregular_shapes_leave_everything_else_as_it_is(rng: np.random.Generator) -> None:
    positions = 40.0 * rng.standard_normal((400, 3))
    regular = draw_lesions(dataclasses.replace(WANTED, irregular=0.0), positions, np.random.default_rng(3))
    some = draw_lesions(WANTED, positions, np.random.default_rng(3))
    changed = [a.form != "" for a in some]
    assert sum(changed) == 7
    assert {a.form for a in some} == {"", *IRREGULAR_SHAPES}
    for a, b, new in zip(some, regular, changed, strict=True):
        assert a.kind == b.kind
        assert a.total_chi_ppm_mm3 == pytest.approx(b.total_chi_ppm_mm3)
        np.testing.assert_allclose(a.centre_mm, b.centre_mm, atol=1e-9)
        assert new or a == b
    again = draw_lesions(WANTED, positions, np.random.default_rng(3))
    assert again == some
    only = dataclasses.replace(WANTED, irregular=1.0, irregular_shapes=("shell",))
    forms = [m.form for m in draw_lesions(only, positions, np.random.default_rng(3))]
    assert forms == ["shell"] * 14 + [""] * 2


@pytest.mark.parametrize("keys", ['irregular_shapes = ["star"]', "irregular = 1.5", "irregular_shapes = []"])
def test_a_recipe_with_an_unknown_shape_or_fraction_is_refused(keys: str, tmp_path) -> None:
    text = (data_folder() / "sphere.toml").read_text()
    path = tmp_path / "own.toml"
    path.write_text(text.replace("[lesions]\n", f"[lesions]\n{keys}\n"))
    with pytest.raises(ConfigError, match="irregular"):
        read_recipe(str(path))


PROTOCOL = Protocol(label="3T", b0_tesla=3.0, te_s=(0.005, 0.02), snr=200.0, tilt_deg=20.0)
WATER = Recipe(
    name="t", title="t", kind="spheres", seed=3, subject="t", voxel_mm=1.5, fov_mm=(48.0, 48.0, 42.0),
    lesions=LesionRecipe(), sessions=(PROTOCOL,),
)  # fmt: skip


@pytest.mark.parametrize("shape", ["tube", "diffuse", "mixed"])
def test_the_truth_maps_of_a_shape_hold_its_field_and_total(shape: str) -> None:
    lesion = made(shape, 2, total=20.0)
    tissue = TissueScan(WATER, PROTOCOL)
    with_it, without = tissue.truth_maps([lesion]), tissue.truth_maps()
    total = float((with_it.chi_ppm - without.chi_ppm).sum()) * tissue.grid.voxel_volume_mm3
    assert total == pytest.approx(lesion.total_chi_ppm_mm3, rel=1e-4)
    world = tissue.grid.to_world(np.moveaxis(np.indices(tissue.grid.shape), 0, -1))
    head = np.moveaxis(world, -1, 0)
    distance = np.sqrt(((head - lesion.centre_mm[:, None, None, None]) ** 2).sum(axis=0))
    shell = (distance > 0.5 * lesion.length_mm + 2) & (distance < 14)
    made_ppm = (with_it.local_field_ppm - without.local_field_ppm)[shell]
    exact = plain_field(lesion, head[:, shell])
    assert np.abs(made_ppm - exact).max() < 0.05 * np.abs(exact).max()
    assert np.sqrt(np.mean((made_ppm - exact) ** 2)) < 0.01 * np.abs(exact).max()
