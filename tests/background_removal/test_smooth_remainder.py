"""Smooth remainder of one echo: a polynomial is taken off, tissue and lesions are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qsmcmb.background_removal.smooth_remainder import remove_smooth_remainder
from qsmcmb.errors import InvalidInputError
from qsmcmb.model import GreScan, Grid
from qsmcmb.phantoms.lesions import Ball, ball_field
from qsmcmb.pipeline.config import make_config
from qsmcmb.pipeline.subject import run_scan
from qsmcmb.typing import BoolArray, FloatArray

GRID = Grid((36, 40, 30), (4.0, 4.0, 5.0))


def head() -> tuple[FloatArray, BoolArray]:
    """Return coordinates, mm from the middle, and an ellipsoid."""
    xyz = np.stack([
        (np.arange(n) - (n - 1) / 2).reshape([-1 if a == axis else 1 for a in range(3)]) * v + np.zeros(GRID.shape)
        for axis, (n, v) in enumerate(zip(GRID.shape, GRID.voxel_size_mm, strict=True))
    ])  # fmt: skip
    radii = np.array([65.0, 75.0, 68.0]).reshape(3, 1, 1, 1)
    return xyz, ((xyz / radii) ** 2).sum(axis=0) < 1


def receive_field(xyz: FloatArray) -> FloatArray:
    """Return a field of 5 Hz and more of order 4, whose Laplacian is not 0."""
    x, y, z = xyz / 70
    return np.asarray(3 * x**2 - 4 * x * y + 2 * z**4 - 3 * x**2 * z + 1.5 * y, np.float32)


def test_a_polynomial_goes_and_a_lesion_stays() -> None:
    xyz, mask = head()
    lesion = np.zeros(GRID.shape, np.float32)
    lesion[18, 20, 15], lesion[20, 20, 15] = 40.0, -20.0
    field = np.where(mask, receive_field(xyz) + lesion, 0).astype(np.float32)
    sd = np.where(mask, 0.5, 0).astype(np.float32)
    cleaned = remove_smooth_remainder(field, mask, GRID, field_sd_hz=sd)
    np.testing.assert_allclose(cleaned.local_field_hz[mask], lesion[mask], atol=0.01)
    assert not cleaned.local_field_hz[~mask].any()
    assert cleaned.removed_hz == pytest.approx(np.sqrt(np.mean(receive_field(xyz)[mask] ** 2)), rel=1e-2)


def test_tissue_of_a_gyrus_stays() -> None:
    xyz, mask = head()
    gyri = np.where(mask, np.sin(2 * np.pi * xyz[0] / 20) * np.sin(2 * np.pi * xyz[1] / 24), 0).astype(
        np.float32
    )
    cleaned = remove_smooth_remainder(gyri, mask, GRID, field_sd_hz=np.ones(GRID.shape, np.float32))
    assert np.std((cleaned.local_field_hz - gyri)[mask]) < 0.05 * np.std(gyri[mask])


@pytest.mark.parametrize(("voxel_mm", "is_taken"), [(4.0, True), (0.5, False)])
def test_a_crop_is_left_as_it_is(voxel_mm: float, is_taken: bool) -> None:
    grid = Grid.isotropic((36, 36, 36), voxel_mm)
    ones = np.ones(grid.shape, np.float32)
    field = (np.indices(grid.shape)[0] / 35.0).astype(np.float32)
    cleaned = remove_smooth_remainder(field, ones > 0, grid, field_sd_hz=ones)
    assert (cleaned.removed_hz > 0) == is_taken
    assert np.allclose(cleaned.local_field_hz, 0, atol=1e-5) == is_taken


def test_voxels_without_an_sd_do_not_count() -> None:
    xyz, mask = head()
    field = np.where(mask, receive_field(xyz), 0).astype(np.float32)
    sd = np.where(mask, 0.5, 0).astype(np.float32)
    field[mask & (xyz[2] > 40)] += 50
    sd[mask & (xyz[2] > 40)] = np.inf
    cleaned = remove_smooth_remainder(field, mask, GRID, field_sd_hz=sd)
    np.testing.assert_allclose(cleaned.local_field_hz[mask & (xyz[2] < 40)], 0, atol=0.05)


def test_arrays_off_the_grid_are_refused() -> None:
    _, mask = head()
    with pytest.raises(InvalidInputError, match="field_sd_hz"):
        remove_smooth_remainder(0 * mask.astype(np.float32), mask, GRID, field_sd_hz=np.ones((2, 2, 2)))


@pytest.mark.parametrize("echoes", [1, 2])
def test_the_map_of_one_echo_is_that_without_receive_phase(echoes: int) -> None:
    xyz, mask = head()
    ball = Ball((0.0, 0.0, 0.0), 9.0, 0.2)
    field_ppm = ball_field(xyz - np.reshape([6.0, -4.0, 5.0], (3, 1, 1, 1)), ball, np.array([0.0, 0.0, 1.0]))
    turns = 2 * np.pi * 42.5775 * 3.0 * np.array([0.01, 0.02])[:echoes].reshape(-1, 1, 1, 1)
    magnitude = np.where(mask, 1.0, 0.0).astype(np.float32)[None].repeat(echoes, axis=0)
    scan = GreScan(
        phase_rad=np.zeros(magnitude.shape, np.float32), magnitude=magnitude, te_s=(0.01, 0.02)[:echoes],
        b0_tesla=3.0, grid=GRID,
    )  # fmt: skip
    config = make_config({"invert": {"method": "tkd"}})
    receive_rad = 0.2 * receive_field(xyz)
    maps = []
    for offset in (0, receive_rad):
        phase = np.where(mask, np.angle(np.exp(1j * (turns * field_ppm + offset))), 0).astype(np.float32)
        maps.append(
            run_scan(replace(scan, phase_rad=phase), config, mask=mask, points_mm=np.zeros((0, 3))).chi_ppm
        )
    inside = mask & (np.linalg.norm(xyz / 65, axis=0) < 0.9)
    assert np.std((maps[1] - maps[0])[inside]) < 0.1 * np.std(maps[0][inside])
