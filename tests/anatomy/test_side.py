"""The side by the brain's bounding box, in brains of other size, place and orientation."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.anatomy.side import MIDLINE_MM, TEMPLATE_HIGH_MM, TEMPLATE_LOW_MM, side_by_mask
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

STEP_MM = 5.5
"""So few voxels that all of them are looked at, and two in a thousand are less than the outermost plane."""


def template_brain(scale: float = 1.0, shift: FloatArray | None = None) -> tuple[BoolArray, Grid]:
    """Return a box-shaped brain whose box is the template's, times a scale and moved."""
    low, high = TEMPLATE_LOW_MM * scale, TEMPLATE_HIGH_MM * scale
    voxel = STEP_MM * scale
    inner = np.ceil((high - low) / voxel).astype(int)
    affine = np.diag([voxel, voxel, voxel, 1.0])
    # The ends of the box are the centres of its outermost voxels, within a fraction of one.
    affine[:3, :3] *= ((high - low) / (inner * voxel))[:, None]
    affine[:3, 3] = low - 2 * np.diag(affine)[:3] + (0 if shift is None else shift)
    shape = tuple(int(n) + 5 for n in inner)
    mask = np.zeros(shape, bool)
    mask[2:-2, 2:-2, 2:-2] = True
    return mask, Grid.from_affine(shape, affine)  # type: ignore[arg-type]


BRAIN = template_brain()


def side_of(*point: float) -> str:
    return side_by_mask([point], *BRAIN)[0]  # type: ignore[list-item]


def test_the_box_of_the_brain_is_laid_over_the_templates() -> None:
    mask, grid = BRAIN
    world = grid.to_world(np.argwhere(mask).astype(float))
    np.testing.assert_allclose(world.min(axis=0), TEMPLATE_LOW_MM, atol=0.01)
    np.testing.assert_allclose(world.max(axis=0), TEMPLATE_HIGH_MM, atol=0.01)


@pytest.mark.parametrize(
    ("x", "side"),
    [(MIDLINE_MM + 0.2, "right"), (MIDLINE_MM - 0.2, "midline"), (-MIDLINE_MM + 0.2, "midline"),
     (-MIDLINE_MM - 0.2, "left"), (60.0, "right"), (-60.0, "left")],
)  # fmt: skip
def test_the_midline_is_two_millimetres_to_either_side(x: float, side: str) -> None:
    assert side_of(x, 0.0, 60.0) == side


POINTS = np.array([
    [30.0, 20.0, 50.0], [-30.0, 20.0, 50.0], [10.0, -5.0, 10.0], [-20.0, -70.0, -40.0], [1.0, -60.0, -35.0],
    [55.0, -10.0, -25.0], [-25.0, -90.0, 10.0], [0.5, 30.0, 40.0],
])  # fmt: skip


@pytest.mark.parametrize("scale", [0.5, 1.3])
def test_the_rule_scales_with_the_brain_and_moves_with_it(scale: float) -> None:
    shift = np.array([12.0, -7.0, 30.0])
    expected = side_by_mask(POINTS, *BRAIN)
    assert set(expected) == {"left", "right", "midline"}
    assert side_by_mask(POINTS * scale + shift, *template_brain(scale, shift)) == expected


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1)])
def test_the_order_and_direction_of_the_voxel_axes_do_not_matter(
    axes: tuple[int, int, int], flips: tuple[int, int, int]
) -> None:
    """A radiological image, or one whose first axis is the slices, is the same brain."""
    mask, grid = BRAIN
    turned = np.transpose(mask, axes)
    affine = np.eye(4)
    for new, (old, flip) in enumerate(zip(axes, flips, strict=True)):
        affine[:3, new] = grid.affine[:3, old] * flip
    last = [n - 1 if flip < 0 else 0 for n, flip in zip(turned.shape, flips, strict=True)]
    affine[:3, 3] = grid.affine[:3, 3] - affine[:3, :3] @ np.array(last)
    other = Grid.from_affine(turned.shape, affine)  # type: ignore[arg-type]
    assert side_by_mask(
        POINTS, np.ascontiguousarray(turned[:: flips[0], :: flips[1], :: flips[2]]), other
    ) == (side_by_mask(POINTS, *BRAIN))


def test_a_few_stray_voxels_do_not_stretch_the_box() -> None:
    mask, grid = BRAIN
    stray = mask.copy()
    stray[0, 0, :3] = True
    assert side_by_mask(POINTS, stray, grid) == side_by_mask(POINTS, mask, grid)


def test_no_point_has_no_side_and_lists_are_taken() -> None:
    assert side_by_mask([], *BRAIN) == []
    as_list = [(float(x), float(y), float(z)) for x, y, z in POINTS]
    assert side_by_mask(as_list, *BRAIN) == side_by_mask(POINTS, *BRAIN)
