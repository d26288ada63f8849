"""Loops between a grid and the box that methods work on, against slices of NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.core import _box_loops as loops
from qsmcmb.core.morphology import bounding_box
from qsmcmb.typing import BoolArray, FloatArray

pytestmark = pytest.mark.loops
START, PLACE = (2, 0, 1), (1, 3, 2)


@pytest.fixture
def volume(rng: np.random.Generator) -> FloatArray:
    return rng.standard_normal((9, 8, 10)).astype(np.float32)


@pytest.fixture
def mask(rng: np.random.Generator) -> BoolArray:
    mask = rng.random((5, 6, 7)) < 0.5
    mask[1] = False
    mask[2, 3] = False
    mask[3, 2] = True
    return mask


def box_of(start: tuple[int, int, int], mask: BoolArray) -> tuple[slice, ...]:
    return tuple(slice(s, s + n) for s, n in zip(start, mask.shape, strict=True))


@pytest.mark.parametrize("density", [0.0, 0.02, 0.3])
def test_occupied_says_where_each_planes_mask_lies(density: float, rng: np.random.Generator) -> None:
    mask = rng.random((12, 9, 11)) < density
    for plane, found in zip(mask, loops.occupied(mask.view(np.uint8)), strict=True):
        y, z = np.nonzero(plane)
        expected = [y.min(), y.max(), z.min(), z.max()] if len(y) else [9, -1, 11, -1]
        assert found.tolist() == expected


@pytest.mark.parametrize("margin", [0, 2])
def test_the_box_of_a_mask_is_its_extent_within_the_volume(margin: int, rng: np.random.Generator) -> None:
    mask = np.zeros((12, 9, 11), bool)
    mask[3:6, 1:8, 4:11] = rng.random((3, 7, 7)) < 0.4
    ends = [(int(i.min()), int(i.max()) + 1) for i in np.nonzero(mask)]
    expected = tuple(
        slice(max(a - margin, 0), min(b + margin, n)) for (a, b), n in zip(ends, mask.shape, strict=True)
    )
    assert bounding_box(mask, margin) == expected


def test_sums_of_a_box_are_by_plane(volume: FloatArray, mask: BoolArray) -> None:
    inside = np.where(mask, volume[box_of(START, mask)].astype(float), 0)
    np.testing.assert_allclose(loops.sum_inside(volume, mask, START), inside.sum(axis=(1, 2)), rtol=1e-12)


def test_a_box_is_copied_less_an_offset_and_what_is_not_finite_is_counted(
    volume: FloatArray, mask: BoolArray
) -> None:
    box, out = box_of(START, mask), np.full((8, 10, 11), np.float32(7))
    volume[START[0] + 3, START[1] + 2, START[2] : START[2] + 3] = np.nan, np.inf, -np.inf
    outside = tuple(s.start + int(i) for s, i in zip(box, np.argwhere(~mask)[0], strict=True))
    volume[outside] = np.nan
    broken = loops.copy_inside(volume, START, mask, np.float32(0.5), PLACE, out)
    there = box_of(PLACE, mask)
    np.testing.assert_array_equal(out[there], np.where(mask, volume[box] - np.float32(0.5), 0))
    assert broken.tolist() == [0, 0, 0, 3, 0]
    out[there] = 7
    assert (out == 7).all()


def test_a_volume_is_scaled_inside_its_mask_and_0_outside(
    volume: FloatArray, rng: np.random.Generator
) -> None:
    mask, out = rng.random(volume.shape) < 0.3, np.full(volume.shape, np.float32(7))
    mask[4] = False
    # What the mask does not cross is not read: a product would keep NaN.
    loops.scale_inside(np.where(mask, volume, np.float32(np.nan)), mask, np.float32(1.5), out)
    np.testing.assert_array_equal(out, np.where(mask, volume * np.float32(1.5), 0))
