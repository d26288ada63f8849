"""Rigid registration finds a known motion."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from qsmcmb.errors import InvalidInputError
from qsmcmb.model import Grid
from qsmcmb.registration.midspace import PairFit, join_poses
from qsmcmb.registration.rigid import Image, RigidTransform, register_rigid
from qsmcmb.registration.similarity import MIN_SIMILARITY, brain_similarity


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


def turned(degrees: float, axis: str) -> RigidTransform:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    matrix[:3, 3] = [degrees / 2, 1.0, -2.0]
    return RigidTransform(matrix, 0.95)


def test_poses_agree_with_pairs_and_lie_in_the_middle(rng: np.random.Generator) -> None:
    """Three poses, all pairs registered without error: the pairs are found again, and no session is favoured."""
    true = [turned(0, "x"), turned(9, "y"), turned(-12, "z")]
    own = rng.normal(0, 40, (60, 3))
    points = [pose.apply(own) for pose in true]

    def pair(i: int, j: int, similarity: float = 0.9) -> PairFit:
        matrix = true[j].matrix @ np.linalg.inv(true[i].matrix)
        return PairFit(i, j, RigidTransform(matrix, 0.95), similarity)

    found = join_poses([pair(0, 1), pair(2, 1), pair(0, 2)], points)
    assert found.error_mm == pytest.approx((0.2, 0.2, 0.2))
    middle = [pose.inverse().apply(p) for pose, p in zip(found.poses, points, strict=True) if pose]
    np.testing.assert_allclose(middle[1], middle[0], atol=1e-6)
    np.testing.assert_allclose(middle[2], middle[0], atol=1e-6)
    turns = Rotation.concatenate([Rotation.from_matrix(p.matrix[:3, :3]) for p in found.poses if p])
    assert turns.mean().magnitude() < 1e-6
    # The frame is the same whatever session comes first.
    again = join_poses(
        [PairFit(2 - p.fixed, 2 - p.moving, p.transform, 0.9) for p in found.pairs], points[::-1]
    )
    assert again.poses[0] is not None
    assert found.poses[2] is not None
    np.testing.assert_allclose(again.poses[0].matrix, found.poses[2].matrix, atol=1e-6)


def test_a_session_of_another_head_is_refused() -> None:
    points = [np.random.default_rng(0).normal(0, 40, (60, 3))] * 3
    same, other = turned(0, "x"), turned(0, "x")
    pairs = [PairFit(0, 1, other, 0.2), PairFit(2, 1, other, 0.25), PairFit(0, 2, same, 0.8)]
    found = join_poses(pairs, points)
    assert [pose is None for pose in found.poses] == [False, True, False]
    assert np.isnan(found.error_mm[1])


def test_contradicting_pairs_are_the_error() -> None:
    points = [np.random.default_rng(0).normal(0, 40, (60, 3))] * 2
    there, back = np.eye(4), np.eye(4)
    there[0, 3], back[0, 3] = 1.0, 1.0
    found = join_poses(
        [PairFit(0, 1, RigidTransform(there, 0.9), 0.9), PairFit(1, 0, RigidTransform(back, 0.9), 0.9)],
        points,
    )
    assert found.error_mm[0] == pytest.approx((1.0 + 0.2**2) ** 0.5, abs=1e-6)


def test_two_heads_do_not_look_alike() -> None:
    grid = Grid.isotropic((48, 56, 48), 2.0)
    one = head(grid, np.eye(3), np.zeros(3))
    texture = ndimage.gaussian_filter(np.random.default_rng(9).standard_normal(grid.shape), 2.0)
    other = one._replace(data=(1 + 4 * texture) * one.mask)
    assert brain_similarity(one, one, np.eye(4)) > 0.99
    assert brain_similarity(one, other, np.eye(4)) < MIN_SIMILARITY
    assert brain_similarity(one, one._replace(mask=one.mask & False), np.eye(4)) == 0.0
