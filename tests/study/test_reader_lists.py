"""A reader's lists in a run: they take the place of the detector or join it, and nothing is measured differently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.io.bids_writer import write_raw_dataset, write_raw_scan
from qsmcmb.io.lesion_table import read_lesions
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.tables import write_tsv
from qsmcmb.lesion import Microbleed
from qsmcmb.microbleeds.measure import Targets, measure_lesions
from qsmcmb.microbleeds.signal.acquisition import Acquisition
from qsmcmb.microbleeds.signal.patch import ScanFields
from qsmcmb.phantoms.build import build_phantom
from qsmcmb.phantoms.recipe import LesionRecipe, Protocol, Recipe
from tests.scenes.small_scans import SHAPE, SNR, small_scan

BALLS_MM = np.array([[11.0, -8.0, 7.0], [-10.0, 8.0, -6.0]])
SAME_MM = 2.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a data set of one scan: a ball of water with two dark, paramagnetic balls."""
    folder = tmp_path_factory.mktemp("lists")
    given = [
        {
            "centre_mm": tuple(ball), "radius_mm": 1.2, "dchi_ppm": 1.1, "signal": 1.0, "decay_hz": 300.0,
        }
        for ball in BALLS_MM
    ]  # fmt: skip
    session = Protocol(label="1", b0_tesla=3.0, te_s=(0.005, 0.012, 0.019), snr=100.0)
    recipe = Recipe(
        name="lists", title="two balls in water", kind="spheres", seed=3, subject="01", voxel_mm=1.5,
        fov_mm=(72.0, 72.0, 72.0), lesions=LesionRecipe(distribution="given", given=tuple(given)),  # type: ignore[arg-type]
        sessions=(session,),
    )  # fmt: skip
    scan = build_phantom(recipe)[0].scan
    grid = scan.grid
    where = grid.to_world(np.moveaxis(np.indices(grid.shape, dtype=float), 0, -1))
    write_raw_dataset(folder / "bids", "two balls in water")
    write_raw_scan(folder / "bids", scan, "01", "1")
    rows = [{"x_mm": x, "y_mm": y, "z_mm": z, "kind": "cmb"} for x, y, z in BALLS_MM[:1]]
    write_tsv(folder / "points.tsv", rows, list(rows[0]))
    labels = np.zeros(grid.shape, np.int32)
    labels[np.linalg.norm(where - BALLS_MM[0], axis=-1) < 2.6] = 7
    save_volume(folder / "labels.nii.gz", labels, grid.affine)
    save_volume(folder / "mask.nii.gz", labels > 0, grid.affine)
    moved = np.array(grid.affine)
    moved[:3, 3] += (0.0, 30.0, 0.0)
    save_volume(folder / "moved.nii.gz", labels, moved)
    far = [{"x_mm": x, "y_mm": y, "z_mm": z} for x, y, z in BALLS_MM + 400]
    write_tsv(folder / "far.tsv", far, list(far[0]))
    return folder


def run(folder: Path, name: str, *options: str) -> list[Microbleed]:
    out = folder / name
    common = [str(folder / "bids"), str(out), "participant"]
    assert run_command(["run", *common, *options]) == 0
    (table,) = out.glob("sub-01/ses-1/anat/*_desc-cmb_lesions.tsv")
    return read_lesions(table)


def near(lesions: list[Microbleed], ball: np.ndarray) -> list[Microbleed]:
    """Return the rows that lie on a ball."""
    return [m for m in lesions if np.linalg.norm(np.array(m.position_mm) - ball) < SAME_MM]


@pytest.fixture(scope="module")
def detected(folder: Path) -> list[Microbleed]:
    lesions = run(folder, "detected")
    assert [len(near(lesions, ball)) for ball in BALLS_MM] == [1, 1]
    assert {m.source for m in lesions} == {"detector"}
    return lesions


@pytest.mark.parametrize("given", ["--points points.tsv", "--labels mask.nii.gz"])
def test_a_list_takes_the_place_of_the_detector(folder: Path, detected: list[Microbleed], given: str) -> None:
    option, file = given.split()
    (row,) = run(folder, f"only-{file}", option, str(folder / file))
    assert row.source == "reader"
    (found,) = near(detected, BALLS_MM[0])
    assert_same(row, found)


@pytest.mark.parametrize("given", ["--labels labels.nii.gz"])
def test_with_detect_the_detectors_candidates_join_and_none_stands_twice(
    folder: Path, detected: list[Microbleed], given: str
) -> None:
    option, file = given.split()
    lesions = run(folder, f"both-{file}", option, str(folder / file), "--detect")
    (named,), (other,) = (near(lesions, ball) for ball in BALLS_MM)
    assert (named.source, other.source) == ("reader", "detector")
    assert len(lesions) == len(detected)
    for row, ball in ((named, BALLS_MM[0]), (other, BALLS_MM[1])):
        (found,) = near(detected, ball)
        assert_same(row, found)


def assert_same(row: Microbleed, found: Microbleed) -> None:
    """The starting point differs by up to a voxel: the number does by less than half a percent."""
    one, two = row.total_chi_ppm_mm3, found.total_chi_ppm_mm3
    assert one is not None
    assert two is not None
    assert one.value == pytest.approx(two.value, rel=5e-3)
    assert one.sd < 0.02 * one.value
    assert row.diameter_mm == found.diameter_mm
    assert row.side == found.side
    assert row.territory == found.territory


@pytest.mark.parametrize(
    ("option", "file", "said"),
    [
        ("--points", "far.tsv", "none of 2 in the image: the points span x 390 to 411"),
        ("--labels", "moved.nii.gz", "y -6 to 64"),
    ],
)
def test_a_list_in_another_space_is_refused_with_both_boxes(
    folder: Path, option: str, file: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / f"refused-{file}"
    assert (
        run_command(["run", str(folder / "bids"), str(out), "participant", option, str(folder / file)]) == 65
    )
    error = capsys.readouterr().err
    assert said in error
    assert "x -36 to 34, y -36 to 34, z -36 to 34 mm" in error


def test_at_one_point_reader_and_detector_get_one_number() -> None:
    """To the last digit: nothing is computed differently for a reader's point."""
    scan, field_hz = small_scan([(4.0, (0.3, -0.2, 0.1)), (3.0, (-9.0, 7.0, 5.0))])
    fields = ScanFields(field_hz, np.zeros(SHAPE, np.float32), np.ones(SHAPE, bool))
    acquisition = Acquisition(te_s=scan.te_s, b0_tesla=scan.b0_tesla, noise_sd=1 / SNR)
    points = np.array([[0.0, 0.0, 0.0], [-9.0, 7.0, 5.0]])
    of_reader = measure_lesions(scan, Targets.of_readers(points), fields, acquisition)
    targets = Targets(points_mm=points, kinds=[None] * 2, scores=[0.9] * 2, n_reader_points=0)
    of_detector = measure_lesions(scan, targets, fields, acquisition)
    for one, two in zip(of_reader.lesions, of_detector.lesions, strict=True):
        assert (one.source, two.source) == ("reader", "detector")
        assert one.total_chi_ppm_mm3 == two.total_chi_ppm_mm3
        assert one.position_mm == two.position_mm
        assert one.diameter_mm == two.diameter_mm
