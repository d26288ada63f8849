"""Images of a data set become scans: entities, indices, channels, and what is said when nothing is found."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

import qsmcmb as qc
from qsmcmb.change.times import comparable_times
from qsmcmb.errors import InvalidInputError, NothingMatchedError
from qsmcmb.io import bids_index
from qsmcmb.io.bids import acquisition_times, load_session, select_session
from qsmcmb.io.bids_index import list_sessions
from qsmcmb.io.nifti import save_volume
from qsmcmb.io.plain import load_files
from qsmcmb.io.tables import read_filter
from tests.scenes.bids_scans import SHAPE, TE_S, write_scan


def names(bids: Path, **options: object) -> list[str]:
    return [files.name for files in list_sessions(bids, **options)]  # type: ignore[arg-type]


def test_an_image_without_part_is_magnitude(tmp_path: Path) -> None:
    write_scan(tmp_path / "plain")
    write_scan(tmp_path / "short", parts=("", "phase"))
    plain, short = (qc.load_scan(tmp_path / name) for name in ("plain", "short"))
    np.testing.assert_array_equal(short.magnitude, plain.magnitude)
    np.testing.assert_array_equal(short.phase_rad, plain.phase_rad)


def test_every_set_of_entities_is_a_scan_with_names_of_its_own(tmp_path: Path) -> None:
    for entities in (
        "_acq-qsm_run-01",
        "_acq-qsm_run-02",
        "_acq-qsm_rec-norm_run-01",
        "_flip-2",
        "_acq-a_flip-1",
    ):
        write_scan(tmp_path, entities)
    write_scan(tmp_path, "_acq-swi", suffix="T2starw", te_s=(0.02,))
    found = list_sessions(tmp_path)
    assert {f.prefix for f in found} == {
        "sub-01_acq-qsm_run-01", "sub-01_acq-qsm_run-02", "sub-01_acq-qsm_rec-norm_run-01", "sub-01_acq-flip2",
        "sub-01_acq-aFlip1", "sub-01_acq-swi",
    }  # fmt: skip
    assert all(len(f.images) in (2, 6) for f in found)


def test_two_suffixes_do_not_share_their_names(tmp_path: Path) -> None:
    write_scan(tmp_path, folder="ses-1/anat")
    write_scan(tmp_path, folder="ses-1/anat", suffix="T2starw", te_s=(0.02,))
    write_scan(tmp_path, folder="ses-2/anat", suffix="T2starw", te_s=(0.02,))
    # The same in both sessions, and whatever is selected: scans of one kind are compared.
    expected = ["sub-01/ses-1", "sub-01/ses-1/acq-T2starw", "sub-01/ses-2/acq-T2starw"]
    assert names(tmp_path) == expected
    assert names(tmp_path, filters={"suffix": "T2starw"}) == expected[1:]


def test_indices_are_numbers_and_labels_are_exact(tmp_path: Path) -> None:
    for entities in ("_run-01", "_run-02", "_rec-adapt", "_rec-adaptSoS", "_acq-01"):
        write_scan(tmp_path, entities)
    for run in ("1", "01"):
        assert names(tmp_path, filters={"run": run}) == ["sub-01/run-01"]
    assert names(tmp_path, filters={"reconstruction": "adapt"}) == ["sub-01/rec-adapt"]
    (tmp_path / "filter.json").write_text('{"run": null, "acq": null, "rec": "adaptSoS"}')
    assert names(tmp_path, filters=read_filter(tmp_path / "filter.json")) == ["sub-01/rec-adaptSoS"]
    with pytest.raises(
        NothingMatchedError, match=r"acq 01; echo 1, 2, 3; part mag, phase; rec adapt, adaptSoS; run 01, 02"
    ):
        list_sessions(tmp_path, filters={"acq": "1"})


def test_padded_echoes_and_their_sidecars_are_found(tmp_path: Path) -> None:
    write_scan(tmp_path)
    before = qc.load_scan(tmp_path)
    for path in (tmp_path / "sub-01/anat").glob("*.nii.gz"):
        path.rename(path.with_name(path.name.replace("_echo-", "_echo-0")))
    after = qc.load_scan(tmp_path)
    np.testing.assert_array_equal(after.phase_rad, before.phase_rad)
    (path,) = (tmp_path / "sub-01/anat").glob("*_echo-01_part-mag_MEGRE.nii.gz")
    path.rename(path.with_name(path.name.replace("_echo-01", "_echo-one")))
    with pytest.raises(InvalidInputError, match=r"ENTITY .*_echo-one_.*echo = one; expected a number"):
        qc.load_scan(tmp_path)


@pytest.mark.parametrize(
    ("indices", "words"),
    [
        ((0, 1, 2), "echo indices start at 0"),
        ((2, 3, 4), "[2, 3, 4] are there"),
        ((1, 2, 4), "[1, 2, 4] are there"),
    ],
)
def test_indices_of_echoes_that_do_not_count_from_1_are_said(
    tmp_path: Path, indices: tuple[int, ...], words: str
) -> None:
    write_scan(tmp_path)
    for path in sorted((tmp_path / "sub-01/anat").iterdir()):
        path.rename(path.with_name(path.name.replace("_echo-", "_echo-x")))
    for path in sorted((tmp_path / "sub-01/anat").iterdir()):
        old, _, rest = path.name.partition("_echo-x")[2].partition("_")
        path.rename(path.with_name(f"sub-01_echo-{indices[int(old) - 1]}_{rest}"))
    warnings = qc.load_scan(tmp_path).warnings
    assert [w for w in warnings if "echo" in w and words in w]
    assert sum("are there" in w or "start at 0" in w for w in warnings) == 1


def test_endings_in_capitals_are_read(tmp_path: Path) -> None:
    write_scan(tmp_path)
    before = qc.load_scan(tmp_path)
    for path in (tmp_path / "sub-01/anat").glob("*.nii.gz"):
        path.rename(path.with_name(path.name.replace(".nii.gz", ".NII.GZ")))
    np.testing.assert_array_equal(qc.load_scan(tmp_path).phase_rad, before.phase_rad)


def test_labels_are_in_natural_order_and_each_must_match(tmp_path: Path) -> None:
    for session in ("10", "2", "b", "1"):
        write_scan(tmp_path, folder=f"ses-{session}/anat")
    assert names(tmp_path) == ["sub-01/ses-1", "sub-01/ses-2", "sub-01/ses-10", "sub-01/ses-b"]
    with pytest.raises(NothingMatchedError, match=r"no image of ses-3; expected one of: sub-01/ses-1, "):
        list_sessions(tmp_path, sessions=["2", "3"])
    with pytest.raises(NothingMatchedError, match=r"no image of sub-02"):
        list_sessions(tmp_path, participants=["01", "02"])


def test_folders_of_others_are_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scan(tmp_path)
    for label in ("02", "010"):
        shutil.copytree(tmp_path / "sub-01", tmp_path / f"sub-{label}")
    looked: list[str] = []
    look = bids_index._scans_of_subject
    monkeypatch.setattr(
        bids_index, "_scans_of_subject", lambda root, p: looked.append(p.name) or look(root, p)
    )
    assert names(tmp_path, participants=["01"]) == ["sub-01"]
    assert looked == ["sub-01"]
    with pytest.raises(NothingMatchedError, match="one of: sub-01"):
        names(tmp_path, participants=["1"])


def test_magnitude_without_phase_is_left_out_beside_a_scan_and_said(tmp_path: Path) -> None:
    write_scan(tmp_path, "_acq-old", suffix="T2starw", parts=("",), te_s=(0.02,))
    with pytest.raises(InvalidInputError, match="PART"):
        qc.load_scan(tmp_path)
    write_scan(tmp_path)
    assert names(tmp_path) == ["sub-01"]
    assert any(
        "acq-old_T2starw.nii.gz: magnitude without phase" in w for w in qc.load_scan(tmp_path).warnings
    )


@pytest.mark.parametrize(("entities", "suffix"), [("_rec-norm", "MEGRE"), ("", "T2starw")])
def test_a_magnitude_of_another_name_is_shown_with_the_cure(
    tmp_path: Path, entities: str, suffix: str
) -> None:
    write_scan(tmp_path, entities, suffix=suffix, parts=("mag",))
    write_scan(tmp_path, parts=("phase",))
    with pytest.raises(InvalidInputError, match="PART") as caught:
        qc.load_scan(tmp_path)
    assert f"sub-01{entities}_echo-1_part-mag_{suffix}.nii.gz" in caught.value.fix
    for path in (tmp_path / "sub-01/anat").glob("*part-mag*"):
        path.rename(path.with_name(path.name.replace(f"{entities}_echo", "_echo").replace(suffix, "MEGRE")))
    assert qc.load_scan(tmp_path).te_s == TE_S


def test_files_of_the_file_system_are_no_images(tmp_path: Path) -> None:
    write_scan(tmp_path)
    for path in list((tmp_path / "sub-01/anat").iterdir()):
        path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07")
    assert qc.load_scan(tmp_path).te_s == TE_S


def test_times_with_and_without_a_zone_are_compared(tmp_path: Path) -> None:
    for session, time in (("a", "2021-05-04T10:00:00.5Z"), ("b", "2020-05-04T10:00:00")):
        folder = tmp_path / f"sub-01/ses-{session}"
        folder.mkdir(parents=True)
        (folder / f"sub-01_ses-{session}_scans.tsv").write_text(f"filename\tacq_time\na.nii\t{time}\n")
    times = comparable_times(acquisition_times(tmp_path, "01"))
    assert sorted(times, key=lambda session: times[session]) == ["b", "a"]


def test_echoes_that_are_called_runs_are_told_from_repeats(tmp_path: Path) -> None:
    for run, te in enumerate(TE_S, start=1):
        write_scan(tmp_path, f"_run-{run}", te_s=(te,))
    with pytest.raises(InvalidInputError, match="ECHO-RUNS") as caught:
        qc.load_scan(tmp_path, filters={"run": "2"})
    anat = tmp_path / "sub-01/anat"
    pairs = re.findall(r"(run-\d) to (echo-\d)", caught.value.fix)
    assert len(pairs) == 3
    for old, new in pairs:
        for path in anat.glob(f"*{old}*"):
            path.rename(path.with_name(path.name.replace(old, new)))
    assert qc.load_scan(tmp_path).te_s == TE_S
    shutil.rmtree(anat)
    for run in (1, 2):
        write_scan(tmp_path, f"_run-{run}", te_s=(0.02,))
    assert qc.load_scan(tmp_path, filters={"run": "2"}).n_echoes == 1


@pytest.mark.parametrize(("label", "new"), [("e", "_echo-"), ("qsmEcho", "_acq-qsm_echo-"), ("TE", "_echo-")])
def test_echoes_that_acq_names_are_one_scan(tmp_path: Path, label: str, new: str) -> None:
    for n, te in enumerate(TE_S, start=1):
        write_scan(tmp_path, f"_acq-{label}{n}", te_s=(te,))
    with pytest.raises(InvalidInputError, match="ECHO-RUNS") as caught:
        qc.load_scan(tmp_path, filters={"acq": f"{label}1"})
    assert f"acq-{label}1 to {new[1:]}1" in caught.value.fix
    for path in (tmp_path / "sub-01/anat").iterdir():
        path.rename(path.with_name(path.name.replace(f"_acq-{label}", new)))
    assert qc.load_scan(tmp_path).te_s == TE_S


def test_acquisitions_that_name_no_echo_stay_apart(tmp_path: Path) -> None:
    for acq, te in (("qsm", 0.02), ("swi2", 0.03), ("swi3", 0.02)):
        write_scan(tmp_path, f"_acq-{acq}", te_s=(te,))
    assert qc.load_scan(tmp_path, filters={"acq": "swi2"}).te_s == (0.03,)


def test_channels_are_combined_and_said(tmp_path: Path) -> None:
    write_scan(tmp_path / "plain")
    for channel, receive in (("1", 1.0 * np.exp(0.7j)), ("2", 0.6 * np.exp(-2j)), ("10", 0.8 * np.exp(3j))):
        write_scan(tmp_path / "coils", f"_coil-{channel}", receive=complex(receive))
    plain, scan = qc.load_scan(tmp_path / "plain"), qc.load_scan(tmp_path / "coils")
    assert any("3 receive channels are combined" in w for w in scan.warnings)
    assert scan.read_as["Channels"] == 3
    assert len(scan.sources) == 18
    assert list_sessions(tmp_path / "coils")[0].prefix == "sub-01"
    np.testing.assert_allclose(scan.magnitude, np.sqrt(2.0) * plain.magnitude, rtol=1e-5)
    inside = plain.magnitude[0] > 0.5
    left = np.angle(np.exp(1j * (scan.phase_rad - plain.phase_rad)))[:, inside]
    # All that may differ is one phase for all voxels and echoes.
    assert np.abs(left - left.mean()).max() < 0.02
    with pytest.raises(InvalidInputError, match="COILS"):
        load_session(select_session(tmp_path / "coils"))
    one = qc.load_scan(tmp_path / "coils", filters={"coil": "2"})
    assert any("channel 2 is the only one" in w for w in one.warnings)


def test_channels_of_one_echo_are_refused_with_a_way_out(tmp_path: Path) -> None:
    for channel in ("1", "2"):
        write_scan(tmp_path, f"_coil-{channel}", te_s=(0.02,))
    with pytest.raises(InvalidInputError, match=r'COILS .*choose one channel, \{"coil": "1"\}'):
        qc.load_scan(tmp_path)
    assert qc.load_scan(tmp_path, filters={"coil": "1"}).n_echoes == 1


def test_combined_images_win_over_their_channels(tmp_path: Path) -> None:
    write_scan(tmp_path)
    for channel in ("1", "2"):
        write_scan(tmp_path, f"_coil-{channel}")
    scan = qc.load_scan(tmp_path)
    assert len(scan.sources) == 6
    assert "single channels are left out: the combined images are there" in scan.warnings
    # A coil's type is no channel.
    write_scan(tmp_path / "types", "_coil-8ch")
    write_scan(tmp_path / "types", "_coil-32ch")
    assert names(tmp_path / "types") == ["sub-01/acq-coil8ch", "sub-01/acq-coil32ch"]


def test_repeats_in_one_file_are_told_and_the_fix_leads_to_scans(tmp_path: Path) -> None:
    write_scan(tmp_path)
    anat = tmp_path / "sub-01/anat"
    volumes = {path: np.asarray(nibabel.load(path).dataobj) for path in anat.glob("*.nii.gz")}
    for path, data in volumes.items():
        save_volume(path, np.stack([data, data, data], axis=-1), np.eye(4))
    with pytest.raises(InvalidInputError, match=r"DIM .*looks like 3 repeats in one file") as caught:
        qc.load_scan(tmp_path)
    assert "sub-01_run-1_echo-1_part-mag_MEGRE.nii.gz" in caught.value.fix
    assert "up to run-3" in caught.value.fix
    for path, data in volumes.items():
        for run in (1, 2, 3):
            name = path.name.replace("_echo", f"_run-{run}_echo")
            save_volume(anat / name, data, np.eye(4))
            shutil.copy(
                path.with_name(path.name.replace(".nii.gz", ".json")), anat / name.replace(".nii.gz", ".json")
            )
        path.unlink()
    assert names(tmp_path) == ["sub-01/run-1", "sub-01/run-2", "sub-01/run-3"]
    assert qc.load_scan(tmp_path, filters={"run": "3"}).n_echoes == 3


def test_magnitude_and_phase_in_one_file_are_told_apart(tmp_path: Path, rng: np.random.Generator) -> None:
    write_scan(tmp_path, suffix="T2starw", te_s=(0.02,))
    anat = tmp_path / "sub-01/anat"
    magnitude, phase = (anat / f"sub-01_part-{part}_T2starw.nii.gz" for part in ("mag", "phase"))
    values = np.asarray(nibabel.load(magnitude).dataobj)
    # As scanners store it: noise of phase over the whole range where there is no signal.
    stored = np.where(values > 0.1, (np.asarray(nibabel.load(phase).dataobj) / np.pi + 1) * 2048, 0)
    stored = np.where(values > 0.1, stored, rng.integers(0, 4096, values.shape))
    for path in (magnitude, phase):
        path.unlink()
    save_volume(anat / "sub-01_T2starw.nii.gz", np.stack([values * 1000, stored], axis=-1), np.eye(4))
    with pytest.raises(
        InvalidInputError, match=r"DIM .*looks like magnitude and phase in 2 volumes"
    ) as caught:
        qc.load_scan(tmp_path)
    assert (
        "volume 0 as sub-01_part-mag_T2starw.nii.gz, volume 1 as sub-01_part-phase_T2starw"
        in caught.value.fix
    )


def test_echoes_and_channels_in_one_file_are_told(tmp_path: Path) -> None:
    write_scan(tmp_path, suffix="T2starw", te_s=(0.02,))
    anat = tmp_path / "sub-01/anat"
    magnitude = anat / "sub-01_part-mag_T2starw.nii.gz"
    values = np.asarray(nibabel.load(magnitude).dataobj)
    save_volume(magnitude, np.stack([values, 0.8 * values, 0.65 * values], axis=-1), np.eye(4))
    with pytest.raises(InvalidInputError, match="looks like 3 echoes in one file") as caught:
        qc.load_scan(tmp_path)
    assert "sub-01_echo-1_part-mag_T2starw.nii.gz" in caught.value.fix
    side = np.linspace(0, 2, SHAPE[0])[:, None, None]
    save_volume(magnitude, np.stack([side * values, (2 - side) * values], axis=-1), np.eye(4))
    with pytest.raises(InvalidInputError, match="looks like 2 receive channels in one file") as caught:
        qc.load_scan(tmp_path)
    assert "sub-01_coil-1_part-mag_T2starw.nii.gz" in caught.value.fix
    for path in anat.glob("*.json"):
        path.write_text(path.read_text().replace("0.02", "[0.005, 0.010]"))
    with pytest.raises(InvalidInputError, match=r"TE-TYPE .*2 numbers; .*echo-1, echo-2"):
        qc.load_scan(tmp_path)


def test_the_echoes_that_lack_a_part_are_named(tmp_path: Path) -> None:
    write_scan(tmp_path)
    for echo in (2, 3):
        (tmp_path / f"sub-01/anat/sub-01_echo-{echo}_part-mag_MEGRE.nii.gz").unlink()
    with pytest.raises(InvalidInputError, match=r"PART .*no mag for echo 2, 3; .*qsmcmb recon"):
        qc.load_scan(tmp_path)


def test_surplus_volumes_on_the_command_line_are_told(tmp_path: Path) -> None:
    write_scan(tmp_path, te_s=(0.02,))
    files = [tmp_path / f"sub-01/anat/sub-01_part-{part}_MEGRE.nii.gz" for part in ("phase", "mag")]
    phase, magnitude = (np.asarray(nibabel.load(path).dataobj) for path in files)
    for name, volumes, told in (
        ("repeats", [phase] * 4, "4, which look like 2 repeats; .*save 2 of the volumes"),
        ("both", [magnitude, (phase + np.pi) * 652], "magnitude and phase in one file"),
    ):
        save_volume(tmp_path / f"{name}.nii.gz", np.stack(volumes, axis=-1), np.eye(4))
        te_s = (0.01, 0.02) if name == "repeats" else (0.02,)
        with pytest.raises(InvalidInputError, match=f"TE-MISMATCH .*{told}"):
            load_files([tmp_path / f"{name}.nii.gz"], [files[1]], te_s, 3.0)


def test_func_is_named_and_the_fix_leads_to_a_scan(tmp_path: Path) -> None:
    write_scan(tmp_path, "_task-rest", suffix="bold", folder="func")
    with pytest.raises(
        NothingMatchedError, match=r"there is func/ \(6 images: suffix bold; .*which is not read"
    ) as caught:
        list_sessions(tmp_path)
    old, new = re.findall(r"(\S+)\.nii\.gz as (\S+)\.nii\.gz", caught.value.fix)[0]
    assert (old, new) == ("sub-01_task-rest_echo-1_part-phase_bold", "sub-01_echo-1_part-phase_MEGRE")
    (tmp_path / "sub-01/anat").mkdir()
    for path in (tmp_path / "sub-01/func").iterdir():
        shutil.copy(
            path, tmp_path / "sub-01/anat" / path.name.replace("_task-rest", "").replace("bold", "MEGRE")
        )
    assert qc.load_scan(tmp_path).n_echoes == 3


@pytest.mark.parametrize(
    "suffixes", [("phasediff", "magnitude1", "magnitude2"), ("phase1", "phase2", "magnitude1", "magnitude2")]
)
def test_field_maps_are_named_and_the_fix_leads_to_a_scan(tmp_path: Path, suffixes: tuple[str, ...]) -> None:
    for suffix in suffixes:
        part = "phase" if suffix.startswith("phase") else "mag"
        write_scan(
            tmp_path,
            suffix=suffix,
            folder="fmap",
            parts=(part,),
            te_s=(0.01 if suffix[-1] == "2" else 0.005,),
        )
    for path in (tmp_path / "sub-01/fmap").iterdir():
        path.rename(path.with_name(re.sub("_part-[a-z]+", "", path.name)))
    if "phasediff" in suffixes:
        edited = tmp_path / "sub-01/fmap/sub-01_phasediff.json"
        edited.write_text(edited.read_text().replace("0.005", "0.01"))
    with pytest.raises(NothingMatchedError, match=r"there is fmap/") as caught:
        list_sessions(tmp_path)
    (tmp_path / "sub-01/anat").mkdir()
    for old, new in re.findall(r"(\S+)\.nii\.gz as (\S+)\.nii\.gz", caught.value.fix):
        for ending in (".nii.gz", ".json"):
            shutil.copy(tmp_path / "sub-01/fmap" / (old + ending), tmp_path / "sub-01/anat" / (new + ending))
    assert qc.load_scan(tmp_path).n_echoes == (1 if "phasediff" in suffixes else 2)


def test_a_folder_without_images_says_so(tmp_path: Path) -> None:
    with pytest.raises(NothingMatchedError, match="no other image"):
        list_sessions(tmp_path)
