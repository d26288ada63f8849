"""A user's segmentation in a run: found by its name, part of the key, and the source of territory and regions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.errors import InvalidInputError
from qsmcmb.io.nifti import save_volume
from qsmcmb.study.judgement import Judgement
from qsmcmb.study.segmentations import find_segmentation
from tests.scenes.bids_scans import TE_S
from tests.scenes.reviews import judge, scans_of
from tests.scenes.studies import Study, make_study

SHAPE = (44, 46, 48)
"""Twice the scan's voxels along each axis."""


def save_segmentation(path: Path, nucleus: int = 12, shift_mm: float = 0.0) -> Path:
    """Save a head of cortex around white matter around a nucleus, left and right of x = 10.75 mm, on 0.5 mm."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    radius = np.sqrt((x / 0.8) ** 2 + (y / 0.9) ** 2 + (z / 0.7) ** 2)
    left = np.select([radius < 0.3, radius < 0.8, radius < 1], [nucleus, 2, 1028], 0)
    partner = {nucleus: nucleus + 39, 2: 41, 1028: 2028, 0: 0}
    right = np.vectorize(partner.__getitem__)(left)
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    affine[0, 3] = shift_mm
    path.parent.mkdir(parents=True, exist_ok=True)
    save_volume(path, np.where(x < 0, left, right).astype(np.int32), affine)
    return path


def found(root: Path, session: str | None = "1", **entities: str) -> str:
    return find_segmentation(root, "01", session, entities).name


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_the_segmentation_of_the_session_wins_over_that_of_the_participant(tmp_path: Path) -> None:
    touch(tmp_path, "sub-01/anat/sub-01_desc-aseg_dseg.nii.gz", "sub-01/anat/sub-01_dseg.nii.gz")
    assert found(tmp_path) == "sub-01_desc-aseg_dseg.nii.gz"
    touch(tmp_path, "sub-01/ses-1/anat/sub-01_ses-1_acq-mprage_dseg.nii.gz")
    assert found(tmp_path, acq="qsm") == "sub-01_ses-1_acq-mprage_dseg.nii.gz"
    touch(tmp_path, "sub-01/ses-1/anat/sub-01_ses-1_acq-qsm_dseg.nii.gz")
    assert found(tmp_path, acq="qsm") == "sub-01_ses-1_acq-qsm_dseg.nii.gz"


def test_gyri_are_preferred_and_templates_and_lesions_are_left_out(tmp_path: Path) -> None:
    names = ("desc-aseg", "desc-aparcaseg", "space-MNI152NLin2009cAsym_desc-aparcaseg", "desc-cmb")
    touch(tmp_path, *(f"sub-01/anat/sub-01_{n}_dseg.nii.gz" for n in names))
    assert found(tmp_path, None) == "sub-01_desc-aparcaseg_dseg.nii.gz"


def test_none_or_several_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInputError, match=r"SEGMENTATION.* = none; expected one sub-01_ses-1_dseg.nii.gz"
    ):
        found(tmp_path)
    touch(tmp_path, *(f"sub-01/anat/sub-01_desc-{n}_dseg.nii.gz" for n in ("one", "two")))
    with pytest.raises(InvalidInputError, match=r"desc-one_dseg.nii.gz, sub-01_desc-two_dseg.nii.gz"):
        found(tmp_path)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return a study of one session, run with a segmentation of the participant."""
    made = make_study(tmp_path_factory.mktemp("segmented"))
    save_segmentation(made.bids.parent / "seg/sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz")
    assert made.run(*segmented(made)) == 0
    return made


def segmented(study: Study) -> list[str]:
    root = study.bids.parent / "seg"
    return ["--session-label", "1", "--derivatives", f"seg={root}", "--segmentation-from", "seg"]


def rows(study: Study, ending: str) -> list[dict[str, str]]:
    path = study.out / f"sub-01/ses-1/anat/sub-01_ses-1_{ending}.tsv"
    header, *lines = [line.split("\t") for line in path.read_text().splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


def test_territory_and_region_table_are_those_of_the_segmentation(study: Study) -> None:
    (lesion,) = rows(study, "desc-cmb_lesions")
    assert (lesion["territory"], lesion["mars_region"]) == ("deep", "basal ganglia")
    table = {(r["structure"], r["side"]): r for r in rows(study, "desc-regions_stats")}
    assert {"putamen", "frontal cortex"} <= {structure for structure, _ in table}
    burden = json.loads((study.out / "sub-01/ses-1/anat/sub-01_ses-1_desc-cmb_burden.json").read_text())
    assert burden["Steps"]["anatomy"] == {
        "method": "segmentation",
        "file": "sub-01_desc-aparcaseg_dseg.nii.gz",
    }
    assert not any("does not fit the template" in w for w in burden["Warnings"])


def test_another_segmentation_makes_the_anatomy_again_and_nothing_before(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = study.copy(tmp_path)
    assert copy.run(*segmented(copy)) == 0
    capsys.readouterr()
    save_segmentation(copy.bids.parent / "seg/sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz", nucleus=10)
    assert run_command(["status", str(copy.out)]) == 0
    said = capsys.readouterr().out
    assert "anatomy" in said
    assert copy.run(*segmented(copy)) == 0
    assert "1 of 1 sessions done;" in capsys.readouterr().err
    assert rows(copy, "desc-cmb_lesions")[0]["mars_region"] == "thalamus"


def test_a_name_that_no_derivatives_have_is_refused(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert study.run("--segmentation-from", "seg") == 2
    assert "--segmentation-from 'seg'; expected one of: none given" in capsys.readouterr().err


def images(study: Study) -> list[str]:
    stem = study.bids / "sub-01/ses-1/anat/sub-01_ses-1"
    given = [f"{stem}_echo-{n}_part-{{}}_MEGRE.nii.gz" for n in range(1, len(TE_S) + 1)]
    te = ",".join(f"{t:g}" for t in TE_S) + "s"
    return [
        "--phase", *(g.format("phase") for g in given), "--mag", *(g.format("mag") for g in given), "--te", te,
        "--b0", "3", "--points", str(study.points), "--config-file", str(study.config),
    ]  # fmt: skip


def test_recon_takes_a_segmentation_and_refuses_one_beside_the_head(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = save_segmentation(tmp_path / "beside.nii.gz", shift_mm=17.0)
    arguments = ["recon", *images(study), "-o", str(tmp_path / "out"), "--segmentation"]
    assert run_command([*arguments, str(beside)]) == 65
    said = capsys.readouterr().err
    assert "ERROR SEGMENTATION" in said
    assert " % of them where the scan shows signal; expected labels on the head, x " in said
    assert not (tmp_path / "out").exists()
    assert run_command([*arguments, str(save_segmentation(tmp_path / "good.nii.gz"))]) == 0
    table = (tmp_path / "out/desc-regions_stats.tsv").read_text()
    assert "putamen\tleft" in table
    assert "putamen\tright" in table


def test_regions_of_finished_results_are_those_of_the_run(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = rows(study, "desc-regions_stats")
    root = study.bids.parent / "seg"
    before = study.results()
    for labels in (root, root / "sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz"):
        capsys.readouterr()
        assert run_command(["regions", str(study.out), "--labels", str(labels), "--session-label", "1"]) == 0
        header, *lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        found = [dict(zip(header, line, strict=True)) for line in lines]
        assert [(f["participant_id"], f["session_id"]) for f in found] == [("sub-01", "ses-1")] * len(found)
        assert [{k: f[k] for k in own[0]} for f in found] == own
    table = tmp_path / "tables" / "regions.tsv"
    assert run_command(["regions", str(study.out), "--labels", str(root), "-o", str(table)]) == 0
    assert len(table.read_text().splitlines()) == len(own) + 1
    assert "Units" in json.loads(table.with_suffix(".json").read_text())["chi_mean_ppm"]
    assert study.results() == before


def test_regions_of_recon_and_its_bad_input(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    single = tmp_path / "out"
    shutil.copytree(study.out / "sub-01/ses-1/anat", single)
    for path in single.iterdir():
        path.rename(single / path.name.removeprefix("sub-01_ses-1_"))
    nuclei = save_segmentation(tmp_path / "nuclei.nii.gz")
    assert run_command(["regions", str(single), "--labels", str(nuclei)]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("structure\tside\t")
    assert {line.split("\t")[0] for line in lines} >= {"putamen", "frontal cortex"}
    beside = save_segmentation(tmp_path / "beside.nii.gz", shift_mm=40.0)
    assert run_command(["regions", str(single), "--labels", str(beside)]) == 65
    assert "place of the labels = x 42 to 59" in capsys.readouterr().err
    other = save_segmentation(tmp_path / "other.nii.gz", nucleus=900)
    assert run_command(["regions", str(single), "--labels", str(other)]) == 65
    assert "labels = 900, 939; expected labels of FreeSurfer" in capsys.readouterr().err
    assert run_command(["regions", str(tmp_path), "--labels", str(nuclei)]) == 66


def test_one_image_for_several_scans_is_refused(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(study.out / "sub-01", tmp_path / "out/sub-01")
    anat = tmp_path / "out/sub-01/ses-2/anat"
    shutil.copytree(study.out / "sub-01/ses-1/anat", anat)
    for path in anat.iterdir():
        path.rename(anat / path.name.replace("ses-1", "ses-2"))
    root = study.bids.parent / "seg"
    image = root / "sub-01/anat/sub-01_desc-aparcaseg_dseg.nii.gz"
    assert run_command(["regions", str(tmp_path / "out"), "--labels", str(image)]) == 65
    assert "scans = sub-01_ses-1, sub-01_ses-2; expected the one scan" in capsys.readouterr().err
    # A segmentation of the participant serves every session: a folder says that it is meant so.
    assert run_command(["regions", str(tmp_path / "out"), "--labels", str(root)]) == 0
    assert "ses-2" in capsys.readouterr().out


def test_a_readers_verdict_is_in_the_region_table_and_leaves_it(study: Study, tmp_path: Path) -> None:
    copy = study.copy(tmp_path)
    scan = scans_of(copy)[0]
    table = scan.place.path("desc-regions_stats.tsv")
    labels, grid = scan.image("desc-cmb_dseg")
    n_voxels = int((labels == 1).sum())
    assert n_voxels

    def volume_mm3() -> float:
        return sum(float(r["volume_mm3"]) for r in rows(copy, "desc-regions_stats"))

    def after(judgement: Judgement) -> float:
        judge(copy, "A", 1, judgement)
        assert run_command(["review", str(copy.out), "--apply"]) == 0
        return volume_mm3()

    before, volume = table.read_bytes(), volume_mm3()
    # A vein is a part of the structure that it lies in.
    assert after(Judgement("reject", kind="vein")) == pytest.approx(volume + n_voxels * grid.voxel_volume_mm3)
    after(Judgement("unsure"))
    assert table.read_bytes() == before
