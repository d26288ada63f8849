"""Masks that users have: each is read as the brain that it means, and what was done is said."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.errors import InvalidInputError
from qsmcmb.io.mask_values import membership
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline.checks import check_given_mask, find_field_faults
from qsmcmb.pipeline.scan_checks import PhaseChecks
from qsmcmb.typing import BoolArray, FloatArray

SHAPE = (30, 28, 26)
PATH = Path("mask.nii")


def distance() -> FloatArray:
    """Return the distance from the surface of a ball of 10 voxels, negative inside."""
    x, y, z = (a - (n - 1) / 2 for a, n in zip(np.indices(SHAPE), SHAPE, strict=True))
    return np.asarray(np.sqrt(x**2 + y**2 + z**2) - 10.2)


def ball() -> BoolArray:
    return distance() < 0


def soft(width: float = 0.8) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(distance() / width)))


def labels() -> FloatArray:
    """Return regions of a segmentation, numbered as FreeSurfer does."""
    x = np.indices(SHAPE)[0]
    return np.where(ball(), np.select([x < 10, x < 15, x < 20], [2.0, 41.0, 1011.0], 2035.0), 0.0)


RIPPLE = 0.02 * np.cos(2 * distance()) * np.exp(-abs(distance()) / 4)
SAID = {
    "probabilities": (soft(), "cut at 0.5"),
    "probabilities, tiny outside": (np.maximum(soft(), 1e-4), "cut at 0.5"),
    "percent": (np.round(100 * soft()), "cut at 50"),
    "8 bits": (np.round(255 * soft()), "cut at 12[78]"),
    "ripple of a spline": (ball() + RIPPLE, "cut at 0.5"),
    "labels": (labels(), "4 labels"),
    "tissue classes": (np.where(ball(), 1 + (np.indices(SHAPE)[1] > 14), 0).astype(float), "2 labels"),
    "not finite outside": (np.where(ball(), 1, np.nan), "not finite"),
}


@pytest.mark.parametrize("name", SAID)
def test_a_mask_is_read_as_the_brain_that_it_means_and_that_is_said(name: str) -> None:
    values, words = SAID[name]
    found = membership(values.astype(np.float32), PATH)
    np.testing.assert_array_equal(found.inside, ball())
    assert len(found.notes) == 1
    assert re.search(words, found.notes[0])


@pytest.mark.parametrize("one", [1, 255, 0.5])
def test_a_plain_mask_needs_no_words(one: float) -> None:
    found = membership((one * ball()).astype(np.float32), PATH)
    assert found.notes == ()
    np.testing.assert_array_equal(found.inside, ball())


def test_holes_stay_and_are_said() -> None:
    mask = ball()
    mask[14, 14, 12:14] = False
    found = membership(mask.astype(np.float32), PATH)
    np.testing.assert_array_equal(found.inside, mask)
    assert "1 holes of 2 voxels" in found.notes[0]


def test_an_image_is_no_mask() -> None:
    rng = np.random.default_rng(2)
    skull_stripped = np.where(ball(), rng.normal(500, 200, SHAPE), 0)
    for image in (skull_stripped, rng.normal(0, 1, SHAPE)):
        with pytest.raises(InvalidInputError, match="MASK-VALUES"):
            membership(image.astype(np.float32), PATH)


def scan() -> GreScan:
    magnitude = np.where(ball(), 100, 1).astype(np.float32)[None]
    grid = Grid.isotropic(SHAPE, 2.0)
    return GreScan(phase_rad=0 * magnitude, magnitude=magnitude, te_s=(0.02,), b0_tesla=3.0, grid=grid)


def test_a_mask_of_air_is_inverted_and_one_with_air_is_said() -> None:
    check_given_mask(ball(), scan())
    with pytest.raises(InvalidInputError, match="MASK-INVERTED"):
        check_given_mask(~ball(), scan())
    everything = np.ones(SHAPE, bool)
    assert any("air is in it" in w for w in find_field_faults(scan(), PhaseChecks(), everything))
    assert not any("air" in w for w in find_field_faults(scan(), PhaseChecks(), ball()))
