"""Import from DICOM: what each vendor's headers become in BIDS, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

pytest.importorskip("pydicom", reason="the extra qsmcmb[dicom] is not installed: DICOM is not tested")
pytest.importorskip("dcm2niix", reason="the extra qsmcmb[dicom] is not installed: DICOM is not tested")

from qsmcmb.cli.main import run_command
from qsmcmb.dicom.convert import convert_image
from qsmcmb.dicom.headers import read_folder
from qsmcmb.dicom.images import sort_into_images
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.bids import acquisition_times
from tests.scenes.dicom_files import AXIAL, ROOT, slice_position, write_enhanced, write_volume

PHASE = ["ORIGINAL", "PRIMARY", "P", "ND"]
SIEMENS = {"RescaleSlope": 2, "RescaleIntercept": -4096}


@pytest.fixture
def stored(rng: np.random.Generator) -> np.ndarray:
    """Return stored values that fill 12 bits: (slices, rows, columns), all sizes different."""
    values = rng.integers(0, 4096, (8, 10, 9))
    values.flat[:2] = 0, 4095
    return values


def siemens(
    folder: Path, stored: np.ndarray, *, te_ms: tuple[float, ...] = (4.0, 10.0), shift: int = 0, **values: Any
) -> None:
    """Write magnitude and phase of a multi-echo scan as Siemens does: a series each, instance numbers that repeat.

    The phase of each echo is that of the one before, `shift` columns further.
    """
    for i, te in enumerate(te_ms):
        at = {"EchoTime": te, "EchoNumbers": i + 1, "name": f"e{i}", **values}
        write_volume(folder / "mag", stored // (i + 2), **at)
        write_volume(
            folder / "ph",
            np.roll(stored, i * shift, axis=2),
            ImageType=PHASE,
            SeriesNumber=3,
            SeriesInstanceUID=ROOT + "4",
            **SIEMENS,
            **at,
        )


def files(root: Path) -> list[str]:
    """Return the images below a folder."""
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*.nii.gz"))


def sidecar(path: Path) -> dict[str, Any]:
    """Return the JSON beside an image."""
    return json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())


SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
"""Image orientation of a sagittal slice: columns to the back, rows to the feet."""


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL], ids=["axial", "sagittal"])
def test_siemens_scan_keeps_values_positions_and_names_nobody(
    tmp_path: Path, stored: np.ndarray, orientation: tuple[float, ...]
) -> None:
    siemens(
        tmp_path / "in", stored, SeriesDescription="gre for Doe", StudyDescription="trial of H123456",
        ImageOrientationPatient=list(orientation),
    )  # fmt: skip
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 0
    anat = tmp_path / "bids/sub-01/ses-1/anat"
    assert files(anat) == [
        f"sub-01_ses-1_echo-{e}_part-{p}_MEGRE.nii.gz" for e in (1, 2) for p in ("mag", "phase")
    ]
    path = anat / "sub-01_ses-1_echo-2_part-phase_MEGRE.nii.gz"
    record, image = sidecar(path), nibabel.load(path)
    assert (record["EchoTime"], record["Units"], record["ImagingFrequency"]) == (0.01, "rad", 123.25)
    assert record["PhaseScaling"] == {
        "StoredAtMinusPi": 0, "StoredValuesOfATurn": 4096, "StoredMinimum": 0, "StoredMaximum": 4095,
        "Statement": "rescale slope 2 and intercept -4096",
    }  # fmt: skip
    # Voxel by voxel from the headers; RAS+ is (-x, -y, z).
    values, world = np.asarray(image.dataobj), np.linalg.inv(image.affine)
    for k, j, i in [(0, 0, 0), (7, 9, 8), (3, 7, 2)]:
        along = np.array(orientation).reshape(2, 3)
        lps = slice_position(k, orientation) + 1.5 * i * along[0] + 1.5 * j * along[1]
        voxel = tuple(np.rint(world @ [-lps[0], -lps[1], lps[2], 1])[:3].astype(int))
        assert values[voxel] == pytest.approx(np.pi * (2 * stored[k, j, i] - 4096) / 4096, abs=1e-6)
    written = b"".join(
        p.read_bytes() + p.name.encode() for p in tmp_path.joinpath("bids").rglob("*") if p.is_file()
    )
    assert not [word for word in (b"Doe", b"H123456", b"19500102", b"20260105", b"Jane") if word in written]


def test_imported_scan_is_read_back(tmp_path: Path, stored: np.ndarray) -> None:
    import qsmcmb as qc

    siemens(tmp_path / "in", stored, shift=1)
    run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"])
    scan = qc.load_scan(tmp_path / "bids", participant="01")
    assert scan.te_s == (0.004, 0.01)
    assert scan.phase_rad.min() == pytest.approx(-np.pi)


def test_nothing_is_written_without_a_yes(tmp_path: Path, stored: np.ndarray, capfd: Any) -> None:
    siemens(tmp_path / "in", stored)
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids")]) == 0
    out, err = capfd.readouterr()
    assert out.count("MEGRE") == 4
    assert "nothing was written" in err
    assert not (tmp_path / "bids").exists()


def test_files_that_are_there_stay(tmp_path: Path, stored: np.ndarray, capfd: Any) -> None:
    siemens(tmp_path / "in", stored, te_ms=(5.0,))
    command = ["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]
    assert run_command(command) == 0
    before = {p: p.read_bytes() for p in (tmp_path / "bids").rglob("*") if p.is_file()}
    assert run_command([*command, "--participant-label", "01"]) == 73
    assert "there already" in capfd.readouterr().err
    assert {p: p.read_bytes() for p in (tmp_path / "bids").rglob("*") if p.is_file()} == before
    siemens(tmp_path / "later", stored[:, ::-1], te_ms=(5.0,))
    later = ["import", str(tmp_path / "later"), str(tmp_path / "bids"), "--yes"]
    assert run_command([*later, "--participant-label", "01", "--session-label", "2"]) == 0
    assert {p: p.read_bytes() for p in before} == before


@pytest.mark.parametrize(
    "times", [("101600.0", "102600.0"), ("101600.0", "101600.0")], ids=["times", "numbers"]
)
def test_repetitions_become_runs(tmp_path: Path, stored: np.ndarray, times: tuple[str, str]) -> None:
    for n, time in enumerate(times):
        siemens(
            tmp_path / f"in/{n}",
            stored // (n + 1),
            te_ms=(5.0,),
            AcquisitionTime=time,
            AcquisitionNumber=n + 1,
        )
        for path in (tmp_path / f"in/{n}").rglob("*.dcm"):
            _set(path, SOPInstanceUID=f"{ROOT}5.{n}.{abs(hash(path)) % 10**9}")
    code = run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"])
    if times[0] == times[1]:
        assert code == 66  # Which phase belongs to which magnitude, nothing says.
        return
    names = [f"sub-01_ses-1_run-{r}_part-{p}_T2starw.nii.gz" for r in (1, 2) for p in ("mag", "phase")]
    assert files(tmp_path / "bids/sub-01/ses-1/anat") == names
    top = [
        nibabel.load(tmp_path / "bids/sub-01/ses-1/anat" / n).get_fdata().max() for n in (names[0], names[2])
    ]
    assert top == [4095 // 2, 2047 // 2]


def _set(path: Path, **values: Any) -> None:
    """Change values of a file's header; None removes one."""
    import pydicom

    ds = pydicom.dcmread(path)
    for name, value in values.items():
        if value is None:
            del ds[name]
        else:
            setattr(ds, name, value)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(path, enforce_file_format=True)


def test_channels_become_files_of_their_own(tmp_path: Path, stored: np.ndarray) -> None:
    for n, coil in enumerate(("H1", "H2", "H10")):
        private = {(0x51, 0x0F, "SIEMENS MR HEADER"): (0, "LO", coil)}
        for kind in ("mag", "ph"):
            extra = {} if kind == "mag" else {"ImageType": PHASE, **SIEMENS}
            write_volume(tmp_path / "in", stored // (n + 1), name=f"{kind}{coil}", private=private, **extra)
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 0
    anat = tmp_path / "bids/sub-01/ses-1/anat"
    assert len(files(anat)) == 6
    top = [
        nibabel.load(anat / f"sub-01_ses-1_coil-{n}_part-mag_T2starw.nii.gz").get_fdata().max()
        for n in (1, 2, 3)
    ]
    assert top == [4095, 2047, 1365]
    assert "*_coil-*" in (tmp_path / "bids/.bidsignore").read_text()


def test_weighted_images_are_no_magnitude(tmp_path: Path, stored: np.ndarray, capfd: Any) -> None:
    for n, (types, name) in enumerate(
        [(["M", "ND"], "Mag_Images"), (["P", "ND"], "Pha_Images"), (["MNIP"], "mIP_Images(SW)"),
         (["M", "SWI", "NORM"], "SWI_Images")]
    ):  # fmt: skip
        write_volume(
            tmp_path / "in", stored // (n + 1) if n != 1 else stored, name=name, SeriesNumber=n + 1,
            SeriesInstanceUID=f"{ROOT}8.{n}", SeriesDescription=name, ImageType=["ORIGINAL", "PRIMARY", *types],
            ProtocolName="t2_swi_tra", SequenceName="*swi3d1r", **(SIEMENS if n == 1 else {}),
        )  # fmt: skip
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 0
    anat = tmp_path / "bids/sub-01/ses-1/anat"
    assert files(anat) == [f"sub-01_ses-1_part-{p}_T2starw.nii.gz" for p in ("mag", "phase")]
    assert nibabel.load(anat / "sub-01_ses-1_part-mag_T2starw.nii.gz").get_fdata().max() == 4095
    said = capfd.readouterr().err
    assert "SWI_Images: susceptibility-weighted image" in said
    assert "mIP_Images(SW): minimum-intensity projection" in said


@pytest.mark.parametrize("kinds", [("mag", "phase"), ("real", "imag"), ("mag", "phase", "real", "imag")])
def test_ge_parts_by_its_private_tag(
    tmp_path: Path, rng: np.random.Generator, kinds: tuple[str, ...]
) -> None:
    values = rng.integers(-3141, 3142, (8, 10, 9))
    for kind in kinds:
        number = ("mag", "phase", "real", "imag").index(kind)
        write_volume(
            tmp_path / "in", np.abs(values) if kind == "mag" else values, name=kind, one_instance=True,
            Manufacturer="GE MEDICAL SYSTEMS", ImageType=["ORIGINAL", "PRIMARY", "OTHER"], SequenceName=None,
            private={(0x43, 0x2F, "GEMS_PARM_01"): (0, "SS", number)},
        )  # fmt: skip
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 0
    anat = tmp_path / "bids/sub-01/ses-1/anat"
    assert files(anat) == sorted(f"sub-01_ses-1_part-{kind}_T2starw.nii.gz" for kind in kinds)
    if "phase" in kinds:
        path = anat / "sub-01_ses-1_part-phase_T2starw.nii.gz"
        assert sidecar(path)["Units"] == "rad"
        assert np.sort(nibabel.load(path).get_fdata(), axis=None) == pytest.approx(
            np.sort(values / 1e3, axis=None)
        )


@pytest.mark.parametrize(
    ("scale", "values", "why"),
    [({}, (0, 900), "fill"), ({"RescaleSlope": 3, "RescaleIntercept": -9}, (0, 4095), "states no range")],
    ids=["too little of the range", "unknown scale"],
)
def test_phase_range_that_nothing_proves_stays_arbitrary(
    tmp_path: Path, rng: np.random.Generator, scale: dict[str, float], values: tuple[int, int], why: str
) -> None:
    stored = rng.integers(*values, (8, 10, 9))
    write_volume(tmp_path / "in", stored, name="m")
    write_volume(tmp_path / "in", stored, name="p", ImageType=PHASE, **scale)
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 0
    record = sidecar(tmp_path / "bids/sub-01/ses-1/anat/sub-01_ses-1_part-phase_T2starw.nii.gz")
    assert record["Units"] == "arbitrary"
    assert why in record["PhaseScaling"]["NotProven"]


@pytest.mark.parametrize(("n_files", "packed"), [(1, False), (2, False), (1, True)])
def test_enhanced_file_that_mixes_parts_and_echoes(
    tmp_path: Path, stored: np.ndarray, n_files: int, packed: bool
) -> None:
    parts = {(p, te): stored // (1 if p == "PHASE" else n + 1) for n, te in enumerate((4.0, 10.0))
             for p in ("MAGNITUDE", "PHASE")}  # fmt: skip
    if n_files == 1:
        write_enhanced(tmp_path / "in/all.dcm", parts, packed=packed)
    else:
        for te in (4.0, 10.0):
            write_enhanced(tmp_path / f"in/{te:g}.dcm", {key: v for key, v in parts.items() if key[1] == te})
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 0
    anat = tmp_path / "bids/sub-01/ses-1/anat"
    for n, te in enumerate((4.0, 10.0), start=1):
        magnitude = nibabel.load(anat / f"sub-01_ses-1_echo-{n}_part-mag_MEGRE.nii.gz").get_fdata()
        phase = nibabel.load(anat / f"sub-01_ses-1_echo-{n}_part-phase_MEGRE.nii.gz").get_fdata()
        # dcm2niix writes columns from left to right and rows from back to front.
        assert np.array_equal(magnitude[::-1, ::-1].transpose(2, 1, 0), parts[("MAGNITUDE", te)])
        assert phase[::-1, ::-1].transpose(2, 1, 0) == pytest.approx(np.pi * (stored - 2048) / 2048, abs=1e-6)


def test_single_phase_of_a_field_map_is_a_difference(
    tmp_path: Path, stored: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    siemens(tmp_path / "in", stored, te_ms=(5.19, 7.65), SequenceName="*fm2d2r", MRAcquisitionType="2D")
    for path in (tmp_path / "in/ph").glob("e0*"):
        path.unlink()
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 0
    fmap = tmp_path / "bids/sub-01/ses-1/fmap"
    assert files(fmap) == [f"sub-01_ses-1_{s}.nii.gz" for s in ("magnitude1", "magnitude2", "phasediff")]
    record = sidecar(fmap / "sub-01_ses-1_phasediff.nii.gz")
    assert record["EchoTime2"] - record["EchoTime1"] == pytest.approx(2.46e-3)
    assert "EchoTime" not in record
    assert "field maps alone" in capfd.readouterr().err


def test_one_phase_of_two_echoes_without_the_name_is_no_difference(
    tmp_path: Path, stored: np.ndarray
) -> None:
    siemens(tmp_path / "in", stored)
    for path in (tmp_path / "in/ph").glob("e0*"):
        path.unlink()
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 0
    assert files(tmp_path / "bids/sub-01/ses-1") == [
        f"anat/sub-01_ses-1_part-{p}_T2starw.nii.gz" for p in ("mag", "phase")
    ]


def test_two_patients_and_two_sessions(tmp_path: Path, stored: np.ndarray, capfd: Any) -> None:
    siemens(tmp_path / "in/a", stored, te_ms=(5.0,))
    siemens(
        tmp_path / "in/b", stored, te_ms=(5.0,), StudyInstanceUID=ROOT + "77", StudyDate="20200101",
        AcquisitionDate="20200101",
    )  # fmt: skip
    siemens(tmp_path / "in/c", stored, te_ms=(5.0,), StudyInstanceUID=ROOT + "78", PatientID="Z9")
    for n, path in enumerate(sorted((tmp_path / "in").rglob("*.dcm"))):
        _set(path, SOPInstanceUID=f"{ROOT}6.{n}")
    command = ["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]
    assert run_command([*command, "--participant-label", "7"]) == 65
    assert "ERROR PATIENTS" in capfd.readouterr().err
    assert run_command([*command, "--dates"]) == 0
    bids = tmp_path / "bids"
    assert sorted(p.relative_to(bids).as_posix() for p in bids.glob("sub-*/ses-*")) == [
        "sub-01/ses-1", "sub-01/ses-2", "sub-02/ses-1"
    ]  # fmt: skip
    for session, date in (("1", "2020-01-01"), ("2", "2026-01-05")):
        table = (bids / f"sub-01/ses-{session}/sub-01_ses-{session}_scans.tsv").read_text()
        assert f"anat/sub-01_ses-{session}_part-mag_T2starw.nii.gz\t{date}T10:16:00" in table


@pytest.mark.parametrize("number", ["ANON", "", "0000"])
def test_studies_of_blanked_patients_are_not_one_person(
    tmp_path: Path, stored: np.ndarray, number: str, capfd: Any
) -> None:
    for n in (1, 2):
        siemens(
            tmp_path / f"in/{n}",
            stored[:, :: 3 - 2 * n],
            te_ms=(5.0,),
            PatientID=number,
            StudyInstanceUID=f"{ROOT}60.{n}",
        )
        for path in (tmp_path / f"in/{n}").rglob("*.dcm"):
            _set(path, SOPInstanceUID=f"{ROOT}61.{n}.{abs(hash(path)) % 10**9}")
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 65
    assert "ERROR PATIENTS" in capfd.readouterr().err
    for n, label in ((1, "a"), (2, "b")):
        one = [
            "import",
            str(tmp_path / f"in/{n}"),
            str(tmp_path / "bids"),
            "--yes",
            "--participant-label",
            label,
        ]
        assert run_command(one) == 0


def test_scan_in_classic_and_enhanced_form_counts_once(tmp_path: Path, stored: np.ndarray) -> None:
    for part, extra in (("MAGNITUDE", {}), ("PHASE", {"ImageType": PHASE, **SIEMENS})):
        write_volume(tmp_path / "in/classic", stored, name=part, **extra)
    write_enhanced(tmp_path / "in/a.dcm", {("MAGNITUDE", 5.0): stored, ("PHASE", 5.0): stored})
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 0
    assert len(files(tmp_path / "bids")) == 2


def test_copies_of_a_file_count_once(tmp_path: Path, stored: np.ndarray, capfd: Any) -> None:
    siemens(tmp_path / "in/a", stored)
    shutil.copytree(tmp_path / "in/a", tmp_path / "in/b")
    (tmp_path / "in/notes.txt").write_text("no image")
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 0
    said = capfd.readouterr().err
    assert "32 files: copy of another file" in said
    assert "1 files: not DICOM" in said
    assert len(files(tmp_path / "bids")) == 4


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_links_and_pipes_are_refused(tmp_path: Path, stored: np.ndarray, kind: str, capfd: Any) -> None:
    siemens(tmp_path / "in", stored)
    if kind == "link":
        (tmp_path / "in/x.dcm").symlink_to("/etc/hostname")
    else:
        os.mkfifo(tmp_path / "in/x.dcm")
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 65
    assert "ERROR PATH" in capfd.readouterr().err


@pytest.mark.parametrize("fault", ["empty", "slice", "no phase", "no part", "epi", "truncated"])
def test_what_cannot_be_used_is_named(tmp_path: Path, stored: np.ndarray, fault: str, capfd: Any) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    why = {
        "empty": "no files",
        "slice": "slices are missing",
        "no phase": "no phase with its voxels and start belongs to it",
        "no part": "does not say whether",
        "epi": "not a plain gradient echo",
        "truncated": "no phase",
    }[fault]
    if fault == "no phase":
        write_volume(folder, stored)
    elif fault != "empty":
        extra = {
            "no part": {"ImageType": ["ORIGINAL", "PRIMARY", "OTHER"]},
            "epi": {"ScanningSequence": "EP\\GR"},
        }
        siemens(folder, stored, te_ms=(5.0,))
        for path in folder.rglob("*.dcm"):
            if fault in extra:
                _set(path, **extra[fault])
        if fault == "slice":
            (folder / "ph/e0_004.dcm").unlink()
            (folder / "mag/e0_004.dcm").unlink()
        if fault == "truncated":
            for path in (folder / "ph").glob("*.dcm"):
                path.write_bytes(path.read_bytes()[:180])
    assert run_command(["import", str(folder), str(tmp_path / "bids"), "--yes"]) == 66
    said = capfd.readouterr().err
    assert "ERROR NO-DICOM" in said
    assert why in said
    assert not (tmp_path / "bids").exists()


def test_damaged_files_end_in_a_reason(tmp_path: Path, stored: np.ndarray) -> None:
    siemens(tmp_path / "in", stored, te_ms=(5.0,))
    paths, random = sorted((tmp_path / "in").rglob("*.dcm")), np.random.default_rng(3)
    whole = [p.read_bytes() for p in paths]
    for trial in range(6):
        for path, content in zip(paths, whole, strict=True):
            damaged = bytearray(content[: int(random.integers(200, len(content)))] if trial == 0 else content)
            for at in random.integers(132, len(damaged), (1, 3, 9)[trial % 3]):
                damaged[at] = random.integers(256)
            path.write_bytes(damaged)
        assert run_command(["import", str(tmp_path / "in"), str(tmp_path / f"bids{trial}"), "--yes"]) in (
            0,
            65,
            66,
        )


def test_data_set_among_the_dicom_files_is_refused(tmp_path: Path, stored: np.ndarray, capfd: Any) -> None:
    siemens(tmp_path / "in", stored, te_ms=(5.0,))
    for root in (tmp_path / "in", tmp_path / "in/bids"):
        assert run_command(["import", str(tmp_path / "in"), str(root), "--yes"]) == 2
        assert "expected results beside the inputs" in capfd.readouterr().err
    assert not list(tmp_path.rglob("*.json"))


def test_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run_command(["import", str(tmp_path / "dicom"), str(tmp_path / "bids")]) == 69
    assert (
        'ERROR PACKAGE pydicom, dcm2niix: installed = no; expected yes. Fix: pip install "qsmcmb[dicom]", or in the '
        'source folder: pip install ".[dicom]"' in capfd.readouterr().err
    )


@pytest.mark.parametrize("script", ["sleep 60", "head -c 50000000 /dev/zero > image.nii", "exit 3", "true"])
def test_converter_that_breaks_a_limit_leaves_nothing(
    tmp_path: Path, stored: np.ndarray, script: str, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("qsmcmb.dicom.convert.dcm2niix_program", lambda: program)
    monkeypatch.setattr("qsmcmb.dicom.convert.TIME_LIMIT_S", 1)
    siemens(tmp_path / "in", stored, te_ms=(5.0,))
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 66
    assert "of dcm2niix" in capfd.readouterr().err
    assert not (tmp_path / "bids").exists()


def test_another_position_than_the_headers_state_is_refused(tmp_path: Path, stored: np.ndarray) -> None:
    paths = write_volume(tmp_path / "in", stored)
    image = sort_into_images(read_folder(tmp_path / "in").frames)[0]
    for k, path in enumerate(paths):
        _set(path, ImagePositionPatient=[0.0, 0.0, 2.0 * k])
    with pytest.raises(InvalidInputError, match=r"ERROR CONVERT .*corners of dcm2niix = .* mm off"):
        convert_image(image, tmp_path / "work")


@pytest.mark.shared
@pytest.mark.parametrize("form", ["cl", "enh"])
def test_philips_scan_is_that_of_its_nifti(tmp_path: Path, shared_data: Path, form: str) -> None:
    source = shared_data / "philips-3t-fieldmap"
    assert run_command(["import", str(source / "In" / form), str(tmp_path / "bids"), "--yes"]) == 0
    anat = tmp_path / "bids/sub-01/ses-1/anat"
    assert len(files(anat)) == 4
    for path in anat.glob("*.nii.gz"):
        echo, phase = path.name.split("echo-")[1][0], "_ph" if "part-phase" in path.name else ""
        truth = nibabel.load(next((source / "Ref").glob(f"*_{form}_e{echo}{phase}.nii.gz")))
        found = nibabel.load(path)
        assert np.array_equal(found.get_fdata(), truth.get_fdata())
        assert np.allclose(found.affine, truth.affine, atol=1e-4)
        assert sidecar(path)["EchoTime"] == {"1": 0.0023, "2": 0.0046}[echo]


@pytest.mark.shared
def test_siemens_scan_of_one_slice(tmp_path: Path, shared_data: Path) -> None:
    assert (
        run_command(["import", str(shared_data / "siemens-gre-dicom"), str(tmp_path / "bids"), "--yes"]) == 0
    )
    anat = tmp_path / "bids/sub-01/ses-1/anat"
    assert len(files(anat)) == 6
    for echo, te_s in ((1, 0.004), (2, 0.01), (3, 0.016)):
        path = anat / f"sub-01_ses-1_echo-{echo}_part-phase_MEGRE.nii.gz"
        record, values = sidecar(path), nibabel.load(path).get_fdata()
        assert (record["EchoTime"], record["Units"]) == (te_s, "rad")
        assert record["ImagingFrequency"] / 42.577478 == pytest.approx(2.895, abs=5e-4)
        assert values.min() == pytest.approx(-np.pi)
        assert 3.13 < values.max() < np.pi
    assert run_command(["run", str(tmp_path / "bids"), str(tmp_path / "out"), "participant"]) == 65
    assert "DIM-MIN" in next((tmp_path / "out/logs").glob("*")).read_text()


@pytest.mark.shared
def test_siemens_field_map_of_a_head(tmp_path: Path, shared_data: Path) -> None:
    assert (
        run_command(["import", str(shared_data / "siemens-phasediff"), str(tmp_path / "bids"), "--yes"]) == 0
    )
    fmap = tmp_path / "bids/sub-01/ses-1/fmap"
    assert files(fmap) == [f"sub-01_ses-1_{s}.nii.gz" for s in ("magnitude1", "magnitude2", "phasediff")]
    record = sidecar(fmap / "sub-01_ses-1_phasediff.nii.gz")
    assert record["EchoTime2"] - record["EchoTime1"] == pytest.approx(2.46e-3)
    assert record["Units"] == "rad"


def two_visits(folder: Path, stored: np.ndarray) -> None:
    """Write two visits of one patient, six years apart, a minute apart in their time of day."""
    siemens(folder / "a", stored, te_ms=(5.0,))
    siemens(
        folder / "b", stored[:, ::-1], te_ms=(5.0,), StudyInstanceUID=ROOT + "77", StudyDate="20200101",
        AcquisitionDate="20200101", AcquisitionTime="101700",
    )  # fmt: skip
    for n, path in enumerate(sorted(folder.rglob("*.dcm"))):
        _set(path, SOPInstanceUID=f"{ROOT}6.{n}")


def times_of(bids: Path, participant: str = "01") -> dict[str, datetime]:
    return acquisition_times(bids, participant)


def test_dates_are_shifted_and_the_interval_stays(tmp_path: Path, stored: np.ndarray) -> None:
    two_visits(tmp_path / "in", stored)
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 0
    times = times_of(tmp_path / "bids")
    assert all(time.year <= 1925 for time in times.values())
    assert times["2"] - times["1"] == datetime(2026, 1, 5, 10, 16) - datetime(2020, 1, 1, 10, 17)


def test_a_date_that_is_none_is_no_date(tmp_path: Path, stored: np.ndarray) -> None:
    siemens(tmp_path / "in", stored, te_ms=(5.0,), AcquisitionDate="20261301", StudyDate="00000000")
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]) == 0
    assert not times_of(tmp_path / "bids")


def test_no_dates(tmp_path: Path, stored: np.ndarray, capfd: Any) -> None:
    two_visits(tmp_path / "in", stored)
    assert run_command(["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes", "--no-dates"]) == 0
    assert not times_of(tmp_path / "bids")
    assert "sub-01: ses-1, ses-2 without a date" in capfd.readouterr().err


def test_a_later_visit_is_not_taken_for_another_person_without_a_word(
    tmp_path: Path, stored: np.ndarray, capfd: Any
) -> None:
    two_visits(tmp_path / "in", stored)
    bids = str(tmp_path / "bids")
    assert run_command(["import", str(tmp_path / "in/b"), bids, "--yes"]) == 0
    assert run_command(["import", str(tmp_path / "in/a"), bids]) == 0
    said = capfd.readouterr().err
    assert "the data set holds 1 already; new: sub-02" in said
    assert "--session-label" in said
    labels = ["--participant-label", "01", "--session-label", "2"]
    assert run_command(["import", str(tmp_path / "in/a"), bids, "--yes", *labels]) == 0
    # Its shift would be another one, so it gets no date.
    assert set(times_of(tmp_path / "bids")) == {"1"}
    assert "sub-01: ses-2 without a date" in capfd.readouterr().err


def test_what_is_there_is_not_imported_as_another_person(
    tmp_path: Path, stored: np.ndarray, capfd: Any
) -> None:
    siemens(tmp_path / "in", stored, te_ms=(5.0,))
    command = ["import", str(tmp_path / "in"), str(tmp_path / "bids"), "--yes"]
    assert run_command(command) == 0
    assert run_command(command) == 73
    assert "image = the same image as sub-02" in capfd.readouterr().err
    assert not (tmp_path / "bids/sub-02").exists()
