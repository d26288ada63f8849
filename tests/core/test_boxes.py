"""Boxes against the plain definition: which voxels of the whole grid lie near."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsmcmb.core.boxes import ball_box, bounding_box, box_axes_mm
from qsmcmb.model import Grid

GRID = Grid((9, 12, 7), (1.0, 0.7, 2.5))


def distances_mm(grid: Grid, voxel: np.ndarray) -> np.ndarray:
    """Return the distance of every voxel of a grid from a point, mm."""
    offsets = (np.moveaxis(np.indices(grid.shape), 0, -1) - voxel) * grid.voxel_size_mm
    return np.sqrt((offsets**2).sum(axis=-1))


@pytest.mark.parametrize("margin", [0, 1, 20])
def test_the_box_of_a_mask_is_its_extent_and_the_margin_stays_inside(
    margin: int, rng: np.random.Generator
) -> None:
    mask = rng.random(GRID.shape) < 0.01
    mask[4, 7, 3] = True
    voxels = np.argwhere(mask)
    expected = tuple(
        slice(max(0, int(a) - margin), min(n, int(b) + 1 + margin))
        for a, b, n in zip(voxels.min(axis=0), voxels.max(axis=0), GRID.shape, strict=True)
    )
    assert bounding_box(mask, margin) == expected


@settings(max_examples=60)
@given(
    st.tuples(*[st.floats(-6, 18) for _ in range(3)]),
    st.floats(0, 12),
)
def test_every_voxel_within_the_radius_lies_in_the_box_at_its_distance(
    voxel: tuple[float, float, float], radius_mm: float
) -> None:
    point = np.array(voxel)
    box, distance_mm = ball_box(GRID, point, radius_mm)
    everywhere = distances_mm(GRID, point)
    np.testing.assert_allclose(distance_mm, everywhere[box], rtol=1e-12, atol=1e-12)
    inside = np.zeros(GRID.shape, bool)
    inside[box] = distance_mm <= radius_mm
    assert np.array_equal(inside, everywhere <= radius_mm)


def test_the_box_of_a_ball_is_tight() -> None:
    grid = Grid.isotropic((40, 40, 40), 1.0)
    box, _ = ball_box(grid, np.array([20.3, 19.8, 20.0]), 5.0)
    assert all(s.stop - s.start <= 13 for s in box)


def test_far_outside_the_volume_the_box_is_empty() -> None:
    box, distance_mm = ball_box(GRID, np.array([-40.0, 5.0, 3.0]), 4.0)
    assert distance_mm.size == 0
    assert np.zeros(GRID.shape)[box].size == 0


def test_axes_are_coordinates_from_the_point_in_voxel_axes() -> None:
    grid = dataclasses.replace(GRID, b0_dir=(0.0, 0.6, 0.8))
    point = np.array([3.2, 5.0, 2.5])
    box, distance_mm = ball_box(grid, point, 4.0)
    x, y, z = box_axes_mm(grid, point, box)
    assert x[0] == pytest.approx(box[0].start - 3.2)
    assert np.diff(z) == pytest.approx(2.5)
    at = (1, 2, 1)
    assert distance_mm[at] == pytest.approx(np.sqrt(x[1] ** 2 + y[2] ** 2 + z[1] ** 2))
