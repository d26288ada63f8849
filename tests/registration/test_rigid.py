"""Rigid registration finds a known motion."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.registration.rigid import Image, register_rigid


def head(grid: Grid, rotation: np.ndarray, shift: np.ndarray) -> Image:
    """Make an ellipsoid with structure, moved in the scanner."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    own = (grid.to_world(index.astype(float)) - shift) @ rotation
    mask = ((own / [30.0, 38.0, 32.0]) ** 2).sum(axis=-1) < 1
    texture = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal((50, 50, 50)), 2.0)
    data = 1 + 4 * ndimage.map_coordinates(texture, np.moveaxis(own / 2 + 25, -1, 0), order=1, mode="nearest")
    return Image(data * mask, mask, grid, "head")


def test_known_motion_is_found_across_grids() -> None:
    fixed_grid = Grid.isotropic((48, 56, 48), 2.0)
    oblique = np.eye(4)
    oblique[:3, :3] = Rotation.from_euler("x", 20, degrees=True).as_matrix() * 1.8
    oblique[:3, 3] = -oblique[:3, :3] @ np.array([27.0, 30.0, 27.0])
    rotation = Rotation.from_euler("xyz", [7, -4, 6], degrees=True).as_matrix()
    shift = np.array([4.0, -3.0, 2.0])
    fixed = head(fixed_grid, np.eye(3), np.zeros(3))
    moving = head(Grid.from_affine((54, 60, 54), oblique), rotation, shift)
    found = register_rigid(fixed, moving)
    points = np.array([[20.0, 0, 0], [0, -25.0, 5.0], [-10.0, 10.0, -20.0]])
    np.testing.assert_allclose(found.apply(points), points @ rotation.T + shift, atol=0.3)
    np.testing.assert_allclose(found.inverse().apply(found.apply(points)), points, atol=1e-9)
    again = register_rigid(fixed, moving)
    np.testing.assert_array_equal(found.matrix, again.matrix)


def test_another_field_of_view_is_refused() -> None:
    grid = Grid.isotropic((48, 56, 48), 2.0)
    fixed = head(grid, np.eye(3), np.zeros(3))
    mask = fixed.mask.copy()
    mask[:, :, : grid.shape[2] // 2] = False
    with pytest.raises(InvalidInputError, match="REGISTRATION"):
        register_rigid(fixed, fixed._replace(mask=mask))
