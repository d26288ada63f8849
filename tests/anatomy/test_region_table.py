"""The region table: means of what was put in, sides apart, lesions and undefined voxels left out."""

from __future__ import annotations

import numpy as np

from qsmcmb.anatomy.head_regions import RIGHT, HeadRegions
from qsmcmb.anatomy.region_table import REGION_COLUMNS, measure_regions, without_lesions
from qsmcmb.anatomy.regions import STRUCTURES
from qsmcmb.lesion import Microbleed
from qsmcmb.model import Grid

GRID = Grid.from_affine((6, 4, 4), np.diag([1.0, 2.0, 1.5, 1.0]))
PUTAMEN = STRUCTURES["putamen"].label


def test_means_are_those_of_each_side() -> None:
    labels = np.full(GRID.shape, PUTAMEN, np.int32)
    labels[3:] += RIGHT
    chi = np.where(labels > RIGHT, 0.08, 0.05)
    chi[0, 0, 0], chi[0, 0, 1] = 9.0, np.nan
    mask = np.ones(GRID.shape, bool)
    mask[0, 0, 0] = False
    regions = HeadRegions(labels, labels < 0, GRID, None, None)
    left, right = measure_regions(regions, chi, 1000 * np.nan_to_num(chi), mask)
    assert list(left) == list(REGION_COLUMNS)
    assert (left["side"], right["side"]) == ("left", "right")
    np.testing.assert_allclose([left["chi_mean_ppm"], right["chi_mean_ppm"]], [0.05, 0.08])
    np.testing.assert_allclose([left["r2star_mean_hz"], right["chi_sd_ppm"]], [50.0, 0.0], atol=1e-12)
    assert (left["volume_mm3"], right["volume_mm3"]) == (46 * 3.0, 48 * 3.0)


def test_structures_without_voxels_have_no_row() -> None:
    nothing = np.zeros(GRID.shape, np.int32)
    assert (
        measure_regions(
            HeadRegions(nothing, nothing > 0, GRID, None, None), 0.0 * nothing, None, nothing == 0
        )
        == []
    )


def test_iron_that_the_detector_has_rejected_counts_and_lesions_do_not() -> None:
    """The middle of the pallidum is often a candidate: without it the mean would be that of its edge."""
    chi = np.full(GRID.shape, 0.10)
    candidates = np.zeros(GRID.shape, np.int32)
    candidates[2], candidates[4], candidates[5] = 1, 2, 3
    chi[candidates == 1], chi[candidates == 2], chi[candidates == 3] = 0.16, 2.0, 1.0
    rows = [
        Microbleed(n, (0.0, 0.0, 0.0), certainty=c)
        for n, c in enumerate(("rejected", "definite", "possible"), 1)
    ]
    labels = np.full(GRID.shape, PUTAMEN, np.int32)
    regions = HeadRegions(labels, labels < 0, GRID, None, None)
    (row,) = measure_regions(regions, chi, None, without_lesions(labels > 0, candidates, rows))
    np.testing.assert_allclose(row["chi_mean_ppm"], (3 * 0.10 + 0.16) / 4)
    assert without_lesions(labels > 0, None, []).all()
