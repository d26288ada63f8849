"""Detection limit map: its closed form in noise, a plain twin, edges, and lesions that are no clutter."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.core.point_dipole import point_dipole_field
from qsmcmb.errors import InvalidInputError
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.detection.dipole_filter import INNER_VOXELS, OUTER_MM, make_filter
from qsmcmb.microbleeds.detection.limit_map import map_detection_limit
from qsmcmb.model import Estimate, Grid

GRID = Grid((30, 27, 32), (1.0, 1.1, 0.9), (0.0, 0.6, 0.8))
FULL_K_SPACE = np.ones(GRID.shape, bool)
MIDDLE = (15, 13, 16)
SD_PPM = 0.002


def noise(sd: float = SD_PPM) -> np.ndarray:
    return (sd * np.random.default_rng(3).standard_normal(GRID.shape)).astype(np.float32)


def limit_of(field: np.ndarray, sd: float = SD_PPM, **options: object) -> np.ndarray:
    mask = options.pop("mask", FULL_K_SPACE)
    assert isinstance(mask, np.ndarray)
    sd_map = np.full(GRID.shape, sd, np.float32)
    return map_detection_limit(field, mask, GRID, field_sd_ppm=sd_map, **options)  # type: ignore[arg-type]


def offsets(centre: tuple[int, int, int]) -> np.ndarray:
    axes = [(np.arange(n) - c) * v for n, c, v in zip(GRID.shape, centre, GRID.voxel_size_mm, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij")).reshape(3, -1)


def test_noise_alone_gives_the_sd_of_a_least_squares_dipole() -> None:
    xyz = offsets(MIDDLE)
    radius = np.sqrt((xyz**2).sum(axis=0))
    inner = INNER_VOXELS * GRID.voxel_volume_mm3 ** (1 / 3)
    x, y, z = shell = xyz[:, (radius > inner) & (radius < OUTER_MM)]
    even = [np.ones_like(x), x * x, y * y, z * z, x * y, x * z, y * z]
    design = np.stack([point_dipole_field(shell, np.array(GRID.b0_dir)), *even], axis=1)
    expected = 5 * SD_PPM * np.sqrt(np.linalg.inv(design.T @ design)[0, 0])
    # A field without anything in it: the noise that its SD states is what is left.
    assert limit_of(np.zeros(GRID.shape, np.float32))[MIDDLE] == pytest.approx(expected, rel=1e-3)
    assert limit_of(noise())[MIDDLE] == pytest.approx(expected, rel=0.25)


def test_scales_with_field_and_sds() -> None:
    once, twice = limit_of(noise()), limit_of(2 * noise(), 2 * SD_PPM)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-4)
    np.testing.assert_allclose(limit_of(noise(), n_sd=2.5), 0.5 * once, rtol=1e-5)


def test_a_smooth_background_is_no_clutter() -> None:
    x, y, z = offsets(MIDDLE).reshape(3, *GRID.shape)
    smooth = 0.003 + 5e-4 * x - 3e-4 * z + 2e-5 * (x * y + z**2)
    with_it, without = limit_of((noise() + smooth).astype(np.float32)), limit_of(noise())
    assert with_it[MIDDLE] == pytest.approx(without[MIDDLE], rel=0.1)


def test_the_filter_reads_a_dipole_and_no_field_up_to_the_second_order() -> None:
    weights = np.fft.irfftn(make_filter(GRID.shape, GRID).filter_k, GRID.shape, axes=(0, 1, 2)).ravel()
    x, y, z = [np.fft.ifftshift(o.reshape(GRID.shape)).ravel() for o in offsets(MIDDLE)]
    near = np.abs(weights) > 1e-5 * np.abs(weights).max()
    dipole = point_dipole_field(np.stack([x, y, z])[:, near], np.array(GRID.b0_dir))
    assert weights[near] @ dipole == pytest.approx(1.0, abs=1e-3)
    size = np.abs(weights).sum()
    for smooth in (np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z):
        assert abs(weights @ smooth) < 1e-4 * size * np.abs(smooth).max()


def test_rough_tissue_raises_the_limit_where_it_is() -> None:
    grid = Grid.isotropic((64, 24, 24), 1.0)
    field = SD_PPM * np.random.default_rng(3).standard_normal(grid.shape)
    field[44:] *= 10
    sd = np.full(grid.shape, SD_PPM, np.float32)
    limit = map_detection_limit(field, np.ones(grid.shape, bool), grid, field_sd_ppm=sd)
    assert limit[56, 12, 12] > 5 * limit[12, 12, 12]


def test_a_measured_lesion_does_not_hide_others() -> None:
    total = 8.0
    xyz = offsets(MIDDLE)
    field = noise() + (total * point_dipole_field(xyz, np.array(GRID.b0_dir))).reshape(GRID.shape).astype(
        np.float32
    )
    lesion = Microbleed(
        1, tuple(GRID.to_world(np.array(MIDDLE))), total_chi_ppm_mm3=Estimate(total, 0.1, "ppm mm3"), diameter_mm=3.0
    )  # fmt: skip
    known, unknown = limit_of(field, lesions=[lesion]), limit_of(field)
    plain = limit_of(noise())
    assert known[MIDDLE] == pytest.approx(plain[MIDDLE], rel=0.3)
    assert unknown[MIDDLE] > 3 * known[MIDDLE]


def test_grows_towards_the_edge_and_is_zero_outside() -> None:
    mask = np.zeros(GRID.shape, bool)
    mask[:16] = True
    limit = limit_of(np.zeros(GRID.shape, np.float32), mask=mask)
    assert (limit[16:] == 0).all()
    assert limit[15, 13, 16] > 1.2 * limit[7, 13, 16]
    thin = np.zeros(GRID.shape, bool)
    thin[15] = True
    assert np.isinf(limit_of(noise(), mask=thin)[15, 13, 16]) or limit_of(noise(), mask=thin)[15, 13, 16] > 0


def test_voxels_without_a_field_count_as_missing() -> None:
    sd = np.full(GRID.shape, SD_PPM, np.float32)
    sd[15:18] = np.inf
    field = noise()
    field[15:18] = 1.0
    limit = map_detection_limit(field, FULL_K_SPACE, GRID, field_sd_ppm=sd)
    assert np.isfinite(limit[6, 13, 16])
    assert limit[16, 13, 16] > limit[6, 13, 16]
    with pytest.raises(InvalidInputError, match="at least one voxel"):
        map_detection_limit(field, ~FULL_K_SPACE, GRID, field_sd_ppm=sd)


@pytest.mark.parametrize("tilt", [0.0, 0.06, 0.6])
def test_the_limit_of_coarse_voxels_grows_as_their_volume(tilt: float) -> None:
    b0_dir = (tilt, 0.0, float(np.sqrt(1 - tilt**2)))
    field, sd = np.zeros((24, 24, 24), np.float32), np.full((24, 24, 24), SD_PPM, np.float32)
    # Up to 6 mm away there are eight voxels of 3 mm beyond the inner radius, all near the magic angle.
    limits = [
        map_detection_limit(
            field, sd > 0, Grid.isotropic(field.shape, edge, b0_dir=b0_dir), field_sd_ppm=sd
        )[12, 12, 12]
        for edge in (2.0, 3.0, 4.0)
    ]  # fmt: skip
    np.testing.assert_allclose(limits, np.array([1, 1.5**3, 2.0**3]) * limits[0], rtol=1e-4)
