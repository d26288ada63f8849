"""Structures of a scan's head where something is wrong: no registration, a segmentation beside the head, no gyri."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.anatomy.head_regions import RIGHT, HeadRegions
from qsmcmb.anatomy.regions import STRUCTURES
from qsmcmb.anatomy.segmentation import Segmentation
from qsmcmb.errors import InvalidInputError
from qsmcmb.lesion import Microbleed
from qsmcmb.model import GreScan, Grid
from qsmcmb.pipeline.config import make_config
from qsmcmb.pipeline.regions import NOT_REGISTERED, find_region_faults, find_regions, with_segmentation
from qsmcmb.pipeline.subject import run_scan

GRID = Grid.isotropic((24, 24, 24), 2.0)
X, Y, Z = np.indices(GRID.shape) - 12.0
HEAD = X**2 + Y**2 + Z**2 < 9**2
LESION = Microbleed(1, (6.0, 0.0, 0.0), certainty="definite")


def scan() -> GreScan:
    rng = np.random.default_rng(4)
    signal = HEAD + 0.02 * (rng.standard_normal((2, 1, *GRID.shape)) * [[[[[1]]]], [[[[1j]]]]]).sum(axis=0)
    magnitude = np.abs(signal).astype(np.float32)
    phase_rad = np.angle(signal).astype(np.float32)
    return GreScan(phase_rad=phase_rad, magnitude=magnitude, te_s=(0.02,), b0_tesla=3.0, grid=GRID)


def segmentation(structure: str = "putamen", shift: int = 0) -> Segmentation:
    label = STRUCTURES[structure].label
    body = (X - shift) ** 2 + Y**2 + Z**2 < 9**2
    labels = np.where(body, np.where(X > 0, label + RIGHT, label), 0).astype(np.int32)
    return Segmentation(Path("aseg.nii.gz"), HeadRegions(labels, labels < 0, GRID, None, None), ())


def test_a_scan_that_is_no_head_has_no_regions_and_says_so() -> None:
    assert find_regions(scan(), HEAD, None) is None
    assert find_region_faults([LESION], None, HEAD) == (NOT_REGISTERED,)
    assert find_region_faults([], None, HEAD) == ()
    result = run_scan(
        scan(), make_config({"invert": {"method": "tkd"}}), mask=HEAD, points_mm=np.zeros((1, 3))
    )
    (lesion,) = result.lesions
    assert (lesion.territory, lesion.mars_region, lesion.bombs_region) == (None, None, None)
    assert NOT_REGISTERED in result.warnings


def test_its_segmentation_gives_them() -> None:
    points = np.array([[6.0, 0.0, 0.0], [-6.0, 0.0, 0.0]])
    given = segmentation()
    config = make_config({"invert": {"method": "tkd"}})
    result = run_scan(scan(), config, mask=HEAD, points_mm=points, segmentation=given)
    assert [(m.side, m.mars_region) for m in result.lesions] == [
        ("right", "basal ganglia"),
        ("left", "basal ganglia"),
    ]
    assert dict(result.table.provenance.steps)["anatomy"] == {"method": "segmentation", "file": "aseg.nii.gz"}
    assert NOT_REGISTERED not in result.warnings


def test_a_segmentation_beside_the_head_is_refused_and_one_beside_the_mask_said() -> None:
    with pytest.raises(
        InvalidInputError, match=r"SEGMENTATION.*x 2 to 22.*expected labels on the head, x -1. to 1"
    ):
        with_segmentation(scan(), segmentation(shift=9))
    # Half a radius off: it still lies on the head for the most part.
    moved = segmentation(shift=3)
    assert with_segmentation(scan(), moved).warnings == ()
    (said,) = find_region_faults([], moved.regions, HEAD)
    assert "of the segmentation's brain lie outside the brain mask" in said
    assert find_region_faults([], segmentation().regions, HEAD) == ()


def test_lobes_that_nothing_tells_are_said() -> None:
    plain = segmentation("cerebral cortex")
    regions = find_regions(scan(), HEAD, None, plain)
    assert regions is plain.regions
    lobar = replace(LESION, territory="lobar")
    (said,) = find_region_faults([lobar], regions, HEAD)
    assert "give aparc+aseg" in said
    assert find_region_faults([replace(lobar, mars_region="frontal")], regions, HEAD) == ()
