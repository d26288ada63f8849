"""Places of lesions from labels on the scan's grid; scans that are no head, or a part of one, get none."""

from __future__ import annotations

import numpy as np
import pytest

from qsmcmb.anatomy.head_regions import BORDER_MM, REACH_MM, RIGHT, HeadRegions, locate_regions
from qsmcmb.anatomy.regions import STRUCTURES
from qsmcmb.model import Grid
from qsmcmb.phantoms.structured_head import HeadTruth, head_truth
from qsmcmb.registration.rigid import Image

GRID = Grid.isotropic((40, 30, 30), 1.0)
THALAMUS, FRONTAL = STRUCTURES["thalamus"].label, STRUCTURES["frontal cortex"].label


def two_halves() -> HeadRegions:
    """Return a thalamus on the left beside a frontal lobe on the right, the border at voxel 20."""
    labels = np.zeros(GRID.shape, np.int32)
    labels[5:20], labels[20:35] = THALAMUS, FRONTAL + RIGHT
    midline = np.zeros(GRID.shape, bool)
    midline[19:21] = True
    return HeadRegions(labels, midline, GRID, None, None)


@pytest.mark.parametrize(
    ("x", "side", "territory", "at_border"),
    [(8.0, "left", "deep", False), (30.0, "right", "lobar", False), (19.4, "midline", "deep", True),
     (19.5 - BORDER_MM, "left", "deep", False), (20.5 - BORDER_MM, "left", "deep", True)],
)  # fmt: skip
def test_a_lesion_lies_where_its_voxel_does(x: float, side: str, territory: str, at_border: bool) -> None:
    place = two_halves().locate(GRID.to_world(np.array([[x, 15.0, 15.0]])))[0]
    assert (place.side, place.territory, place.at_border) == (side, territory, at_border)


def test_the_nearest_structure_counts_up_to_its_reach() -> None:
    regions = two_halves()
    labels = regions.labels.copy()
    labels[:, :15] = 0
    near, far = GRID.to_world(np.array([[10.0, 10.0, 15.0], [10.0, 15.0 - REACH_MM - 1, 15.0]]))
    first, second = regions._replace(labels=labels).locate(np.array([near, far]))
    assert first.mars_region == "thalamus"
    assert (second.side, second.territory, second.bombs_region) == (None, None, None)


@pytest.fixture(scope="module")
def head() -> HeadTruth:
    return head_truth(4711, voxel_mm=2.5, size=0.6)


def test_a_whole_head_gets_regions_and_a_part_of_it_none(head: HeadTruth) -> None:
    """Half a head fits the template, too, when it is stretched: that it is stretched tells."""
    image = Image(head.r2star_hz, head.mask, head.grid, "head")
    whole = locate_regions(image)
    assert whole is not None
    again = locate_regions(image)
    assert again is not None
    np.testing.assert_array_equal(whole.labels, again.labels)
    assert set(np.unique(whole.labels[whole.labels > 0]) // RIGHT) == {0, 1}
    left = head.grid.to_world(np.argwhere((whole.labels > 0) & (whole.labels < RIGHT)).astype(float))
    right = head.grid.to_world(np.argwhere(whole.labels > RIGHT).astype(float))
    assert left[:, 0].mean() < right[:, 0].mean()
    half = head.mask.copy()
    half[:, :, : np.nonzero(half.any(axis=(0, 1)))[0].mean().astype(int)] = False
    assert locate_regions(image._replace(mask=half)) is None


def test_noise_in_the_shape_of_a_head_gets_none(head: HeadTruth) -> None:
    noise = np.random.default_rng(3).random(head.grid.shape).astype(np.float32)
    assert locate_regions(Image(noise, head.mask, head.grid, "noise")) is None
