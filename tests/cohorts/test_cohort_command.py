"""`qsmcmb cohort` and `qsmcmb power` on made-up studies: tables, page, and what they say of bad input."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from qsmcmb.change.ariah import ariah_record
from qsmcmb.change.records import NOT_AT_BASELINE, Change
from qsmcmb.cli.main import run_command
from qsmcmb.io.tables import read_tsv, write_tsv
from qsmcmb.study.cohort import write_cohort
from tests.scenes.cohorts import write_cohort_study, write_scan_results


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a study of 60 subjects with three sessions at mixed field strengths."""
    out = tmp_path_factory.mktemp("cohort") / "out"
    write_cohort_study(out, subjects=60)
    return out


def statistics(folder: Path) -> dict[tuple[str, str, str], dict[str, str | None]]:
    rows = read_tsv(folder / "cohort_statistics.tsv")
    return {(str(r["quantity"]), str(r["group"]), str(r["model"])): r for r in rows}


def test_tables_statistics_and_page(study: Path, tmp_path: Path) -> None:
    table = str(study.parent / "participants.tsv")
    arguments = ["cohort", str(study), "--participants", table, "--arm", "group", "--adjust", "age", "site"]
    assert run_command([*arguments, "-o", str(tmp_path / "c")]) == 0
    scans, subjects = (read_tsv(tmp_path / "c" / f"cohort_{n}.tsv") for n in ("scans", "subjects"))
    assert (len(scans), len(subjects)) == (180, 60)
    assert {"b0_tesla", "longest_te_s", "voxel_mm3", "scanner"} <= set(scans[0])
    found = statistics(tmp_path / "c")
    ratio = found["incidence rate ratio", "group: drug vs placebo", "Poisson, exact given the sum"]
    incident = {
        g: sum(int(str(s["n_incident"])) for s in subjects if s["group"] == g) for g in ("drug", "placebo")
    }
    assert float(str(ratio["estimate"])) == pytest.approx(incident["drug"] / incident["placebo"], rel=1e-4)
    prevalence = found["prevalence of microbleeds", "all", "binomial, Clopper-Pearson"]
    assert int(str(prevalence["events"])) == sum(int(str(s["n_baseline"])) > 0 for s in subjects)
    scan_sd = found["SD of log total susceptibility", "scan", "mixed model, REML"]
    assert float(str(scan_sd["estimate"])) == pytest.approx(0.05, rel=0.15)
    volume = found[
        "ratio of visible volume", "doubled field strength", "conditional Poisson within subjects, robust"
    ]
    burden = found["ratio of burden", "doubled field strength", "conditional Poisson within subjects, robust"]
    assert float(str(volume["low"])) < 2 < float(str(volume["high"]))
    assert float(str(burden["low"])) < 1 < float(str(burden["high"]))
    page = (tmp_path / "c" / "cohort.html").read_text()
    assert "data:image/png" in page
    assert "site is the same for all" in page


def test_missing_participants_are_counted_and_a_foreign_table_is_refused(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = read_tsv(study.parent / "participants.tsv")
    some = tmp_path / "some.tsv"
    write_tsv(
        some, [*rows[:50], {"participant_id": "sub-none", "group": "drug"}], ["participant_id", "group"]
    )
    arguments = ["cohort", str(study), "-o", str(tmp_path / "c"), "--arm", "group", "--participants"]
    assert run_command([*arguments, str(some)]) == 0
    said = capsys.readouterr().err
    assert "10 with results lack a row" in said
    assert "1 of some.tsv have no results: sub-none" in said
    write_tsv(some, [{"participant_id": "sub-none", "group": "drug"}], ["participant_id", "group"])
    assert run_command([*arguments, str(some)]) == 65
    assert "ERROR PARTICIPANTS" in capsys.readouterr().err
    write_tsv(some, rows, ["participant_id"])
    assert run_command([*arguments, str(some)]) == 65
    assert "expected a column group" in capsys.readouterr().err


def test_one_level_of_the_arm_says_that_there_is_nothing_to_compare(study: Path, tmp_path: Path) -> None:
    table = str(study.parent / "participants.tsv")
    assert (
        run_command(
            ["cohort", str(study), "--participants", table, "--arm", "site", "-o", str(tmp_path / "c")]
        )
        == 0
    )
    rows = read_tsv(tmp_path / "c" / "cohort_statistics.tsv")
    assert any(r["warnings"] == "site is one for all: no arms to compare" for r in rows)


@pytest.mark.parametrize("subjects", [1, 12])
def test_studies_without_any_microbleed(subjects: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    table = write_cohort_study(out, subjects=subjects, lesions=0.0, incidence=0.0)
    arguments = [
        "cohort",
        str(out),
        "--participants",
        str(table),
        "--arm",
        "group",
        "-o",
        str(tmp_path / "c"),
    ]
    assert run_command(arguments) == 0
    for row in read_tsv(tmp_path / "c" / "cohort_statistics.tsv"):
        assert row["estimate"] is not None or row["warnings"], row
        if row["high"] is None and row["low"] is None:
            assert row["warnings"], row


def test_one_scan_of_one_subject(tmp_path: Path) -> None:
    write_scan_results(tmp_path / "out", "01", 0, [2.0], b0_tesla=3.0)
    assert run_command(["cohort", str(tmp_path / "out"), "-o", str(tmp_path / "c")]) == 0
    rows = read_tsv(tmp_path / "c" / "cohort_statistics.tsv")
    assert any("no person-time" in str(r["warnings"]) for r in rows)


def test_times_with_and_without_a_zone_and_without_any(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_cohort_study(out, subjects=3, sessions=2, lesions=3.0)
    stamps = {"0001": "2021-03-01T10:00:00+09:00", "0002": "2020-03-02T09:00:00+00:00", "0003": None}
    for label, stamp in stamps.items():
        path = out / f"sub-{label}" / "ses-2" / "anat" / f"sub-{label}_ses-2_desc-cmb_burden.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "AcquisitionTime": stamp}))
    result = write_cohort(out, tmp_path / "c")
    far, near, none = read_tsv(tmp_path / "c" / "cohort_subjects.tsv")
    assert float(str(far["years"])) == pytest.approx(1.0, abs=0.01)
    assert (near["years"], near["followed"]) == (None, "0")
    assert (none["years"], none["followed"]) == (None, "0")
    said = "acq_time states a time zone in some scans and none in others"
    assert f"sub-0001: {said}; years may be off by 26 hours" in result.messages
    assert f"sub-0002: {said}; their order is not known, no years are given" in result.messages


def test_between_a_shifted_and_a_true_date_lie_no_years(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_cohort_study(out, subjects=1, sessions=2, lesions=3.0)
    path = out / "sub-0001" / "ses-2" / "anat" / "sub-0001_ses-2_desc-cmb_burden.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "AcquisitionTime": "1905-03-01T10:00:00"}))
    result = write_cohort(out, tmp_path / "c")
    (subject,) = read_tsv(tmp_path / "c" / "cohort_subjects.tsv")
    assert (subject["years"], subject["followed"]) == (None, "0")
    assert (
        "sub-0001: acq_time is shifted in some scans and true in others; no years are given"
        in result.messages
    )


def test_probabilities_of_new_lesions_reach_subjects_and_statistics(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_cohort_study(out, subjects=4, sessions=2)
    for label, chance in (("0001", 0.9), ("0002", 0.3)):
        new = Change(
            1, "incident", (0.0, 0.0, 0.0), None, None, new_probability=chance, flags=(NOT_AT_BASELINE,)
        )
        path = out / f"sub-{label}" / f"sub-{label}_desc-cmb_ariah.json"
        path.write_text(json.dumps({"microhaemorrhages": [ariah_record([new, new])]}))
    (out / "sub-0003" / "sub-0003_desc-cmb_ariah.json").write_text("{")
    result = write_cohort(out, tmp_path / "c")
    subjects = read_tsv(tmp_path / "c" / "cohort_subjects.tsv")
    assert [s["n_new_expected"] for s in subjects] == ["1.8", "0.6", None, None]
    assert [s["n_new_high"] for s in subjects[:2]] == ["2", "2"]
    assert any("sub-0003_desc-cmb_ariah.json is left out" in message for message in result.messages)
    row = statistics(tmp_path / "c")[
        "expected proportion with new microbleeds since the first session", "all", "Poisson-binomial"
    ]
    assert float(str(row["estimate"])) == pytest.approx((0.99 + 0.51) / 2)
    assert (row["low"], row["high"], row["n"]) == ("0.5", "1", "2")
    assert "2 subjects without such probabilities are left out" in str(row["warnings"])


def test_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    assert run_command(["cohort"]) == 2
    assert run_command(["cohort", "--example", "none"]) == 2
    assert run_command(["cohort", str(tmp_path / "out"), "-o", str(tmp_path / "c"), "--arm", "x"]) == 2
    assert run_command(["cohort", str(tmp_path / "out"), "-o", str(tmp_path / "c")]) == 66
    assert run_command(["power", "--example", "none"]) == 2
    assert "ERROR USAGE" in capsys.readouterr().err


def test_without_statsmodels_the_extra_is_named(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run_command(["cohort", str(study), "-o", str(tmp_path / "c")]) == 69
    assert run_command(["power"]) == 69
    said = capsys.readouterr().err
    assert 'pip install "qsmcmb[cohort]", or in the source folder: pip install ".[cohort]"' in said


def test_published_trials_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["cohort", "--example", "trials"]) == 0
    shown = capsys.readouterr()
    assert "COMPASS 5 mg\t34/477\t25/487\t1.42\t0.83-2.42" in shown.out
    for trial in ("COMPASS 5 mg", "AVERROES", "PERFORM"):
        assert f"{trial} does not agree" in shown.err


def test_power_writes_table_and_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "trial.toml"
    config.write_text(
        'pool = 4000\nrepeats = 100\nmax_subjects = 100\nscanners = { "1.5 T" = 1.0, "7 T" = 1.0 }\n'
    )
    assert run_command(["power", "--config-file", str(config), "-o", str(tmp_path / "p")]) == 0
    assert "growth of each lesion" in capsys.readouterr().out
    assert "scanner_change" in (tmp_path / "p" / "power.html").read_text()
    assert {"endpoint", "n", "power", "low", "high"} == set(read_tsv(tmp_path / "p" / "power.tsv")[0])


@pytest.mark.soak
def test_statistics_of_200_subjects_in_30_seconds_and_tables_of_2000_in_60(tmp_path: Path) -> None:
    table = write_cohort_study(tmp_path / "a" / "out", subjects=200)
    start = time.process_time()
    arguments = ["--participants", str(table), "--arm", "group", "--adjust", "age", "-o", str(tmp_path / "c")]
    assert run_command(["cohort", str(tmp_path / "a" / "out"), *arguments]) == 0
    assert time.process_time() - start < 30
    write_cohort_study(tmp_path / "b" / "out", subjects=2000)
    start = time.process_time()
    assert run_command(["cohort", str(tmp_path / "b" / "out"), "-o", str(tmp_path / "d")]) == 0
    assert time.process_time() - start < 60
