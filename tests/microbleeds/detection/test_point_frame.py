"""Lists in another frame are named before anything is measured at the wrong places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.frame import describe_image_box
from qsmcmb.microbleeds.detection.point_frame import check_point_frame
from qsmcmb.model import GreScan, Grid

LIST = Path("list.tsv")
LESIONS_MM = np.array([[16.0, 12.0, 4.0], [-12.0, 20.0, -6.0], [8.0, -18.0, 10.0], [-20.0, -4.0, 12.0]])


@pytest.fixture(scope="module")
def scan() -> GreScan:
    """Return a ball of tissue with four dark spots, on oblique voxels with an origin of their own."""
    shape, size = (50, 48, 44), np.array([1.4, 1.5, 1.6])
    turn = np.deg2rad(8)
    rotation = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    affine = np.eye(4)
    affine[:3, :3] = rotation * size
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) / 2 - 0.5) + (3, -4, 5)
    grid = Grid.from_affine(shape, affine)
    where = grid.to_world(np.moveaxis(np.indices(shape, dtype=float), 0, -1))
    rng = np.random.default_rng(5)
    magnitude = np.where(np.linalg.norm(where, axis=-1) < 31, 1.0, 0.0) + 0.05 * rng.standard_normal(shape)
    for lesion in LESIONS_MM:
        magnitude[np.linalg.norm(where - lesion, axis=-1) < 2.0] = 0.1
    volume = np.abs(magnitude)[None].astype(np.float32)
    return GreScan(phase_rad=0 * volume, magnitude=volume, te_s=(0.02,), b0_tesla=3.0, grid=grid)


def test_points_in_scanner_mm_pass(scan: GreScan) -> None:
    assert check_point_frame(scan, LESIONS_MM, LIST) == ()
    assert check_point_frame(scan, LESIONS_MM + 1.0, LIST) == ()
    assert check_point_frame(scan, np.zeros((0, 3)), LIST) == ()
    # Some lesions that don't show are no reason for suspicion.
    unseen = np.array([[0.0, 0.0, 0.0], [5.0, 5.0, 20.0]])
    assert check_point_frame(scan, np.concatenate([LESIONS_MM[:2], unseen]), LIST) == ()
    assert check_point_frame(scan, unseen, LIST) == ()


def other_frames(scan: GreScan) -> dict[str, np.ndarray]:
    voxels = scan.grid.to_voxel(LESIONS_MM)
    return {
        "LPS": LESIONS_MM * [-1, -1, 1],
        "LAS": LESIONS_MM * [-1, 1, 1],
        "voxel indices": np.rint(voxels),
        "voxel indices with x from the other side": np.rint(voxels) * [-1, 1, 1]
        + [scan.grid.shape[0] - 1, 0, 0],
        "mm from the first voxel": voxels * scan.grid.voxel_size_mm,
        "centimetres": LESIONS_MM / 10,
        "metres": LESIONS_MM / 1000,
    }


@pytest.mark.parametrize(
    "frame",
    [
        "LPS",
        "LAS",
        "voxel indices",
        "voxel indices with x from the other side",
        "mm from the first voxel",
        "centimetres",
        "metres",
    ],
)
def test_points_in_another_frame_are_named(frame: str, scan: GreScan) -> None:
    with pytest.raises(InvalidInputError, match=f"read as {frame}, 4 would") as caught:
        check_point_frame(scan, other_frames(scan)[frame], LIST)
    assert caught.value.code == "POINTS"
    assert "list.tsv" in caught.value.where
    # The cure's first point is the first lesion.
    numbers = caught.value.fix.partition("point is then ")[2].split()[:3]
    assert np.linalg.norm(np.array(numbers, float) - LESIONS_MM[0]) < 1.5


def test_a_single_point_is_suspected_and_measured(scan: GreScan) -> None:
    (note,) = check_point_frame(scan, LESIONS_MM[:1] * [-1, -1, 1], LIST)
    assert "read as LPS" in note


def test_points_outside_the_image_are_refused_with_both_boxes(scan: GreScan) -> None:
    points = np.array([[0.0, 0.0, 300.0], [4.0, -7.0, 310.0]])
    with pytest.raises(InvalidInputError, match="none of 2 in the image") as caught:
        check_point_frame(scan, points, LIST)
    assert caught.value.code == "POINTS"
    assert "the points span x 0 to 4, y -7 to 0, z 300 to 310 mm" in str(caught.value)
    assert f"the image {describe_image_box(scan.grid.affine, scan.grid.shape)}" in str(caught.value)
    # One in the image: a list of this scan, whose other points become rows without a number.
    assert check_point_frame(scan, np.concatenate([points, LESIONS_MM[:1]]), LIST) == ()


def test_points_in_the_image_but_outside_the_head_are_said_with_both_boxes(scan: GreScan) -> None:
    corner = scan.grid.to_world(np.zeros((1, 3)))
    (note,) = check_point_frame(scan, corner, LIST)
    assert "none of the points lies in the head; the points span" in note


def test_arrays_of_points_are_held_against_the_image_too(scan: GreScan) -> None:
    with pytest.raises(InvalidInputError, match=r"POINTS points_mm: .*read as LPS, 4 would"):
        qc.quantify(scan, LESIONS_MM * [-1, -1, 1])
    with pytest.raises(InvalidInputError, match=r"POINTS points_mm: .*not finite"):
        qc.quantify(scan, [[np.nan, 0.0, 0.0]])


def test_points_that_all_lie_outside_are_said(rng: np.random.Generator) -> None:
    grid = Grid.isotropic((12, 12, 12), 1.0)
    magnitude = rng.uniform(1, 2, (1, *grid.shape)).astype(np.float32)
    scan = GreScan(phase_rad=0 * magnitude, magnitude=magnitude, te_s=(0.02,), b0_tesla=3.0, grid=grid)
    table = qc.quantify(scan, [[40.0, 0.0, 0.0]], mask=magnitude[0] > 0)
    assert any(
        w.startswith("points_mm: none of the points lies in the head; the points span")
        for w in table.warnings
    )
    assert any("outside image or mask" in warning for warning in table.warnings)
