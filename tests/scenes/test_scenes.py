"""The scenes are what they say: truth in closed form, seeds, and views that change nothing in the scanner."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.core.poisson import laplacian_inside
from tests.scenes import echoes, geometry, lesion_signal, sources
from tests.scenes.turned import MIRRORS, PADDED, TURNS, View

TESTS = Path(__file__).parents[1]


def imported_tests(path: Path) -> list[str]:
    """Return the test modules that a file imports, with what it takes from them."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names += [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return [n for n in names if any(part.startswith(("test_", "conftest")) for part in n.split("."))]


def test_no_test_imports_another() -> None:
    paths = list(TESTS.rglob("*.py"))
    assert len(paths) > 50
    found = {p.relative_to(TESTS).as_posix(): imported_tests(p) for p in paths}
    assert {k: v for k, v in found.items() if v} == {}


@pytest.mark.parametrize("name", geometry.GRIDS)
def test_coordinates_are_counted_from_the_middle_in_mm(name: str) -> None:
    grid = geometry.GRIDS[name]
    assert max(grid.shape) <= 24
    xyz = geometry.coordinates_mm(grid)
    at = tuple(n // 2 for n in grid.shape)
    np.testing.assert_array_equal(xyz[(slice(None), *at)], 0)
    ahead = tuple(a + 1 for a in at)
    np.testing.assert_allclose(xyz[(slice(None), *ahead)], grid.voxel_size_mm)
    assert np.linalg.norm(grid.b0_dir) == pytest.approx(1)
    volume = geometry.ball(grid, 8.0).sum() * grid.voxel_volume_mm3
    assert volume == pytest.approx(4 / 3 * np.pi * 8**3, rel=0.04)


@pytest.mark.parametrize("view", [*TURNS, *MIRRORS, PADDED], ids=lambda v: v.name)
def test_a_view_takes_b0_along(view: View, rng: np.random.Generator) -> None:
    """The field of a ball, seen from elsewhere, is that of the ball at its new place in the new grid."""
    grid, at = geometry.OBLIQUE, (9, 12, 8)
    spot = np.zeros(grid.shape, bool)
    spot[at] = True

    def field_at(place: tuple[int, ...], where: geometry.Grid) -> np.ndarray:
        centre = [(p - n // 2) * v for p, n, v in zip(place, where.shape, where.voxel_size_mm, strict=True)]
        return sources.field_of(sources.Ball((centre[0], centre[1], centre[2]), 2.0, 1.0), where)

    other = view.grid(grid)
    place = np.unravel_index(int(np.argmax(view.volume(spot))), other.shape)
    seen = view.volume(np.ones(grid.shape, bool))
    expected = np.where(seen, field_at(tuple(int(p) for p in place), other), 0)
    np.testing.assert_allclose(view.volume(field_at(at, grid)), expected, atol=1e-6)
    stack = rng.standard_normal((2, *grid.shape)).astype(np.float32)
    np.testing.assert_array_equal(view.back(view.volume(stack)), stack)
    np.testing.assert_array_equal(view.volume(stack)[1], view.volume(stack[1]))


def test_the_sphere_has_its_dipoles_field_and_total() -> None:
    scene = sources.sphere()
    assert scene.total_ppm_mm3 == pytest.approx(4 / 3 * np.pi * 4**3 * 0.5)
    assert not scene.field[~scene.mask].any()
    xyz = geometry.away_mm(scene.grid, (2.0, -3.3, 1.2))
    r = np.sqrt((xyz**2).sum(axis=0))
    cos = np.tensordot(scene.grid.b0_dir, xyz, axes=1) / np.maximum(r, 1e-9)
    far = scene.mask & (r > 4.5)
    expected = scene.total_ppm_mm3 * (3 * cos**2 - 1) / (4 * np.pi * np.maximum(r, 1) ** 3)
    np.testing.assert_allclose(scene.field[far], expected[far], atol=1e-6)
    assert not scene.field[scene.mask & (r < 4)].any()
    again = sources.sphere()
    np.testing.assert_array_equal(again.field, scene.field)


def test_the_pair_lies_on_both_sides_of_the_masks_edge() -> None:
    grid = geometry.OBLIQUE
    pair = sources.dipole_pair(grid, mask_mm=9.0, away=(3.0, -4.0, 17.0), middle=(0.5, 1.0, -0.5))
    np.testing.assert_array_equal(pair.total, pair.outside + pair.inside)
    inner = geometry.ball(grid, 5.0)
    # What comes from outside is harmonic; the inner ball's surface is not.
    laplacian = [
        np.abs(laplacian_inside(f, pair.mask, grid.voxel_size_mm)[inner]).max()
        for f in (pair.outside, pair.inside)
    ]
    assert laplacian[0] < 0.02 * laplacian[1]


def test_the_heads_background_is_harmonic_and_the_parts_add_up() -> None:
    scene = sources.head()
    np.testing.assert_allclose(scene.total, scene.background + scene.local, atol=1e-5)
    inner = np.zeros_like(scene.mask)
    inner[1:-1, 1:-1, 1:-1] = True
    for axis in range(3):
        for step in (1, -1):
            inner &= np.roll(scene.mask, step, axis)
    curl = laplacian_inside(scene.background, np.ones_like(scene.mask), scene.grid.voxel_size_mm)[inner]
    assert np.abs(curl).max() < 1e-4
    assert np.std(scene.background[scene.mask]) > 10
    noisy = sources.head(noise_hz=0.5)
    assert np.std((noisy.total - scene.total)[scene.mask]) == pytest.approx(0.5, rel=0.05)
    np.testing.assert_array_equal(sources.head(noise_hz=0.5).total, noisy.total)


def test_echoes_wrap_and_have_one_right_answer() -> None:
    scene = echoes.wrapping_echoes()
    turns = (scene.truth_rad - scene.phase_rad) / (2 * np.pi)
    assert np.abs(turns - np.rint(turns)).max() < 1e-5
    inside = np.rint(turns)[:, scene.mask]
    assert all(np.ptp(echo) >= 1 for echo in inside)
    assert np.ptp(inside[-1]) >= 3
    for axis in range(1, 4):
        both = np.moveaxis(scene.mask, axis - 1, 0)
        both = both[1:] & both[:-1]
        steps = np.abs(np.diff(np.moveaxis(scene.truth_rad, axis, 1), axis=1))[:, both]
        assert steps.max() < 0.9 * np.pi
    decay = -np.diff(np.log(scene.magnitude), axis=0) / np.diff(scene.te_s)[:, None, None, None]
    np.testing.assert_allclose(decay, np.broadcast_to(scene.r2star_hz, decay.shape), rtol=1e-3)


def test_noise_of_echoes_is_as_stated_on_both_channels() -> None:
    clean, noisy = echoes.wrapping_echoes(), echoes.wrapping_echoes(snr=20.0)
    error = noisy.magnitude * np.exp(1j * noisy.phase_rad) - clean.magnitude * np.exp(1j * clean.phase_rad)
    assert np.std(error.real) == pytest.approx(0.05, rel=0.02)
    assert np.std(error.imag) == pytest.approx(0.05, rel=0.02)
    other = echoes.wrapping_echoes(snr=20.0, seed=6)
    assert not np.array_equal(other.phase_rad, noisy.phase_rad)


def hamming(k: np.ndarray) -> np.ndarray:
    return 0.54 + 0.46 * np.cos(np.pi * k)


def test_a_cropped_ball_has_its_dipoles_phase_far_away() -> None:
    total = 6.0
    scene = lesion_signal.cropped_balls(np.array([[total, 0.3, -0.4, 0.2, 1.1]]), hamming)
    x, y, z = np.meshgrid(*scene.axes_mm, indexing="ij")
    offset = np.stack([x - 0.3, y + 0.4, z - 0.2])
    r = np.sqrt((offset**2).sum(axis=0))
    cos = np.tensordot(lesion_signal.B0_DIR, offset, axes=1) / r
    expected = 42.5775 * 3 * total * (3 * cos**2 - 1) / (4 * np.pi * r**3)
    shell = (r > 4) & (r < 7)
    assert np.corrcoef(scene.field_hz[shell], expected[shell])[0, 1] > 0.99
    slope = np.vdot(scene.field_hz[shell], expected[shell]) / np.vdot(expected[shell], expected[shell])
    assert slope == pytest.approx(1, abs=0.03)
    assert np.abs(scene.signal[-1])[r < 0.7].max() < 0.6


def test_a_tilt_rises_along_the_first_axis() -> None:
    nothing = np.array([[0.0, 0.0, 0.0, 0.0, 0.1]])
    tilted = lesion_signal.cropped_balls(nothing, hamming, tilt_hz_per_mm=12.0)
    line = tilted.field_hz[4:16, 10, 10]
    assert np.polyfit(np.arange(4, 16), line, 1)[0] == pytest.approx(12.0, rel=0.01)
    assert np.ptp(tilted.field_hz[10]) < 0.1


def test_a_ball_in_sloping_tissue_is_dark_where_it_lies() -> None:
    scene = lesion_signal.ball_in_sloping_tissue(6.0)
    assert 4 / 3 * np.pi * lesion_signal.ball_radius_mm(6.0) ** 3 * lesion_signal.BALL_PPM == pytest.approx(
        6.0
    )
    magnitude = np.abs(scene.signal)
    assert magnitude[-1, 9, 9, 9] < 0.3 * np.median(magnitude[-1])
    steady = lesion_signal.ball_in_sloping_tissue(1e-6)
    decay = -np.log(np.abs(steady.signal[2]) / np.abs(steady.signal[0])) / 0.016
    assert np.median(decay) == pytest.approx(20.0, rel=0.04)
    assert np.std(np.abs(steady.signal[0][:, 9, 9]) / (1 + 0.01 * scene.axes_mm[0]) / np.exp(-0.16)) < 0.03
