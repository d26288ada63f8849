"""A rerun does what is missing, damaged or stale, says why, and gives the same bytes."""

from __future__ import annotations

import ast
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.io.place import Place
from qsmcmb.io.results import SessionResults
from qsmcmb.pipeline.config import make_config
from qsmcmb.study import manifest, source, steps
from qsmcmb.study.detector_files import DetectorFiles
from qsmcmb.study.manifest import checksum, manifest_path, read_manifest
from qsmcmb.study.pages import compare_and_report
from qsmcmb.study.superseded import result_files
from tests.scenes.studies import Study

IMAGE = "sub-01/ses-1/anat/sub-01_ses-1_echo-2_part-phase_MEGRE.nii.gz"
MAP = "sub-01/ses-1/anat/sub-01_ses-1_Chimap.nii.gz"


def states(study: Study, capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return state and reason by session and step, as `qsmcmb status` prints them."""
    capsys.readouterr()
    assert run_command(["status", str(study.out)]) == 0
    header, *rows = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert header == ["session", "step", "state", "reason"]
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


def not_current(study: Study, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    """Return the reasons of the steps that are not done, by session."""
    late: dict[str, dict[str, str]] = {}
    for (session, step), (state, reason) in states(study, capsys).items():
        if state != "done":
            late.setdefault(session, {})[step] = f"{state}: {reason}"
    return late


def change_a_voxel(study: Study) -> None:
    path = study.bids / IMAGE
    image = nibabel.load(path)
    data = np.asarray(image.dataobj).copy()
    data[3, 3, 3] += 0.25
    nibabel.save(nibabel.Nifti1Image(data, image.affine), path)


def change_a_byte(study: Study) -> None:
    """Change a byte of the gzip header alone (the time), size and modification time stay."""
    path = study.bids / IMAGE
    before, content = path.stat(), bytearray(path.read_bytes())
    content[4] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def change_a_sidecar(study: Study) -> None:
    path = (study.bids / IMAGE).with_suffix("").with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "MagneticFieldStrength": 2.9}))


def lay_out_a_sidecar_anew(study: Study) -> None:
    path = (study.bids / IMAGE).with_suffix("").with_suffix(".json")
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items())), indent=4))


def date_a_session(study: Study) -> None:
    table = study.bids / "sub-01" / "sub-01_sessions.tsv"
    table.write_text("session_id\tacq_time\nses-1\t2020-05-04T10:00:00\n")


def move_a_point(study: Study) -> None:
    study.points.write_text("session_id\tx_mm\ty_mm\tz_mm\nses-1\t10\t11\t13\nses-2\t10\t11\t12\n")


def truncate_a_map(study: Study) -> None:
    path = study.out / MAP
    path.write_bytes(path.read_bytes()[:-100])


def remove_a_map(study: Study) -> None:
    (study.out / MAP).unlink()


def lose_a_manifest(study: Study) -> None:
    (study.out / ".qsmcmb/manifest/sub-01_ses-1.json").write_text('{"format": 1, "na')


FIRST, SUBJECT = "sub-01/ses-1", "sub-01"
CHANGES: list[tuple[Callable[[Study], None], dict[str, tuple[str, str]]]] = [
    (change_a_voxel, {FIRST: ("load", f"stale: input {IMAGE} changed")}),
    (change_a_byte, {FIRST: ("load", f"stale: input {IMAGE} changed")}),
    (change_a_sidecar, {FIRST: ("load", f"stale: input sidecar of {IMAGE} changed")}),
    (lay_out_a_sidecar_anew, {}),
    (date_a_session, {FIRST: ("anatomy", "stale: parameter acquired changed: None before, 2020-05-04T10:00:00 now")}),
    (truncate_a_map, {FIRST: ("invert", f"damaged: {MAP}"), SUBJECT: ("longitudinal", "stale: input")}),
    (remove_a_map, {FIRST: ("invert", f"missing: {MAP}"), SUBJECT: ("longitudinal", "stale: input")}),
    (lose_a_manifest, {FIRST: ("load", "new: ")}),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), CHANGES, ids=[c.__name__ for c, _ in CHANGES])
def test_status_says_what_is_not_current_and_why(
    study: Study,
    change: Callable[[Study], None],
    expected: dict[str, tuple[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The study has moved: its request names the folder where it ran.
    request = study.out / ".qsmcmb/request.json"
    request.write_text(request.read_text().replace(json.loads(request.read_text())["bids"], str(study.bids)))
    before = study.results()
    change(study)
    late = not_current(study, capsys)
    assert {session: next(iter(late[session])) for session in late} == {
        s: step for s, (step, _) in expected.items()
    }
    for session, (step, reason) in expected.items():
        assert late[session][step].startswith(reason)
    unchanged = {n: b for n, b in study.results().items() if n != MAP}
    assert unchanged == {n: b for n, b in before.items() if n != MAP}, "status writes nothing"


def test_a_change_of_source_makes_its_step_stale_and_those_that_follow(
    finished: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = source._digest

    def edited(module: str) -> str:
        return "edited" if module == "qsmcmb.relaxometry.r2star" else digest(module)

    source.source_of.cache_clear()
    monkeypatch.setattr(source, "_digest", edited)
    late = not_current(finished, capsys)
    source.source_of.cache_clear()
    assert list(late) == ["sub-01/ses-1", "sub-01/ses-2"]
    assert late["sub-01/ses-1"] == {
        "r2star": "stale: source qsmcmb.relaxometry.r2star changed",
        "quantify": "stale: follows r2star",
        "anatomy": "stale: source qsmcmb.relaxometry.r2star changed",
    }


def test_another_version_of_a_library_makes_all_stale(
    finished: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {**steps.libraries(), "numba": "0.0.1"}
    for module in (steps, sys.modules["qsmcmb.study.assess"]):
        monkeypatch.setattr(module, "libraries", lambda: now)
    late = not_current(finished, capsys)
    assert set(late) == {"sub-01/ses-1", "sub-01/ses-2", "sub-01"}
    assert late["sub-01/ses-2"]["mask"] == "stale: library numba changed"


def test_a_rerun_does_nothing_twice(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    before = {p: p.stat().st_mtime_ns for p in study.out.rglob("sub-*") if p.is_file()}
    assert study.run() == 0
    said = capsys.readouterr().err
    assert "2 of 2 sessions done, 2 of them by an earlier run" in said
    assert "page is current" in said
    after = {
        p: p.stat().st_mtime_ns
        for p in study.out.rglob("sub-*")
        if p.is_file() and p.parent.name != "subjects"
    }
    assert {p: before[p] for p in after} == after


def test_a_rerun_repairs_what_is_damaged(
    finished: Study, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    truncate_a_map(study)
    (study.out / "sub-01/ses-2/anat/.tmp-left").touch()
    assert study.run() == 0
    said = capsys.readouterr().err
    assert f"sub-01/ses-1: invert is damaged: {MAP}" in said
    assert "sub-01/ses-2: unchanged" in said
    assert same_but_for_the_place(study, finished)
    assert not list(study.out.rglob(".tmp-*"))


def same_but_for_the_place(one: Study, two: Study) -> bool:
    """Compare results of studies in two folders: the link to the raw data names the folder."""
    first, second = one.results(), two.results()
    return {n: first[n] for n in first if n != "dataset_description.json"} == {
        n: second[n] for n in second if n != "dataset_description.json"
    }


def test_a_changed_parameter_is_not_mixed_with_what_was_before(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    study.config.write_text(study.config.read_text() + "[swi]\npower = 3\n")
    before = study.results()
    assert study.run("--session-label", "1") == 0
    said = capsys.readouterr().err
    assert "swi is stale: parameter swi power changed: 4 before, 3 now" in said
    changed = {name for name, content in study.results().items() if before[name] != content}
    assert "sub-01/ses-1/anat/sub-01_ses-1_desc-swi_T2starw.nii.gz" in changed
    assert not any("ses-2" in name for name in changed)


def test_force_does_a_step_again(finished: Study, study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert study.run("--force", "swi", "--session-label", "2") == 0
    assert "sub-01/ses-2: swi is forced" in capsys.readouterr().err
    assert same_but_for_the_place(study, finished)
    assert study.run("--force", "swy") == 2
    assert "expected one of: load, mask, unwrap" in capsys.readouterr().err


def test_why_shows_what_stands_behind_a_result(finished: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["why", str(finished.out / MAP)]) == 0
    shown = capsys.readouterr().out
    assert "made by the step invert of sub-01/ses-1; as it was written\nstate: current" in shown
    assert IMAGE in shown
    assert "parameter invert  {'method': 'tkd', 'threshold'" in shown
    assert "r2star" not in shown
    assert "numba  " in shown
    assert run_command(["why", str(finished.bids / IMAGE)]) == 65
    assert "expected a result of `qsmcmb run`" in capsys.readouterr().err


def test_intermediate_results_are_held_in_the_work_folder(
    finished: Study, study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, one = tmp_path / "work", ("--session-label", "1", "--force", "load", "-w", str(tmp_path / "work"))
    assert not list((study.out / ".qsmcmb").glob("intermediates/*"))
    assert study.run(*one) == 0
    held = sorted(p.stem for p in work.rglob("*.npz"))
    assert held == ["background", "fieldmap", "invert", "mask"]
    move_a_point(study)
    damaged = next(work.rglob("background.npz"))
    damaged.write_bytes(damaged.read_bytes()[:-50])
    assert study.run("--session-label", "1", "-w", str(work)) == 0
    assert "quantify is stale: input points of points.tsv changed" in capsys.readouterr().err
    last = sorted((study.out / "logs").glob("*.jsonl"))[-1]
    (session,) = [e for e in map(json.loads, last.read_text().splitlines()) if e["event"] == "session"]
    assert session["recalled"] == ["mask", "fieldmap", "invert"]


def test_every_module_of_the_pipeline_is_source_of_a_step() -> None:
    keys = steps.scan_keys(make_config(), inputs={}, given={})
    known = {m for step in steps.SCAN_STEPS for m in steps.modules_of(step, keys[step.name].parameters)}
    called = set(
        source.source_of(("qsmcmb.pipeline.subject", "qsmcmb.pipeline.outputs", "qsmcmb.pipeline.load"))
    )
    # They time the steps, hold their results and name them, and compute nothing.
    bystanders = {f"qsmcmb.pipeline.{name}" for name in ("clock", "intermediates", "provenance")}
    assert called - known == bystanders


def test_every_result_is_made_by_a_step(finished: Study) -> None:
    for session in ("1", "2"):
        place = Place.of_session(finished.out, "01", session)
        assert sorted(result_files(place)) == sorted(place.folder.iterdir())


def test_a_session_that_has_left_the_data_set_is_named(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(study.bids / "sub-01/ses-2")
    assert study.run() == 0
    said = capsys.readouterr().err
    assert "WARNING sub-01/ses-2: results of an earlier run are here" in said
    assert f"Remove {study.out / 'sub-01/ses-2'} to leave it out" in said


@pytest.mark.parametrize(
    "file", ["data/anatomy/icbm152_regions.npz", "qsmcmb/reporting/templates/subject.html"]
)
def test_data_of_a_package_belong_to_its_source(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package, read = f"qsmcmb.{file.split('/')[1]}", Path.read_bytes
    before = source._digest(package)
    source._digest.cache_clear()
    monkeypatch.setattr(
        Path, "read_bytes", lambda p: read(p) + (b"x" if p.as_posix().endswith(file) else b"")
    )
    changed = source._digest(package)
    source._digest.cache_clear()
    assert changed != before


def test_imports_of_a_source_are_those_that_a_parser_finds() -> None:
    for path in source.PACKAGE.rglob("*.py"):
        parsed: set[str] = set()
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                parsed |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                parsed |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        found = set(source._names(path.read_text("utf-8")))
        assert {n for n in found if source._file(n)} == {n for n in parsed if source._file(n)}, path


def test_a_run_loads_what_computes_only_where_something_is_to_be_done() -> None:
    names = "qsmcmb.pipeline.subject", "qsmcmb.reporting.subject_page", "scipy.stats", "dask"
    code = f"import sys; import qsmcmb.study.sessions; print(sorted({{*{names}}} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"


def write_times(study: Study, first: str, second: str) -> None:
    table = study.bids / "sub-01" / "sub-01_sessions.tsv"
    table.write_text(f"session_id\tacq_time\nses-1\t{first}\nses-2\t{second}\n")


def test_dates_that_are_written_later_are_entered_and_nothing_is_computed(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dated = study.copy(tmp_path / "dated_from_the_start")
    for one in (study, dated):
        write_times(one, "2020-05-04T10:00:00", "2021-05-04T10:00:00")
    shutil.rmtree(dated.out)
    assert dated.run() == 0
    monkeypatch.setattr("qsmcmb.study.scan.run_scan", None)
    assert study.run() == 0
    assert "sub-01/ses-1: unchanged" in capsys.readouterr().err
    assert not not_current(study, capsys)
    assert without_description(study) == without_description(dated)
    # Taken back, they leave nothing.
    (study.bids / "sub-01" / "sub-01_sessions.tsv").unlink()
    assert study.run() == 0
    burden = study.out / "sub-01/ses-1/anat/sub-01_ses-1_desc-cmb_burden.json"
    assert "AcquisitionTime" not in json.loads(burden.read_text())


def without_description(study: Study) -> dict[str, bytes]:
    """Return the results but the description, whose link names the study's folder."""
    return {n: b for n, b in study.results().items() if n != "dataset_description.json"}


def test_dates_are_entered_into_the_detectors_own_files_too(study: Study) -> None:
    """Where results hold readers' verdicts, those are what is left once the verdicts are taken back."""
    place = Place.of_session(study.out, "01", "1")
    files = DetectorFiles(study.out, SessionResults(place, "01", "1"))
    files.put_aside()
    write_times(study, "2020-05-04T10:00:00", "2021-05-04T10:00:00")
    assert study.run() == 0
    burden = place.path("desc-cmb_burden.json")
    expected = burden.read_bytes()
    assert json.loads(expected)["AcquisitionTime"] == "2020-05-04T10:00:00"
    DetectorFiles(study.out, SessionResults(place, "01", "1")).put_back()
    assert burden.read_bytes() == expected
    assert read_manifest(manifest_path(study.out, place.prefix)).results[
        burden.relative_to(study.out).as_posix()
    ] == checksum(burden)


def test_dates_are_not_entered_into_damaged_results(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    before = without_description(study)
    truncate_a_map(study)
    burden = study.out / "sub-01/ses-2/anat/sub-01_ses-2_desc-cmb_burden.json"
    burden.write_text(burden.read_text().replace("EchoTime", "Echotime"))
    write_times(study, "2020-05-04T10:00:00", "2021-05-04T10:00:00")
    assert study.run() == 0
    assert "unchanged" not in capsys.readouterr().err
    (study.bids / "sub-01" / "sub-01_sessions.tsv").unlink()
    assert study.run() == 0
    assert without_description(study) == before


def test_a_time_that_is_no_date_is_named_with_the_form_that_is_expected(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    write_times(study, "04/05/2020", "2021-05-04T10:00:00")
    assert study.run() == 0
    said = capsys.readouterr().err
    expected = "acq_time = '04/05/2020'; expected date and time as 2020-05-04T10:00:00. It counts as missing"
    assert f"WARNING sub-01/ses-1: sub-01_sessions.tsv: {expected}" in said
    assert "WARNING sub-01/ses-2: sub-01_sessions.tsv" not in said


def test_a_result_that_cannot_be_read_is_not_called_missing(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = without_description(study)
    request = study.out / ".qsmcmb/request.json"
    request.write_text(request.read_text().replace(json.loads(request.read_text())["bids"], str(study.bids)))
    name = "sub-01/ses-1/anat/sub-01_ses-1_desc-cmb_lesions.tsv"
    read = manifest.sha256_of

    def fails(path: Path) -> str:
        if path == study.out / name:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return read(path)

    with monkeypatch.context() as patch:
        manifest._checksum.cache_clear()
        patch.setattr(manifest, "sha256_of", fails)
        said: list[str] = []
        assert compare_and_report(study.out, ["01"], say=said.append, only_stale=True)
        (error,) = [line for line in said if line.startswith("ERROR")]
        assert error.startswith(f"ERROR IO {study.out / name}: disk = Input/output error")
        capsys.readouterr()
        assert run_command(["status", str(study.out)]) != 70
        rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        assert ["sub-01/ses-1", "anatomy", "damaged", f"{name}: Input/output error"] in rows
    assert not compare_and_report(study.out, ["01"], say=said.append, only_stale=True)
    assert without_description(study) == before


def test_a_folder_of_a_subject_that_cannot_be_read_is_an_error_with_a_code(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(out: Path, participant: str) -> None:
        raise OSError(errno.EIO, "Input/output error", str(out / f"sub-{participant}"))

    monkeypatch.setattr("qsmcmb.study.pages.list_results", fails)
    said: list[str] = []
    assert compare_and_report(study.out, ["01"], say=said.append, only_stale=True)
    assert any(line.startswith(f"ERROR IO {study.out / 'sub-01'}") for line in said)
