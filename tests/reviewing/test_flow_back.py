"""Verdicts enter the tables, stay through a rerun, and leave nothing behind when they are taken back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qsmcmb.cli.main import run_command
from qsmcmb.io.results import SessionResults
from qsmcmb.microbleeds.results.lesion_pictures import read_pictures
from qsmcmb.study.detector_files import DetectorFiles
from qsmcmb.study.judgement import Judgement
from qsmcmb.study.status import study_status
from tests.scenes.reviews import TABLE, candidate, judge, log_of, rows_of, scans_of, write_candidates
from tests.scenes.studies import Study

ACCEPT = Judgement("accept", certainty="possible", region="thalamus", comment="=1+1")
REJECT = Judgement("reject", kind="vein")


def apply(study: Study) -> int:
    return run_command(["review", str(study.out), "--apply"])


def first(study: Study) -> SessionResults:
    return scans_of(study)[0]


def rows(study: Study) -> dict[str, dict[str, str]]:
    return {row["label"]: row for row in rows_of(first(study).place.path(TABLE))}


def states(study: Study) -> set[str]:
    """Return the states of all steps of both scans and the subject."""
    return {state.state for entry in study_status(study.out) for state in entry.states.values()}


def test_verdicts_are_in_table_burden_forms_and_group(study: Study) -> None:
    assert run_command(["run", str(study.bids), str(study.out), "group"]) == 0
    before = rows(study)
    judge(study, "A", 2, ACCEPT)
    judge(study, "A", 3, REJECT)
    judge(study, "A", 4, Judgement("unsure"))
    assert apply(study) == 0
    now = rows(study)
    assert (now["2"]["kind"], now["2"]["certainty"], now["2"]["source"], now["2"]["reader"]) == (
        "microbleed", "possible", "reader", "A",
    )  # fmt: skip
    assert (now["2"]["mars_region"], now["2"]["territory"], now["2"]["bombs_region"]) == (
        "thalamus",
        "deep",
        "thalamus",
    )
    assert (now["3"]["kind"], now["3"]["certainty"], now["3"]["bombs_certainty"]) == (
        "vein",
        "rejected",
        "uncertain",
    )
    assert (now["4"]["certainty"], now["4"]["reader"]) == (before["4"]["certainty"], "A")
    assert list(now["2"])[-1] == "reader"
    for label, row in before.items():
        if label not in ("2", "3", "4"):
            assert now[label] == {**row, "reader": "n/a"}
    record = first(study).record("desc-cmb_burden")
    totals = [float(r["total_chi_ppm_mm3"]) for r in now.values() if r["certainty"] != "rejected"]
    assert record["burden_ppm_mm3"] == pytest.approx(sum(totals), rel=1e-5)
    assert record["n_possible"] == 11
    assert record["by_territory"]["deep"]["n"] == 1
    (thalamus,) = [
        r for r in rows_of(first(study).place.path("desc-mars_form.tsv")) if r["region"] == "thalamus"
    ]
    assert thalamus["total"] == "1"
    group = rows_of(study.out / "group_desc-cmb_lesions.tsv")
    assert [r["reader"] for r in group if r["label"] == "2"] == ["A"]
    assert (
        "Reader"
        in json.loads((study.out / "group_desc-cmb_lesions.json").read_text())["reader"]["Description"]
    )
    assert states(study) <= {"done"}


def test_a_calcification_that_a_reader_confirms_stays_one_and_counts_as_no_microbleed(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply(study) == 0
    assert f"no verdicts yet: qsmcmb review {study.out}" in capsys.readouterr().err
    own = [candidate(1, kind="calcification", certainty="definite"), candidate(2), candidate(3)]
    write_candidates(study, first(study), own)
    for label in (1, 2):
        judge(study, "A", label, Judgement("reject", kind="calcification"))
    judge(study, "A", 3, Judgement("unsure"))
    assert apply(study) == 0
    now = rows(study)
    assert {(now[n]["kind"], now[n]["certainty"], now[n]["source"]) for n in "12"} == {
        ("calcification", "definite", "reader")
    }
    # Who is unsure leaves the row the detector's.
    assert (now["3"]["source"], now["3"]["reader"]) == ("detector", "A")
    record = first(study).record("desc-cmb_burden")
    assert (record["n_definite"], record["n_possible"]) == (0, 1)
    assert record["burden_ppm_mm3"] == pytest.approx(float(now["3"]["total_chi_ppm_mm3"]))
    for scale in ("mars", "bombs"):
        form = rows_of(first(study).place.path(f"desc-{scale}_form.tsv"))
        assert max(int(row["total"]) for row in form if row["total"] != "n/a") == 1


def test_a_rerun_finds_nothing_to_do(study: Study) -> None:
    judge(study, "A", 1, REJECT)
    assert apply(study) == 0
    before = study.results()
    assert study.run() == 0
    after = study.results()
    # It holds the place of the raw data, and the study has been copied.
    assert {n for n in after if after[n] != before[n]} == {"dataset_description.json"}


def test_a_run_that_computes_again_enters_the_verdicts_again(study: Study) -> None:
    assert study.run("--force", "anatomy") == 0
    judge(study, "A", 1, REJECT)
    assert apply(study) == 0
    before = study.results()
    assert rows(study)["1"]["certainty"] == "rejected"
    assert study.run("--force", "anatomy") == 0
    assert study.results() == before
    assert states(study) <= {"done"}


def test_verdicts_that_a_killed_run_had_not_yet_entered_are_entered_by_the_next(study: Study) -> None:
    """The run had written the detector's tables and their manifest, and no more."""
    judge(study, "A", 1, REJECT)
    assert apply(study) == 0
    before = study.results()
    DetectorFiles(study.out, first(study)).put_back()
    assert rows(study)["1"]["certainty"] != "rejected"
    assert study.run() == 0
    assert rows(study)["1"]["certainty"] == "rejected"
    after = study.results()
    # It holds the place of the raw data, and the study has been copied.
    assert {n for n in after if after[n] != before[n]} <= {"dataset_description.json"}


def test_a_verdict_that_is_taken_back_leaves_nothing_behind(study: Study) -> None:
    judge(study, "A", 2, REJECT)
    judge(study, "A", 5, ACCEPT)
    judge(study, "A", 6, Judgement("accept", moved_to_mm=(11.0, 12.0, 12.0)))
    before = study.results()
    assert apply(study) == 0
    assert rows(study)["5"]["territory"] == "deep"
    assert rows(study)["6"]["x_mm"] != "n/a"
    for number in (1, 2, 3):
        log = log_of(study, "A")
        event = log.events[number - 1]
        log.append("undo", event.candidate, event.position_mm, label=event.label, undoes=number, seen=number)
    assert apply(study) == 0
    after = study.results()
    # The fixture has changed the sessions' tables after the run: what compares sessions is made anew from them.
    of_subject = (
        "html", "jsonl", "longitudinal.json", "longitudinal.tsv", "course.json", "course.tsv", "trend.json",
        "ariah.json",
    )  # fmt: skip
    assert {n: b for n, b in after.items() if not n.endswith(of_subject)} == {
        n: b for n, b in before.items() if not n.endswith(of_subject)
    }
    assert not first(study).place.path("desc-cmb_review.json").exists()
    assert states(study) <= {"done"}


def test_an_interruption_while_verdicts_are_applied_is_mended(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qsmcmb.study import reviewed_results

    judge(study, "A", 2, REJECT)
    with monkeypatch.context() as patch:
        patch.setattr(reviewed_results, "_write_forms", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert apply(study) == 130
    assert apply(study) == 0
    assert rows(study)["2"]["certainty"] == "rejected"
    assert states(study) <= {"done"}


def test_a_lesion_that_is_added_is_measured_once(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(study, "A")
    log.append("add", "0a", (11.0, 12.0, 12.0), judgement=Judgement("accept"))
    assert apply(study) == 0
    added = rows(study)["13"]
    assert (added["kind"], added["certainty"], added["source"], added["reader"]) == (
        "microbleed",
        "definite",
        "reader",
        "A",
    )
    scan = first(study)
    limit, grid = scan.image("desc-detectionlimit_map")
    voxel = np.rint(grid.to_voxel(np.array([float(added[f"{axis}_mm"]) for axis in "xyz"]))).astype(int)
    stated, at_point = added["detection_limit_ppm_mm3"], float(limit[tuple(voxel)])
    assert (stated == "n/a") == (not at_point > 0)
    assert stated == "n/a" or float(stated) == pytest.approx(at_point, rel=1e-4)
    assert added["total_chi_sum_raw_ppm_mm3"] != "n/a" or added["total_chi_ppm_mm3"] == "n/a"
    pictures = read_pictures(scan.place.path("desc-cmb_pictures.npz"))
    assert pictures[13].magnitude.max() > 0
    explained = next(r for r in scan.record("desc-cmb_explain")["Lesions"] if r["label"] == 13)
    assert (pictures[13].slices is None) == ("fit" not in explained)
    table = scan.place.path(TABLE).read_bytes()
    from qsmcmb.pipeline import points

    monkeypatch.setattr(points, "measure_points", lambda *_, **__: pytest.fail("measured again"))
    assert apply(study) == 0
    assert first(study).place.path(TABLE).read_bytes() == table


def test_an_added_lesion_that_is_taken_back_leaves_images_though_other_verdicts_stay(study: Study) -> None:
    place = first(study).place
    endings = ("desc-cmb_dseg.nii.gz", "desc-cmb_pictures.npz")
    before = [place.path(ending).read_bytes() for ending in endings]
    judge(study, "A", 2, REJECT)
    event = log_of(study, "A").append("add", "0a", (11.0, 12.0, 12.0), judgement=Judgement("accept"))
    assert apply(study) == 0
    assert place.path("desc-cmb_pictures.npz").read_bytes() != before[1]
    log_of(study, "A").append("undo", "0a", event.position_mm, undoes=event.number, seen=event.number)
    assert apply(study) == 0
    assert [place.path(ending).read_bytes() for ending in endings] == before
    assert rows(study)["2"]["certainty"] == "rejected"


def test_the_quality_counts_the_lesions_that_readers_leave(study: Study) -> None:
    faulty = [candidate(1, flags=("poor-fit",)), candidate(2), candidate(3)]
    write_candidates(study, first(study), faulty)

    def fraction() -> float:
        stages = first(study).record("desc-quality")["Stages"]
        return next(m["Value"] for m in stages["quantify"]["Measures"] if m["Name"] == "poor_fit_fraction")

    judge(study, "A", 2, Judgement("unsure"))
    assert apply(study) == 0
    assert fraction() == pytest.approx(1 / 3)
    judge(study, "A", 3, REJECT)
    assert apply(study) == 0
    assert fraction() == pytest.approx(1 / 2)


def test_readers_who_differ_need_a_third(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    for reader, verdict in (("A", ACCEPT), ("B", REJECT)):
        judge(study, reader, 2, verdict)
        judge(study, reader, 3, REJECT)
    before = rows(study)
    log_of(study, "B").path.rename(study.out / "aside")
    assert run_command(["review", str(study.out), "--agreement"]) == 0
    assert "fewer than two readers" in capsys.readouterr().err
    (study.out / "aside").rename(log_of(study, "B").path)
    assert apply(study) == 0
    assert "readers differ on 1 candidates" in capsys.readouterr().err
    assert rows(study)["2"] == {**before["2"], "reader": "n/a"}
    assert rows(study)["3"]["reader"] == "A+B"
    judge(study, "C", 2, REJECT, adjudicates=True)
    assert apply(study) == 0
    assert (rows(study)["2"]["reader"], rows(study)["2"]["certainty"]) == ("C", "rejected")
    assert run_command(["review", str(study.out), "--agreement"]) == 0
    assert "A, B\t2\t1\t0.000\t1\tn/a" in capsys.readouterr().out


def test_verdicts_of_another_data_set_are_refused_with_both_ids(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(study, "A", 2, REJECT)
    path = first(study).place.path("reader-A_desc-cmb_review.jsonl")
    own = json.loads(path.read_text().splitlines()[0])["images"]
    path.write_text(path.read_text().replace(own, "0123456789abcdef"))
    table = first(study).place.path(TABLE).read_bytes()
    assert apply(study) == 65
    said = capsys.readouterr().err
    assert "ERROR REVIEW" in said
    assert own in said
    assert "0123456789abcdef" in said
    assert first(study).place.path(TABLE).read_bytes() == table


def test_a_torn_last_line_is_dropped_with_a_note_and_a_damaged_one_is_refused(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    judge(study, "A", 2, REJECT)
    path = first(study).place.path("reader-A_desc-cmb_review.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"number": 2, "act')
    assert apply(study) == 0
    assert "18 bytes after the last whole line are dropped" in capsys.readouterr().err
    judge(study, "A", 3, REJECT)
    assert [e.label for e in log_of(study, "A").events] == [2, 3]
    path.write_bytes(whole.replace(b'"reject"', b'"maybe"'))
    assert apply(study) == 65
    path.write_bytes(whole.replace(b'"judgement"', b'"judg'))
    assert apply(study) == 65
    said = capsys.readouterr().err
    assert "ERROR REVIEW" in said
    assert "ERROR JSON" in said


def test_a_detectors_table_that_is_damaged_is_named(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    judge(study, "A", 2, REJECT)
    assert apply(study) == 0
    (held,) = (study.out / ".qsmcmb/detector").rglob(f"*{TABLE}")
    held.write_bytes(held.read_bytes()[:-9])
    assert apply(study) == 65
    assert "ERROR RESULT" in capsys.readouterr().err


def test_a_reader_has_a_short_plain_name(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("../x", "=A", "a b", "", "x" * 33):
        assert run_command(["review", str(study.out), "--reader", name]) == 65
        assert "ERROR REVIEW --reader" in capsys.readouterr().err
    assert not list(study.out.rglob("*review*"))


def test_hostile_kinds_and_comments_stay_text(study: Study) -> None:
    hostile = {5: "<script>alert(1)</script>", 6: "=1+1"}
    write_candidates(study, first(study), [candidate(n, kind=hostile.get(n, "vein")) for n in range(1, 8)])
    judge(study, "A", 2, Judgement("accept", comment="<script>alert(2)</script>"))
    assert apply(study) == 0
    assert rows(study)["6"]["kind"] == "'=1+1"
    page = (study.out / "sub-01.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
