"""The visible void, and what is too dark and too large to be fitted."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.microbleeds.crosscheck.visible_void import dark_beyond_ball, measure_void
from qsmcmb.microbleeds.signal.acquisition import Acquisition
from qsmcmb.microbleeds.signal.patch import Patch
from qsmcmb.model import GreScan, Grid
from qsmcmb.typing import BoolArray, FloatArray


@pytest.mark.parametrize(("radius_mm", "expected"), [(4.0, False), (9.0, True), (14.0, True)])
def test_what_is_dark_all_around_is_larger_than_the_ball(radius_mm: float, expected: bool) -> None:
    grid = Grid.isotropic((64, 64, 64), 1.0)
    distance2 = ((np.indices(grid.shape) - 32.0) ** 2).sum(axis=0)
    magnitude = np.where(distance2 < radius_mm**2, 40.0, 100.0).astype(np.float32)[None]
    scan = GreScan(np.zeros_like(magnitude), magnitude, (0.02,), 3.0, grid)
    mask = np.ones(grid.shape, bool)
    assert dark_beyond_ball(scan, np.full(3, 32.0), mask, 8.0) == expected
    # Most of the ball outside the mask says nothing.
    mask[30:] = False
    assert not dark_beyond_ball(scan, np.full(3, 32.0), mask, 8.0)


def patch_of(last_echo: FloatArray) -> Patch:
    """Return a patch of 17 x 17 x 17 voxels of 1 x 1 x 0.9 mm, whose first echo is bright all over."""
    axes = tuple((np.arange(17) - 8.0) * v for v in (1.0, 1.0, 0.9))
    inside = sum(np.ix_(*(a**2 for a in axes))) <= 7.0**2  # type: ignore[arg-type]
    return Patch(
        acquisition=Acquisition(te_s=(0.005, 0.02), b0_tesla=3.0, noise_sd=1.0),
        grid=Grid((17, 17, 17), (1.0, 1.0, 0.9)),
        signal=np.stack([np.full(inside.shape, 100.0), last_echo]).astype(np.complex64),
        field_hz=np.zeros(inside.shape),
        inside=inside,
        axes_mm=axes,  # type: ignore[arg-type]
        radius_mm=7.0,
        fraction_in_mask=1.0,
        box=(slice(0, 17), slice(0, 17), slice(0, 17)),
    )


def dark(*boxes: tuple[slice, slice, slice], level: float = 69.0) -> FloatArray:
    magnitude = np.full((17, 17, 17), 100.0)
    for box in boxes:
        magnitude[box] = level
    return magnitude


def voxels(box: tuple[slice, slice, slice]) -> BoolArray:
    out = np.zeros((17, 17, 17), bool)
    out[box] = True
    return out


MIDDLE = (slice(7, 9), slice(8, 10), slice(8, 9))


def test_the_void_is_what_is_darker_than_seven_tenths() -> None:
    found = measure_void(patch_of(dark(MIDDLE)))
    np.testing.assert_array_equal(found.mask, voxels(MIDDLE))
    assert found.volume_mm3 == pytest.approx(4 * 0.9)
    assert np.pi / 6 * found.diameter_mm**3 == pytest.approx(4 * 0.9)
    pale = measure_void(patch_of(dark(MIDDLE, level=71.0)))
    assert (pale.volume_mm3, pale.diameter_mm) == (0.0, 0.0)
    assert not pale.mask.any()


def test_of_several_dark_regions_the_nearest_counts() -> None:
    other = (slice(11, 14), slice(8, 9), slice(8, 9))
    found = measure_void(patch_of(dark(MIDDLE, other)))
    np.testing.assert_array_equal(found.mask, voxels(MIDDLE))
    # One that begins 3 mm away is the lesion's; one that begins further away is not.
    np.testing.assert_array_equal(measure_void(patch_of(dark(other))).mask, voxels(other))
    further = (slice(12, 14), slice(8, 9), slice(8, 9))
    assert not measure_void(patch_of(dark(further))).mask.any()


def test_what_lies_at_the_edge_of_the_patch_is_no_void() -> None:
    row = (slice(8, 17), slice(8, 9), slice(8, 9))
    # The ball of 7 mm is looked at up to 6 mm.
    np.testing.assert_array_equal(
        measure_void(patch_of(dark(row))).mask, voxels((slice(8, 14), slice(8, 9), slice(8, 9)))
    )


def scan_of(magnitude: FloatArray) -> GreScan:
    grid = Grid.isotropic((64, 64, 64), 1.0)
    volume = np.stack([np.full(grid.shape, 50.0), magnitude]).astype(np.float32)
    return GreScan(np.zeros_like(volume), volume, (0.01, 0.02), 3.0, grid)


DISTANCE = np.sqrt(((np.indices((64, 64, 64)) - 32.0) ** 2).sum(axis=0))


@pytest.mark.parametrize(("level", "expected"), [(69.0, True), (71.0, False)])
def test_dark_is_less_than_seven_tenths_of_the_shell_beyond(level: float, expected: bool) -> None:
    # Between the ball (8 mm) and the shell (10 mm on, 16 mm wide) anything may be.
    magnitude = np.where(DISTANCE < 8.0, level, np.where(DISTANCE < 10.0, 5.0, 100.0))
    magnitude[DISTANCE > 24.0] = 7.0
    mask = np.ones(DISTANCE.shape, bool)
    assert dark_beyond_ball(scan_of(magnitude), np.full(3, 32.0), mask, 8.0) == expected
    # Darkness of the shell hides that of the ball.
    assert not dark_beyond_ball(scan_of(np.full(DISTANCE.shape, 40.0)), np.full(3, 32.0), mask, 8.0)


@pytest.mark.parametrize(("part", "expected"), [(0.92, True), (0.88, False)])
def test_nine_tenths_of_the_ball_are_dark(part: float, expected: bool) -> None:
    edge = np.quantile(DISTANCE[DISTANCE < 8.0], part)
    magnitude = np.where(edge >= DISTANCE, 40.0, 100.0)
    mask = np.ones(DISTANCE.shape, bool)
    assert dark_beyond_ball(scan_of(magnitude), np.full(3, 32.0), mask, 8.0) == expected


@pytest.mark.parametrize(("part", "expected"), [(0.55, True), (0.45, False)])
def test_half_of_the_ball_must_lie_in_the_mask(part: float, expected: bool) -> None:
    magnitude = np.where(DISTANCE < 12.0, 40.0, 100.0)
    full = 4 / 3 * np.pi * 8.0**3
    order = np.argsort(DISTANCE, axis=None)
    mask = DISTANCE > 14.0
    mask.ravel()[order[: int(part * full)]] = True
    assert dark_beyond_ball(scan_of(magnitude), np.full(3, 32.0), mask, 8.0) == expected
    # Of the shell 50 voxels are the least.
    shell = np.flatnonzero((DISTANCE > 14.0).ravel() & (DISTANCE < 23.9).ravel())
    for count, seen in ((49, False), (51, expected)):
        few = DISTANCE < 0
        few.ravel()[order[: int(part * full)]] = True
        few.ravel()[shell[:count]] = True
        assert dark_beyond_ball(scan_of(magnitude), np.full(3, 32.0), few, 8.0) == seen
