"""Export to DICOM, read back: values in ppm, positions, study, and what is drawn."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.dicom.images import DicomImage
from qsmcmb.dicom.overlay import FONT, WHITE
from qsmcmb.dicom.source import Visit, _studies_of
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.tables import write_json, write_tsv
from qsmcmb.lesion import LESION_COLUMNS
from tests.scenes.dicom_files import ROOT, write_volume

pydicom: Any = pytest.importorskip(
    "pydicom", reason="the extra qsmcmb[dicom] is not installed: DICOM is not tested"
)
SHAPE = (24, 26, 22)
LESIONS = [
    {
        "label": 1,
        "voxel": (8, 9, 7),
        "kind": "microbleed",
        "certainty": "definite",
        "total_chi_ppm_mm3": 12.0,
    },
    {
        "label": 12,
        "voxel": (18, 16, 12),
        "kind": "microbleed",
        "certainty": "possible",
        "total_chi_ppm_mm3": None,
    },
    {
        "label": 3,
        "voxel": (12, 20, 4),
        "kind": "calcification",
        "certainty": "rejected",
        "total_chi_ppm_mm3": -3.0,
    },
]


def rotation(degrees: float) -> np.ndarray:
    """Return a turn about the first, then the third axis."""
    a = np.deg2rad(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    return about_z @ about_x


AFFINES = {
    "axial": np.diag([0.9, 1.1, 1.5]),
    "left-handed": np.diag([-0.9, 1.1, 1.5]),
    "oblique": rotation(12) @ np.diag([0.9, -1.1, 1.5]),
    "sagittal": np.array([[0, 0, 1.5], [0.9, 0, 0], [0, 1.1, 0]]),
    "coronal": np.array([[0.9, 0, 0], [0, 0, -1.5], [0, 1.1, 0]]),
}


def make_results(
    folder: Path, linear: np.ndarray, rng: np.random.Generator, *, prefix: str = ""
) -> np.ndarray:
    """Write the results of one scan with random values; return the affine."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = linear, (-11.3, 7.1, -20.5)
    folder.mkdir(parents=True, exist_ok=True)
    lead = f"{prefix}_" if prefix else ""
    save_volume(folder / f"{lead}Chimap.nii.gz", rng.normal(0, 0.1, SHAPE), affine)
    save_volume(folder / f"{lead}desc-swi_T2starw.nii.gz", rng.uniform(50, 900, SHAPE), affine)
    labels = np.zeros(SHAPE, np.int32)
    rows = []
    for lesion in LESIONS:
        labels[lesion["voxel"]] = lesion["label"]
        at = affine @ [*lesion["voxel"], 1]
        row = dict.fromkeys(LESION_COLUMNS) | lesion | dict(zip(("x_mm", "y_mm", "z_mm"), at, strict=False))
        rows.append(row)
    save_volume(folder / f"{lead}desc-cmb_dseg.nii.gz", labels, affine)
    write_tsv(folder / f"{lead}desc-cmb_lesions.tsv", rows, list(LESION_COLUMNS))
    write_json(folder / f"{lead}desc-cmb_burden.json", {})
    return affine


def read_series(folder: Path) -> list[Any]:
    """Return the slices of a series."""
    return [pydicom.dcmread(p) for p in sorted(folder.iterdir())]


def positions(ds: Any) -> np.ndarray:
    """Return the centre of each voxel of a slice, RAS+ mm, by the formula of the standard (rows, columns, 3)."""
    along_column, along_row = np.array(ds.ImageOrientationPatient, float).reshape(2, 3)
    row_mm, column_mm = (float(v) for v in ds.PixelSpacing)
    rows, columns = np.indices((ds.Rows, ds.Columns))[..., None]
    lps = (
        np.array(ds.ImagePositionPatient, float)
        + along_column * column_mm * columns
        + along_row * row_mm * rows
    )
    return lps * [-1, -1, 1]


@pytest.mark.parametrize("view", AFFINES)
def test_values_in_ppm_at_their_positions(tmp_path: Path, rng: np.random.Generator, view: str) -> None:
    affine = make_results(tmp_path / "out", AFFINES[view], rng)
    assert run_command(["export", str(tmp_path / "out"), str(tmp_path / "dicom")]) == 0
    chi_ppm = nibabel.load(tmp_path / "out/Chimap.nii.gz").get_fdata()
    seen = np.zeros(SHAPE, int)
    for ds in read_series(tmp_path / "dicom/scan/map"):
        values = pydicom.pixels.apply_modality_lut(ds.pixel_array, ds)
        voxels = (positions(ds) - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
        index = np.rint(voxels).astype(int)
        assert np.abs(voxels - index).max() < 1e-4
        index = tuple(np.moveaxis(index, -1, 0))
        assert np.abs(values - chi_ppm[index]).max() <= 0.51 * float(ds.RescaleSlope)
        seen[index] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("view", AFFINES)
def test_slices_hang_as_films_do(tmp_path: Path, rng: np.random.Generator, view: str) -> None:
    make_results(tmp_path / "out", AFFINES[view], rng)
    run_command(["export", str(tmp_path / "out"), str(tmp_path / "dicom")])
    series = read_series(tmp_path / "dicom/scan/map")
    columns, rows = np.array(series[0].ImageOrientationPatient, float).reshape(2, 3)
    wanted = {"sagittal": ([0, 1, 0], [0, 0, -1]), "coronal": ([1, 0, 0], [0, 0, -1])}
    for found, axis in zip((columns, rows), wanted.get(view, ([1, 0, 0], [0, 1, 0])), strict=True):
        assert found @ axis > 0.9
    along = [np.cross(columns, rows) @ np.array(ds.ImagePositionPatient, float) for ds in series]
    assert np.allclose(np.diff(along), float(series[0].SpacingBetweenSlices), atol=1e-4)
    assert [ds.InstanceNumber for ds in series] == list(range(1, len(series) + 1))


@pytest.mark.parametrize(("unit", "width"), [("ppm", 0.4), ("ppb", 400)])
def test_one_window_one_scale_and_a_described_series(
    tmp_path: Path, rng: np.random.Generator, unit: str, width: float
) -> None:
    make_results(tmp_path / "out", AFFINES["axial"], rng)
    run_command(["export", str(tmp_path / "out"), str(tmp_path / "dicom"), "--unit", unit])
    for name, description in (
        ("map", f"QSM susceptibility map [{unit}]"),
        ("lesions", "QSM microbleeds (rings)"),
    ):
        series = read_series(tmp_path / "dicom/scan" / name)
        keys = (
            "WindowCenter",
            "WindowWidth",
            "SeriesInstanceUID",
            "SeriesDescription",
            "RescaleSlope",
            "Modality",
        )
        assert len({str([ds.get(k) for k in keys]) for ds in series}) == 1
        assert len({ds.SOPInstanceUID for ds in series}) == len(series)
        assert series[0].SeriesDescription == description
        assert list(series[0].ImageType)[:2] == ["DERIVED", "SECONDARY"]
        shown = pydicom.pixels.apply_windowing(series[9].pixel_array, series[9])
        assert np.ptp(shown) > 0
    ds = read_series(tmp_path / "dicom/scan/map")[0]
    assert (float(ds.WindowWidth), ds.RescaleType) == (width, unit)
    mapping = ds.RealWorldValueMappingSequence[0]
    assert mapping.RealWorldValueSlope == pytest.approx(float(ds.RescaleSlope))
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == f"[{unit}]"


def test_rings_and_numbers_leave_the_lesion_visible(tmp_path: Path, rng: np.random.Generator) -> None:
    make_results(tmp_path / "out", AFFINES["axial"], rng)
    run_command(["export", str(tmp_path / "out"), str(tmp_path / "dicom")])
    series = read_series(tmp_path / "dicom/scan/lesions")
    white = np.array([ds.pixel_array == WHITE for ds in series])
    # Axial voxels: columns and rows run against x and y.
    turned = np.flip(white.transpose(2, 1, 0), (0, 1))
    for lesion in LESIONS:
        i, j, k = lesion["voxel"]
        ring = turned[i - 3 : i + 4, j - 3 : j + 4, k].copy()
        inside = ring[1:-1, 1:-1].sum()
        ring[1:-1, 1:-1] = False
        assert inside == 0
        n_drawn = {"definite": 24, "possible": 16, "rejected": 0}[lesion["certainty"]]
        assert ring.sum() == n_drawn
    ones = "".join(f"{int(row):03b}" for row in FONT["1"].split()).count("1")
    assert turned[..., 7].sum() == 24 + ones
    assert series[7].ImageComments == "1: definite, 12 ppm mm3"
    assert series[12].ImageComments == "12: possible"


def test_study_of_the_source_is_taken_over(tmp_path: Path, rng: np.random.Generator, capfd: Any) -> None:
    from qsmcmb.dicom.headers import read_folder
    from qsmcmb.dicom.images import sort_into_images

    write_volume(tmp_path / "source", rng.integers(0, 900, (22, 26, 24)))
    image = sort_into_images(read_folder(tmp_path / "source").frames)[0]
    affine = np.diag([-1.5, -1.5, 2.0, 1.0])
    affine[:3, 3] = image.corners_mm()[0]
    make_results(tmp_path / "out", affine[:3, :3], rng)
    arguments = [
        "export",
        str(tmp_path / "out"),
        str(tmp_path / "dicom"),
        "--source",
        str(tmp_path / "source"),
    ]
    assert run_command(arguments) == 65  # The map lies elsewhere.
    assert "ERROR SOURCE" in capfd.readouterr().err
    save_volume(tmp_path / "out/Chimap.nii.gz", rng.normal(0, 0.1, SHAPE), affine)
    assert run_command(arguments) == 0
    of_source = pydicom.dcmread(next((tmp_path / "source").iterdir()))
    for ds in read_series(tmp_path / "dicom/scan/map"):
        for key in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "StudyDate"):
            assert ds[key].value == of_source[key].value
        assert ds.ImageOrientationPatient == of_source.ImageOrientationPatient
        assert ds.SeriesInstanceUID != of_source.SeriesInstanceUID
    assert run_command([*arguments[:2], str(tmp_path / "source/b"), *arguments[3:]]) == 2
    write_volume(
        tmp_path / "source/b", rng.integers(0, 900, (22, 26, 24)), name="b", StudyInstanceUID=ROOT + "5"
    )
    assert run_command([*arguments[:2], str(tmp_path / "again"), *arguments[3:]]) == 65
    assert "2 studies" in capfd.readouterr().err


def test_each_visit_is_filed_with_its_own_study(tmp_path: Path, rng: np.random.Generator, capfd: Any) -> None:
    """Both visits have the same voxels; the dates of the results are shifted by 120 years and some days."""
    from qsmcmb.dicom.headers import read_folder
    from qsmcmb.dicom.images import sort_into_images

    visits = {
        "1": ("20250110", "101600", "1905-01-03T10:16:00"),
        "2": ("20260312", "143005", "1906-03-05T14:30:05"),
    }
    for session, (date, time, _) in visits.items():
        write_volume(
            tmp_path / "source" / session, rng.integers(0, 900, (22, 26, 24)), name=session,
            StudyInstanceUID=ROOT + session, StudyDate=date, AcquisitionDate=date, AcquisitionTime=time,
        )  # fmt: skip
    affine = np.diag([-1.5, -1.5, 2.0, 1.0])
    affine[:3, 3] = sort_into_images(read_folder(tmp_path / "source").frames)[0].corners_mm()[0]
    for session, (_, _, shifted) in visits.items():
        place = tmp_path / f"out/sub-01/ses-{session}/anat"
        make_results(place, affine[:3, :3], rng, prefix=f"sub-01_ses-{session}")
        save_volume(place / f"sub-01_ses-{session}_Chimap.nii.gz", rng.normal(0, 0.1, SHAPE), affine)
        write_json(place / f"sub-01_ses-{session}_desc-cmb_burden.json", {"AcquisitionTime": shifted})
    command = ["export", str(tmp_path / "out"), str(tmp_path / "dicom"), "--source", str(tmp_path / "source")]
    assert run_command(command) == 0
    for session, (date, _, _) in visits.items():
        ds = read_series(tmp_path / f"dicom/sub-01_ses-{session}/map")[0]
        assert (ds.StudyInstanceUID, ds.StudyDate) == (ROOT + session, date)
    of_first = [*command[:2], str(tmp_path / "first"), "--source", str(tmp_path / "source/1")]
    assert run_command(of_first) == 65
    assert "its time, 1906-03-05T14:30:05" in capfd.readouterr().err
    assert (
        run_command([*of_first, "--session-label", "1"]) == 73
    )  # What was written before the other was refused.
    assert run_command([*of_first[:2], str(tmp_path / "again"), *of_first[3:], "--session-label", "1"]) == 0
    assert [p.name for p in (tmp_path / "again").iterdir()] == ["sub-01_ses-1"]
    for session in visits:
        place = tmp_path / f"out/sub-01/ses-{session}/anat"
        write_json(place / f"sub-01_ses-{session}_desc-cmb_burden.json", {})
    of_first[2] = str(tmp_path / "undated")
    assert run_command(of_first) == 65
    assert "several visits" in capfd.readouterr().err
    assert run_command([*of_first, "--session-label", "1"]) == 0


def test_visits_at_one_time_of_day_are_told_apart_by_their_interval() -> None:
    def series(study: str, date: str) -> DicomImage:
        values = {"StudyInstanceUID": study, "AcquisitionDate": date, "AcquisitionTime": "101600"}
        return SimpleNamespace(values=values)  # type: ignore[return-value]

    old, new = series("old", "20250110"), series("new", "20260312")
    first, second = "1905-01-10T10:16:00", "1906-03-12T10:16:00"
    assert _studies_of([old, new], Visit(first, (second,), True)) == ({"old"}, True)
    assert _studies_of([old, new], Visit(second, (first,), True)) == ({"new"}, True)
    # One study alone may be of either visit.
    assert _studies_of([new], Visit(first, (second,), True)) == ({"new"}, False)
    assert _studies_of([new], Visit("2026-03-12T10:16:00", (second,), True)) == ({"new"}, True)
    assert _studies_of([new], Visit("2025-01-10T10:16:00", (), True)) == (set(), True)


def test_scans_of_a_data_set_and_nothing_overwritten(
    tmp_path: Path, rng: np.random.Generator, capfd: Any
) -> None:
    for session in ("1", "2"):
        make_results(
            tmp_path / f"out/sub-01/ses-{session}/anat", AFFINES["axial"], rng, prefix=f"sub-01_ses-{session}"
        )
    command = ["export", str(tmp_path / "out"), str(tmp_path / "dicom")]
    assert run_command(command) == 0
    assert sorted(p.name for p in (tmp_path / "dicom").iterdir()) == ["sub-01_ses-1", "sub-01_ses-2"]
    ds = read_series(tmp_path / "dicom/sub-01_ses-2/map")[0]
    assert ds.PatientID == "sub-01"
    before = {p: p.read_bytes() for p in (tmp_path / "dicom").rglob("*.dcm")}
    assert run_command(command) == 73
    assert run_command([*command[:2], str(tmp_path / "again")]) == 0
    assert {p: p.read_bytes() for p in (tmp_path / "dicom").rglob("*.dcm")} == before
    for path, content in before.items():
        assert (tmp_path / "again" / path.relative_to(tmp_path / "dicom")).read_bytes() == content


def test_other_readers_find_the_same_map(tmp_path: Path, rng: np.random.Generator) -> None:
    import SimpleITK as sitk

    affine = make_results(tmp_path / "out", AFFINES["oblique"], rng)
    run_command(["export", str(tmp_path / "out"), str(tmp_path / "dicom")])
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "dicom/scan/map")))
    image = reader.Execute()
    chi_ppm = nibabel.load(tmp_path / "out/Chimap.nii.gz").get_fdata()
    for voxel in [(0, 0, 0), (23, 25, 21), (3, 14, 8)]:
        world = affine @ [*voxel, 1]
        index = image.TransformPhysicalPointToIndex([-world[0], -world[1], world[2]])
        assert image[index] == pytest.approx(chi_ppm[voxel], abs=1e-4)
