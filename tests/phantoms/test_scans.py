"""Scans of phantoms: sampling, lesions in closed form, truth beside them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from qsmcmb.core.dipole import forward_field
from qsmcmb.model import Grid
from qsmcmb.phantoms._signal_loops import _body_at, add_dipoles, lesion_factor, tissue_signal
from qsmcmb.phantoms.build import build_phantom, build_sessions
from qsmcmb.phantoms.lesions import Ball, PhantomLesion, ball_field
from qsmcmb.phantoms.recipe import LesionRecipe, Protocol, Recipe
from qsmcmb.phantoms.scanner import Sampler, fine_factors, finer, grid_of, k_space_window, slice_matrix
from qsmcmb.phantoms.tissue_scan import TissueScan
from qsmcmb.phantoms.truth import PhantomSession

PROTOCOL = Protocol(
    label="3T", b0_tesla=3.0, te_s=(0.005, 0.02), snr=200.0, rotation_deg=(5.0, 10.0, 0.0), tilt_deg=20.0
)
LESIONS = LesionRecipe(microbleeds=1, distribution="log-uniform", range_ppm_mm3=(4.0, 8.0), jitter_mm=1.0)
RECIPE = Recipe(
    name="t",
    title="t",
    kind="spheres",
    seed=3,
    subject="t",
    voxel_mm=1.5,
    fov_mm=(48.0, 48.0, 42.0),
    lesions=LESIONS,
    sessions=(PROTOCOL,),
)


def test_k_space_crop_keeps_a_slow_wave_and_drops_a_fast_one() -> None:
    grid = Grid.isotropic((16, 8, 8), 1.0)
    x = np.arange(32)[:, None, None]
    waves = [np.exp(2j * np.pi * k * x / 32) * np.ones((32, 16, 16)) for k in (3, 12)]
    sampler = Sampler(grid, PROTOCOL)
    sampler.add_slab(0, (waves[0] + waves[1]).astype(np.complex64))
    expected = np.exp(2j * np.pi * 3 * np.arange(16) / 16)
    np.testing.assert_allclose(sampler.image()[:, 3, 2], expected, atol=1e-6)


def test_windows_are_what_they_say() -> None:
    assert k_space_window(16, 1.0, 1.0, "none").all()
    assert k_space_window(16, 0.5, 1.0, "none").sum() == 8
    assert k_space_window(16, 1.0, 0.75, "none").sum() == 12
    hamming = k_space_window(64, 1.0, 1.0, "hamming")
    assert hamming[0] == pytest.approx(1.0)
    assert hamming[32] == pytest.approx(0.08, abs=1e-6)
    tukey = k_space_window(64, 1.0, 1.0, "tukey")
    assert tukey[10] == 1
    assert tukey[32] == pytest.approx(0, abs=1e-6)


def test_slices_hold_what_lies_in_them() -> None:
    weights = slice_matrix(6, 8, 0.2)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    assert np.argmax(weights[2]) in range(13, 20)
    assert weights[2, 2 * 8 + 4] < 0.01


def test_zero_filled_noise_keeps_the_acquired_voxels_sd(rng: np.random.Generator) -> None:
    grid = Grid.isotropic((32, 32, 32), 1.0)
    protocol = dataclasses.replace(PROTOCOL, acquired=(0.5, 0.5, 1.0))
    noise = Sampler(grid, protocol).noise(rng.standard_normal((32, 32, 32)).astype(np.complex64))
    assert float(np.sqrt(np.mean(np.abs(noise) ** 2))) == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize(
    ("voxel", "factors"), [((1.0, 1.0, 1.0), (2, 2, 2)), ((0.5, 0.5, 2.0), (2, 2, 4)), ((2.0,) * 3, (3,) * 3)]
)
def test_fine_voxels_are_small_and_begin_where_the_scans_do(
    voxel: tuple[float, float, float], factors: tuple[int, int, int]
) -> None:
    grid = grid_of(RECIPE, dataclasses.replace(PROTOCOL, voxel_mm=voxel))
    assert fine_factors(grid) == factors
    np.testing.assert_allclose(finer(grid).to_world(np.zeros(3)), grid.to_world(np.zeros(3)))


def test_far_from_a_lesion_the_phase_is_the_dipoles() -> None:
    lesion = PhantomLesion("microbleed", (Ball(centre_mm=(0.4, -0.3, 0.2), radius_mm=1.0, dchi_ppm=1.2),))
    # The void's ringing is as large as the dipole's phase at 10 mm; the filter takes most of it away.
    tissue = TissueScan(RECIPE, dataclasses.replace(PROTOCOL, window="hamming"))
    with_it, without = tissue.scan([lesion]), tissue.scan([])
    turn = np.angle(np.exp(1j * (with_it.scan.phase_rad[1] - without.scan.phase_rad[1])))
    offset = offsets(tissue.grid, with_it)
    expected = 2 * np.pi * 42.5775 * 3 * 0.02 * ball_field(offset, lesion.balls[0], np.array([0, 0, 1.0]))
    distance = np.sqrt((offset**2).sum(axis=0))
    shell = (distance > 5) & (distance < 10)
    slope = (turn[shell] @ expected[shell]) / (expected[shell] @ expected[shell])
    assert slope == pytest.approx(1.0, abs=0.02)


def offsets(grid: Grid, session: PhantomSession) -> np.ndarray:
    world = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))
    row = session.lesions[0]
    return np.moveaxis(world - row.centre_mm, -1, 0)


def test_truth_field_is_the_dipoles() -> None:
    lesion = PhantomLesion("microbleed", (Ball(centre_mm=(0.4, -0.3, 0.2), radius_mm=1.0, dchi_ppm=1.2),))
    tissue = TissueScan(RECIPE, PROTOCOL)
    made = tissue.truth_maps([lesion]).local_field_ppm - tissue.truth_maps().local_field_ppm
    offset = offsets(tissue.grid, tissue.scan([lesion]))
    expected = ball_field(offset, lesion.balls[0], np.array([0, 0, 1.0]))
    distance = np.sqrt((offset**2).sum(axis=0))
    shell = (distance > 4) & (distance < 12)
    np.testing.assert_allclose(made[shell], expected[shell], atol=2e-4)


def test_an_ellipsoid_has_the_field_of_its_volume() -> None:
    body = Ball(centre_mm=(0.0, 0.0, 0.0), radius_mm=2.0, dchi_ppm=1.0, axis=(0.6, 0.0, 0.8), stretch=1.8)
    grid = Grid.isotropic((64, 64, 64), 0.5)
    xyz = np.stack(np.meshgrid(*[(np.arange(64) - 32) * 0.5] * 3, indexing="ij"))
    along = np.tensordot(np.array(body.axis), xyz, axes=1)
    across2 = (xyz**2).sum(axis=0) - along**2
    chi = ((along / (2 * 1.8)) ** 2 + across2 / 4 <= 1).astype(np.float32)
    numeric = forward_field(chi, grid, kernel="image") * (body.total_chi_ppm_mm3 / (chi.sum() * 0.125))
    exact = np.zeros(grid.shape)
    for moment, *place in body.dipoles():
        exact += ball_field(
            xyz - np.reshape(place, (3, 1, 1, 1)),
            Ball(centre_mm=(0, 0, 0), radius_mm=1e-3, dchi_ppm=moment / (4e-9 / 3 * np.pi)),
            np.array([0, 0, 1.0]),
        )
    near = (along / (2 * 1.8 + 1)) ** 2 + across2 / 9 > 1
    assert np.abs(numeric - exact)[near].max() < 0.01
    assert body.dipoles()[:, 0].sum() == pytest.approx(body.total_chi_ppm_mm3)


@pytest.mark.loops
def test_loops_do_what_plain_numpy_does(rng: np.random.Generator) -> None:
    signal, decay, field = (rng.random((5, 4, 3)).astype(np.float32) for _ in range(3))
    signal[2, 1] = 0
    out = np.empty(signal.shape, np.complex64)
    tissue_signal(signal, decay, field, np.float32(0.02), np.float32(7.0), out)
    np.testing.assert_allclose(out, signal * np.exp(-decay * 0.02 + 7j * field), rtol=1e-5)
    x, y, z = np.arange(-2, 3) * 0.5, np.arange(-1, 3) * 0.5, np.arange(3) * 0.5
    ball = Ball(centre_mm=(0.0, 0.0, 0.0), radius_mm=0.7, dchi_ppm=2.0)
    steps = np.array([-0.12, 0.13])[None].repeat(3, axis=0)
    factor = np.empty((2, 5, 4, 3), np.complex64)
    inside, turns = np.array([0.0, 0.3]), np.array([9.0, 18.0])
    bodies = np.array([[0, 0, 0, 0, 0, 1.0, 0.7, 0.7, *inside]])
    dipoles = np.column_stack([ball.dipoles(), [0.0]])
    lesion_factor(x, y, z, steps, dipoles, bodies, np.array([0, 0, 1.0, *turns]), factor)
    expected = np.zeros((2, 5, 4, 3), complex)
    for shift in np.ndindex(2, 2, 2):
        sub = np.stack(np.meshgrid(x, y, z, indexing="ij")) + steps[0][list(shift)].reshape(3, 1, 1, 1)
        visible = (sub**2).sum(axis=0) > ball.radius_mm**2
        field_ppm = ball_field(sub, ball, np.array([0, 0, 1.0]))
        for echo in range(2):
            expected[echo] += np.where(visible, np.exp(1j * turns[echo] * field_ppm), inside[echo]) / 8
    np.testing.assert_allclose(factor, expected, atol=1e-6)


@pytest.mark.loops
def test_dipoles_are_added_outside_their_box_and_points_lie_in_their_body(rng: np.random.Generator) -> None:
    x, y, z = np.arange(5) * 1.0, np.arange(4) * 1.5, np.arange(6) * 0.8
    dipoles = np.array([[3.0, 2.2, 1.1, 1.7], [-1.0, 0.3, 2.4, 3.1]])
    b0_dir = np.array([0.6, 0.0, 0.8])
    field = rng.standard_normal((5, 4, 6)).astype(np.float32)
    expected = field.astype(float)
    xyz = np.stack(np.meshgrid(x, y, z, indexing="ij"))
    for moment, *centre in dipoles:
        tiny = Ball((0.0, 0.0, 0.0), 1e-3, moment / (4e-9 / 3 * np.pi))
        expected += ball_field(xyz - np.reshape(centre, (3, 1, 1, 1)), tiny, b0_dir)
    inner = np.array([[1, 4], [0, 2], [2, 5]])
    expected[1:4, 0:2, 2:5] = field[1:4, 0:2, 2:5]
    add_dipoles(field, x, y, z, dipoles, b0_dir, inner)
    np.testing.assert_allclose(field, expected, rtol=1e-5, atol=1e-6)
    # An ellipsoid of half lengths 3 along (0.6, 0, 0.8) and 1 across, and a ball behind it.
    axis = np.array([0.6, 0.0, 0.8])
    bodies = np.array([[0.0, 0.0, 0.0, *axis, 3.0, 1.0], [0.0, 4.0, 0.0, 0.0, 0.0, 1.0, 2.0, 2.0]])
    points = [2.9 * axis, 3.1 * axis, [0.0, 0.95, 0.0], [0.0, 1.1, 0.0], [0.0, 2.1, 0.0], [0.8, 5.0, -1.0]]
    assert [_body_at(*map(float, p), bodies) for p in points] == [0, -1, 0, -1, 1, 1]


def test_blood_decays_inside_and_has_a_balls_field_outside() -> None:
    blood = PhantomLesion(
        "haematoma",
        (Ball(centre_mm=(0.0, 0.0, 0.0), radius_mm=8.0, dchi_ppm=1.0, signal=1.0, decay_hz=60.0),),
    )
    tissue = TissueScan(RECIPE, dataclasses.replace(PROTOCOL, window="hamming"))
    with_it, without = tissue.scan([blood]), tissue.scan([])
    offset = offsets(tissue.grid, with_it)
    distance = np.sqrt((offset**2).sum(axis=0))
    ratio = with_it.scan.magnitude / np.maximum(without.scan.magnitude, 1)
    for te_s, echo in zip(with_it.scan.te_s, ratio, strict=True):
        assert np.median(echo[distance < 5]) == pytest.approx(np.exp(-60 * te_s), rel=0.01)
    turn = np.angle(np.exp(1j * (with_it.scan.phase_rad[0] - without.scan.phase_rad[0])))
    hertz_per_ppm = 42.5775 * PROTOCOL.b0_tesla
    field_ppm = ball_field(offset, blood.balls[0], np.array([0, 0, 1.0]))
    shell = (distance > 11) & (distance < 13)
    expected = 2 * np.pi * hertz_per_ppm * PROTOCOL.te_s[0] * field_ppm[shell]
    np.testing.assert_allclose(turn[shell], expected, atol=0.01)


def test_truth_maps_hold_the_lesions_total_susceptibility() -> None:
    ((session, maps),) = build_sessions(RECIPE)
    grid, truth = session.scan.grid, session.lesions[0]
    voxel = np.rint(grid.to_voxel(truth.centre_mm)).astype(int)
    box = tuple(slice(v - 3, v + 4) for v in voxel)
    assert maps.chi_ppm[box].sum() * grid.voxel_volume_mm3 == pytest.approx(truth.S_ppm_mm3, rel=1e-3)
    assert np.abs(maps.local_field_ppm[box]).max() > 0.02
    assert not maps.local_field_ppm[~maps.brain].any()


def test_the_same_recipe_makes_the_same_scan_and_sampling_changes_it() -> None:
    first, again = build_phantom(RECIPE)[0], build_phantom(RECIPE)[0]
    np.testing.assert_array_equal(first.scan.phase_rad, again.scan.phase_rad)
    thick = dataclasses.replace(
        PROTOCOL, voxel_mm=(1.0, 1.0, 3.0), two_d=True, acquired=(0.8, 0.8, 1.0), window="tukey"
    )
    other = build_phantom(dataclasses.replace(RECIPE, sessions=(thick,)))[0]
    assert other.scan.grid.voxel_size_mm == pytest.approx((1.0, 1.0, 3.0))
    assert other.lesions == first.lesions
    # Less of k-space: smoother along the axes that lost some, by the same noise and tissue.
    whole = dataclasses.replace(thick, acquired=(1.0, 1.0, 1.0), window="none")
    sharp = build_phantom(dataclasses.replace(RECIPE, sessions=(whole,)))[0]
    energy = [np.square(np.diff(s.scan.magnitude, axis=1)).sum() for s in (other, sharp)]
    assert energy[0] < 0.8 * energy[1]
    moved = build_phantom(dataclasses.replace(RECIPE, seed=4))[0]
    assert not np.array_equal(moved.scan.phase_rad, first.scan.phase_rad)
