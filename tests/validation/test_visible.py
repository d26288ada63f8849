"""Regions that a reader or a threshold sees: known shapes have their volume."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from qsmcmb.model import GreScan, Grid
from qsmcmb.validation.visible import bright_region, dark_region, mean_in_ball, volume_at_equal_te


def test_regions_are_found_and_measured() -> None:
    grid = Grid.isotropic((32, 32, 32), 1.0)
    xyz = np.indices(grid.shape) - 16.0
    ball = (xyz**2).sum(axis=0) <= 4
    image = np.where(ball, 10.0, 100.0)
    found = dark_region(image, grid, np.array([1.0, 0.0, 0.0]))
    assert found.volume_mm3 == ball.sum()
    assert found.seen
    assert found.diameter_mm == pytest.approx(2 * np.sqrt(13 / np.pi))
    slices = Grid(grid.shape, (1.0, 1.0, 5.0))
    spot = np.full(grid.shape, 100.0)
    spot[16, 16, 16] = 10.0
    one = dark_region(spot, slices, slices.to_world(np.array([16.0, 16.0, 16.0])))
    assert one.volume_mm3 == 5
    assert not one.seen
    chi = bright_region(np.where(ball, 0.5, 0.1), grid, np.zeros(3), above=0.1)
    assert chi.mean == pytest.approx(0.4)
    assert dark_region(image, grid, np.array([11.0, 0.0, 0.0])).volume_mm3 == 0
    large = (xyz**2).sum(axis=0) <= 9**2
    blood = np.where(large, 10.0, 100.0)
    assert dark_region(blood, grid, np.zeros(3)).volume_mm3 == 0
    assert dark_region(blood, grid, np.zeros(3), further_mm=6.0).volume_mm3 == large.sum()
    assert not dark_region(image, grid, np.array([90.0, 0.0, 0.0])).seen


def test_volumes_are_compared_at_one_echo_time() -> None:
    grid = Grid.isotropic((32, 32, 32), 1.0)
    distance2 = ((np.indices(grid.shape) - 16.0) ** 2).sum(axis=0)
    balls = [distance2 <= n for n in (1, 4, 9)]
    magnitude = np.where(balls, 10.0, 100.0).astype(np.float32)
    scan = GreScan(
        phase_rad=np.zeros_like(magnitude),
        magnitude=magnitude,
        te_s=(0.008, 0.018, 0.028),
        b0_tesla=3.0,
        grid=grid,
    )
    assert volume_at_equal_te(scan, np.zeros(3)) == balls[1].sum()
    assert np.isnan(volume_at_equal_te(dataclasses.replace(scan, te_s=(0.005, 0.016, 0.022)), np.zeros(3)))


def test_the_mean_of_a_ball_is_taken_above_its_surroundings() -> None:
    grid = Grid.isotropic((32, 32, 32), 1.0)
    distance2 = ((np.indices(grid.shape) - 16.0) ** 2).sum(axis=0)
    image = np.where(distance2 <= 9, 0.7, 0.2)
    assert mean_in_ball(image, grid, np.zeros(3), radius_mm=3.0) == pytest.approx(0.5)
    assert np.isnan(mean_in_ball(image, grid, np.array([90.0, 0.0, 0.0]), radius_mm=3.0))


def test_a_point_just_outside_the_image_shows_nothing() -> None:
    grid = Grid.isotropic((32, 32, 32), 1.0)
    image = np.full(grid.shape, 100.0)
    outside = grid.to_world(np.array([-10.5, 16.0, 16.0]))
    assert dark_region(image, grid, outside).volume_mm3 == 0
    assert np.isnan(mean_in_ball(image, grid, outside, radius_mm=3.0))
