"""Segmentations: FreeSurfer's numbers on another grid become the structures that the region map has there."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from qsmcmb.anatomy.head_regions import RIGHT, HeadRegions
from qsmcmb.anatomy.region_map import load_region_map
from qsmcmb.anatomy.regions import MARS_TERRITORY, STRUCTURES
from qsmcmb.anatomy.segmentation import Segmentation, fill_lobes, read_segmentation
from qsmcmb.anatomy.segmentation_labels import CORTEX_PARCELS, SEGMENTATION_LABELS, VENTRICLES
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.nifti import save_volume
from qsmcmb.model import Grid
from qsmcmb.typing import FloatArray, IntArray
from tests.scenes.segmented_head import segmented_head

NAMES = ("", *STRUCTURES)


def grid_at(
    voxel_mm: tuple[float, float, float],
    centre: tuple[float, float, float] = (0.0, -18.0, 10.0),
    turn: float = 0.0,
) -> Grid:
    """Return a grid that holds the template's head, turned about the first axis by some degrees."""
    shape = tuple(int(np.ceil(side / v)) for side, v in zip((150.0, 190.0, 160.0), voxel_mm, strict=True))
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) * voxel_mm
    affine[:3, 3] = np.array(centre) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid.from_affine(shape, affine)


T1 = grid_at((2.0, 2.0, 2.0))
SCAN = grid_at((3.0, 2.5, 4.0), turn=12.0)


@pytest.fixture(scope="module")
def numbers() -> IntArray:
    return segmented_head(T1)


def read(
    folder: Path, labels: FloatArray | IntArray, grid: Grid = T1, *, whole_brain: bool = True
) -> Segmentation:
    save_volume(folder / "aseg.nii.gz", labels, grid.affine)
    return read_segmentation(folder / "aseg.nii.gz", SCAN, whole_brain=whole_brain)


def message(folder: Path, labels: FloatArray | IntArray, grid: Grid = T1) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read(folder, labels, grid)
    return str(caught.value)


def test_structures_on_the_scan_are_those_of_the_nearest_voxel(tmp_path: Path, numbers: IntArray) -> None:
    found = read(tmp_path, numbers)
    assert found.has_lobes
    where = np.argwhere(found.regions.labels > 0)
    points = SCAN.to_world(where.astype(float))
    nearest = np.rint(T1.to_voxel(points)).astype(int)
    own = [SEGMENTATION_LABELS[int(n)] for n in numbers[tuple(nearest.T)]]
    labels = found.regions.labels[tuple(where.T)]
    kept = [
        (label, s.structure.label, s.side) for label, s in zip(labels, own, strict=True)
        if s.structure and s.structure.name != "cerebral white matter"
    ]  # fmt: skip
    assert len(kept) > 10000
    assert all(label % RIGHT == structure for label, structure, _ in kept)
    assert all((label > RIGHT) == (side == "right") for label, _, side in kept if side)


def test_white_matter_gets_the_regions_of_the_map(tmp_path: Path, numbers: IntArray) -> None:
    """The map was made by the same distances on 1 mm: on 2 mm the borders move by a voxel."""
    found = read(tmp_path, numbers).regions
    where = np.argwhere(found.labels > 0)
    points = SCAN.to_world(where.astype(float))
    mine = found.labels[tuple(where.T)] % RIGHT
    map_ = load_region_map().at(points)
    names = np.array(NAMES)
    white = np.isin(names[map_], [n for n in NAMES if "white matter" in n or "capsule" in n])
    white &= ~np.isin(names[map_], ["cerebellar white matter"])
    mars = {s.label: s.mars for s in STRUCTURES.values()}
    same = np.array([mars[int(a)] == mars[int(b)] for a, b in zip(mine[white], map_[white], strict=True)])
    assert same.mean() > 0.85
    territories = [
        MARS_TERRITORY[mars[int(a)]] == MARS_TERRITORY[mars[int(b)]]
        for a, b in zip(mine[white], map_[white], strict=True)
    ]
    assert np.mean(territories) > 0.9
    for name in ("internal capsule", "external capsule", "deep white matter"):
        own, other = mine == STRUCTURES[name].label, map_ == STRUCTURES[name].label
        assert (own & other).sum() > 0.6 * other.sum(), name


def test_lesions_on_the_midline_and_in_the_brainstem_have_sides_by_the_plane(
    tmp_path: Path, numbers: IntArray
) -> None:
    points = np.array([[6.0, -26.0, -33.0], [-6.0, -26.0, -33.0], [0.5, -26.0, -33.0], [26.0, 3.0, 0.0]])
    found = read(tmp_path, numbers).regions.locate(points)
    assert [p.side for p in found] == ["right", "left", "midline", "right"]
    assert [p.mars_region for p in found] == [*["brainstem"] * 3, "basal ganglia"]


def test_a_head_turned_and_moved_has_the_same_sides(tmp_path: Path, numbers: IntArray) -> None:
    """The plane between the halves is that of the labels, not the scanner's."""
    turn = np.eye(4)
    c, s = np.cos(0.3), np.sin(0.3)
    turn[:2, :2] = [[c, -s], [s, c]]
    turn[:3, 3] = (12.0, -5.0, 4.0)
    moved = Grid.from_affine(T1.shape, turn @ T1.affine)
    points = np.array([[6.0, -26.0, -33.0], [-6.0, -26.0, -33.0], [0.0, -26.0, -33.0]])
    found = read(tmp_path, numbers, moved).regions.locate(points @ turn[:3, :3].T + turn[:3, 3])
    assert [p.side for p in found] == ["right", "left", "midline"]


def test_lobes_that_a_plain_aseg_lacks_come_from_the_template(tmp_path: Path) -> None:
    plain = read(tmp_path, segmented_head(T1, gyri=False))
    assert not plain.has_lobes
    point = np.array([[-35.0, 45.0, 20.0]])
    place = plain.regions.locate(point)[0]
    assert (place.territory, place.mars_region) == ("lobar", None)
    voxels = np.moveaxis(np.indices(SCAN.shape, dtype=float), 0, -1).reshape(-1, 3)
    template = load_region_map().at(SCAN.to_world(voxels)).reshape(SCAN.shape)
    filled = fill_lobes(plain.regions, HeadRegions(template, template < 0, SCAN, 0.98, 0.9))
    assert filled.locate(point)[0].mars_region == "frontal"
    assert not Segmentation(tmp_path, filled, ())._replace(regions=plain.regions).has_lobes
    assert Segmentation(tmp_path, filled, ()).has_lobes
    outside = ~np.isin(
        plain.regions.labels % RIGHT, [STRUCTURES[f"cerebral {n}"].label for n in ("cortex", "white matter")]
    )
    np.testing.assert_array_equal(filled.labels[outside], plain.regions.labels[outside])


def test_unknown_labels_are_named_with_those_that_are_known(tmp_path: Path, numbers: IntArray) -> None:
    tissues = np.where(numbers > 0, 1 + numbers % 3, 0)
    said = message(tmp_path, tissues)
    assert "ERROR SEGMENTATION" in said
    assert "aseg.nii.gz: labels = 1; expected labels of FreeSurfer" in said
    many = numbers.copy()
    many[40, 40, 40:50] = np.arange(900, 910)
    assert "labels = 900, 901, 902, 903, 904, 905 and 4 more" in message(tmp_path, many)
    other = np.where(numbers == 1028, 11115, numbers)
    assert "in place of aparc.a2009s+aseg" in message(tmp_path, other)
    assert "none: 0 everywhere" in message(tmp_path, 0 * numbers)


def test_a_part_of_the_brain_serves_no_territory_but_the_region_table(
    tmp_path: Path, numbers: IntArray
) -> None:
    nuclei = np.where(np.isin(numbers, (12, 51, 13, 52)), numbers, 0)
    assert "no cortex on the left, no white matter on the left" in message(tmp_path, nuclei)
    found = read(tmp_path, nuclei, whole_brain=False).regions
    assert {NAMES[n % RIGHT] for n in np.unique(found.labels) if n} == {"putamen", "pallidum"}


def test_swapped_sides_are_refused(tmp_path: Path, numbers: IntArray) -> None:
    assert "left on the scanner's right" in message(tmp_path, numbers[::-1])


def test_labels_outside_the_image_are_refused_with_both_boxes(tmp_path: Path, numbers: IntArray) -> None:
    far = np.array(T1.affine)
    far[0, 3] += 400
    said = message(tmp_path, numbers, Grid.from_affine(T1.shape, far))
    assert "place of the labels = x 328 to 472" in said
    assert "expected labels within the scan's image, x -74 to" in said


def test_coordinates_of_a_template_are_refused(tmp_path: Path, numbers: IntArray) -> None:
    image = nibabel.Nifti1Image(numbers, T1.affine)
    image.set_sform(T1.affine, 4)
    image.set_qform(T1.affine, 4)
    nibabel.save(image, tmp_path / "mni.nii.gz")
    with pytest.raises(InvalidInputError, match="coordinates = those of a template"):
        read_segmentation(tmp_path / "mni.nii.gz", SCAN)


def test_values_between_labels_are_refused(tmp_path: Path, numbers: IntArray) -> None:
    """A segmentation resampled linearly has values between its labels."""
    smooth = numbers.astype(np.float32)
    smooth[1:] = (smooth[1:] + smooth[:-1]) / 2
    assert "resample labels by nearest neighbour" in message(tmp_path, smooth)


def test_freesurfers_own_format_is_named_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"mri_convert aparc\+aseg.mgz aparc\+aseg.nii.gz"):
        read_segmentation(tmp_path / "aparc+aseg.mgz", SCAN)


def test_each_label_has_a_partner_and_its_regions() -> None:
    sides = [s.side for s in SEGMENTATION_LABELS.values()]
    assert sides.count("left") == sides.count("right")
    for n in CORTEX_PARCELS:
        if n in SEGMENTATION_LABELS and n % 1000:
            structure = SEGMENTATION_LABELS[n].structure
            assert structure is not None
            assert structure.mars is not None
    assert all(SEGMENTATION_LABELS[n].structure is None for n in VENTRICLES)
