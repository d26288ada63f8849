"""The first rule of territories at each of its borders, in brains of other size, place and orientation."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.anatomy.territory import (
    DEEP_CENTRE_MM,
    DEEP_RADII_MM,
    MIDLINE_MM,
    TEMPLATE_HIGH_MM,
    TEMPLATE_LOW_MM,
    TENTORIUM_BACK_MM,
    TENTORIUM_MM,
    assign_territory,
)
from qsmcmb.model import Grid
from qsmcmb.typing import BoolArray, FloatArray

STEP_MM = 5.5
"""So few voxels that all of them are looked at, and two in a thousand are less than the outermost plane."""
NEAR_MM = 0.3


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
    return assign_territory([point], *BRAIN)[0][0]  # type: ignore[list-item]


def territory_of(*point: float) -> str:
    return assign_territory([point], *BRAIN)[0][1]  # type: ignore[list-item]


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


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("way", [-1, 1])
def test_deep_is_an_ellipsoid(axis: int, way: int) -> None:
    step = np.zeros(3)
    step[axis] = way * DEEP_RADII_MM[axis]
    toward_middle = np.zeros(3)
    toward_middle[axis] = -way * NEAR_MM
    # A little in front, so that no border of the tentorium is crossed.
    centre = DEEP_CENTRE_MM + np.array([0.0, 1.0, 0.0]) * (axis != 1)
    inside, outside = centre + step + 1.5 * toward_middle, centre + step - 1.5 * toward_middle
    assert territory_of(*inside) == "deep"
    assert territory_of(*outside) == "lobar"
    assert territory_of(*DEEP_CENTRE_MM) == "deep"


def test_the_ellipsoid_is_one_and_no_box() -> None:
    corner = DEEP_CENTRE_MM + 0.7 * DEEP_RADII_MM
    assert territory_of(*corner) == "lobar"
    assert territory_of(*(DEEP_CENTRE_MM + 0.5 * DEEP_RADII_MM)) == "deep"


@pytest.mark.parametrize("y", [-100.0, -60.0, -20.0])
def test_the_tentorium_rises_by_a_quarter_towards_the_front(y: float) -> None:
    height = TENTORIUM_MM + 0.25 * (y + 60.0)
    assert territory_of(20.0, y, height - NEAR_MM) == "infratentorial"
    assert territory_of(20.0, y, height + NEAR_MM) in ("lobar", "deep")


def test_in_front_of_the_brainstem_lie_the_temporal_lobes() -> None:
    low = TENTORIUM_MM - 20.0
    assert territory_of(10.0, TENTORIUM_BACK_MM - NEAR_MM, low) == "infratentorial"
    assert territory_of(10.0, TENTORIUM_BACK_MM + NEAR_MM, low) == "lobar"


def test_beside_the_cerebellum_they_reach_further_back() -> None:
    low = TENTORIUM_MM - 20.0
    for way in (-1, 1):
        assert territory_of(way * 49.0, -40.0, low) == "infratentorial"
        assert territory_of(way * 51.0, -40.0, low) == "lobar"
        assert territory_of(way * 51.0, -44.0, low) == "lobar"
        assert territory_of(way * 51.0, -46.5, low) == "infratentorial"


def test_infratentorial_comes_before_deep() -> None:
    """Midbrain: inside the ellipsoid and below the tentorium."""
    point = np.array([0.0, -14.0, -11.0])
    assert (((point - DEEP_CENTRE_MM) / DEEP_RADII_MM) ** 2).sum() < 1
    assert territory_of(*point) == "infratentorial"


POINTS = np.array([
    [30.0, 20.0, 50.0], [-30.0, 20.0, 50.0], [10.0, -5.0, 10.0], [-20.0, -70.0, -40.0], [1.0, -60.0, -35.0],
    [55.0, -10.0, -25.0], [-25.0, -90.0, 10.0], [0.5, 30.0, 40.0],
])  # fmt: skip


@pytest.mark.parametrize("scale", [0.5, 1.3])
def test_the_rule_scales_with_the_brain_and_moves_with_it(scale: float) -> None:
    shift = np.array([12.0, -7.0, 30.0])
    expected = assign_territory(POINTS, *BRAIN)
    assert {t for _, t in expected} == {"lobar", "deep", "infratentorial"}
    assert {s for s, _ in expected} == {"left", "right", "midline"}
    assert assign_territory(POINTS * scale + shift, *template_brain(scale, shift)) == expected


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
    assert assign_territory(
        POINTS, np.ascontiguousarray(turned[:: flips[0], :: flips[1], :: flips[2]]), other
    ) == (assign_territory(POINTS, *BRAIN))


def test_a_few_stray_voxels_do_not_stretch_the_box() -> None:
    mask, grid = BRAIN
    stray = mask.copy()
    stray[0, 0, :3] = True
    assert assign_territory(POINTS, stray, grid) == assign_territory(POINTS, mask, grid)


def test_no_point_has_no_territory_and_lists_are_taken() -> None:
    assert assign_territory([], *BRAIN) == []
    as_list = [(float(x), float(y), float(z)) for x, y, z in POINTS]
    assert assign_territory(as_list, *BRAIN) == assign_territory(POINTS, *BRAIN)
